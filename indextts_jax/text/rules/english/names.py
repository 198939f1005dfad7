"""English rules: names with letters and digits; names of products, kings and wars."""

import re

from indextts_jax.text.rules.english import numbers, say
from indextts_jax.text.rules.english.numbers import LONG_NUMERAL, NUMERAL, roman
from indextts_jax.text.rules.spans import Rule, rule

_PARTED = (
    "Chapter|Part|Volume|Act|Book|War|Section|Phase|Type|Level|Bowl|Stage|Mark|Article|Title|Unit"
    "|Scene|Episode|Appendix|Table|Figure|Grade|Class|Canto|Lesson|Round|Season|Movement|Group|Division"
    "|Category|Annex|Division|Edition|Schedule|Plate|Factor|Apollo|Tier|Zone|Corps|Mod|Gen"
)
_PARTED_ANY = "|".join(word for word in _PARTED.split("|") if word not in ("Mod", "Gen", "Apollo"))
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


def _parted(match: re.Match[str]) -> str | None:
    """A part and its number, or several: `parts I and II`."""
    word = match[1]
    others = re.sub(r"[IVXLCDM]+", lambda other: numbers.cardinal(roman(other[0])), match[3])
    others = re.sub(r"\s?[-–]\s?", " to ", others)
    word = {"no.": "number", "nos.": "numbers"}.get(word.lower(), word)
    return f"{word} {numbers.cardinal(roman(match[2]))}{others}"


_WARMTH = re.compile(
    r"oven|bak|degree|temperature|heat|weather|freez|fever|cold|warm|hot\b|high of|low of|below"
    r"|above|outside|cook|roast|grill|thermostat|night|internal|reach",
    re.IGNORECASE,
)


def _degrees(match: re.Match[str]) -> str | None:
    """`-40F`, `350F` in a kitchen, `98.6F`; `4F` elsewhere is a name."""
    if not (match["sign"] or _WARMTH.search(match.string)):
        return None
    scale = {"F": "Fahrenheit", "C": "Celsius"}[match[3]]
    minus = "minus " if match["sign"] else ""
    one = match[2] == "1"
    return f"{minus}{say.quantity(match[2])} degree{'' if one else 's'} {scale}"


def _term(match: re.Match[str]) -> str | None:
    return say.mixed(match[0]) if re.search(r"\d", match[0]) else None


def _world_war(match: re.Match[str]) -> str:
    return f"World War {numbers.cardinal(len(match[1]))}"


RULES: list[Rule] = [
    rule(r"\bWW\s?(I{1,3})\b(?!['’])", _world_war),
    rule(r"\bWW\s?([123])\b", lambda m: f"World War {numbers.cardinal(int(m[1]))}"),
    rule(
        rf"\b((?i:{_PARTED_ANY})s?\.?|No\.|no\.|nos\.|WORLD WAR|SUPER BOWL)\s"
        rf"({LONG_NUMERAL}|I(?!\s[a-z])|[VXLC])\b(?!['’])"
        rf"((?:(?:,\s|\s?[-–]\s?|,?\s(?:and|or|to|through|&)\s)(?:{NUMERAL}|I|[VXLC])\b)*)",
        lambda m: _parted(m),
    ),
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
        rf"\b((?i:Pope|King|Queen|Emperor|Tsar|Sultan|Shah)(?:\s[A-Z][A-Za-z]+){{1,2}})\s({NUMERAL}|[IVX](?=\s+(?:was|is|of|had|died|ruled|and)\b|[,.;]))\b",
        lambda m: f"{m[1]} the {numbers.ordinal(roman(m[2]))}",
    ),
    rule(
        rf"\b((?i:{_CROWNED}))\s({NUMERAL}|[IVX](?=\s+(?:was|is|of|had|died|ruled)\b))\b",
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
        r"(?<![\w.,])(?P<sign>(?:(?<!\S)|(?<=\())[-−–])?(\d+(?:\.\d+)?)\s?°?([FC])(?![\w'’])",
        lambda m: _degrees(m),
    ),
    rule(
        r"(?<![\w.,$€£])(?P<sign>(?:(?<!\S)|(?<=\())[-−–])?(\d+)\.(\d+)([A-Z]{1,3})(?!\w|\.\d)",
        lambda m: f"{'minus ' if m['sign'] else ''}{say.quantity(m[2] + '.' + m[3])} {m[4]}",
    ),
    rule(r"(?:(?<!\S)|(?<=\())[-−](?=\d+[A-Z]\b)", lambda m: "minus "),
    rule(
        r"(?<![\w.,])(\d+)\.(\d\d?)([a-z]{1,2})\b",
        lambda m: (
            f"{say.label(m[1])} point {say.quantity(m[2])} {m[3]}"
            if m[1] == "802"
            else f"{say.quantity(f'{m[1]}.{m[2]}')} {m[3]}"
        ),
    ),
    rule(
        r"(?<![\w.,])(\d{1,3})ers\b",
        lambda m: say.quantity(m[1]) + "ers" if m[1][-1] not in "0" else None,
    ),
    rule(r"(?<![\w.])0[xX]([0-9A-Fa-f]{1,16})(?!\w)", lambda m: f"zero X {say.code(m[1])}"),
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
