"""Subtitles and timed lyrics: numbers, times and styles go, the lines stay."""

import re

_TIME = r"(?:\d{1,3}:)?\d{1,2}:\d{2}[.,]\d{1,3}"
# The number of a cue is on the line before its times; a name may be there in WebVTT.
_CUE = re.compile(
    rf"(?:^[ \t]*\d{{1,6}}[ \t]*\n)?^[ \t]*{_TIME}[ \t]*-+>[ \t]*{_TIME}[^\n]*(?:\n|$)",
    re.MULTILINE,
)
_HEADER = re.compile(r"\A\s*WEBVTT[^\n]*\n(?:[^\n]+\n)*")
_NOTE = re.compile(r"^(?:NOTE|STYLE|REGION)\b[^\n]*\n(?:[^\n]+\n)*", re.MULTILINE)
_DIALOGUE = re.compile(r"^Dialogue:[ \t]*(?:[^,\n]*,){9}", re.MULTILINE)
_SCRIPT = re.compile(
    r"^(?:\[(?:Script Info|V4\+? Styles|Events|Fonts)\]"
    r"|(?:Title|ScriptType|PlayRes[XY]|WrapStyle|Format|Style|Comment|Collisions|Timer):)[^\n]*\n?",
    re.MULTILINE,
)
_STYLE = re.compile(r"\{\\[^{}\n]{1,200}\}")
_BREAK = re.compile(r"\\[Nnh]")
_LYRICS = re.compile(
    r"^[ \t]*(?:\[\d{1,3}:\d{2}(?:[.:]\d{1,3})?\][ \t]*)+|<\d{1,3}:\d{2}(?:[.:]\d{1,3})?>",
    re.MULTILINE,
)
_ABOUT = re.compile(r"^\[(?:ti|ar|al|au|by|offset|length|re|ve):[^\]\n]*\][ \t]*\n?", re.MULTILINE)
_LOWER = re.compile(r"\s*[a-z]")


def plain_subtitles(text: str) -> str:
    """The lines of subtitles (SRT, WebVTT, ASS) and of lyrics (LRC); other text stays as it is.

    A sentence that goes on in the next cue is joined to it.
    """
    if _CUE.search(text):
        text = _NOTE.sub("", _HEADER.sub("", text))
        cues = [cue.strip() for cue in _CUE.split(text)]
        text = _STYLE.sub("", _joined([cue for cue in cues if cue]))
    elif _DIALOGUE.search(text):
        text = _STYLE.sub("", _DIALOGUE.sub("", _SCRIPT.sub("", text)))
        text = _BREAK.sub(" ", text)
    if _LYRICS.search(text):
        text = _LYRICS.sub("", _ABOUT.sub("", text))
    return text


def _joined(cues: list[str]) -> str:
    lines: list[str] = []
    for cue in cues:
        whole = re.sub(r"\n(?=\s*[a-z])", " ", cue)
        goes_on = lines and _LOWER.match(whole) and lines[-1][-1:] not in '.!?…。！？"”'
        if goes_on:
            lines[-1] += " " + whole
        else:
            lines.append(whole)
    return "\n".join(lines)
