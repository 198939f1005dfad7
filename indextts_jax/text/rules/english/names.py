"""English rules: names with letters and digits; names of products, kings and wars."""

import re

from indextts_jax.text.rules.english import numbers, say
from indextts_jax.text.rules.english.numbers import NUMERAL, roman
from indextts_jax.text.rules.spans import Rule, rule

_PARTED = (
    "Chapter|Part|Volume|Act|Book|War|Section|Phase|Type|Level|Bowl|Stage|Mark|Article|Title|Unit"
    "|Scene|Episode"
)
_CROWNED = (
    "King|Queen|Pope|Henry|Louis|Elizabeth|Charles|George|Edward|James|William|Napoleon|Richard"
    "|Philip|Catherine|Francis|Benedict|Frederick|Nicholas|Alexander|Leo|Pius|Gregory|Innocent"
    "|Clement|Paul|Ramses|Ramesses|Ivan|Peter|Otto|Leopold|Felipe|Gustav|Harald|Ferdinand|Ludwig"
    "|Wilhelm|Darius|Mehmed|Murad|Margrethe|Carlos|Alfonso|Emmanuel|Umberto|Albert|Ptolemy|Urban"
)
_BRANDS = (
    "Boeing|Airbus|Xbox|Ryzen|Radeon|GeForce|Peugeot|Windows|Nokia|Snapdragon|Core|Porsche|Ferrari"
    "|Commodore|Atari"
)


def _plural(match: re.Match[str]) -> str:
    words = say.mixed(match[1])
    return (
        words[:-1] + "ies" if words.endswith("ty") else words + ("es" if words[-1] == "x" else "s")
    )


def _term(match: re.Match[str]) -> str | None:
    return say.mixed(match[0]) if re.search(r"\d", match[0]) else None


RULES: list[Rule] = [
    rule(
        rf"\b({NUMERAL})(?=\s[Cc]entur)",
        lambda m: numbers.ordinal(roman(m[1])),
    ),
    rule(
        rf"\b((?i:chapter|part|act|scene|section|volume|book))\s(?=[ivxl]+\b)"
        rf"((?i:{NUMERAL})|i(?!\s[a-z]))\b",
        lambda m: f"{m[1]} {numbers.cardinal(roman(m[2]))}",
    ),
    rule(
        rf"\b({_PARTED})\s({NUMERAL}|I(?!\s[a-z]))\b(?!['’])",
        lambda m: f"{m[1]} {numbers.cardinal(roman(m[2]))}",
    ),
    rule(r"\b(World War)\sI\b(?!['’])", lambda m: f"{m[1]} one"),
    rule(
        rf"\b((?:Pope|King|Queen|Emperor|Tsar)(?:\s[A-Z][a-z]+){{1,2}})\s({NUMERAL})\b",
        lambda m: f"{m[1]} the {numbers.ordinal(roman(m[2]))}",
    ),
    rule(
        rf"\b({_CROWNED})\s({NUMERAL})\b",
        lambda m: f"{m[1]} the {numbers.ordinal(roman(m[2]))}",
    ),
    rule(
        rf"\b([A-Z][a-z]+)\s(?!XL\b|X\b|V\b|L\b)({NUMERAL})\b",
        lambda m: f"{m[1]} {numbers.cardinal(roman(m[2]))}",
    ),
    rule(r"(?<![A-Za-z0-9-])((?:[A-Z]+-?|[A-Z]?[a-z]+[A-Z][a-z]*\s?)\d+)s\b", _plural),
    rule(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+(?:\.\d+)*)+", _term),
    rule(r"(?<![A-Za-z0-9.])[A-Za-z]+\d+\.\d+(?![\w.])", lambda m: say.mixed(m[0])),
    rule(
        r"(?<![\w.,])(\d+)\.(\d\d?)([a-z]{1,2})\b",
        lambda m: f"{say.label(m[1])} point {say.quantity(m[2])} {m[3]}",
    ),
    rule(r"\b(7[0-8]7)s\b", lambda m: say.label(m[1]) + "s"),
    rule(r"\b([A-Z])\.(\d{2,})\b(?!\.\d)", lambda m: f"{m[1]} {numbers.digits(m[2])}"),
    rule(
        r"(?<![A-Za-z0-9])\d+(?:\.\d+)?[pPkKGDBi]\b",
        lambda m: f"{say.mixed(m[0][:-1])} {m[0][-1].upper()}",
    ),
    rule(
        r"(?<![A-Za-z0-9.])(?:[A-Za-z]+\d|\d+[A-Za-z])[A-Za-z0-9]*",
        lambda m: say.mixed(m[0]),
    ),
    rule(
        r"\b([A-Z]{2,}(?:\s(?:Core|Pro|Max|Ultra))?\s)(\d{3,4})\b(?![.,]\d|%|\s+[a-z]+s\b)",
        lambda m: m[1] + say.label(m[2]),
    ),
    rule(rf"\b((?:{_BRANDS})\s)(\d{{2,4}})\b(?![.,]\d)", lambda m: m[1] + say.label(m[2])),
]
