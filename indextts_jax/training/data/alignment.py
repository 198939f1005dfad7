"""Which text token each code voices: the best path of the CTC through the letters of a text.

labels = labels_of(tokenizer.spelled(tokens))
if not misfit(labels.letters, len(logits)):
    alignment = align(logits, labels)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt16

from indextts_jax.models.training_heads import SYMBOLS


class Labels(NamedTuple):
    """The letters that a CTC is asked for, and where they come from."""

    letters: Int[np.ndarray, " s"]  # numbers from 1 on, see `SYMBOLS`; 0 is the blank
    pieces: Int[np.ndarray, " s"]  # of each letter the piece that it is in


def labels_of(pieces: Sequence[str]) -> Labels:
    """Letters, apostrophes and single spaces of a text in pieces; the rest is left out.

    White space and hyphens in a row are one space, which is in the piece of the last of them: a
    word mark belongs to the word that it is before. There is none at either end.
    """
    letters: list[int] = []
    owners: list[int] = []
    space: int | None = None  # the piece of one that waits for a letter
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
    """Why no path through these letters has so many frames; empty if there is one."""
    if not len(letters):
        return "it has no letters that the CTC knows"
    # A blank has to stand between equal letters.
    least = len(letters) + int(np.sum(letters[1:] == letters[:-1]))
    return f"its letters take {least} frames, it has {frames}" if least > frames else ""


def align(logits: Float[np.ndarray, "t v"], labels: Labels) -> UInt16[np.ndarray, " t"]:
    """For each code the number of the text token that it voices; never falling.

    Tokens without letters (punctuation) are voiced by no code: their time is that of the letter
    before, as is that of blanks.

    Raises:
        ValueError: if the letters do not fit.
    """
    return labels.pieces[best_path(logits, labels.letters)].astype(np.uint16)


def best_path(
    scores: Float[np.ndarray, "t v"], labels: Int[np.ndarray, " s"]
) -> Int[np.ndarray, " t"]:
    """For each frame the number of the label that the likeliest path voices there, on the host.

    Frames of blanks belong to the label before them, those at the beginning to the first. Scores
    may be logits: what a frame adds to all of them moves no path.

    Raises:
        ValueError: if there are no labels, or more than the frames can hold.
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
