"""English rules: shortened words of labels, forms and tables (`Accum.`, `Est. time`, `y/y`)."""

import re

from indextts_jax.text.rules.english import numbers
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
_YIELDS = re.compile(r"yield|rate|spread|bond|Fed\b|basis|%|percent|treasur|cut|hike", re.I)
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


WORDS = frozenset([*_ALWAYS, *_LABELS, "orig", "chap", "cont"])  # with a point, not without


RULES: list[Rule] = [
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
    rule(rf"(?<=[\d{_PLACE}]\s)(c)\.(?=\s(?:{_FOODS})\b)", lambda m: "cups"),
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
