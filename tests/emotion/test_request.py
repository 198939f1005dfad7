"""Every combination of what can be asked of the emotion."""

import itertools

import pytest

from indextts_jax.emotion.request import choose

NAMES = ("text", "weights", "prompt", "alpha", "random", "bias")

# Of the three sources, by whether each is there: the way taken, and the sources it drops.
SOURCES = {
    (False, False, False): ("own", set()),
    (False, False, True): ("prompt", set()),
    (False, True, False): ("weights", set()),
    (False, True, True): ("weights", {"prompt"}),
    (True, False, False): ("text", set()),
    (True, False, True): ("text", {"prompt"}),
    (True, True, False): ("text", {"weights"}),
    (True, True, True): ("text", {"weights", "prompt"}),
}
# Of the ways: which of the three settings change what comes out.
SETTINGS = {
    "own": set(),
    "prompt": {"alpha"},
    "weights": {"alpha", "random", "bias"},
    "text": {"alpha", "random"},
}


@pytest.mark.parametrize("given", list(itertools.product((False, True), repeat=6)))
def test_every_combination(given):
    asked = dict(zip(NAMES, given, strict=True))
    mode, dropped = SOURCES[given[:3]]
    idle = {name for name in NAMES[3:] if asked[name]} - SETTINGS[mode]
    choice = choose(**asked)
    assert choice.mode == mode
    assert set(choice.unused) == dropped | idle
