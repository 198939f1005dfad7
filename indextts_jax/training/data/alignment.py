"""Aligns codes with text tokens: the best CTC path through the letters of a text.

labels = labels_of(tokenizer.spelled(tokens))
if not misfit(labels.letters, len(logits)):
    alignment = align(logits, labels)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt16

from indextts_jax.models.training.heads import SYMBOLS


class Labels(NamedTuple):
    """CTC labels of a text, and the text token of each."""

    letters: Int[np.ndarray, " s"]  # numbers from 1 on, see `SYMBOLS`; 0 is the blank
    pieces: Int[np.ndarray, " s"]  # the text token that each letter belongs to


def labels_of(pieces: Sequence[str]) -> Labels:
    """The letters, apostrophes and single spaces of a tokenized text; other characters are omitted.

    Consecutive white space and hyphens are one space, which belongs to the token of the last of
    them, as a word mark belongs to the following word. There is none at either end.
    """
    letters: list[int] = []
    owners: list[int] = []
    space: int | None = None  # token of a pending space
    for number, piece in enumerate(pieces):
        for character in piece.upper().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"):
            if character.isspace() or character == "-":
                space = number
            elif character in SYMBOLS:
                if space is not None and letters:
                    letters.append(SYMBOLS.index(" ") + 1)
                    owners.append(space)
                space = None
                letters.append(SYMBOLS.index(character) + 1)
                owners.append(number)
    return Labels(np.array(letters, np.int32), np.array(owners, np.int32))


def letters_of(text: str) -> Int[np.ndarray, " s"]:
    """The CTC's labels of a text."""
    return labels_of([text]).letters


def misfit(letters: Int[np.ndarray, " s"], frames: int) -> str:
    """Why the letters cannot be aligned with this number of frames; empty if they can."""
    if not len(letters):
        return "it has no letters of the CTC's alphabet"
    # CTC needs a blank between equal letters.
    least = len(letters) + int(np.sum(letters[1:] == letters[:-1]))
    return f"its letters need {least} frames, but it has {frames}" if least > frames else ""


def align(logits: Float[np.ndarray, "t v"], labels: Labels) -> UInt16[np.ndarray, " t"]:
    """For each code the index of the text token that it voices; non-decreasing.

    Tokens without letters (punctuation) have no codes: their time, like that of blanks, belongs to
    the preceding letter.

    Raises:
        ValueError: if the letters cannot be aligned.
    """
    return labels.pieces[best_path(logits, labels.letters)].astype(np.uint16)


def best_path(
    scores: Float[np.ndarray, "t v"], labels: Int[np.ndarray, " s"]
) -> Int[np.ndarray, " t"]:
    """For each frame the index of its label on the most likely path; computed on the host.

    Blank frames belong to the preceding label, initial ones to the first. Scores may be logits: a
    constant added to a frame's scores does not change the path.

    Raises:
        ValueError: if there are no labels, or too many for the frames.
    """
    time, count = len(scores), len(labels)
    if problem := misfit(labels, time):
        raise ValueError(problem)
    states = np.zeros(2 * count + 1, np.int64)
    states[1::2] = labels
    skips = np.zeros(len(states), bool)
    skips[3::2] = labels[1:] != labels[:-1]
    emitted = scores[:, states].astype(np.float64)
    reached = np.full(len(states), -np.inf)
    reached[:2] = emitted[0, :2]
    came = np.zeros((time, len(states)), np.int64)
    for t in range(1, time):
        ways = np.full((3, len(states)), -np.inf)
        ways[0], ways[1, 1:] = reached, reached[:-1]
        ways[2, 2:] = np.where(skips[2:], reached[:-2], -np.inf)
        came[t] = ways.argmax(axis=0)
        reached = ways.max(axis=0) + emitted[t]
    state = len(states) - 1 - int(reached[-2] > reached[-1])
    path = np.zeros(time, np.int64)
    for t in range(time - 1, -1, -1):
        path[t] = state
        state -= came[t, state]
    return np.clip((path - 1) // 2, 0, count - 1).astype(np.int32)
