"""Every combination of what can be asked of the emotion, and what is refused."""

import itertools
from typing import Any

import pytest

from indextts_jax.emotion.request import OPTIONS, Emotion, explain_unused
from indextts_jax.errors import InputError

GIVEN: dict[str, Any] = {
    "text": "So tired.",
    "weights": (0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25),
    "prompt": "sad.wav",
    "alpha": 0.3,
    "random": True,
    "bias": True,
}
# Of the three sources, by whether each is there: the one that is used, and those without effect.
SOURCES = {
    (False, False, False): (None, set()),
    (False, False, True): ("prompt", set()),
    (False, True, False): ("weights", set()),
    (False, True, True): ("weights", {"prompt"}),
    (True, False, False): ("text", set()),
    (True, False, True): ("text", {"prompt"}),
    (True, True, False): ("text", {"weights"}),
    (True, True, True): ("text", {"weights", "prompt"}),
}
# Of each source: which of the three settings change what comes out.
SETTINGS: dict[str | None, set[str]] = {
    None: set(),
    "prompt": {"alpha"},
    "weights": {"alpha", "random", "bias"},
    "text": {"alpha", "random"},
}


def test_the_table_knows_every_option() -> None:
    assert list(GIVEN) == list(OPTIONS)


@pytest.mark.parametrize("there", list(itertools.product((False, True), repeat=6)))
def test_every_combination(there: tuple[bool, ...]) -> None:
    asked = {name: GIVEN[name] for name, given in zip(GIVEN, there, strict=True) if given}
    source, dropped = SOURCES[there[:3]]
    emotion = Emotion(**asked)
    unused = dropped | ((set(asked) & {"alpha", "random", "bias"}) - SETTINGS[source])
    assert emotion.source == source
    assert set(emotion.unused) == unused
    assert emotion.effective() == Emotion(**{k: v for k, v in asked.items() if k not in unused})
    assert len(explain_unused(emotion).split("; ")) == max(1, len(unused))
    assert bool(explain_unused(emotion)) is bool(unused)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"weights": [0.5] * 7}, "emotion_weights must be 8 finite numbers"),
        ({"weights": [float("nan")] * 8}, "emotion_weights must be 8 finite numbers"),
        ({"alpha": float("inf"), "weights": [0.1] * 8}, "emotion_alpha must be a finite number"),
        ({"text": " "}, "emotion_text is empty"),
    ],
)
def test_invalid_values_are_reported_by_field(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=f"^{field}") as caught:
        Emotion(**wrong)
    assert caught.value.fields == (field.split()[0],)
