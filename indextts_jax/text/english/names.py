"""Rules for English: names of letters and digits, of products, kings and wars."""

import re

from indextts_jax.text.english import numbers, say
from indextts_jax.text.spans import Rule, rule

_LETTERS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
# Up to 89, in the one way that is right; without `I`, which is a word.
_NUMERAL = r"(?=[IVXL]+\b)(?!I\b)(?>(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3}))"
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


def _roman(numeral: str) -> int:
    values = [_LETTERS[letter] for letter in numeral]
    return sum(-value if value < max(values[i:]) else value for i, value in enumerate(values))


def _term(match: re.Match[str]) -> str | None:
    return say.mixed(match[0]) if re.search(r"\d", match[0]) else None


RULES: list[Rule] = [
    rule(
        rf"\b({_PARTED})\s({_NUMERAL}|I(?!\s[a-z]))\b(?!['’])",
        lambda m: f"{m[1]} {numbers.cardinal(_roman(m[2]))}",
    ),
    rule(r"\b(World War)\sI\b(?!['’])", lambda m: f"{m[1]} one"),
    rule(
        rf"\b((?:Pope|King|Queen|Emperor|Tsar)(?:\s[A-Z][a-z]+){{1,2}})\s({_NUMERAL})\b",
        lambda m: f"{m[1]} the {numbers.ordinal(_roman(m[2]))}",
    ),
    rule(
        rf"\b({_CROWNED})\s({_NUMERAL})\b",
        lambda m: f"{m[1]} the {numbers.ordinal(_roman(m[2]))}",
    ),
    rule(
        rf"\b([A-Z][a-z]+)\s(?!XL\b|X\b|V\b|L\b)({_NUMERAL})\b",
        lambda m: f"{m[1]} {numbers.cardinal(_roman(m[2]))}",
    ),
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
