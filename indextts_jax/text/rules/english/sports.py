"""English rules: minutes of a match (`45+2'`), feet (`12' long`), and tables of a game."""

import re

from indextts_jax.text.rules.english import numbers
from indextts_jax.text.rules.spans import Rule, rule

_QUOTE = "['’′]"
_LONG = (
    r"tall|long|wide|high|deep|across|thick|apart|away|from|off|above|below|under|underwater"
    r"|in\s(?:length|height|width|depth|diameter)|by\s\d|[x×]\s?\d"
)
_THINGS = (
    "boat|board|wall|ceiling|fence|ladder|pole|pipe|rope|cord|cable|drop|tree|table|beam|plank|deck"
    "|truck|trailer|kayak|canoe|shark|snake|statue|sofa|rug|lot|section|hose|chain|sailboat|python"
)
# Words of a report of a match; without one, `12'` may be a length or the end of a quotation.
_FOOTBALL = re.compile(
    r"\b(?:goals?|go+al|scor(?:e[ds]?|er|ers|ing)|penalt(?:y|ies)|pen\)|substitut\w+|subs?:"
    r"|red cards?|yellow cards?|booked|equali[sz]\w+|half-?time|full-?time|kick-?off"
    r"|offside|VAR|free kick|hat-?trick|header"
    r"|(?:injury|stoppage|added) time|own goal|nett?(?:ed|s))\b|[⚽🟥🟨]",
    re.IGNORECASE,
)
_ADDED = re.compile(rf"\d\+\d{{1,2}}{_QUOTE}")
_OPEN = re.compile(r"(?<![\w)])['‘](?=\w)")
_STATISTICS = {
    "pts": ("point", "points"),
    "pt": ("point", "points"),
    "reb": ("rebound", "rebounds"),
    "rebs": ("rebound", "rebounds"),
    "ast": ("assist", "assists"),
    "asts": ("assist", "assists"),
    "stl": ("steal", "steals"),
    "stls": ("steal", "steals"),
    "blk": ("block", "blocks"),
    "blks": ("block", "blocks"),
}
_CODE = "|".join(sorted(_STATISTICS, key=len, reverse=True))
# `pts` alone may stand for anything that is counted: two of a table make it certain.
_COUNTED = re.compile(rf"\d\s?({_CODE})\b|\b({_CODE})\s?:?\s?\d", re.IGNORECASE)


def _minute(match: re.Match[str]) -> str | None:
    """`12'`: twelfth minute; `45+2'`: forty fifth minute plus two."""
    minute, added, text = int(match[1]), match[2], match.string
    if minute > 120 or (not added and not _FOOTBALL.search(text) and not _ADDED.search(text)):
        return None
    if not added and _OPEN.search(text[: match.start()]):
        return None  # it may close a quotation
    return f"{numbers.ordinal(minute)} minute" + (
        f" plus {numbers.cardinal(int(added))}" if added else ""
    )


def _statistic(match: re.Match[str]) -> str | None:
    found = {(m[1] or m[2])[:2].lower() for m in _COUNTED.finditer(match.string)}
    if len(found) < 2:
        return None
    if match["named"]:
        return _STATISTICS[match["named"].lower()][1]
    amount, (one, more) = match["amount"], _STATISTICS[match["code"].lower()]
    return f"{numbers.decimal(amount)} {one if amount == '1' else more}"


def _area(match: re.Match[str]) -> str:
    """`6' x 8'`: six by eight feet; before a noun, foot."""
    noun = re.match(
        r"\s(?!and\b|or\b|in\b|is\b|was\b|at\b|with\b|by\b|x\b|for\b|long\b|on\b)[a-z]",
        match.string[match.end() :],
    )
    sides = " by ".join(numbers.cardinal(int(n)) for n in match.groups())
    return f"{sides} {'foot' if noun else 'feet'}"


RULES: list[Rule] = [
    rule(rf"(?<![\w.,/+-])(\d{{1,3}}){_QUOTE}\s?[x×]\s?(\d{{1,3}}){_QUOTE}(?!\s?\d)", _area),
    rule(
        rf"(?<![\w.,/+'’′-])(\d{{1,3}}){_QUOTE}(?=\s?(?:{_LONG}))",
        lambda m: f"{numbers.cardinal(int(m[1]))} {'foot' if m[1] == '1' else 'feet'}",
    ),
    rule(
        rf"(?<![\w.,/+'’′-])(\d{{1,3}}){_QUOTE}(?=\s(?:\w+\s)?(?:{_THINGS})\b)",
        lambda m: f"{numbers.cardinal(int(m[1]))} foot",
    ),
    rule(
        rf"(?<![\w.,/+'’′°-])(?<!°\s)(\d{{1,3}})(?:\+(\d{{1,2}}))?{_QUOTE}(?![\w\"'’′”]|\s?\d)",
        _minute,
    ),
    rule(
        rf"(?<![\w.,/$-])(?P<amount>\d{{1,3}}(?:\.\d)?)\s?(?P<code>{_CODE})\b"
        rf"|\b(?P<named>{_CODE})\b(?=\s?:?\s?\d)",
        _statistic,
        re.IGNORECASE,
    ),
]
