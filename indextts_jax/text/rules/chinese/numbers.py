"""Numbers in Chinese words."""

_DIGITS = "零一二三四五六七八九"
_SCALES = ("", "万", "亿", "万亿", "亿亿")


def cardinal(number: int) -> str:
    """A quantity: 12 is 十二, 2 is 二, 200 两百, 2000 两千, 10500 一万零五百."""
    if number < 0:
        return f"负{cardinal(-number)}"
    if number >= 10 ** (4 * len(_SCALES)):
        return digits(str(number))
    if number == 0:
        return "零"
    text, rest, pending = "", number, False
    for scale in range(len(_SCALES) - 1, -1, -1):
        group, rest = divmod(rest, 10 ** (4 * scale))
        if not group:
            continue
        gap = text and (group < 1000 or pending)
        words = _below_ten_thousand(group)
        if words == "二" and scale:
            words = "两"
        text += ("零" if gap else "") + words + _SCALES[scale]
        pending = rest > 0 and rest < 10 ** (4 * scale - 1)
    return text[1:] if text.startswith("一十") else text


def _below_ten_thousand(number: int) -> str:
    text, zero = "", False
    for power, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // power % 10
        if not digit:
            zero = bool(text)
            continue
        word = "两" if digit == 2 and power >= 100 else _DIGITS[digit]
        text += ("零" if zero else "") + word + name
        zero = False
    return text


def digits(text: str, one: str = "幺") -> str:
    """The digits one by one, 1 as `one`; letters stay, other characters are dropped."""
    words = (_DIGITS[int(c)] if c.isdecimal() else c for c in text if c.isalnum())
    return "".join(one if word == "一" else word for word in words)


def year(text: str) -> str:
    """The digits of a year: 1998 is 一九九八."""
    return digits(text, one="一")


def decimal(text: str) -> str:
    """A number as it is written, with or without a point, a sign and separators of thousands."""
    sign = "负" if text[0] in "-−–" else ""
    whole, point, fraction = text.lstrip("-−–+").replace(",", "").partition(".")
    words = cardinal(int(whole or "0"))
    return sign + words + (f"点{digits(fraction, one='一')}" if point else "")


def counted(text: str) -> str:
    """A number before a measure word: as `decimal`, but 2 is 两."""
    return "两" if text == "2" else decimal(text)


def ordinal(text: str) -> str:
    """The number of a rank or a paragraph: as `decimal`, but 2 is never 两."""
    words = decimal(text)
    return words if len(text) > 4 else words.replace("两", "二")
