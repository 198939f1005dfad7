"""Files of times, as other programs read them."""

import io
import itertools
import json
import re
from pathlib import Path

import pysubs2
import pytest
import webvtt

from indextts_jax.errors import InputError
from indextts_jax.timings.files import WRITERS, check_timings, format_timings, write_timings
from indextts_jax.timings.words import NOT_READ, Word

TEXT = 'Is {this} <b>5 < 6</b> & "so"? 我们走 😀'


def word(text: str, start: float | None, end: float | None) -> Word:
    place = TEXT.index(text)
    reason = NOT_READ if start is None else None
    span = place, place + len(text)
    return Word(text, start, end, *span, text.upper(), 0.5, "attention", reason)


WORDS = (
    word("Is", 0.25, 0.5),
    word("this", 0.5, 1.0),
    word("5", 1.0, 1.4),
    word("6", 1.4, 1.8),
    word("&", 1.8, 2.1),
    word("so", 2.1, 2.875),
    word("我", 3600.0, 3600.25),
    word("们", 3600.25, 3600.5),
    word("走", 3600.5, 3601.5),
    word("😀", None, None),
)
END = 3602.0
FIRST, SECOND = 'Is {this} <b>5 6</b> & "so"?', "我们走"


def made(ending: str, cue_words: int = 0) -> str:
    return format_timings(ending, TEXT, WORDS, END, cue_words)


def test_json_has_every_word() -> None:
    data = json.loads(made(".json"))
    assert (data["format"], data["text"], data["duration"]) == (1, TEXT, END)
    assert [Word(**entry) for entry in data["words"]] == list(WORDS)
    assert [cue["start"] for cue in data["cues"]] == [0.25, 3600.0]


def test_srt_is_read_by_others() -> None:
    found = pysubs2.SSAFile.from_string(made(".srt"), "srt", keep_unknown_html_tags=True)
    assert [(cue.start, cue.end) for cue in found] == [(250, 2875), (3_600_000, 3_601_500)]
    (text, _) = re.findall(r"--> [\d:,]+\n(.*)\n", made(".srt"))
    assert text == FIRST


def test_webvtt_is_read_by_others() -> None:
    found = webvtt.from_buffer(io.StringIO(made(".vtt")))
    assert [cue.start for cue in found] == ["00:00:00.250", "01:00:00.000"]
    assert [cue.end for cue in found] == ["00:00:02.875", "01:00:01.500"]
    assert "&lt;b&gt;5 6&lt;/b&gt; &amp;" in found[0].raw_text
    assert found[1].text == SECOND


def test_ass_is_read_by_others() -> None:
    found = pysubs2.SSAFile.from_string(made(".ass"), "ass")
    assert [cue.plaintext for cue in found] == ['Is (this) <b>5 6</b> & "so"?', SECOND]
    assert [cue.start for cue in found] == [250, 3_600_000]


def test_words_of_cues_have_their_own_times() -> None:
    assert "<00:00:00.250>Is <00:00:00.500>{this}" in made(".vtt", 9)
    found = webvtt.from_buffer(io.StringIO(made(".vtt", 9)))
    assert found[1].text == SECOND
    assert r"{\kf25}Is {\kf50}(this)" in made(".ass", 9)
    (first, *_) = pysubs2.SSAFile.from_string(made(".ass", 9), "ass")
    lengths = [int(length) for length in re.findall(r"\\kf(\d+)", first.text)]
    assert 10 * sum(lengths) == pytest.approx(first.end - first.start, abs=10)
    assert made(".lrc", 9).splitlines()[0].startswith("[00:00.25]<00:00.25>Is <00:00.50>{this}")


def test_lrc_has_a_line_for_each_cue() -> None:
    assert made(".lrc").splitlines() == [f"[00:00.25]{FIRST}", f"[60:00.00]{SECOND}"]


def test_textgrid_has_tiers_without_gaps() -> None:
    text = made(".textgrid")
    tiers = text.split("item [")[2:]
    for tier, count in zip(tiers, (12, 5), strict=True):
        edges = re.findall(r"intervals \[\d+\]:\s+xmin = (\S+)\s+xmax = (\S+)", tier)
        assert len(edges) == int(re.findall(r"size = (\d+)", tier)[0]) == count
        assert (edges[0][0], edges[-1][1]) == ("0.0", "3602.0")
        assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))
    assert '""so""' in tiers[1]


@pytest.mark.parametrize("ending", WRITERS)
def test_a_text_without_timed_words_has_a_file(ending: str) -> None:
    assert format_timings(ending, TEXT, WORDS[-1:], 1.0) is not None


def test_endings_may_be_written_in_any_case(tmp_path: Path) -> None:
    write_timings(tmp_path / "a.TextGrid", TEXT, WORDS, END)
    assert (tmp_path / "a.TextGrid").read_text("utf-8") == made(".textgrid")


def test_an_unknown_ending_is_refused() -> None:
    with pytest.raises(InputError, match=r"a\.txt: .*\.srt.*\.TextGrid"):
        check_timings("a.txt")
