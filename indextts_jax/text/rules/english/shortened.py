"""English rules: shortened words of labels, forms and tables (`Accum.`, `Est. time`, `y/y`)."""

import re

from indextts_jax.text.rules.english import numbers, say
from indextts_jax.text.rules.english.abbreviations import DAYS, STREETS
from indextts_jax.text.rules.english.numbers import NUMERAL, roman
from indextts_jax.text.rules.spans import Rule, rule

_PLACE = "\U000f0000-\U000ffffd"  # placeholders of settled readings
# Never a word or a name of their own, with the point.
_ALWAYS = {
    "accum": "accumulated", "amt": "amount", "amts": "amounts", "subtot": "subtotal",
    "equip": "equipment", "eqpt": "equipment", "freq": "frequency", "mktg": "marketing",
    "mtg": "meeting", "mtgs": "meetings", "prev": "previous", "reqd": "required",
    "std": "standard", "wkly": "weekly", "mthly": "monthly", "yrly": "yearly", "mkt": "market",
    "svc": "service", "svcs": "services", "wknd": "weekend", "acct": "account",
    "accts": "accounts", "admin": "administration", "addl": "additional", "arr": "arrival",
    "cust": "customer", "dbl": "double", "lic": "license", "maint": "maintenance",
    "mdse": "merchandise", "mos": "months", "nos": "numbers", "pymt": "payment",
    "pmt": "payment", "qtr": "quarter", "rcpt": "receipt", "recd": "received", "ref": "reference",
    "shpg": "shipping", "whse": "warehouse", "yds": "yards",
}  # fmt: skip
_ONLY_NUMBERED = frozenset(["nos", "ref", "arr", "mos"])  # words, too, or handled elsewhere
_LABELS = {"elev": "elevation", "pop": "population", "alt": "altitude", "diam": "diameter"}
_ESTIMATED = (
    "time|cost|value|delivery|arrival|total|price|reading|read|duration|number|population|weight"
    "|size|completion|wait|age|date|budget|damage|loss|revenue|sales|earnings|tax|range"
)
_FOODS = (
    "sugar|flour|milk|water|butter|oil|cream|cheese|rice|oats|broth|stock|chopped|diced|brown|white"
    "|all-purpose|honey|nuts|raisins|salt|juice|yogurt|packed|sliced|grated|shredded|warm|cold"
)
_NUMBERED = {
    "ch": "chapter", "chap": "chapter", "vol": "volume", "pt": "part", "sec": "section",
    "app": "appendix", "pp": "pages", "p": "page", "bk": "book", "sc": "scene",
    **{word: word for word in ("chapter", "part", "volume", "book", "act", "scene", "section")},
    **{word: word for word in ("appendix", "page", "canto", "article", "phase")},
}  # fmt: skip
_ONE = re.compile(r"(?<![\d.,/]\s)(?<![\d.,/])1\s$")
_MEASURED = (
    "is|was|are|were|will|of|in|at|and|range|readings?|falls?|fell|r[io]ses?|drop(?:s|ped)?|reached"
    "|above|below|around|control|sensor"
)
_SKY = re.compile(
    r"\b(?:sunny|cloudy|rain|showers|t?-?storms|snow|clear|fog|windy|overcast)\b", re.I
)
_CRICKET = re.compile(r"\b(?:all out|wickets?|overs|ov|innings|T20|ODI|batted|bowled|declared)\b")
_MATHS = re.compile("[∃∀∈=<>≤≥]")
_YIELDS = re.compile(r"yield|rate|spread|bond|Fed\b|basis|%|percent|treasur|cut|hike", re.I)
_EACH = {"wk": "week", "mo": "month", "yr": "year", "hr": "hour", "min": "minute"}
_OVER = {"y": "year", "q": "quarter", "m": "month", "w": "week"}


def _as(word: str, match: re.Match[str]) -> str:
    return word.capitalize() if match[1][0].isupper() else word


def _word(match: re.Match[str]) -> str | None:
    short = match[1].lower()
    after = match.string[match.end() :]
    if short in _ONLY_NUMBERED and not re.match(rf"\s?(?:[Nn]o\b|[#:\d{_PLACE}])", after):
        return None
    ends = re.match(r"\s+[A-Z]|\s*$", after)
    before = re.search(rf"[\d{_PLACE}]\s$", match.string[: match.start()])
    return _as(_ALWAYS[short], match) + ("." if ends and before else "")


