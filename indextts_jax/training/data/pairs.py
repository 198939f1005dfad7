"""Which clip is the prompt of which: another one of the speaker.

A clip as its own prompt teaches copying, and lets its words leak into what is spoken.
"""

import bisect
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from indextts_jax.errors import InputError

if TYPE_CHECKING:
    from indextts_jax.training.data.index import Row

PROMPT_SECONDS = (2.0, 15.0)  # of a clip that may be a prompt


class Pairs:
    """Draws prompts for rows.

    With `own`, a row is its own prompt where the speaker has no other clip; the objective then
    uses at most half of it.
    """

    def __init__(self, rows: Sequence["Row"], *, own: bool = False):
        self._own = own
        self._clips: dict[tuple[str, str], list[Row]] = defaultdict(list)
        low, high = PROMPT_SECONDS
        # By text, so that the clips of one sentence are neighbours: a draw skips them at once.
        for row in sorted(rows, key=lambda row: (row.text, row.id)):
            if low <= row.seconds <= high:
                self._clips[row.speaker, row.split].append(row)
        self._texts = {key: [row.text for row in clips] for key, clips in self._clips.items()}

    def count(self, row: "Row") -> int:
        """How many clips may be a row's prompt, itself not counted."""
        clips, first, last = self._others(row)
        return len(clips) - (last - first)

    def draw(self, row: "Row", rng: np.random.Generator) -> "Row":
        """One of the clips that may be its prompt, each equally likely; always takes one draw.

        Raises:
            InputError: if there is none, and own prompts are not allowed.
        """
        uniform = rng.random()
        clips, first, last = self._others(row)
        count = len(clips) - (last - first)
        if count:
            index = min(int(uniform * count), count - 1)
            return clips[index if index < first else index + last - first]
        if self._own:
            return row
        low, high = PROMPT_SECONDS
        raise InputError(
            f"clip {row.id}: its speaker {row.speaker} has no other clip of {low:g} to {high:g} s "
            "for a prompt; prepare the data with --own_prompts, or leave the clip out"
        )

    def _others(self, row: "Row") -> tuple[Sequence["Row"], int, int]:
        """Clips of the speaker, and the range of those with the row's own text: no prompts of it.

        The prompts of training rows are training clips. Validation rows may take one where
        validation has none of the speaker: its text is another, and nothing is learned from it.
        """
        kinds = (row.split,) if row.split == "train" else (row.split, "train")
        for split in kinds:
            key = row.speaker, split
            texts = self._texts.get(key, [])
            first, last = bisect.bisect_left(texts, row.text), bisect.bisect_right(texts, row.text)
            if last - first < len(texts):
                return self._clips[key], first, last
        return [], 0, 0
