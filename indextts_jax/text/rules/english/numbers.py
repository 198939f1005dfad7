"""Numbers in English words, lower case and without hyphens."""

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ("", " thousand", " million", " billion", " trillion", " quadrillion")
NUMBER_WORDS = frozenset([*_ONES, *_TENS[2:], "hundred"])
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
# Up to 89, only in the correct form; without `I`, which is a word.
NUMERAL = r"(?=[IVXL]+\b)(?!I\b)(?>(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3}))"
# Any up to 3999, for numbers of parts: there MIX and CIVIL are not words.
LONG_NUMERAL = (
    r"(?=[IVXLCDM]{2,}\b)(?>M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3}))"
)
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int) -> str:
    """A quantity: 1234 is `one thousand two hundred and thirty four`."""
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number >= 1000 ** len(_SCALES):
        return digits(str(number))
    if number < 1000:
        return _below_thousand(number)
    groups = []
    for scale in _SCALES:
        number, group = divmod(number, 1000)
        if group:
            groups.append(_below_thousand(group) + scale)
        if not number:
            break
    return " ".join(reversed(groups))


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return _below_hundred(rest)
    return f"{_ONES[hundreds]} hundred" + (f" and {_below_hundred(rest)}" if rest else "")


def _below_hundred(number: int) -> str:
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f" {_ONES[ones]}" if ones else "")


def ordinal(number: int) -> str:
    """An ordinal number: 21 is `twenty first`."""
    *start, last = cardinal(number).split()
    last = last[:-1] + "ieth" if last.endswith("y") else _ORDINALS.get(last, last + "th")
    return " ".join([*start, last])


def digits(text: str, zero: str = "zero") -> str:
    """The digits one by one; other characters are dropped."""
    return " ".join(_ONES[int(c)] if c != "0" else zero for c in text if c.isdecimal())


def decimal(text: str) -> str:
    """A number as it is written, with or without a point and separators of thousands."""
    sign = "minus " if text[0] in "-−–" else ""
    whole, point, fraction = text.lstrip("-−–+").replace(",", "").partition(".")
    words = cardinal(int(whole or "0"))
    return sign + words + (f" point {digits(fraction, 'oh')}" if point else "")


def year(number: int) -> str:
    """A year: 1998 is `nineteen ninety eight`, 1905 `nineteen oh five`, 2005 `... five`."""
    century, rest = divmod(number, 100)
    if number < 1000 or (century % 10 == 0 and rest < 10):
        if number % 1000 and number > 1000:
            return f"{cardinal(number - rest)} {cardinal(rest)}"
        return cardinal(number)
    if not rest:
        return f"{_below_hundred(century)} hundred"
    return pairs(f"{number}")


def pairs(text: str) -> str:
    """Three or four digits as in names: 4090 is `forty ninety`, 305 `three oh five`."""
    first, last = text[:-2], text[-2:]
    if last == "00":
        return f"{cardinal(int(first))} hundred"
    second = f"oh {_ONES[int(last)]}" if last[0] == "0" else _below_hundred(int(last))
    return f"{cardinal(int(first))} {second}"


def roman(numeral: str) -> int:
    """The value of a Roman numeral."""
    values = [_ROMAN[letter] for letter in numeral.upper()]
    return sum(-value if value < max(values[i:]) else value for i, value in enumerate(values))


def plural(words: str) -> str:
    """Several of a number: `fives`, `sixes`, `twenties`, `ten thousands`."""
    if words.endswith("ty"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")


def decade(text: str) -> str:
    """A decade as it is written: `1980s` is `nineteen eighties`, `'80s` and `80s` `eighties`."""
    number = text.lstrip("'’").rstrip("s").rstrip("'’")
    start = number[:-2]
    if number[-2:] == "00":
        if start[-1:] == "0" or start == "20":
            return f"{cardinal(int(number))}s"
        return f"{_below_hundred(int(start))} hundreds" if start else "two thousands"
    plural = "tens" if number[-2:] == "10" else _TENS[int(number[-2])][:-1] + "ies"
    return f"{_below_hundred(int(start))} {plural}" if start else plural
