"""English rules: money, percentages, units, ordinals, fractions, ranges, scores, sums."""

import re

from indextts_jax.text.rules import units
from indextts_jax.text.rules.english import numbers, say
from indextts_jax.text.rules.spans import Rule, rule

NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_START = r"(?<![\w.,])"  # where a number may begin
SIGNED = r"(?<![\w.,])(?<![A-Za-z]-)(?P<sign>(?:(?<!\S)|(?<=\())[-−–])?"
_END = r"(?![A-Za-z0-9²³])"
_TO = r"\s?[-–—~]\s?"
_SCALE = r"(?:\s?(million|billion|trillion|thousand|bn|mn|[kKmMbBT])\b)?"
_NAME = units.alternatives(units.ENGLISH)
UNIT = rf"(?:{_NAME})(?:\s?/\s?(?:{_NAME}|{'|'.join(units.PER)})(?![A-Za-z]))?"
_MONEY = units.alternatives(units.MONEY)
_PERIODS = {"mo": "month", "yr": "year", "hr": "hour", "h": "hour", "d": "day", "wk": "week"}
_BOOKS = (
    "Genesis|Exodus|Leviticus|Deuteronomy|Samuel|Kings|Chronicles|Psalms?|Proverbs|Ecclesiastes"
    "|Isaiah|Jeremiah|Ezekiel|Daniel|Matthew|Mark|Luke|John|Acts|Romans|Corinthians|Galatians"
    "|Ephesians|Philippians|Colossians|Timothy|Hebrews|James|Revelation|Quran|Surah"
)
_GAME = re.compile(r"\b(?:w[io]n|beat|los[te]|scor|victor|draw|lead|led|tied?|defeat|down|up)")


def _minus(match: re.Match[str]) -> str:
    return "minus " if match["sign"] else ""


def _money(match: re.Match[str]) -> str:
    unit = match[4] and units.ENGLISH.get(match[4], (match[4],))[0]
    period = f" per {_PERIODS.get(match[4], unit)}" if match[4] else ""
    article = re.search(r"\b[Aa]n? $", match.string[: match.start()])
    one_thing = bool(article and re.match(r"[ -][a-z]", match.string[match.end() :]))
    minus = "minus " if match[0][0] in "-−" else ""
    return minus + say.money(match[1], match[2], match[3], one_thing=one_thing) + period


def _measure(match: re.Match[str]) -> str | None:
    amount, sign = match[2], match[3]
    if sign == "s" and re.fullmatch("7[0-8]7", amount):
        return None  # airliners
    if (
        sign == "in"
        and match[0][-1] != "."
        and re.match(r"\s+[^\s.,;:)]", match.string[match.end() :])
    ):
        return None  # 5 in the morning
    return _minus(match) + say.measure(amount, sign)


def _size(match: re.Match[str]) -> str:
    *sides, unit = match.groups()
    words = [say.label(s) if len(s) > 2 and not unit else say.quantity(s) for s in sides if s]
    return " by ".join(words) + (f" {units.english(unit)[1]}" if unit else "")


def _duration(match: re.Match[str]) -> str:
    hours, minutes, seconds = match.groups()
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(say.measure(amount, unit) for amount, unit in parts if amount)


def _numbered(text: str) -> str:
    return numbers.digits(text) if len(text) > 3 or text[0] == "0" else say.quantity(text)


def _score(match: re.Match[str]) -> str | None:
    around = match.string[max(0, match.start() - 60) : match.end() + 40].lower()
    if not _GAME.search(around):
        return None
    return f"{say.quantity(match[1])} to {say.quantity(match[2])}"


def _range(match: re.Match[str]) -> str:
    """`5-10` is a range, `5 - 3` is a difference."""
    first, last = match[1].replace(",", ""), match[2].replace(",", "")
    minus = " - " in match[0] and float(first) > float(last)
    return f"{say.quantity(match[1])} {'minus' if minus else 'to'} {say.quantity(match[2])}"


def _inches(match: re.Match[str]) -> bool:
    """Whether the quotation mark stands for inches, not for the end of a quotation."""
    return match[0][-1] == "″" or match.string[: match.start()].count('"') % 2 == 0


def _and_a_half(match: re.Match[str]) -> str | None:
    part = say.fraction(match[2], match[3])
    if part is None:
        return None
    return f"{say.quantity(match[1])} and {re.sub('^one (?=half|quarter|third)', 'a ', part)}"


