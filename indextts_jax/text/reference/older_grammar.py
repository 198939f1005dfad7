"""Where the grammar that the reference pins reads otherwise than `wetext`.

`verbalise_as_reference` has the differences of numbers; here are those of signs, spaces and
contractions, in English, and of thousands in Chinese. Found by comparing both grammars.
"""

import itertools
import re
from collections.abc import Callable

_CONTRACTIONS = re.compile(r"(?<![A-Za-z])(?:([Ii])'m|([Yy]ou)'re)(?![A-Za-z])")
_SPACES = re.compile(r"(?<=\S)(?:[ \t\r\n]{2,}|\r)(?=\S)")
# Marks at the start of a text, before a word; a name in angle brackets is one.
_OPENING = re.compile(r"[ ]?(?:<[^<>\s]+>|['({<.,?!…\"`“«¿、\\]|-(?!\d))++(?=\s*\w)")
_SIGN = re.compile(r"((?<=[A-Za-z])\|(?=\w)|(?<=\w)\|(?=[A-Za-z])|(?<=[A-Za-z])_+|_+(?=[A-Za-z]))")
_ADDRESS = re.compile(r"://|www\.|@")
_URL_END = re.compile(r"(https?(?::|,)//[^\s]*\d)(?=[.!?]*(?:\s|$))")
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_DAY = re.compile(rf"(?<= of )({_MONTHS}), ")
_DAY_TOGETHER = re.compile(r"[A-Za-z.] \d{1,2},\d{4}")
_MINUTES = re.compile(r"(?<=\d,)(2[5-9]|[3-5]\d)(?=\s?(?:[ap]\.?m\b))", re.IGNORECASE)
_NUMBERED = re.compile(r"(?<![\w.,-])(\d{3,4})([ABDE-JL-Z])(?!\w)")
_UNIT = re.compile(
    r"(?<![\w.,-])(?!(?:[2-9]0|\d{4})s)([\d,]*\d) ?([hmgs])(?![A-Za-z_/])(?=(\d?))", re.ASCII
)
_DECIMAL = re.compile(r"(?<![\w.,])(\d+)\.(\d+)([A-Z])(?![A-Za-z])", re.ASCII)
_BELOW_ZERO = re.compile(r"(?<![\w-])-(\d+)([A-Z])(?!\w)", re.ASCII)
_PER_SECOND = re.compile(r"(?<=\d) ?m/s\b")
_ONE_THOUSAND = re.compile(r"(?<![\d,.$€£])1,\d{3}(?![,\d]|\.\d| ?[a-z]{1,2}\b)")
_OH = re.compile(r"(?<![\d.,])\d\d0[1-9](?![\d.,]\d)")
_NAMES = ("oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_THOUSANDS = re.compile(
    r"(?<![\d,.￥¥$€£])(?:(?<![A-Za-z0-9])(?P<minus>-))?(?P<first>[1-9]\d{0,2}),(?P<second>\d{3})"
    r"(?:,(?P<third>\d{3}))?(?P<point>\.\d+)?(?!\.?\d|,\d|[%％℃°A-Za-z/])",
    re.ASCII,
)
_NOT_THOUSANDS = re.compile(r"(?<=\d),(?=\d{1,2}(?!\d))", re.ASCII)
_TWO = re.compile("二(?=[百千])")
_TWELVE = re.compile("(?<=十)二(?=万)")
_COUNTED = re.compile(r"[\u4e00-\u9fff]")  # a unit, except
_NOT_COUNTED = "和与及或到至的了是在"
_DIGITS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千", "万", "十")


def read_english(text: str, verbalise: Callable[[str], str]) -> str:
    """The text as `verbalise` reads it, with the older grammar's spaces, signs and contractions.

    It leaves bars and underscores beside letters alone, and puts a space after the marks that a
    text begins with.
    """
    text = _CONTRACTIONS.sub(lambda m: f"{m[1]} am" if m[1] else f"{m[2]} are", text)
    text = _SPACES.sub(" ", text)
    if ends := [match.end() for match in _URL_END.finditer(text)]:
        cuts = [0, *ends, len(text)]
        parts = [text[start:end] for start, end in itertools.pairwise(cuts)]
        words = " ".join(_kept_spaces(part, verbalise) for part in parts)
    elif _ADDRESS.search(text):
        words = verbalise(text)
    else:
        text = _DECIMAL.sub(_decimal, _BELOW_ZERO.sub(r"negative \1 \2", text))
        text = _UNIT.sub(lambda m: f"{m[1]} {m[2].upper()}{m[3] and ' '}", text)
        text = _PER_SECOND.sub(" M per S", _NUMBERED.sub(r"\1 \2", text))
        text = _MINUTES.sub(lambda match: " ".join(match[0]), text)
        parts = _SIGN.split(text)
        words = verbalise(text) if len(parts) == 1 else "".join(_between_signs(parts, verbalise))
        words = _DAY.sub(r"\1 ," if _DAY_TOGETHER.search(text) else r"\1 , ", words)
        words = _corrected(words, text)
    opening = _OPENING.match(text)
    if opening and words.startswith(opening[0]):
        words = opening[0] + " " + words[opening.end() :]
    return words


