"""English rules: abbreviations, titles, addresses, and signs between words."""

import re

from indextts_jax.text.rules.english import numbers, shortened
from indextts_jax.text.rules.english.abbreviations import (
    ANYWHERE,
    BEFORE_NUMBERS,
    DAY,
    DAYS,
    EITHER,
    FINAL,
    MONTH_DOT,
    PARTS,
    SAINTS,
    STREETS,
    TITLES,
)
from indextts_jax.text.rules.english.numbers import NUMERAL, roman
from indextts_jax.text.rules.spans import Rule, rule

# What a rate is for, behind a slash; abbreviations in full.
_PER = {
    "hr": "hour", "h": "hour", "min": "minute", "sec": "second", "s": "second", "yr": "year",
    "wk": "week", "mo": "month", "lb": "pound", "oz": "ounce", "kg": "kilogram", "km": "kilometer",
    "gal": "gallon", "sq": "square", "ea": "each", "bbl": "barrel",
}  # fmt: skip
_PERIOD = (
    "hour|day|week|month|year|second|minute|night|person|mile|gallon|head|unit|page|game|liter|litre"
    "|kilogram|kilometer|kilometre|pound|ounce|foot|inch|acre|capita|serving|user|student|customer"
    "|child|adult|room|item|ticket|piece|meter|metre|dozen|shift|term|semester|quarter|season|match"
    "|visit|dose|patient|household|family|employee|worker|seat|lap|set|song|share|barrel|ton|tonne"
    "|cup|bottle|box|bag|dish|meal|session|lesson|class|team|group|car|trip|word|line|minute"
)
_RATED = re.compile(
    r"(?:[\d\U000f0000-\U000ffffd]|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|hundred|thousand|few|many|several|million))[\s-]?[a-zA-Z-]*(?:\s[a-z]+)?$"
)
_KEYS = re.compile(r"\b(?:press|dial|key|push|hit|enter|tap|type|touch)", re.IGNORECASE)
_SIGN_NAMES = {"*": "star", "#": "pound"}
_SINCE = {"est.": "established", "ca.": "circa", "c.": "circa", "born": "born", "b.": "born"}
_SINCE |= {"d.": "died"}
_ENDS = "etc|Inc|Ltd|Corp|Jr|Sr"  # often the last word: then the full stop also ends the sentence
_PLACE = "\U000f0000-\U000ffffd"  # placeholders of settled readings


def _stop(match: re.Match[str], word: str) -> str:
    """The word, with a full stop if that of the abbreviation ends the sentence."""
    rest = match.string[match.end() :]
    ends = re.match(
        r"""["'”’)\]]*(?:\s*$|\s+(?:The|He|She|It|They|We|You|But|This|There)\b)""", rest
    )
    return word + ("." if ends else "")


def _title(match: re.Match[str]) -> str | None:
    """`St. Paul` is a saint; `Baker St. The next` a street and a new sentence."""
    if match[1] == "St" and _SAINT_NEXT.match(match.string, match.end()):
        return "Saint"
    before = re.search(r"([A-Za-z]+)\s$", match.string[: match.start()])
    if match[1] in STREETS and before and before[1][0].isupper() and len(before[1]) > 3:
        return None
    return TITLES[match[1]]


_SAINT_NEXT = re.compile(rf"\s+(?:{SAINTS})\b")
_HOUSE = re.compile(
    rf"[\d{_PLACE}][A-Za-z]?\s(?:[NSEW]\.?\s)?(?:[A-Z\d{_PLACE}][\w']*\s){{0,3}}[A-Z{_PLACE}][\w']*\s$"
)


def _saint(match: re.Match[str]) -> str | None:
    """`St` without a point: a street behind a number and a name, else a saint."""
    if _SAINT_NEXT.match(match.string, match.end()):
        return "Saint"
    before = match.string[max(0, match.start() - 60) : match.start()]
    if _HOUSE.search(before) or re.search(
        r"(?:^|[\s(])(?:[A-Z][a-z']+|\d+(?:st|nd|rd|th))\s$", before
    ):
        named = re.search(
            r"\b(?:on|in|at|off|of|down|up|and|to|from|near|cross|along)\s(?:[A-Z][a-z']+\s)?[A-Z\d][\w']*\s$",
            before,
        )
        return "Street" if named or _HOUSE.search(before) else None
    return "Saint" if re.match(r"\s+[A-Z][a-z]", match.string[match.end() :]) else None


