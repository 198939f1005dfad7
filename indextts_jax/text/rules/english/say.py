"""English words for numbers, codes, units, dates and money."""

import re

from indextts_jax.text.rules import units
from indextts_jax.text.rules.english import numbers

MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
SCALE = {
    "k": "thousand",
    "m": "million",
    "mn": "million",
    "b": "billion",
    "bn": "billion",
    "t": "trillion",
    "tn": "trillion",
}
_SIGNS = {
    "@": "at",
    ".": "dot",
    "/": "slash",
    ":": "colon",
    "-": "dash",
    "_": "underscore",
    "+": "plus",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "#": "hash",
    "%": "percent",
    "~": "tilde",
    "\\": "backslash",
    "$": "dollar sign",
    "!": "exclamation mark",
}


def month(text: str) -> str:
    """The full name of a month, given the name or its first three letters."""
    return next(name for name in MONTHS if name[:3] == text[:3].lower())


def quantity(text: str) -> str:
    """A number in words; with a leading zero, digit by digit."""
    plain = text.lstrip("-−–+")
    return numbers.digits(plain) if re.fullmatch(r"0\d+", plain) else numbers.decimal(text)


def number(text: str) -> str:
    """A number without context: a very long one is read digit by digit."""
    plain = text.replace(",", "")
    long = 8 if not plain.endswith("000") else 16
    if plain.isdecimal() and "," not in text and len(plain) >= long:
        return numbers.digits(plain)
    return quantity(text)


def code(text: str) -> str:
    """Digits one by one, a short pause between groups; letters stay as they are."""
    groups = [part for part in re.split(r"[\s().-]+", text) if part]
    words = before = ""
    for group in groups:
        spoken = " ".join(
            numbers.digits(part) if part.isdecimal() else part
            for part in re.findall(r"\d+|[A-Za-z]+", group)
        )
        pause = words and before[-1].isdecimal() and group[0].isdecimal()
        words += (", " if pause else " " if words else "") + spoken
        before = group
    return words


def label(text: str) -> str:
    """A number as part of a name (rooms, roads, products): 305 is `three oh five`."""
    if text.startswith("0") or len(text) > 4:
        return numbers.digits(text)
    if len(text) < 3 or text.endswith("000"):
        return numbers.cardinal(int(text))
    if len(text) == 4 and text[1:3] == "00":
        return numbers.cardinal(int(text))
    return numbers.pairs(text)


def mixed(text: str) -> str:
    """Letters and digits of one name: `A100`, `4B`, `GPT-4o`, `v2.1`; hyphens stay."""
    words = ""
    for part in re.findall(r"\d+(?:\.\d+)+|\d+|[^\W\d_]+|[-']", text):
        spoken = part
        if part[0].isdecimal():
            spoken = dotted(part) if "." in part else label(part)
        words += ("" if part in "-'" or words[-1:] in ("-", "'", "") else " ") + spoken
    return words


def dotted(text: str) -> str:
    """Numbers with points between them: a version, or one decimal."""
    parts = text.split(".")
    return numbers.decimal(text) if len(parts) == 2 else " point ".join(map(quantity, parts))


def address(text: str) -> str:
    """An e-mail address or a URL in words."""
    if match := re.match(r"(https?)://", text):
        text = match[1].upper() + "://" + text[match.end() :]
    elif text.lower().startswith("www."):
        text = "W W W." + text[4:]
    parts = re.findall(r"\d+|[A-Za-z ]+|.", text)
    return " ".join(
        (numbers.cardinal(int(p)) if len(p) < 3 and p[0] != "0" else numbers.digits(p))
        if p.isdecimal()
        else _SIGNS.get(p, p)
        for p in parts
    )


def money(sign: str, amount: str, scale: str | None = None, *, one_thing: bool = False) -> str:
    """An amount: `$3.50` is three dollars and fifty cents, `$3.5 million` three point five ...

    With `one_thing` it describes a noun: a hundred dollar bill.
    """
    one, several, cent, cents, _ = units.MONEY[sign]
    several = one if one_thing else several
    if scale:
        return f"{numbers.decimal(amount)} {SCALE.get(scale.lower(), scale.lower())} {several}"
    whole, _, part = amount.replace(",", "").partition(".")
    words = f"{numbers.cardinal(int(whole))} {one if whole == '1' else several}"
    if len(part) > 2 or not cent:
        return f"{numbers.decimal(amount)} {several}"
    hundredths = int(part.ljust(2, "0")) if part else 0
    if not hundredths:
        return words
    small = f"{numbers.cardinal(hundredths)} {cent if hundredths == 1 else cents}"
    return f"{words} and {small}" if int(whole) else small


def measure(amount: str, sign: str) -> str:
    """A number with a unit: `5 kg` is five kilograms."""
    one, several = units.english(sign)
    return f"{quantity(amount)} {one if amount in ('1', '-1') else several}"


def clock(hour: str, minute: str, second: str | None, half: str | None) -> str:
    """A time of day: 10:30 is `ten thirty`, 7:05pm `seven o five PM`, 8:00 `eight o'clock`."""
    words = [numbers.cardinal(int(hour))]
    if int(minute):
        words += ["o"] if minute[0] == "0" else []
        words.append(numbers.cardinal(int(minute)))
    elif not half:
        words.append("o'clock" if 0 < int(hour) < 13 else "hundred")
    if second:
        words.append(f"and {numbers.cardinal(int(second))} seconds")
    if half:
        words.append(half.replace(".", "").upper())
    return " ".join(words)


def date(year: str, month_number: str, day: str) -> str | None:
    """A date written in numbers, or None if there is no such day."""
    if not (1 <= int(month_number) <= 12 and 1 <= int(day) <= 31):
        return None
    name = MONTHS[int(month_number) - 1]
    return f"the {numbers.ordinal(int(day))} of {name} {numbers.year(int(year))}"


def slash_date(first: str, second: str, year: str) -> str | None:
    """A date with the year last: the month first, as in America, where that is possible."""
    month_number, day = (second, first) if int(first) > 12 else (first, second)
    return date(year if len(year) == 4 else f"20{year}", month_number, day)


def fraction(above: str, below: str) -> str | None:
    """One half, three quarters, seven tenths; None if it is not a common fraction."""
    top, bottom = int(above), int(below)
    if (top, bottom) in ((9, 11), (50, 50), (20, 20)):
        return f"{numbers.cardinal(top)} {numbers.cardinal(bottom)}"
    if not top or bottom < 2:
        return None
    if bottom > 100:
        return f"{numbers.cardinal(top)} over {numbers.cardinal(bottom)}"
    name = {2: "half", 4: "quarter"}.get(bottom) or numbers.ordinal(bottom)
    if top > 1:
        name = "halves" if bottom == 2 else name + "s"
    return f"{numbers.cardinal(top)} {name}"
