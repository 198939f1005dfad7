"""Where the grammar that the reference pins reads otherwise than `wetext`.

`verbalise_as_reference` has the differences of numbers; here are those of signs, spaces and
contractions, in English, and of thousands in Chinese. Found by comparing both grammars.
"""

import re
from collections.abc import Callable

_CONTRACTIONS = re.compile(r"(?<![A-Za-z])(?:([Ii])'m|([Yy]ou)'re)(?![A-Za-z])")
_SPACES = re.compile(r"(?<=\S)(?:[ \t\r\n]{2,}|\r)(?=\S)")
# Marks at the start of a text, before a word; a name in angle brackets is one.
_OPENING = re.compile(r"[ ]?(?:<[^<>\s]+>|['({<.,?!…\"`“«¿、\\]|-(?!\d))++(?=\s*\w)")
_SIGN = re.compile(r"((?<=[A-Za-z])\|(?=\w)|(?<=\w)\|(?=[A-Za-z])|(?<=[A-Za-z])_+|_+(?=[A-Za-z]))")
_ADDRESS = re.compile(r"://|www\.|@")

_THOUSANDS = re.compile(
    r"(?<![\d,.￥¥$€£])(?:(?<![A-Za-z0-9])(?P<minus>-))?(?P<thousands>[1-9]\d?),(?P<rest>\d{3})"
    r"(?P<point>\.\d+)?(?!\.?\d|,\d|[%％℃°A-Za-z/])",
    re.ASCII,
)
_DIGITS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千", "万")


def read_english(text: str, verbalise: Callable[[str], str]) -> str:
    """The text as `verbalise` reads it, with the older grammar's spaces, signs and contractions.

    It leaves bars and underscores beside letters alone, and puts a space after the marks that a
    text begins with.
    """
    text = _CONTRACTIONS.sub(lambda m: f"{m[1]} am" if m[1] else f"{m[2]} are", text)
    text = _SPACES.sub(" ", text)
    parts = [text] if _ADDRESS.search(text) else _SIGN.split(text)
    words = verbalise(text) if len(parts) == 1 else "".join(_between_signs(parts, verbalise))
    opening = _OPENING.match(text)
    if opening and words.startswith(opening[0]):
        words = opening[0] + " " + words[opening.end() :]
    return words


def _between_signs(parts: list[str], verbalise: Callable[[str], str]) -> list[str]:
    """The parts in words, their spaces kept; between a sign and a figure there is one."""
    words = []
    for index, part in enumerate(parts):
        if index % 2:
            before, after = parts[index - 1][-1:], parts[index + 1][:1]
            words.append(" " * before.isdecimal() + part + " " * after.isdecimal())
        elif bare := part.strip():
            words.append(part.replace(bare, verbalise(bare)))
        else:
            words.append(part)
    return words


def read_thousands(text: str) -> str:
    """A Chinese text with numbers such as 12,345.67 in words, as the older grammar reads them."""

    def read(match: re.Match[str]) -> str:
        whole = _cardinal(match["thousands"] + match["rest"])
        if re.fullmatch("[1-9]0,000", f"{match['thousands']},{match['rest']}"):
            whole = _cardinal(match["thousands"]).removeprefix("一") + ",零零零"
        point = match["point"] or ""
        after = "点" + "".join(map(_digit, point[1:])) if point else ""
        return ("负" if match["minus"] else "") + whole + after

    return _THOUSANDS.sub(read, text)


def _digit(digit: str) -> str:
    return _DIGITS[int(digit)]


def _cardinal(number: str) -> str:
    """A number of at most five digits, with 两 before 百, 千 and 万."""
    words = ""
    for place, digit in zip(range(len(number) - 1, -1, -1), number, strict=True):
        if digit == "0":
            words += "零"
        else:
            words += ("两" if digit == "2" and place > 1 else _digit(digit)) + _PLACES[place]
    return re.sub("零+", "零", words).rstrip("零")
