"""What rejects a clip, and what is only told."""

import numpy as np
import pytest

from indextts_jax.errors import InputError
from indextts_jax.training.data.rows.checks import (
    Finding,
    Kept,
    Limits,
    audio_findings,
    length_findings,
    match_findings,
    set_refusal,
    set_warnings,
    text_findings,
)
from indextts_jax.training.data.rows.recording import Measured
from indextts_jax.training.data.rows.texts import ReadText

GOOD = {"rate": 24000, "band": 12000.0, "last": 100, "length": 100, "noise": 40.0}
WORDS = "a dozen words of usual length that are said in some seconds"


def kinds(found: list[Finding]) -> list[tuple[str, bool]]:
    return [(finding.kind, finding.rejects) for finding in found]


@pytest.mark.parametrize(
    ("change", "seconds", "kind", "rejects"),
    [
        ({}, 0.59, "audio: short", True),
        ({}, 20.1, "audio: long", True),
        ({"rate": 7999}, 3.0, "audio: rate", True),
        ({"rate": 16000}, 3.0, "audio: rate", False),
        ({"band": 8000.0}, 3.0, "audio: band", False),
        ({"clipped": 0.002}, 3.0, "audio: clipped", False),
        ({"noise": 14.0}, 3.0, "audio: noise", False),
        ({"stereo": 0.2}, 3.0, "audio: stereo", False),
        ({"first": 5}, 3.0, "audio: ends", False),
        ({"fault": "silent", "message": "it is silent"}, 0.0, "audio: silent", True),
    ],
)
def test_recordings(change: dict, seconds: float, kind: str, rejects: bool) -> None:
    found = audio_findings(Measured(**{**GOOD, **change}), seconds, Limits())
    assert kinds(found) == [(kind, rejects)]


def test_a_good_clip_has_no_findings() -> None:
    read = ReadText(tokens=(1, 2), spoken=WORDS)
    assert audio_findings(Measured(**GOOD), 0.6, Limits()) == []
    assert audio_findings(Measured(**GOOD), 20.0, Limits()) == []
    assert text_findings(WORDS, read, Limits(tokens=2)) == []
    assert length_findings(read, 200, 200, Limits(codes=200)) == []


@pytest.mark.parametrize(
    ("text", "read", "kind", "rejects"),
    [
        ("", ReadText(fault="empty", message="the text is missing"), "text: empty", True),
        ("x", ReadText(tokens=(1,) * 6, spoken="x"), "text: long", True),
        ("x", ReadText(spoken="x", unknown=("q at character 3",)), "text: unknown", True),
        ("x", ReadText(spoken="call 42"), "text: symbols", False),
        ("ALL OF IT IS LOUD", ReadText(spoken="x"), "text: capitals", False),
        ("x", ReadText(spoken="so " * 6), "text: stuck", False),
        ("x", ReadText(spoken="x", notices=("odd",)), "text: front end", False),
    ],
)
def test_texts(text: str, read: ReadText, kind: str, rejects: bool) -> None:
    assert kinds(text_findings(text, read, Limits(tokens=5))) == [(kind, rejects)]


def test_unknown_pieces_may_be_allowed() -> None:
    found = text_findings("x", ReadText(spoken="x", unknown=("q",)), Limits(allow_unknown=True))
    assert kinds(found) == [("text: unknown", False)]


def test_more_letters_than_frames_cannot_be_aligned() -> None:
    assert kinds(length_findings(ReadText(spoken="abcd"), 4, 4, Limits())) == []
    assert kinds(length_findings(ReadText(spoken="abcde"), 4, 4, Limits())) == [
        ("match: crowded", True)
    ]
    assert kinds(length_findings(ReadText(spoken="abba"), 4, 4, Limits())) == [
        ("match: crowded", True)  # a blank between equal letters
    ]
    assert kinds(length_findings(None, 201, 201, Limits(codes=200))) == [("match: positions", True)]


def pace(seconds: list[float]) -> list[list[tuple[str, bool]]]:
    return [kinds(found) for found in match_findings([WORDS] * len(seconds), seconds, Limits())]


def test_odd_lengths_are_found_by_the_others() -> None:
    usual = list(4 * np.exp(np.random.default_rng(0).uniform(-0.2, 0.2, 40)))
    assert pace(usual) == [[]] * 40
    found = pace([*usual, 12.0, 1.3, 6.4])
    assert found[:40] == [[]] * 40
    assert found[40:] == [
        [("match: pace", True)],
        [("match: pace", True)],
        [("match: odd pace", False)],
    ]


def test_few_clips_or_equal_ones_are_not_judged() -> None:
    assert pace([4.0] * 10 + [40.0]) == [[]] * 11
    assert pace([4.0] * 30 + [4.1]) == [[]] * 31


def test_short_texts_are_given_time_for_their_ends() -> None:
    spoken = [WORDS] * 40 + ["no"]
    seconds = [*(4 * np.exp(np.random.default_rng(0).uniform(-0.2, 0.2, 40))), 0.7]
    assert match_findings(spoken, seconds, Limits())[-1] == []


def kept(count: int, seconds: float = 4.0, **more: str) -> list[Kept]:
    return [
        Kept(
            **{"text": f"{n}", "speaker": f"s{n % 2}", "seconds": seconds, "split": "train", **more}
        )
        for n in range(count)
    ]


def test_a_set_needs_20_clips_and_a_minute() -> None:
    assert set_refusal(kept(20), Limits()) is None
    assert "19 clips of 1.3 minutes" in str(set_refusal(kept(19), Limits()))
    assert "20 clips of 0.7 minutes" in str(set_refusal(kept(20, 2.0), Limits()))


def test_odd_sets_give_warnings() -> None:
    assert set_warnings(kept(30, split="validation"), Limits()) == []
    found = set_warnings([*kept(30, split="validation"), *kept(60, speaker="s0")], Limits())
    assert found[0].startswith("speaker s0 has 83%")
    assert found[1].startswith("30 texts occur more than once")
    assert "5 validation clips" in set_warnings(kept(5, split="validation"), Limits())[0]
    lone = [*kept(30, split="validation"), Kept("x", "lone", 1.0, "train")]
    assert set_warnings(lone, Limits()) == ["1 speakers have one clip: lone"]


def test_limits_have_limits() -> None:
    with pytest.raises(InputError, match="min_seconds < max_seconds"):
        Limits(min_seconds=3, max_seconds=2)
