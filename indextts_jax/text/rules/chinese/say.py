"""Chinese words for numbers, codes, units and money."""

import re

from indextts_jax.text.rules import units
from indextts_jax.text.rules.chinese import numbers

_SIGNS = {
    "@": "艾特",
    ".": "点",
    "/": "斜杠",
    ":": "冒号",
    "-": "杠",
    "_": "下划线",
    "+": "加",
    "?": "问号",
    "=": "等于",
    "&": "和",
    "#": "井号",
    "%": "百分号",
    "~": "波浪号",
    "\\": "反斜杠",
    "$": "美元符号",
    "!": "感叹号",
}
_WESTERN_SCALES = {"million": 10**6, "M": 10**6, "billion": 10**9, "thousand": 10**3}
_WESTERN_SCALES |= {"k": 10**3, "K": 10**3}


def code(text: str) -> str:
    """A code digit by digit, 1 as 幺; letters stay, other characters are dropped."""
    return numbers.digits(re.sub(r"[^A-Za-z0-9转]", "", text))


def label(text: str) -> str:
    """The number in a product's name: A100 is 一百, 4090 四零九零, 15 十五."""
    if text[0] == "0" and len(text) > 1:
        return code(text)
    short = len(text) < 3 or (text.endswith("00") and len(text) < 5)
    return numbers.cardinal(int(text)) if short else code(text)


def mixed(text: str) -> str:
    """Letters and digits of one name; hyphens stay."""
    return "".join(
        part if not part[0].isdecimal() else dotted(part) if "." in part else label(part)
        for part in re.findall(r"\d+(?:\.\d+)+|\d+|[^\W\d_]+|[-']", text)
    )


def dotted(text: str) -> str:
    """Numbers with points between them: a version, or one decimal."""
    parts = text.split(".")
    if len(parts) == 2:
        return numbers.decimal(text)
    return "点".join(code(p) if p[0] == "0" and p != "0" else numbers.decimal(p) for p in parts)


def address(text: str) -> str:
    """An e-mail address or a URL in words."""
    if match := re.match(r"https?(?=://)", text):
        text = match[0].upper() + text[match.end() :]
    return "".join(
        (numbers.cardinal(int(p)) if len(p) < 3 and p[0] != "0" else numbers.year(p))
        if p.isdecimal()
        else _SIGNS.get(p, p)
        for p in re.findall(r"\d+|[A-Za-z]+|.", text)
    )


def measure(amount: str, sign: str) -> str:
    """A number with a unit: 5kg is 五千克, 120km/h 每小时一百二十公里."""
    if sign in units.CHINESE_RATES:
        per, unit = units.CHINESE_RATES[sign]
        return f"{per}{numbers.decimal(amount)}{unit}"
    counted = amount == "2" and sign[0] not in "°℃℉"
    return ("两" if counted else numbers.decimal(amount)) + units.chinese(sign)


def money(sign: str, amount: str, scale: str | None = None) -> str:
    """An amount: ￥99.9 is 九十九点九元, $3.5 million 三百五十万美元."""
    name = units.MONEY[sign][4]
    if scale in _WESTERN_SCALES:
        whole, _, part = amount.replace(",", "").partition(".")
        number, rest = divmod(int(whole + part) * _WESTERN_SCALES[scale], 10 ** len(part))
        if not rest:
            return numbers.cardinal(number) + name
    return numbers.decimal(re.sub(r"\.0+$", "", amount)) + (scale or "") + name
