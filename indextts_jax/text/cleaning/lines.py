"""Line ends as pauses: what a reader hears where the text has no mark."""

import itertools
import re

_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CLOSERS = "\"'”’»)]}）】》」』*_"
_MARKS = ".,;:!?…。，、；：！？—–-~～·"
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff]")
_LATIN_WIDTH = 40  # characters; shorter lines are not wrapped
_CHINESE_WIDTH = 18
_LABEL = re.compile(r"\s*[^\s:：]{1,20}(?:\s[^\s:：]{1,20}){0,2}\s?[:：]")
_HEADING = re.compile(
    r"\s*(?:(?:chapter|part|book|volume|act|scene|section|canto|prologue|epilogue|preface|appendix"
    r"|introduction|contents|step|day)\b[^.!?\n]{0,60}|第[一二三四五六七八九十百千零〇两\d]{1,6}[章回节卷部集幕篇]"
    r"[^。！？\n]{0,30}|[IVXLC]{1,7})\s*$",
    re.IGNORECASE,
)
# Before a hyphen at a line end: it belongs to the word, and the words are two.
_HYPHENATED = re.compile(
    r"(?:^|[^A-Za-z])(?:well|self|non|ex|half|high|low|long|short|full|part|part|two|three|four|five"
    r"|six|ten|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|so|mid|semi|anti|all|old|new|first|second"
    r"|third|hard|ill|co|pre|post|by|ready|re|quasi|cross|open|close|far|near|one|much|ever|left|right|north|south"
    r"|east|west|decision|mother|father|sister|brother|[a-z]+-[a-z]+)-$",
    re.IGNORECASE,
)


def plain_breaks(text: str) -> str:
    """The text with `\\n` as its only line end."""
    return _BREAK.sub("\n", text)


def spoken_lines(text: str) -> str:
    """The text with a mark at each line end that is a pause.

    A line end without a mark becomes a comma, a blank line or the end of a heading a full stop. The
    lines of a wrapped paragraph are joined: they are of about one length, and go on in lower case,
    or, in Chinese, without a mark.
    """
    text = _tabs(text)
    if "\n" not in text:
        return text
    blocks = [
        block for block in re.split(r"\n[ \t]*(?:\n[ \t]*)+", text.strip("\n")) if block.strip()
    ]
    spoken = [_block(block.split("\n")) for block in blocks]
    return "\n".join([_stopped(block) for block in spoken[:-1]] + spoken[-1:])


def _tabs(text: str) -> str:
    """Tabs between words part cells: a comma each."""
    if "\t" not in text:
        return text
    return re.sub(r"(?<=[^\s,;:.!?，；：。！？、])[ \t]*\t[ \t]*(?=\S)", ", ", text)


def _block(lines: list[str]) -> str:
    lines = [bare for line in lines if (bare := line.strip(" \t\u3000"))]
    width = max(map(len, lines), default=0)
    wrapped = _wrapped(lines, width)
    parts: list[str] = []
    for line, following in itertools.pairwise(lines):
        parts += _end(line, following, width, wrapped)
    return "".join([*parts, *lines[-1:]])


def _wrapped(lines: list[str], width: int) -> bool:
    """Whether the lines are those of one paragraph: full but for the last, and going on."""
    full = [line for line in lines[:-1] if line]
    if not full:
        return False
    chinese = sum(map(len, map(_IDEOGRAPH.findall, lines))) * 2 > sum(map(len, lines))
    if chinese:
        even = all(abs(width - len(line)) <= 2 for line in full)
        return even and len(full) > 1 and width >= _CHINESE_WIDTH and len(lines[-1]) <= width
    if width < _LATIN_WIDTH:
        return False
    pairs = list(itertools.pairwise(lines))
    tight = sum(len(a) + len(b.split(" ", 1)[0]) + 1 > 0.8 * width for a, b in pairs)
    lower = sum(b[:1].islower() for a, b in pairs if not _marked(a))
    upper = sum(b[:1].isupper() for a, b in pairs if not _marked(a))
    return tight > 0.8 * len(pairs) - 0.5 and lower >= max(1, upper)


def _end(line: str, following: str, width: int, wrapped: bool) -> tuple[str, str]:
    """A line with its mark, and what parts it from the next one."""
    if line.endswith("-") and following[:1].islower() and line[-2:-1].isalpha():
        return (line if _HYPHENATED.search(line) else line[:-1]), ""
    if _marked(line):
        # In a wrapped paragraph a comma does not end the line as a unit.
        return line, " " if wrapped and _unfinished(line) else "\n"
    goes_on = following[:1].islower() and len(line) >= max(_LATIN_WIDTH, 0.7 * width)
    if wrapped or (goes_on and not _LABEL.match(following)):
        both = _IDEOGRAPH.match(line[-1]) and _IDEOGRAPH.match(following[0])
        return line, "" if both else " "
    if _HEADING.match(line):
        return _stopped(line), "\n"
    return line + ("，" if _IDEOGRAPH.match(line[-1]) else ","), "\n"


def _marked(line: str) -> bool:
    """Whether a mark ends the line, perhaps before closing quotes or brackets."""
    bare = line.rstrip(_CLOSERS + " ")
    return not bare or bare[-1] in _MARKS


def _unfinished(line: str) -> bool:
    return line.rstrip(_CLOSERS + " ")[-1:] in ",;，、；—–-"


def _stopped(text: str) -> str:
    text = text.rstrip()
    bare = text.rstrip(_CLOSERS + " ")
    if not bare or bare[-1] in _MARKS:
        return text
    return text + ("。" if _IDEOGRAPH.match(bare[-1]) else ".")
