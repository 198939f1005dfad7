"""Files of times: JSON, SRT, WebVTT, ASS, LRC and Praat's TextGrid, by their ending."""

import dataclasses
import html
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from indextts_jax.errors import Failure, InputError, printable_json
from indextts_jax.timings.cues import Cue, Shown, cut_cues
from indextts_jax.timings.words import Word
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.paths import user_path

FORMAT = 1  # of the JSON file


class _Sheet(NamedTuple):
    """What is written."""

    text: str
    words: Sequence[Word]
    duration: float  # seconds
    cues: Sequence[Cue]
    karaoke: bool  # each word of a cue has its own time


def _json(sheet: _Sheet) -> str:
    cues = [{"start": cue.start, "end": cue.end, "text": cue.text} for cue in sheet.cues]
    data = {
        "format": FORMAT,
        "text": sheet.text,
        "duration": sheet.duration,
        "words": [dataclasses.asdict(word) for word in sheet.words],
        "cues": cues,
    }
    return printable_json(data, indent=1) + "\n"


def _clock(seconds: float, mark: str, digits: int = 3, hours: int = 2) -> str:
    """Hours, minutes, seconds and their decimals behind a mark."""
    units = round(seconds * 10**digits)
    whole, rest = divmod(units, 10**digits)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:0{hours}}:{minute:02}:{second:02}{mark}{rest:0{digits}}"


def _srt(sheet: _Sheet) -> str:
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(sheet.cues, 1)
    ]
    return "\n".join(blocks)


def _vtt(sheet: _Sheet) -> str:
    def line(words: Sequence[Shown]) -> str:
        return _joined(
            words,
            lambda word: (
                (f"<{_clock(word.start, '.')}>" if sheet.karaoke else "")
                + html.escape(word.text, quote=False)
            ),
        )

    blocks = ["WEBVTT\n"]
    for cue in sheet.cues:
        lines = "\n".join(map(line, cue.lines))
        blocks.append(f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{lines}\n")
    return "\n".join(blocks)


_ASS = """\
[Script Info]
ScriptType: v4.00+
PlayResX: 1280
PlayResY: 720
WrapStyle: 2

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,sans-serif,48,&H00FFFFFF,&H0000C8FF,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,2,\
1,2,40,40,40,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
# Braces begin commands, and a backslash a command or a line end; neither can be written as itself.
_PLAIN = str.maketrans({"{": "(", "}": ")", "\\": "/"})


def _ass(sheet: _Sheet) -> str:
    def sung(cue: Cue) -> Callable[[Shown], str]:
        # A word takes the time up to the next one, in hundredths of a second.
        starts = [*(_hundredths(word.start) for word in cue.words), _hundredths(cue.end)]
        lengths = [end - start for start, end in itertools.pairwise(starts)]
        own = dict(zip(map(id, cue.words), lengths, strict=True))

        def one(word: Shown) -> str:
            plain = word.text.translate(_PLAIN)
            return f"{{\\kf{own[id(word)]}}}{plain}" if sheet.karaoke else plain

        return one

    lines = [
        f"Dialogue: 0,{_clock(cue.start, '.', 2, 1)},{_clock(cue.end, '.', 2, 1)},Default,,0,0,0,,"
        + "\\N".join(_joined(line, sung(cue)) for line in cue.lines)
        for cue in sheet.cues
    ]
    return _ASS + "".join(f"{line}\n" for line in lines)


def _hundredths(seconds: float) -> int:
    return round(100 * seconds)


def _lrc(sheet: _Sheet) -> str:
    def stamp(seconds: float) -> str:
        minutes, rest = divmod(_hundredths(seconds), 6000)
        return f"{minutes:02}:{rest // 100:02}.{rest % 100:02}"

    def word(shown: Shown) -> str:
        return (f"<{stamp(shown.start)}>" if sheet.karaoke else "") + shown.text

    lines = [f"[{stamp(cue.start)}]{_joined(cue.words, word)}\n" for cue in sheet.cues]
    return "".join(lines)


def _joined(words: Sequence[Shown], shown: Callable[[Shown], str]) -> str:
    return "".join(" " * (word.spaced and n > 0) + shown(word) for n, word in enumerate(words))


def _textgrid(sheet: _Sheet) -> str:
    """Two tiers of intervals without gaps, as Praat wants them: words and cues."""
    words = [
        (word.start, word.end, word.text)
        for word in sheet.words
        if word.start is not None and word.end is not None
    ]
    cues = [(cue.start, cue.end, cue.text.replace("\n", " ")) for cue in sheet.cues]
    end = max([sheet.duration, *(stop for _, stop, _ in (*words, *cues))])
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {end!r}",
        "tiers? <exists>",
        "size = 2",
        "item []:",
    ]
    tiers = (("words", _intervals(words, end)), ("cues", _intervals(cues, end)))
    for number, (name, filled) in enumerate(tiers, 1):
        lines += [
            f"    item [{number}]:",
            '        class = "IntervalTier"',
            f'        name = "{name}"',
            "        xmin = 0",
            f"        xmax = {end!r}",
            f"        intervals: size = {len(filled)}",
        ]
        for index, (start, stop, text) in enumerate(filled, 1):
            quoted = text.replace('"', '""')
            lines += [
                f"        intervals [{index}]:",
                f"            xmin = {start!r}",
                f"            xmax = {stop!r}",
                f'            text = "{quoted}"',
            ]
    return "\n".join(lines) + "\n"


def _intervals(
    spans: Sequence[tuple[float, float, str]], end: float
) -> list[tuple[float, float, str]]:
    """Spans with empty ones between them, from 0 to the end."""
    filled: list[tuple[float, float, str]] = []
    place = 0.0
    for start, stop, text in spans:
        if start > place:
            filled.append((place, start, ""))
        filled.append((start, stop, text))
        place = stop
    if place < end or not filled:
        filled.append((place, end, ""))
    return filled


WRITERS: dict[str, Callable[[_Sheet], str]] = {
    ".json": _json,
    ".srt": _srt,
    ".vtt": _vtt,
    ".ass": _ass,
    ".lrc": _lrc,
    ".textgrid": _textgrid,
}


def check_timings(path: str | Path) -> Path:
    """The path of a file of times.

    Raises:
        InputError: for an unknown ending.
    """
    found = user_path(path, "the file of times")
    if found.suffix.lower() not in WRITERS:
        known = ", ".join(WRITERS).replace("textgrid", "TextGrid")
        raise InputError(f"{found}: times of words are written to {known}, by the ending")
    return found


def format_timings(
    ending: str, text: str, words: Sequence[Word], duration: float, cue_words: int = 0
) -> str:
    """The content of a file with this ending, see `write_timings`."""
    cues = cut_cues(text, words, duration, cue_words)
    return WRITERS[ending.lower()](_Sheet(text, words, duration, cues, cue_words > 0))


def write_timings(
    path: str | Path, text: str, words: Sequence[Word], duration: float, cue_words: int = 0
) -> None:
    """Writes the times of the words of a text, in a sound of `duration` seconds, atomically.

    With `cue_words` a cue has at most this many words, and each word of it its own time, where the
    format can say that (WebVTT, ASS, LRC).

    Raises:
        InputError: for an unknown ending.
        Failure: if the file cannot be written.
    """
    found = check_timings(path)
    content = format_timings(found.suffix, text, words, duration, cue_words)
    try:
        write_whole(found, content.encode())
    except OSError as error:
        raise Failure(f"{os.fspath(found)} cannot be written: {error.strerror or error}") from error
