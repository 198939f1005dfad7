"""Replaces special forms of characters: superscripts, fractions, Roman numerals."""

import re
import unicodedata
from collections.abc import Callable

from indextts_jax.text.rules.verbalise import Language

_LOWERED = {0x2080 + digit: str(digit) for digit in range(10)}
_FRACTION = re.compile(r"(\d?)([¼-¾⅐-⅞])")
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ"
_PLAIN = str.maketrans(_RAISED, "0123456789+-n")
_LOGARITHM = re.compile(r"(?<![A-Za-z])log([₀-₉]{1,3})\s?(?:\(([^()\n]{1,12})\)|(\w{1,12}))")
_INTEGRAL = re.compile("∫([₀-₉]|[a-z])([⁰¹²³⁴-⁹])\\s?")


def _base(match: re.Match[str]) -> tuple[str, str]:
    return match[1].translate(_LOWERED), match[2] or match[3]


_LOGARITHMS: dict[Language, Callable[[re.Match[str]], str]] = {
    "en": lambda match: "log base {} of {}".format(*_base(match)),
    "zh": lambda match: "以{}为底{}的对数".format(*_base(match)),
}
_INTEGRALS: dict[Language, Callable[[re.Match[str]], str]] = {
    "en": lambda match: (
        f"the integral from {match[1].translate(_LOWERED)} to {match[2].translate(_PLAIN)} of "
    ),
    "zh": lambda match: f"{match[1].translate(_LOWERED)}到{match[2].translate(_PLAIN)}的积分",
}
_SUM = re.compile(r"([∑∏∫])\s?_(?:\{([^{}\s]{1,8})\}|(\w))\^(?:\(([^()\s]{1,6})\)|(\w|∞))\s?")
_SUM_NAMES = {"∑": ("sum", "和"), "∏": ("product", "积"), "∫": ("integral", "积分")}
_SUMS: dict[Language, Callable[[re.Match[str]], str]] = {
    "en": lambda m: f"the {_SUM_NAMES[m[1]][0]} from {m[2] or m[3]} to {m[4] or m[5]} of ",
    "zh": lambda m: f"{m[2] or m[3]}到{m[4] or m[5]}的{_SUM_NAMES[m[1]][1]}",
}
_EXPONENT = re.compile(rf"(?<=[\w)\]])[{_RAISED}]+")
_LENGTH = re.compile(
    r"(?:[\d/每\u3400-\u9fff]|\bper|^)\s?(?:[munckd]?m|km|ft|in|yd|mi|s)$", re.ASCII
)
_MICRO = re.compile("μ(?=[mgslLAWF](?![a-z]))")
_NUMERAL = re.compile("[Ⅰ-Ⅿⅰ-ⅿ]")
_CIRCLED = re.compile("[①-⑳]")
_LATIN = re.compile("[À-ÖØ-öø-ɏḀ-ỿ]")
_LETTERS = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"}
    | {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th"}
    | {"ı": "i"}
)


def plain_forms(text: str, language: Language) -> str:
    """The text with special forms in ASCII: `½` as 1/2, `10³` as 10^3, `H₂O` as H2O.

    `m²` and `m³` stay, because they are units.
    """
    if "log" in text:
        text = _LOGARITHM.sub(_LOGARITHMS[language], text)
    if "^" in text and _SUM.search(text):
        text = _SUM.sub(_SUMS[language], text)
    if "∫" in text:
        text = _INTEGRAL.sub(_INTEGRALS[language], text)
    text = _MICRO.sub("µ", text.translate(_LOWERED))
    text = _FRACTION.sub(_fraction, text)
    text = _EXPONENT.sub(lambda match: _exponent(match, language), text)
    text = _CIRCLED.sub(_circled, text)
    return _NUMERAL.sub(lambda match: _numeral(match, language), text)


def without_accents(text: str) -> str:
    """The text with `é` as e and `ß` as ss: the tokenizer does not know accents."""

    def base(match: re.Match[str]) -> str:
        return unicodedata.normalize("NFD", match[0])[0].translate(_LETTERS)

    return _LATIN.sub(base, text)


def _circled(match: re.Match[str]) -> str:
    """A number in a circle: of an item, with pauses around it, or of a figure, without."""
    number = str(int(unicodedata.numeric(match[0])))
    before = match.string[: match.start()][-1:]
    if before and before in "图式表题第步注点线型号":
        return number
    return f"{'，' if before.isalpha() else ''}{number}, "


def _fraction(match: re.Match[str]) -> str:
    above, below = unicodedata.normalize("NFKD", match[2]).split("\u2044")
    before = match[1] or match.string[: match.start()][-1:].isnumeric()
    return f"{match[1]}{' ' if before else ''}{above}/{below}"


def _exponent(match: re.Match[str], language: Language) -> str:
    if match[0] in ("²", "³") and _LENGTH.search(match.string[: match.start()]):
        return match[0]
    if re.fullmatch(".?[⁺⁻]", match[0]):  # the charge of an ion
        return " " + match[0].replace("⁻", " minus" if language == "en" else "负").translate(_PLAIN)
    return "^" + match[0].translate(_PLAIN)


def _numeral(match: re.Match[str], language: Language) -> str:
    """One character for a Roman numeral: its number, but behind an English name its letters."""
    named = re.search(r"\b[A-Z][a-z]+\s?$", match.string[: match.start()])
    if language == "en" and named:
        return unicodedata.normalize("NFKC", match[0]).upper()
    return str(int(unicodedata.numeric(match[0])))
