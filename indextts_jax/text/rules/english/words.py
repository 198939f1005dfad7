"""English rules: abbreviations, titles, addresses, and signs between words."""

import re

from indextts_jax.text.rules.english import numbers
from indextts_jax.text.rules.english.numbers import NUMERAL, roman
from indextts_jax.text.rules.spans import Rule, rule

_TITLES = {
    "Dr": "doctor",
    "Mr": "Mister",
    "Mrs": "Misses",
    "Ms": "Miss",
    "Prof": "professor",
    "St": "Saint",
    "Capt": "captain",
    "Lt": "lieutenant",
    "Col": "colonel",
    "Gen": "general",
    "Sgt": "sergeant",
    "Gov": "governor",
    "Sen": "senator",
    "Rep": "representative",
    "Rev": "reverend",
    "Hon": "honorable",
    "Pres": "president",
    "Mt": "Mount",
    "Ft": "Fort",
}
_STREETS = {
    "St": "Street",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Dr": "Drive",
    "Ln": "Lane",
    "Hwy": "Highway",
    "Sq": "Square",
    "Pkwy": "Parkway",
}
_ANYWHERE = {
    "vs": "versus",
    "etc": "et cetera",
    "approx": "approximately",
    "dept": "department",
    "Dept": "Department",
    "est": "established",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Corp": "Corporation",
    "Jr": "Junior",
    "Sr": "Senior",
    "Vol": "Volume",
    "vol": "volume",
    "pp": "pages",
    "Fig": "Figure",
    "fig": "figure",
    "Sec": "Section",
    "Ch": "Chapter",
    "ca": "circa",
}
_DAYS = {
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thur": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Sat": "Saturday",
    "Sun": "Sunday",
}
_PARTS = {"ch": "chapter", "pt": "part"}
_SINCE = {"est.": "established", "ca.": "circa", "c.": "circa", "born": "born", "b.": "born"}
_SINCE |= {"d.": "died"}
_ENDS = "etc|Inc|Ltd|Corp|Jr|Sr"  # often the last word: then the full stop also ends the sentence
_PLACE = "\U000f0000-\U000ffffd"  # placeholders of settled readings


def _stop(match: re.Match[str], word: str) -> str:
    """The word, with a full stop if that of the abbreviation ends the sentence."""
    rest = match.string[match.end() :]
    return word + ("." if re.match(r"""["'”’)\]]*\s*$""", rest) else "")


def _title(match: re.Match[str]) -> str | None:
    """`St. Paul` is a saint; `Baker St. The next` a street and a new sentence."""
    before = re.search(r"([A-Za-z]+)\s$", match.string[: match.start()])
    if match[1] in _STREETS and before and before[1][0].isupper() and len(before[1]) > 3:
        return None
    return _TITLES[match[1]]


def _street(match: re.Match[str]) -> str | None:
    before = re.search(r"(\S+)\s$", match.string[: match.start()])
    word = before[1] if before else ""
    named = word[:1].isupper() or word[:1].isdecimal() or word[-1:] > "\U000effff"
    return _stop(match, _STREETS[match[1]]) if named else None


RULES: list[Rule] = [
    rule(
        rf"\b(Vol|vol|Ch|ch|Sec|Fig|fig|Pt|pt)\.\s?({NUMERAL}|I)\b(?!['’])",
        lambda m: f"{_ANYWHERE.get(m[1]) or _PARTS[m[1].lower()]} {numbers.cardinal(roman(m[2]))}",
    ),
    rule(
        r"\b([Ee]st\.|ca\.|c\.|[Bb]orn|b\.|d\.)\s?(1\d{3}|20\d\d)(?!\w|[.,]\d|\s+[a-z]+s\b)",
        lambda m: f"{_SINCE[m[1].lower()]} {numbers.year(int(m[2]))}",
    ),
    rule(rf"\b({'|'.join(_TITLES)})\.(?=\s+[A-Z{_PLACE}])", _title),
    rule(r"\b(Dr|Mr|Mrs|Ms|Prof)\b\.?(?=\s+(?:[A-Z][a-z]|and\b))", lambda m: _TITLES[m[1]]),
    rule(rf"(?<=[A-Za-z0-9.{_PLACE}]\s)({'|'.join(_STREETS)})\.", _street),
    rule(r"\be\.\s?g\.,?", lambda m: "for example,"),
    rule(r"\bi\.\s?e\.,?", lambda m: "that is,"),
    rule(rf"\b({_ENDS})\.", lambda m: _stop(m, _ANYWHERE[m[1]])),
    rule(
        rf"\b({'|'.join(sorted(set(_ANYWHERE) - set(_ENDS.split('|'))))})\.(?=\s*\S)",
        lambda m: _ANYWHERE[m[1]],
    ),
    rule(r"\bp\.\s?(?=\d)", lambda m: "page "),
    rule(r"\bvs\b", lambda m: "versus"),
    rule(r"\bw/o\b", lambda m: "without", re.IGNORECASE),
    rule(r"\bw/\s?(?=\w)", lambda m: "with "),
    rule(
        rf"\b({'|'.join(_DAYS)})\.?\s?[-–]\s?({'|'.join(_DAYS)})\b\.?",
        lambda m: (
            _stop(m, f"{_DAYS[m[1]]} to {_DAYS[m[2]]}")
            if m[0].endswith(".")
            else f"{_DAYS[m[1]]} to {_DAYS[m[2]]}"
        ),
    ),
    rule(r"\b(Mon|Tues?|Wed|Thurs?|Fri)\.", lambda m: _stop(m, _DAYS[m[1]])),
    rule(r"\bPh\.\s?D\.", lambda m: _stop(m, "PhD")),
    rule(r"\ba\.k\.a\.", lambda m: "also known as", re.IGNORECASE),
    rule(r"\b24/7\b", lambda m: "twenty four seven"),
    rule(r"\b([BCPG])2([BCPG])\b", lambda m: f"{m[1]} to {m[2]}"),
    rule(r"\bC\+\+", lambda m: "C plus plus"),
    rule(r"\b([CF])#(?!\w)", lambda m: f"{m[1]} sharp"),
    rule(r"\b[A-Z](?:\.[A-Z])+\b\.?", lambda m: _initials(m)),
    rule(rf"(?<=[\w{_PLACE}])\s*&\s*(?=[\w{_PLACE}])", lambda m: " and "),
]


def _initials(match: re.Match[str]) -> str:
    letters = match[0].replace(".", "")
    return _stop(match, letters) if match[0].endswith(".") else letters


# Applied last: a slash may be part of a unit, a sign part of a sum.
SIGNS: list[Rule] = [
    rule(r"(?<=[A-Za-z])\s?/\s?(?=[A-Za-z" + _PLACE + r"])", lambda m: " "),
    rule(rf"(?<=[{_PLACE}])\s?/\s?(?=[A-Za-z0-9{_PLACE}])", lambda m: ", "),
    rule(r"(?<!\w)/(?=[A-Za-z])|(?<=[A-Za-z])/(?=\d)", lambda m: " slash "),
    rule(r"\\", lambda m: " backslash "),
    rule(r"#(?=[A-Za-z])", lambda m: "hashtag "),
    rule(r"@(?=[A-Za-z])", lambda m: "at "),
]