def _plain_street(match: re.Match[str]) -> str | None:
    """`12 High St` at the end or before a comma, without a point."""
    before = match.string[max(0, match.start() - 60) : match.start()]
    return STREETS[match[1]] if _HOUSE.search(before) else None


def _days(match: re.Match[str]) -> str:
    """Days in a row: all are expanded; a point at the end may end the sentence, too."""
    words = re.sub(rf"\b({DAY})\b\.?", lambda day: DAYS[day[1]], match[0])
    words = re.sub(r"\s?[-–]\s?", " to ", words).replace("/", ", ").replace("&", "and")
    return _stop(match, words) if match[0].endswith(".") else words


def _day(match: re.Match[str]) -> str | None:
    """`Sat.` and `Sun.` alone, where a day is meant: not `the Sun.`"""
    before = re.search(r"(\w+)\s$", match.string[: match.start()])
    after = match.string[match.end() :]
    if before and before[1].lower() in ("the", "a", "our", "he", "she", "it", "they", "i"):
        return None
    ends = re.match(r"[\"'”’)]*\s*($|\s[A-Z])", after)
    asked = before and re.search(
        "^(on|every|next|last|this|each|by|until|till|from|to|through|or|and|since|late|early)$",
        before[1],
        re.I,
    )
    if ends and not asked and not re.match(r"\s+(?:\d|" + "|".join(MONTH_DOT) + ")", after):
        return None
    more = re.match(rf"\s+[A-Z](?!(?:{'|'.join(MONTH_DOT)})[a-z]*\b)[a-z]+\s[a-z]", after)
    ended = asked and asked[1].lower() not in ("and", "or") and more
    return DAYS[match[1]] + "." if ended else _stop(match, DAYS[match[1]])


def _anywhere(match: re.Match[str]) -> str | None:
    word, after = match[1], match.string[match.end() :]
    if word in BEFORE_NUMBERS:
        behind_number = re.search(r"[\d\U000f0000-\U000ffffd]\s?$", match.string[: match.start()])
        number = re.match(rf"\s*(?:[\d#{_PLACE}]|[IVXLivxl]+\b|[A-Z]\b)", after)
        return ANYWHERE[word] if number and not behind_number else None
    if not re.match(r"\s*\S", after):
        return _stop(match, ANYWHERE[word]) if word in FINAL else None
    if word in FINAL and re.match(
        r"\s+(?:The|A|An|He|She|It|They|We|I|You|But|And|This|That|There|In|On|At)\b", after
    ):
        return ANYWHERE[word] + "."
    return ANYWHERE[word]


def abbreviations() -> list[str]:
    """All abbreviations with a point, without it."""
    return sorted(
        {
            *ANYWHERE,
            *TITLES,
            *STREETS,
            *DAYS,
            *_ENDS.split("|"),
            *shortened.WORDS,
            *map(str.capitalize, shortened.WORDS),
        }
    )


def _per(match: re.Match[str]) -> str | None:
    before = match.string[max(0, match.start() - 40) : match.start()]
    if not _RATED.search(before):
        return None
    return f" per {_PER.get(match[1], match[1])}"


def _key(match: re.Match[str]) -> str | None:
    if not _KEYS.search(match.string[: match.start()]):
        return None
    return _SIGN_NAMES[match[0]]


def _dialled(match: re.Match[str]) -> str:
    return " ".join(_SIGN_NAMES.get(c) or numbers.digits(c) for c in match[0])


def _street(match: re.Match[str]) -> str | None:
    before = re.search(r"(\S+)\s$", match.string[: match.start()])
    word = before[1] if before else ""
    named = word[:1].isupper() or word[:1].isdecimal() or word[-1:] > "\U000effff"
    return _stop(match, STREETS[match[1]]) if named else None