def _decimal(match: re.Match[str]) -> str:
    return f"{match[1]} point {' '.join(_NAMES[int(digit)] for digit in match[2])} {match[3]}"


def _corrected(words: str, text: str) -> str:
    """Words that the older grammar has otherwise, faults included."""
    if words.count("one thousand") == len(_ONE_THOUSAND.findall(text)):
        words = words.replace("one thousand", "thousand")
    if _OH.search(text):
        words = re.sub(r"zero (?=one|two|three|four|five|six|seven|eight|nine)", "oh ", words)
    return words.replace(" per hour", " per H") if "km/h" in text else words


def _kept_spaces(text: str, verbalise: Callable[[str], str]) -> str:
    """The text in words, its spaces kept, which `verbalise` strips."""
    bare = text.strip()
    return text.replace(bare, verbalise(bare)) if bare else text


def _between_signs(parts: list[str], verbalise: Callable[[str], str]) -> list[str]:
    """The parts in words, their spaces kept; between a sign and a figure there is one."""
    words = []
    for index, part in enumerate(parts):
        if index % 2:
            before, after = parts[index - 1][-1:], parts[index + 1][:1]
            words.append(" " * before.isdecimal() + part + " " * after.isdecimal())
        else:
            words.append(_kept_spaces(part, verbalise))
    return words


def read_chinese(text: str, verbalise: Callable[[str], str]) -> str:
    """The text as `verbalise` reads it, with the older grammar's thousands and commas.

    A comma before one or two figures divides two numbers, and 两 stands before 百 and 千.
    """
    parts = map(read_thousands, _NOT_THOUSANDS.split(text))
    words = ",".join(map(verbalise, parts))
    if not _TWO.search(text):
        words = _TWO.sub("两", words)
    if re.search(r"(?<!\d)\d?[1-9]2\d{4}(?!\d|万)", text) and not _TWELVE.search(text):
        words = _TWELVE.sub("两", words)
    return words


def read_thousands(text: str) -> str:
    """A Chinese text with numbers such as 12,345.67 in words, as the older grammar reads them."""

    def read(match: re.Match[str]) -> str:
        first, second, third = match["first"], match["second"], match["third"]
        after = match.string[match.end() : match.end() + 1]
        counted = bool(match["point"] or (_COUNTED.match(after) and after not in _NOT_COUNTED))
        if third is None:
            words = _thousands(first, second)
        elif len(first) == 3:
            words = f"{_spelled(first)},{_thousands(second, third)}"
        elif counted and second[0] != "0" and (second[2] != "0" or third != "000"):
            words = f"{_cardinal(first)},{_thousands(second, third)}"
        else:
            last = _cardinal(third.lstrip("0")) if counted and third != "000" else _spelled(third)
            words = f"{_thousands(first, second)},{last}"
        point = match["point"] or ""
        decimals = "点" + "".join(map(_digit, point[1:])) if point else ""
        return ("负" if match["minus"] else "") + words + decimals

    return _THOUSANDS.sub(read, text)


def _thousands(first: str, second: str) -> str:
    if second == "000" and len(first) > 1 and first[-1] == "0":  # 10,000: a fault of the grammar
        return (_cardinal(first) if len(first) == 2 else _spelled(first)) + ",零零零"
    return _cardinal(first + second)


def _spelled(digits: str) -> str:
    return "".join(map(_digit, digits)).replace("一", "幺")


def _digit(digit: str) -> str:
    return _DIGITS[int(digit)]


def _cardinal(number: str) -> str:
    """A number of at most six digits, with 两 before 百, 千 and 万, even in 十两万."""
    words = ""
    for place, digit in zip(range(len(number) - 1, -1, -1), number, strict=True):
        if digit != "0":
            words += ("两" if digit == "2" and 1 < place < 5 else _digit(digit)) + _PLACES[place]
        else:
            words += "万" if place == 4 and len(number) == 6 else "零"
    words = re.sub("零+", "零", words).rstrip("零")
    return re.sub("^一十", "十", words)
