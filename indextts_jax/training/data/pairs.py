"""Chooses the prompt of a clip: another clip of its speaker.

A clip as its own prompt would teach copying, and leak its words into the output.
"""

import bisect
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from indextts_jax.errors import InputError

if TYPE_CHECKING:
    from indextts_jax.training.data.index import Row

PROMPT_SECONDS = (2.0, 15.0)  # shortest and longest prompt


class Pairs:
    """Draws prompts for rows.

    With `own`, a row is its own prompt if the speaker has no other clip; the objective then uses at
    most half of it.
    """

    def __init__(self, rows: Sequence["Row"], *, own: bool = False):
        self._own = own
        self._clips: dict[tuple[str, str], list[Row]] = defaultdict(list)
        low, high = PROMPT_SECONDS
        # Sorted by text, so that all clips of one sentence are adjacent and a draw can skip them as
        # a range.
        for row in sorted(rows, key=lambda row: (row.text, row.id)):
            if low <= row.seconds <= high:
                self._clips[row.speaker, row.split].append(row)
        self._texts = {key: [row.text for row in clips] for key, clips in self._clips.items()}

    def count(self, row: "Row") -> int:
        """Number of clips that can be the row's prompt, without itself."""
        clips, first, last = self._others(row)
        return len(clips) - (last - first)

    def draw(self, row: "Row", rng: np.random.Generator) -> "Row":
        """Draws one of the possible prompts uniformly; always consumes one random number.

        Raises:
            InputError: if there is none and own prompts are not allowed.
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
        """Clips of the speaker, and the range of those with the row's own text, which are excluded.

        Training rows use only training clips as prompts. Validation rows may use one if there is no
        validation clip of the speaker: its text differs, and nothing is learned from it.
        """
        kinds = (row.split,) if row.split == "train" else (row.split, "train")
        for split in kinds:
            key = row.speaker, split
            texts = self._texts.get(key, [])
            first, last = bisect.bisect_left(texts, row.text), bisect.bisect_right(texts, row.text)
            if last - first < len(texts):
                return self._clips[key], first, last
        return [], 0, 0