RULES: list[Rule] = [
    rule(
        rf"\b(Vol|vol|Ch|ch|Sec|Fig|fig|Pt|pt)\.\s?({NUMERAL}|I)\b(?!['’])",
        lambda m: f"{ANYWHERE.get(m[1]) or PARTS[m[1].lower()]} {numbers.cardinal(roman(m[2]))}",
    ),
    rule(
        r"\b([Ee]st\.|ca\.|c\.|[Bb]orn|b\.|d\.)\s?(1\d{3}|20\d\d)(?!\w|[.,]\d|\s+[a-z]+s\b)",
        lambda m: f"{_SINCE[m[1].lower()]} {numbers.year(int(m[2]))}",
    ),
    rule(rf"\b({'|'.join(TITLES)})\.(?=\s+[A-Z{_PLACE}])", _title),
    rule(r"\bSt(?=\s+[A-Z])(?!\s+(?:NW|NE|SW|SE|N|S|E|W|Apt|Suite|Unit)\b)", _saint),
    rule(r"\bMt(?=\s+[A-Z][a-z])", lambda m: "Mount"),
    rule(
        r"\bFt\.?(?=\s+(?:Worth|Lauderdale|Myers|Wayne|Collins|Smith|Knox|Bragg|Hood|Benning|Sumter)\b)",
        lambda m: "Fort",
    ),
    rule(
        r"\b(Sgt|Capt|Lt|Maj|Cpl|Gov|Sen)(?=\s+[A-Z][a-z])",
        lambda m: TITLES[m[1]],
    ),
    rule(
        rf"\b({'|'.join(STREETS)})\b(?=\s*(?:$|[,;)\n])|\s+(?:NW|NE|SW|SE|N|S|E|W|Apt|Suite|Unit|in|at|near|and|is|was)\b)",
        _plain_street,
    ),
    rule(
        r"\b(Dr|Mr|Mrs|Ms|Prof)\b\.?(?=\s+(?:[A-Z][a-z]|and\b))",
        lambda m: TITLES[m[1]],
    ),
    rule(rf"(?<=[A-Za-z0-9.{_PLACE}]\s)({'|'.join(STREETS)})\.", _street),
    rule(r"\b([Tt])emp\.(?=\s(?:is|was|of|at|in|and|\d)\b|\s?:)", lambda m: f"{m[1]}emperature"),
    rule(r"\bNo\.(?=\sof\b)", lambda m: "number"),
    rule(r"(?<=\dst\s)Fl\.|(?<=\d[nrt][dh]\s)Fl\.", lambda m: _stop(m, "Floor")),
    rule(r"\bDrs\.(?=\s+[A-Z])", lambda m: "doctors"),
    rule(r"\bE\.\s?g\.,?", lambda m: "for example,"),
    rule(r"\bI\.\s?e\.,?", lambda m: "that is,"),
    rule(r"\be\.\s?g\.,?", lambda m: "for example,"),
    rule(r"\bi\.\s?e\.,?", lambda m: "that is,"),
    rule(rf"\b({_ENDS})\.", lambda m: _stop(m, ANYWHERE[m[1]])),
    rule(
        rf"\b({'|'.join(sorted(set(ANYWHERE) - set(_ENDS.split('|'))))})\.(?!\w)",
        lambda m: _anywhere(m),
    ),
    rule(r"\bp\.\s?(?=\d)", lambda m: "page "),
    rule(r"\bvs\b", lambda m: "versus"),
    rule(r"\bc/o\b", lambda m: "care of", re.IGNORECASE),
    rule(r"℅", lambda m: "care of"),
    rule(r"\bb/c\b", lambda m: "because"),
    rule(r"\bb/w\b", lambda m: "between"),
    rule(r"\bet al\.", lambda m: _stop(m, "et al")),
    rule(r"\bop\.\s?cit\.", lambda m: "op cit"),
    rule(r"(?<=[A-Za-z)]\s)v\.(?=\s+[A-Z])", lambda m: "versus"),
    rule(
        r"\bCo\.(?!\w)",
        lambda m: (
            _stop(m, "Company") if re.search(r"[A-Z&][\w.]*,?\s$", m.string[: m.start()]) else None
        ),
    ),
    rule(
        r"\b([Mm]in|[Mm]ax)\.(?=[\s,;)]|$)",
        lambda m: (
            None
            if re.search(r"[\d\U000f0000-\U000ffffd]\s?$", m.string[: m.start()])
            else _stop(
                m, {"min": "minimum", "Min": "Minimum", "max": "maximum", "Max": "Maximum"}[m[1]]
            )
        ),
    ),
    rule(
        rf"\b((?:[Ii]n|[Ss]ince|[Uu]ntil|[Bb]y|[Ff]rom|[Tt]o|[Ee]arly|[Ll]ate|[Mm]id|[Ll]ast|[Nn]ext|[Tt]his|[Oo]f)[\s-])({'|'.join(MONTH_DOT)})\.(?!\s?\d)",
        lambda m: _stop(m, m[1] + MONTH_DOT[m[2]]),
    ),
    rule(
        r"\b(?:" + "|".join(map(re.escape, sorted(EITHER, key=len, reverse=True))) + r")\b(?!/)",
        lambda m: EITHER.get(m[0].lower(), None),
        re.IGNORECASE,
    ),
    rule(
        r"(?<![\w*#])(?:\*[\d*#]*\d[\d*]*#?|#\d*[*#][\d*#]*\d[\d*]*#?|\d[\d*]*#)(?![\w*#])",
        _dialled,
    ),
    rule(r"\bTel\.(?=\s?:|\s*[\d+(])", lambda m: "Telephone"),
    rule(r"(?<![\w*#])[*#](?![\w*#])", _key),
    rule(r"(?<=[A-Za-z.,!?)])\*{1,3}(?=[\s.,;:!?]|$)|(?<![\w*)])\*{1,3}(?=[A-Za-z])", lambda m: ""),
    rule(r"\bw/o\b", lambda m: "without", re.IGNORECASE),
    rule(rf"\bw/\s?(?=[\w{_PLACE}])", lambda m: "with "),
    rule(
        rf"\b(?:{DAY})\b\.?(?:(?:,?\s(?:and|or|to|&|through|thru)\s|,\s|\s?[-–/]\s?)(?:{DAY})\b\.?)+(?![A-Za-z'])",
        _days,
    ),
    rule(r"\b(Mon|Tues?|Wed|Thurs?|Fri)\.(?!\w)", lambda m: _stop(m, DAYS[m[1]])),
    rule(r"\b(Sat|Sun)\.(?!\w)", _day),
    rule(
        rf"\b(Mon|Tues?|Wed|Thurs?|Fri|Sat|Sun)\b(?=,?\s(?:\d{{1,2}}(?::\d\d)?\s?(?:[ap]\.?m\b|[-–]\s?\d)|(?:{'|'.join(MONTH_DOT)}|January|February|March|April|June|July|August|September|October|November|December|May)\.?\s\d|\d{{1,2}}\s(?:{'|'.join(MONTH_DOT)})))",
        lambda m: DAYS[m[1]],
    ),
    rule(r"\bPh\.\s?D\.", lambda m: _stop(m, "PhD")),
    rule(r"\ba\.k\.a\.", lambda m: "also known as", re.IGNORECASE),
    rule(r"\b24/7\b", lambda m: "twenty four seven"),
    rule(r"\b([BCPG])2([BCPG])\b", lambda m: f"{m[1]} to {m[2]}"),
    rule(r"\bC\+\+", lambda m: "C plus plus"),
    rule(r"\b([CF])#(?!\w)", lambda m: f"{m[1]} sharp"),
    rule(r"\b[A-Z](?:\.[A-Z])+\b\.?", lambda m: _initials(m)),
    rule(
        rf"(?<=[\w{_PLACE}])\s*&\s*(?=[\w{_PLACE}])|(?<=[,;.])\s*&\s*(?=[\w{_PLACE}])",
        lambda m: " and ",
    ),
]


def _initials(match: re.Match[str]) -> str:
    letters = match[0].replace(".", "")
    return _stop(match, letters) if match[0].endswith(".") else letters


# Applied last: a slash may be part of a unit, a sign part of a sum.
SIGNS: list[Rule] = [
    rule(rf"(?<=[A-Za-z{_PLACE}])/({'|'.join(_PER)}|{_PERIOD})\b(?!/)", _per),
    rule(r"(?<=[A-Za-z])\s?/\s?(?=[A-Za-z" + _PLACE + r"])", lambda m: " "),
    rule(rf"(?<=[{_PLACE}])\s?/\s?(?=[A-Za-z0-9{_PLACE}])", lambda m: ", "),
    rule(r"(?<!\w)/(?=[A-Za-z])|(?<=[A-Za-z])/(?=\d)", lambda m: " slash "),
    rule(r"\\", lambda m: " backslash "),
    rule(r"#(?=[A-Za-z])", lambda m: "hashtag "),
    rule(r"@(?=[A-Za-z])", lambda m: "at "),
    rule(rf"(?<=\s)@(?=\s|[\d{_PLACE}])", lambda m: "at "),
]