def _originally(match: re.Match[str]) -> str:
    behind = re.match(
        r"\s(?:\w+ed|from|in|by|called|known|written|set|a|an|the)\b", match.string[match.end() :]
    )
    return _as("originally" if behind else "original", match)


def _numeral(match: re.Match[str]) -> str | None:
    """`ch. iv` and `page xii`: a Roman numeral in lower case."""
    word, point, numeral = match[1], match[2], match[3]
    if not numeral.islower() or not re.fullmatch(NUMERAL, numeral.upper()):
        return None
    said = _NUMBERED[word.lower()]
    if (word.lower() == said) == bool(point):  # a word has no point, what is shortened has
        return None
    return f"{_as(said, match)} {numbers.cardinal(roman(numeral.upper()))}"


# With a point, not without.
WORDS = frozenset([*_ALWAYS, *_LABELS, "orig", "chap", "cont", "temp", "temps"])


def _item(match: re.Match[str]) -> str | None:
    """`2) Wait.` in a line of items; not what ends in a bracket."""
    before = match.string[: match.start()]
    return None if before.count("(") > before.count(")") else f"{numbers.cardinal(int(match[1]))}, "


def _rate(match: re.Match[str]) -> str | None:
    """`7 days/wk.`: per week, behind a number and a word."""
    counted = re.search(r"\d[\d,.]*\s?[a-z]+$", match.string[: match.start()])
    ends = match[0].endswith(".") and not match.string[match.end() :].strip()
    return f" per {_EACH[match[1]]}{'.' * ends}" if counted else None


def _inch(match: re.Match[str]) -> str | None:
    """`3/4" bolt`, unless the mark closes a quotation."""
    if len(re.findall(r'(?<!\d)"', match.string[: match.start()])) % 2:
        return None
    whole, above, below = match.groups()
    words = say.fraction(above, below)
    if words is None:
        return None
    words = words.removesuffix("s")
    if whole:
        part = words.replace("one", "a", 1) if words.startswith("one ") else words
        return f"{numbers.cardinal(int(whole))} and {part} inch"
    return f"{words} inch"


def _expires(match: re.Match[str]) -> str:
    """`exp. 09/27`: the month and the year of a card."""
    return f"expiration {say.MONTHS[int(match[1]) - 1]} {numbers.year(2000 + int(match[2]))}"


def _point(match: re.Match[str]) -> str:
    """`.750`: a share of one, with three figures."""
    return f"point {numbers.digits(match[1])}"


