"""English rules: dates, years, decades and times of day."""

import re

from indextts_jax.text.rules.english import numbers, say
from indextts_jax.text.rules.english.abbreviations import DAY, DAYS
from indextts_jax.text.rules.spans import Rule, rule

_LONG = "|".join(name.capitalize() for name in say.MONTHS)
_SHORT = "|".join(rf"{name[:3].capitalize()}\.?" for name in say.MONTHS if name != "may")
MONTH = rf"(?:{_LONG}|Sept\.?|{_SHORT})(?![a-z])"
_YEAR = r"(?:1[0-9]|20)\d\d"
_NO_YEAR = r"(?!\w|/\d|[.,]\d|\s*%|:\d|-\d|\s*°|\s?[x×]\s?\d)"
_BEFORE = r"(?<![\w.,/$€£¥￥#+])(?<!\d-)"
_ORDINAL = r"(?:st|nd|rd|th)?"
_PLURALS = (
    "people|men|women|children|percent|dollars|feet|times|million|billion|thousand|hundred|more"
    "|or so|of the|of them|euros|pounds"
)
_COUNTED = re.compile(rf"\s+(?:(?!this|was|has|is|as|us|its|plus|alas)[a-z]+[^s\W]s|{_PLURALS})\b")
_DATED = re.compile(r"\b(?:in|since|by|until|till|before|after|during|year|class of) $", re.I)
_EVENTS = (
    "War|Treaty|Fire|Battle|Act|Revolution|Constitution|Congress|Rebellion|Uprising|Peace|Charter"
    "|Union|treaty|fire|battle|act|revolution|constitution|crash|panic|plague|earthquake|eruption"
    "|census|flood|siege|invasion|crisis|summer|winter|spring|autumn|fall|famine|epidemic|rebellion"
    "|war|peace|election|agreement|edition"
)
_ERA = re.compile(
    r"\s(?:kid|music|song|movie|film|hit|style|show|classic|pop|rock|fashion|band|vibe|sitcom|baby"
    r"|babies|cartoon|hairstyle|party|nostalgia|aesthetic|child|disco|cult|era)"
)
_MANY = re.compile(r"\b(?:two|three|four|five|six|ten|some|several|in) $", re.I)
_DECADE_AFTER = frozenset(
    ["the", "his", "her", "their", "my", "your", "our", "mid", "early", "late", "in", "during"]
)
_DECADES = re.compile(
    r"\b(?:the|in|during|early|late|mid)[\s-]['’]?(?:1\d|20)?\d0s,? (?:and|or|to|&) $", re.I
)


# What says more about a time of day and begins with a capital: no new sentence.
_AFTER_TIME = re.compile(
    r"\s(?:[A-Z]{1,4}T\b|GMT|UTC|Eastern|Central|Mountain|Pacific|Greenwich|Zulu|(?:Mon|Tues|Wednes|Thurs"
    rf"|Fri|Satur|Sun)days?\b|(?:Mon|Tues?|Wed|Thurs?|Fri|Sat|Sun)\b|{MONTH}\s\d|{_LONG}\b"
    r"|[A-Z][a-z]+ [Tt]ime\b)"
)


def _year(match: re.Match[str]) -> str | None:
    """A year, unless a plural follows: 1998 songs are counted."""
    counted = _COUNTED.match(match.string[match.end() :])
    dated = _DATED.search(match.string[: match.start()]) and not match[0].endswith("000")
    return numbers.year(int(match[0])) if dated or not counted else None


def _year_range(match: re.Match[str]) -> str | None:
    if _COUNTED.match(match.string[match.end() :]):
        return None
    first, last = match[1], match[2]
    if len(last) == 4:
        return f"{numbers.year(int(first))} to {numbers.year(int(last))}"
    short = numbers.pairs("1" + last).partition(" ")[2] if last[0] == "0" else say.quantity(last)
    return f"{numbers.year(int(first))} to {short}"


def _decade(match: re.Match[str]) -> str | None:
    figures = re.sub(r"\D", "", match[0])
    if len(figures) == 2:
        start = match.string[: match.start()]
        before = re.search(r"(\w+)[\s-]+$", start)
        after = bool(before and before[1].lower() in _DECADE_AFTER)
        after = after or bool(_ERA.match(match.string, match.end()))
        after = after or bool(_MANY.search(start))
        if figures < "20" or not (match[0][0] in "'’" or after or _DECADES.search(start)):
            return None
    return numbers.decade(figures + "s")


# Before minutes and seconds: ran 5 km in 25:30.
_TIMED = re.compile(
    r"\b(?:time|ran|runs?|finish\w*|record|pace|laps?|video|length|clock|track|episode|song)\b[^.;!?]*$",
    re.IGNORECASE,
)