RULES: list[Rule] = [
    rule(
        rf"({_MONEY})\s?({NUMBER}){_TO}(?:{_MONEY})?\s?({NUMBER}){_SCALE}",
        lambda m: f"{say.quantity(m[2])} to {say.money(m[1], m[3], m[4])}",
    ),
    rule(rf"(?:(?<!\w)[-−])?({_MONEY})\s?({NUMBER}){_SCALE}(?:\s?/\s?([a-z]+))?", _money),
    rule(
        rf"{_START}({NUMBER}){_SCALE}\s?({_MONEY})(?![A-Za-z])",
        lambda m: say.money(m[3], m[1], m[2]),
    ),
    rule(
        rf"{_START}({NUMBER})\s?%?{_TO}({NUMBER})\s?%",
        lambda m: f"{say.quantity(m[1])} to {say.quantity(m[2])} percent",
    ),
    rule(
        rf"{SIGNED}({NUMBER})\s?%",
        lambda m: f"{_minus(m)}{say.quantity(m[2])} percent",
    ),
    rule(
        r"(?<![\w.])(\d)\s?(?:ft\.?|feet|foot|['’′])\s?(\d{1,2})"
        r"(?:\s?(?:in\.?|inches|[\"”″]|'')|(?=[\s,.;!?]|$))(?!\w)",
        lambda m: f"{say.quantity(m[1])} foot {say.quantity(m[2])}",
    ),
    rule(r"(?<![\w.,])(\d+)\s?h\s?(\d+)\s?m(?:in)?(?:\s?(\d+)\s?s)?(?!\w)", _duration),
    rule(r"(?<![\w.,])()(\d+)\s?m\s?(\d+)\s?s(?!\w)", _duration),
    rule(
        rf"(?<![\w.,/])({NUMBER})\s?/\s?({NUMBER})\s?({_NAME}){_END}",
        lambda m: f"{say.quantity(m[1])} over {say.measure(m[2], m[3])}" if "Hg" in m[3] else None,
    ),
    rule(
        r"(?:(?<=pressure )|(?<=pressure is )|(?<=pressure was )|(?<=pressure of ))"
        r"(\d{2,3})/(\d{2,3})(?![\w/])",
        lambda m: f"{say.quantity(m[1])} over {say.quantity(m[2])}",
    ),
    rule(
        rf"{_START}({NUMBER}){_TO}({NUMBER})\s?({UNIT}){_END}(?<! in)",
        lambda m: f"{say.quantity(m[1])} to {say.measure(m[2], m[3])}",
    ),
    rule(
        r"(?<![\w.,$€£])(\d+(?:\.\d+)?)(?:″|[\"”](?=\s?[A-Za-z]))",
        lambda m: f"{say.quantity(m[1])} inch" if _inches(m) else None,
    ),
    rule(rf"{_START}({NUMBER})\s?¢", lambda m: say.money("$", f"0.{int(m[1]):02}")),
    rule(
        r"(?<![\w.,])(\d+(?:\.\d+)?)([KMB])(?=\s+(?:[a-z]+s|people)\b)",
        lambda m: (
            None
            if m[2] == "K" and len(m[1]) < 3 and int(m[1]) < 20
            else f"{say.quantity(m[1])} {say.SCALE[m[2].lower()]}"
        ),
    ),
    rule(
        rf"\b({_BOOKS})\s(\d{{1,3}}):(\d{{1,3}})(?!\d)",
        lambda m: f"{m[1]} {say.quantity(m[2])} {say.quantity(m[3])}",
    ),
    rule(
        r"(?<![\w.,])(\d+)\s?[x×]\s?(\d+)(?:\s?[x×]\s?(\d+))?"
        rf"(?:\s?({UNIT}){_END}(?!\s[a-z])|(?!\w|\s?=))",
        _size,
    ),
    rule(rf"{SIGNED}({NUMBER})\s?({UNIT}){_END}(?:\.(?=\s[a-z]))?", _measure),
    rule(
        rf"{SIGNED}({NUMBER})-({_NAME}){_END}",
        lambda m: f"{say.quantity(m[2])} {units.ENGLISH[m[3]][0]}",
    ),
    rule(r"(?<![\w.,])(\d+)(?:st|nd|rd|th)\b", lambda m: numbers.ordinal(int(m[1])), re.IGNORECASE),
    rule(r"(?:\b[Nn]o\.|\bNO\.|№)\s?(\d+)\b", lambda m: f"number {_numbered(m[1])}"),
    rule(r"(?<!\w)#\s?(\d+)\b", lambda m: f"number {_numbered(m[1])}"),
    rule(r"(?<![\w.,/-])50-50(?![\w-])", lambda m: "fifty fifty"),
    rule(r"(?<![\w.,/])(\d+)\s(\d)/(\d)(?!\w|/\d|[.,]\d)", _and_a_half),
    rule(r"(?<![\w.,/])(\d+)/(\d+)(?!\w|/\d|[.,]\d)", lambda m: say.fraction(m[1], m[2])),
    rule(r"(?<![\w.,:/-])(\d{1,3})[-–:](\d{1,3})(?!\w|[:/-]\d|[.,]\d|%)", _score),
    rule(
        r"(?<![\w.,:])(\d+):(\d+)(?![\w:]|[.,]\d)",
        lambda m: f"{say.quantity(m[1])} to {say.quantity(m[2])}",
    ),
    rule(rf"(?<![\w.,-])({NUMBER}){_TO}({NUMBER})(?!\w|-\d|[.,]\d|\s?=)", _range),
    rule(r"(?<=\d)\s/\s(?=\d)", lambda m: " divided by "),
    rule(
        rf"{_START}({NUMBER})-([a-z]{{2,}}(?:-[a-z]+)*)\b",
        lambda m: f"{say.quantity(m[1])} {m[2].replace('-', ' ')}",
    ),
    rule(rf"{_START}({NUMBER})[x×](?!\w|\s?[-+*/=^−\d])", lambda m: f"{say.quantity(m[1])} times"),
    rule(
        rf"{_START}({NUMBER})k(?=\s+(?:[a-z]+s|people)\b)",
        lambda m: f"{say.quantity(m[1])} thousand",
    ),
    rule(rf"{_START}({NUMBER})\s?\+(?!\s?\d)", lambda m: f"{say.quantity(m[1])} plus"),
]