RULES: list[Rule] = [
    rule(  # not of "a temp. job"
        rf"\b([Tt]emp)(s?)\.(?=\s(?:{_MEASURED})\b|\s[-−\d{_PLACE}])",
        lambda m: _as("temperature", m) + m[2],
    ),
    rule(r"\bMr\.?\s?(?:&|and)\s?Mrs\b\.?", lambda m: "Mister and Misses"),
    rule(
        r"(?:(?<=^)|(?<=^\s)|(?<=[.;:,!?]\s))(\d{1,2})\)\s(?=[A-Za-z])",
        _item,
    ),
    rule(
        r"(?<=[a-z]\s)d\.(?=\s[A-Z][\w'.-]*(?:\s[A-Z][\w'.-]*)?,?\s\d{1,2}-\d)",
        lambda m: "defeated",
    ),
    rule(
        r"\b(Mon|Tues?|Wed|Thurs?|Fri|Sat)\b(?=:\s)",
        lambda m: DAYS[m[1]],
    ),
    rule(
        r"(?<![\w/.])(\d{2,3})/(\d{1,2})(?![\w/]|\.\d)",
        lambda m: (
            f"{numbers.cardinal(int(m[1]))} for {numbers.cardinal(int(m[2]))}"
            if int(m[2]) < 11 and _CRICKET.search(m.string)
            else f"{numbers.cardinal(int(m[1]))}, {numbers.cardinal(int(m[2]))}"
            if _SKY.search(m.string) and len(m[2]) == 2
            else None
        ),
    ),
    rule(
        r"(?<=\d\s)(ov)\b(?=\)|\.|,)|(?<=\d\s)(inn)\.(?=\)|,|\s|$)",
        lambda m: "overs" if m[1] else "innings",
    ),
    rule(
        r"\bBP(:?\s(?:is\s|of\s|was\s)?)(\d{2,3})/(\d{2,3})(?![\d/])",
        lambda m: f"BP{m[1]}{numbers.cardinal(int(m[2]))} over {numbers.cardinal(int(m[3]))}",
    ),
    rule(r"(?<![\w.])\.(\d{3})(?![\w.]\w|\d|\s?(?:in|mm|kg|g|s|ms|cm)\b)", _point),
    rule(r"\b[Ee]xp\.?:?\s(0[1-9]|1[0-2])/(\d\d)(?![\d/])", _expires),
    rule(r"(?<![\w/.])(?:(\d{1,2})[\s-])?(\d{1,2})/(\d{1,2})\s?[\"″](?=[\s.,;)]|$)", _inch),
    rule(r"\b([Pp]g)\.(?=\s?\d)", lambda m: _as("page", m)),
    rule(r"\bll\.(?=\s?\d)", lambda m: "lines"),
    rule(r"(?<=[a-z])/(wk|mo|yr|hr|min)\b\.?(?=[\s,;)]|$)", _rate),
    rule(
        r"(?:(?<=\d(?:st|nd|rd|th)\s))(Ave|Blvd|Rd|St)\b(?!\.|\s[A-Z][a-z]+'s)",
        lambda m: STREETS[m[1]],
    ),
    rule(r"\b([Hh]t)\.(?=:|\s\d)", lambda m: _as("height", m)),
    rule(r"\b([Ee]mp)\.(?=\s(?:ID|No|[Nn]ame|[Nn]umber)\b)", lambda m: _as("employee", m)),
    rule(r"(?<=%):(?=\d+(?:\.\d+)?%)", lambda m: " to "),
    rule(r"(?<=\d\+\s)yds\b", lambda m: "yards"),
    rule(r"\bs\.\s?t\.(?=\s)", lambda m: "such that" if _MATHS.search(m.string) else None),
    rule(rf"\b({'|'.join(_ALWAYS)})\.(?!\w)", _word, re.IGNORECASE),
    rule(r"\b(cont)(?:'d|’d)(?!\w)", lambda m: _as("continued", m), re.IGNORECASE),
    rule(r"(?<=\()(cont)\.(?=\))", lambda m: _as("continued", m), re.IGNORECASE),
    rule(
        rf"\b({'|'.join(_LABELS)})\.(?=\s?:?\s?~?[\d{_PLACE}])",
        lambda m: _as(_LABELS[m[1].lower()], m),
        re.IGNORECASE,
    ),
    rule(rf"\b(est)\.(?=\s(?:{_ESTIMATED})s?\b)", lambda m: _as("estimated", m), re.IGNORECASE),
    rule(rf"(?<=[\d%MBKbmk{_PLACE}]\s)(est)\.(?=[,;)]|\s*$)", lambda m: "estimated"),
    rule(r"\b(orig)\.(?=\s[a-z])", _originally, re.IGNORECASE),
    rule(rf"\b(temp)\.(?=\s?[\d{_PLACE}])", lambda m: _as("temperature", m), re.IGNORECASE),
    rule(
        r"\b(temp)\.(?=\s(?:files?|folders?|work(?:er)?|staff|jobs?|workers|director))",
        lambda m: _as("temporary", m),
        re.IGNORECASE,
    ),
    rule(r"\b([Nn]o)\.(?=\s?:)", lambda m: _as("number", m)),
    rule(r"\b([Rr]ev)\.(?=\s?\d)", lambda m: _as("revision", m)),
    rule(
        rf"(?<=[\d{_PLACE}]\s)(pp)\b\.?(?!\w)",
        lambda m: "pages" + "." * (not m.string[m.end() :].strip()),
    ),
    rule(
        rf"(?<=[\d{_PLACE}]\s)(c)\.(?=\s(?:{_FOODS})\b)",
        lambda m: "cup" if _ONE.search(m.string[: m.start()]) else "cups",
    ),
    rule(r"\bw\.\s?r\.\s?t\.", lambda m: "with respect to"),
    rule(r"\bw/in\b", lambda m: "within"),
    rule(r"(?<=\d)-yrs?\b\.?", lambda m: "-year"),
    rule(r"(?<=\d)\s?bps\b", lambda m: " basis points" if _YIELDS.search(m.string) else None),
    rule(r"(?<![\w/])([yqmw])/\1(?![\w/])", lambda m: f"{_OVER[m[1]]} over {_OVER[m[1]]}"),
    rule(
        r"(?<![\w/])([YQMW])o\1(?![\w/])",
        lambda m: f"{_OVER[m[1].lower()]} over {_OVER[m[1].lower()]}",
    ),
    rule(
        rf"(?<![\w'’])({'|'.join(_NUMBERED)})(\.?)\s?([ivxl]{{2,6}})(?![\w'’-])",
        _numeral,
        re.IGNORECASE,
    ),
]