def _clock(match: re.Match[str]) -> str | None:
    hour, minute, half = match["hour"], match["minute"], match["half"]
    if int(hour) > 24 and int(minute) < 60 and not match["second"] and not half:
        before = match.string[max(0, match.start() - 40) : match.start()]
        return say.clock(hour, minute, None, " ").strip() if _TIMED.search(before) else None
    if int(hour) > 24 or int(minute) > 59:
        return None
    return say.clock(hour, minute, match["second"], half) + _stop(match)


def _stop(match: re.Match[str]) -> str:
    """A full stop, if the one of `p.m.` also ends the sentence."""
    rest = match.string[match.end() :]
    if _AFTER_TIME.match(rest):
        return ""
    ends = (match["half"] or "").endswith(".") and re.match(r"""["'”’)]*\s*($|\s[A-Z])""", rest)
    return "." if ends else ""


def _month_day(match: re.Match[str]) -> str | None:
    if not 0 < int(match[2]) < 32:
        return None
    return f"{say.month(match[1])} {numbers.ordinal(int(match[2]))}"


def _day_month(match: re.Match[str]) -> str | None:
    if not 0 < int(match[1]) < 32:
        return None
    the = "" if re.search(r"\bthe\s$", match.string[: match.start()], re.IGNORECASE) else "the "
    return f"{the}{numbers.ordinal(int(match[1]))} of {say.month(match[2])}"


def _between_years(match: re.Match[str]) -> str | None:
    first, last = int(match[2]), int(match[4])
    round_ = first % 100 == last % 100 == 0
    if first >= last or round_ or _COUNTED.match(match.string[match.end() :]):
        return None
    return f"{match[1]} {numbers.year(first)} {match[3]} {numbers.year(last)}"


def _event(match: re.Match[str]) -> str | None:
    after = match.string[match.end() :]
    start = match[1] if match[1][-1].isspace() else match[1] + " "
    if _COUNTED.match(after) or (match[1].lower().startswith("around") and after[:1] not in ",."):
        return None
    return start + numbers.year(int(match[2]))


def _month_slash_day(match: re.Match[str]) -> str | None:
    day = int(match[3])
    if not 0 < day < 32 or (match[2], match[3]) in (("9", "11"), ("1", "2")):
        return None
    return f"{match[1]} {say.MONTHS[int(match[2]) - 1]} {numbers.ordinal(day)}"


def _weekday_date(match: re.Match[str]) -> str | None:
    date = _month_slash_day(match)
    if date is None:
        return None
    comma = "," if "," in match[0] else ""
    return date.replace(match[1], DAYS.get(match[1], match[1]) + comma, 1)


def _named_date(year: str, name: str, day: str) -> str | None:
    number = [say.month(month)[:3] for month in say.MONTHS].index(say.month(name)[:3]) + 1
    century = "" if len(year) == 4 else "19" if year >= "50" else "20"
    return say.date(century + year, str(number), day)


