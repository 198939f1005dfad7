"""Which of the ways to give an emotion is taken, and what is then not used."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the flags ask for."""

    prompt: str | None
    text: str | None
    weights: list[float] | None
    alpha: float | None
    random: bool
    bias: bool


# What each way uses besides itself, in the order in which one goes before another.
USES: Mapping[str, frozenset[str]] = {
    "text": frozenset({"alpha", "random"}),
    "weights": frozenset({"alpha", "random", "bias"}),
    "prompt": frozenset({"alpha"}),
    "own": frozenset(),
}


@dataclasses.dataclass(frozen=True)
class Choice:
    """The way that is taken, and the given things that it leaves unused."""

    mode: str  # a key of `USES`
    unused: tuple[str, ...]


def choose(
    *,
    text: bool = False,
    weights: bool = False,
    prompt: bool = False,
    alpha: bool = False,
    random: bool = False,
    bias: bool = False,
) -> Choice:
    """Which way is taken of those that are given: words, eight weights, a prompt, else none.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    given = {
        "text": text,
        "weights": weights,
        "prompt": prompt,
        "alpha": alpha,
        "random": random,
        "bias": bias,
    }
    mode = next((name for name in USES if given.get(name)), "own")
    used = USES[mode] | {mode}
    return Choice(mode, tuple(name for name, there in given.items() if there and name not in used))


# How the library calls them, and what it takes to have them used.
NAMES = {
    "text": "emotion_text",
    "weights": "emotion_weights",
    "prompt": "the emotion prompt",
    "alpha": "emotion_alpha",
    "random": "emotion_random",
    "bias": "emotion_bias",
}
NEEDS = {
    "alpha": "an emotion prompt, weights or text",
    "random": "emotion weights or text",
    "bias": "emotion weights",
}


def told(choice: Choice, names: Mapping[str, str] | None = None) -> str:
    """What is not used, and why, in one line; empty if everything is."""
    names = NAMES if names is None else names
    return "; ".join(
        f"{names[name]} needs {NEEDS[name]}"
        if name in NEEDS
        else f"{names[name]} is not heard beside {names[choice.mode]}"
        for name in choice.unused
    )
