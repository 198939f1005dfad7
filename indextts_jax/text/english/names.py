"""Rules for English: names of letters and digits, of products, kings and wars."""

import re

from indextts_jax.text.english import numbers, say
from indextts_jax.text.spans import Rule, rule

_ROMAN = dict(
    zip(
        [
            "I",
            "II",
            "III",
            "IV",
            "V",
            "VI",
            "VII",
            "VIII",
            "IX",
            "X",
            "XI",
            "XII",
            "XIII",
            "XIV",
            "XV",
            "XVI",
            "XVII",
            "XVIII",
            "XIX",
            "XX",
        ],
        range(1, 21),
        strict=True,
    )
)
_NUMERAL = "|".join(sorted(_ROMAN, key=len, reverse=True))
_PARTED = (
    "Chapter|Part|Volume|Act|Book|War|Section|Phase|Type|Level|Bowl|Stage|Mark|Article|Title|Unit"
    "|Scene|Episode"
)
_CROWNED = (
    "King|Queen|Pope|Henry|Louis|Elizabeth|Charles|George|Edward|James|William|Napoleon|Richard"
    "|Philip|Catherine|Francis|Benedict|Frederick|Nicholas|Alexander"
)
_BRANDS = (
    "Boeing|Airbus|Xbox|Ryzen|Radeon|GeForce|Peugeot|Windows|Nokia|Snapdragon|Core|Porsche|Ferrari"
    "|Commodore|Atari"
)


def _term(match: re.Match[str]) -> str | None:
    return say.mixed(match[0]) if re.search(r"\d", match[0]) else None


RULES: list[Rule] = [
    rule(
        rf"\b({_PARTED})\s({_NUMERAL})\b(?!['’]|\s[a-z]+\s[a-z]+\sI\b)",
        lambda m: f"{m[1]} {numbers.cardinal(_ROMAN[m[2]])}",
    ),
    rule(
        rf"\b({_CROWNED})\s({_NUMERAL})\b(?!['’])",
        lambda m: f"{m[1]} the {numbers.ordinal(_ROMAN[m[2]])}" if m[2] != "I" else None,
    ),
    rule(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+(?:\.\d+)*)+", _term),
    rule(r"(?<![A-Za-z0-9.])[A-Za-z]+\d+\.\d+(?![\w.])", lambda m: say.mixed(m[0])),
    rule(
        r"(?<![\w.,])(\d+)\.(\d\d?)([a-z]{1,2})\b",
        lambda m: f"{say.label(m[1])} point {say.quantity(m[2])} {m[3]}",
    ),
    rule(
        rf"\b((?:Pope|King|Queen|Emperor|Tsar)(?:\s[A-Z][a-z]+){{1,2}})\s({_NUMERAL})\b(?!['’])",
        lambda m: f"{m[1]} the {numbers.ordinal(_ROMAN[m[2]])}",
    ),
    rule(r"\b(7[0-8]7)s\b", lambda m: say.label(m[1]) + "s"),
    rule(r"\b([A-Z])\.(\d{2,})\b(?!\.\d)", lambda m: f"{m[1]} {numbers.digits(m[2])}"),
    rule(
        r"(?<![A-Za-z0-9])\d+(?:\.\d+)?[pPkKGDBi]\b",
        lambda m: f"{say.mixed(m[0][:-1])} {m[0][-1].upper()}",
    ),
    rule(
        r"(?<![A-Za-z0-9])(?:[A-Za-z]+\d|\d+[A-Za-z])[A-Za-z0-9]*",
        lambda m: say.mixed(m[0]),
    ),
    rule(
        r"\b([A-Z]{2,}(?:\s(?:Core|Pro|Max|Ultra))?\s)(\d{3,4})\b(?![.,]\d|%|\s+[a-z]+s\b)",
        lambda m: m[1] + say.label(m[2]),
    ),
    rule(rf"\b((?:{_BRANDS})\s)(\d{{2,4}})\b(?![.,]\d)", lambda m: m[1] + say.label(m[2])),
]