# `Fri 6/14`, before the rules that read the names of days alone.
WEEKDAYS: list[Rule] = [
    rule(
        rf"\b({DAY}|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day)\b(?:\.?,?\s)(1[0-2]|0?[1-9])/(\d{{1,2}})"
        r"(?![\w/]|[.,]\d|\sof\b)",
        _weekday_date,
    ),
]
NUMERIC: list[Rule] = [
    rule(
        rf"(?<![\w./-])(\d{{1,2}})[-–/.]({MONTH})[-–/.]((?:1[0-9]|20)\d\d|\d\d)(?![\w/-])",
        lambda m: _named_date(m[3], m[2], m[1]),
    ),
    rule(
        rf"(?<![\w./-])({MONTH})[-–/.](\d{{1,2}})[-–/.]({_YEAR})(?![\w/-])",
        lambda m: _named_date(m[3], m[1], m[2]),
    ),
    rule(
        rf"(?<![\w./-])({_YEAR})[-–/.]({MONTH})[-–/.](\d{{1,2}})(?![\w/-])",
        lambda m: _named_date(m[1], m[2], m[3]),
    ),
    rule(rf"(?<![\w./-])(\d{{1,2}})[-–]({MONTH})(?![\w/-])", lambda m: _day_month(m)),
    rule(
        rf"(?<![\w./-])({_YEAR})[-/.](\d{{1,2}})[-/.](\d{{1,2}})(?!\w|[/-]\d|\.\d)",
        lambda m: say.date(*m.groups()),
    ),
    rule(
        rf"(?<![\w./-])(\d{{1,2}})/(\d{{1,2}})/({_YEAR}|\d\d)(?!\w|[/-]\d|\.\d)",
        lambda m: say.slash_date(*m.groups()),
    ),
    rule(
        rf"(?<![\w./-])(\d{{1,2}})-(\d{{1,2}})-({_YEAR})(?!\w|[/-]\d|\.\d)",
        lambda m: say.slash_date(*m.groups()),
    ),
    rule(
        rf"(?<![\w./-])(\d{{1,2}})\.\s?(\d{{1,2}})\.\s?({_YEAR})(?!\w|[/-]\d|\.\d)",
        lambda m: say.date(m[3], m[2], m[1]) or say.date(m[3], m[1], m[2]),
    ),
    rule(
        rf"(?<![\w./-])({_YEAR})-(\d\d)-(\d\d)T(?=\d\d:\d\d)",
        lambda m: f"{say.date(*m.groups()) or m[0]} at ",
    ),
]
RULES: list[Rule] = [
    rule(
        rf"\b({MONTH})\s+(\d{{1,2}}){_ORDINAL},?\s+({_YEAR})\b",
        lambda m: f"{_month_day(m) or m[0]}, {numbers.year(int(m[3]))}",
    ),
    rule(
        rf"\b({MONTH})\s+(\d{{1,2}}){_ORDINAL}\s?[-–]\s?(\d{{1,2}}){_ORDINAL}\b",
        lambda m: f"{_month_day(m)} to {numbers.ordinal(int(m[3]))}",
    ),
    rule(rf"\b({MONTH})\s+([0-3]?\d){_ORDINAL}\b(?![:.,]\d|\s*%|\s+[ap]\.?m)", _month_day),
    rule(
        rf"\b(\d{{1,2}}){_ORDINAL}\s+(?:of\s+)?({MONTH}),?\s+({_YEAR})\b",
        lambda m: f"{_day_month(m)}, {numbers.year(int(m[3]))}",
    ),
    rule(rf"\b(\d{{1,2}}){_ORDINAL}\s+(?:of\s+)?({MONTH})", _day_month),
    rule(
        rf"\b({MONTH}),?\s+({_YEAR})\b",
        lambda m: f"{say.month(m[1])} {numbers.year(int(m[2]))}",
    ),
    rule(r"(?<![\w.,])['’]?(?:1\d|20)?\d0['’]?s\b", _decade),
    rule(
        r"(?<!\w)['’](\d\d)(?![\w'’])",
        lambda m: "oh " + say.quantity(m[1][1]) if m[1][0] == "0" else say.quantity(m[1]),
    ),
    rule(rf"{_BEFORE}({_YEAR})\s?[-–—]\s?({_YEAR}|\d\d){_NO_YEAR}", _year_range),
    rule(rf"{_BEFORE}(\d{{3,4}})(?=\s?(?:BC|BCE)\b)", lambda m: numbers.year(int(m[1]))),
    rule(rf"{_BEFORE}({_YEAR})(?=\s?(?:AD|CE)\b)", _year),
    rule(rf"{_BEFORE}(?:19|20)\d\d{_NO_YEAR}", _year),
    rule(
        rf"\b([Bb]etween|[Ff]rom)\s({_YEAR})\s(and|to|until|till|through)\s({_YEAR}){_NO_YEAR}",
        _between_years,
    ),
    rule(rf"\b((?:{_EVENTS})\sof\s|[Aa]round\s|Circa\s|circa\s)({_YEAR}){_NO_YEAR}", _event),
    rule(r"\b(The|the)\s(1[1-8](?!00)\d\d)(?=\s[A-Z][a-z]+(?<!s)\b)", _event),
    rule(rf"\b(The|the)\s(1[1-8]\d\d)(?=\s(?:[a-z]+\s)?(?:{_EVENTS})\b)", _event),
    rule(
        r"\b([Dd]ue|[Oo]n|[Bb]y|[Uu]ntil|[Ss]ince|[Ff]rom|dated)\s(1[0-2]|0?[1-9])/(\d{1,2})(?![\w/]|[.,]\d|\sof\b)",
        _month_slash_day,
    ),
    rule(
        rf"(?:(?<=\b[Ii]n )|(?<=\b[Ss]ince )|(?<=\b[Uu]ntil )|(?<=\b[Bb]y )|(?<=\b[Yy]ear )"
        rf"|(?<=\b[Aa]fter )|(?<=\b[Bb]efore )|(?<=\bborn ))1[0-8]\d\d{_NO_YEAR}",
        _year,
    ),
    rule(
        r"(?:(?<=\d)|(?<=\d[ap]m)|(?<=\d [ap]m)|(?<=[ap]\.m\.))"
        r"\s?[-–]\s?(?=\d{1,2}(?::\d\d)?\s?[ap]\.?m)",
        lambda m: " to ",
        re.IGNORECASE,
    ),
    rule(r"(?<=\d:\d\d)\s?[-–—~]\s?(?=\d{1,2}:\d\d(?!\d))", lambda m: " to "),
    rule(
        r"(?<![\w.:])(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?(?![\d:])"
        r"(?:\s?(?P<half>[ap]\.m\.|[ap]m\b))?",
        _clock,
        re.IGNORECASE,
    ),
    rule(
        r"(?<![\w.:,])(\d{1,2})\s?(?P<half>[ap]\.m\.|[ap]m\b)",
        lambda m: f"{numbers.cardinal(int(m[1]))} {m['half'].replace('.', '').upper()}{_stop(m)}",
        re.IGNORECASE,
    ),
]
