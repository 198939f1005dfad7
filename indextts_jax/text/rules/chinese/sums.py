"""Chinese rules: powers and mathematical signs."""

import re

from indextts_jax.text.rules import algebra, units
from indextts_jax.text.rules.chinese import numbers
from indextts_jax.text.rules.chinese.codes import START
from indextts_jax.text.rules.english.amounts import NUMBER
from indextts_jax.text.rules.spans import PLACE, Rule, rule
from indextts_jax.text.rules.symbols import name_symbols

_PLACE = PLACE.pattern[1:-1]
_SIDE = rf"A-Za-z0-9α-ωΑ-Ω\u4e00-\u9fff{_PLACE}"
_LEFT = rf"(?<=[{_SIDE})）\]])"
_RIGHT = rf"(?=[-−]?[{_SIDE}(（√π])"
_ALONE = r"(?:^|(?<=[\s（(：，、；:,“\"]))"
_FIGURE = rf"(?=[-−]?[{_PLACE}\d.])(?![^\s<>]{{0,20}}>)"
_EXPONENT = r"\^\s?\(?([-−+]?\d+|[a-zA-Z])\)?(?!\w|\.\d)"
_UNIT = units.alternatives(units.CHINESE)


def power(exponent: str) -> str:
    """What follows the base: 的平方, 的三次方, 的负五次方."""
    return "的平方" if exponent == "2" else _to_the(exponent)


def _to_the(exponent: str) -> str:
    number = exponent.lstrip("+-−")
    words = numbers.decimal(number) if number.isdecimal() else number
    return f"的{'负' if exponent[0] in '-−' else ''}{words}次方"


def _scientific(match: re.Match[str]) -> str | None:
    exponent, number = match["e"] or match["power"], match["number"]
    if match["e"] and "." not in number and exponent.isdecimal() and "E" in match[0]:
        return None
    unit = units.chinese(match["unit"]) if match["unit"] else ""
    return f"{numbers.decimal(number)}乘以十{_to_the(exponent)}{unit}"


_WORDS = algebra.Words(
    number=numbers.decimal,
    signs={
        "=": "等于", "==": "等于", "≠": "不等于", "!=": "不等于", "≤": "小于等于", "<=": "小于等于",
        "<": "小于", "≥": "大于等于", ">=": "大于等于", ">": "大于", "≈": "约等于", "+": "加",
        "-": "减", "−": "减", "×": "乘以", "*": "乘以", "·": "乘以", "±": "加减", "÷": "除以",
        "/": "除以",
        "√": "根号", "|": "条件", "′": "撇",
        "∩": "交", "∪": "并",
    },
    power=power,
    minus="负",
    of=" ",
    functions={"sin": "sine", "cos": "cosine", "tan": "tangent", "log": "log", "ln": "ln"},
    blank="",
)  # fmt: skip


def _expression(text: str) -> str | None:
    """An expression in words, with the names of its Greek letters."""
    said = algebra.expression(text, _WORDS)
    return None if said is None else name_symbols(said, "zh")


ALGEBRA: list[Rule] = [
    rule(
        r"(?<![\w.!])([a-zA-Z]|\d{1,3})!(?=\s?[=≈×÷*/]\s?[\w(])",
        lambda m: f"{numbers.decimal(m[1]) if m[1].isdecimal() else m[1]}的阶乘",
    ),
    rule(
        r"(?<![A-Za-z])(sin|cos|tan)\s?\^([23])\s?(?=[a-z(\d])",
        lambda m: f"{_WORDS.functions[m[1]]}{power(m[2])[1:]}",
    ),
    Rule(algebra.ABSOLUTE, lambda m: f"{algebra.plain(m[1], _WORDS)}的绝对值"),
    Rule(algebra.FORMULA, lambda m: algebra.formula(m[0], _WORDS)),
    Rule(algebra.EXPRESSION, lambda m: _expression(m[0])),
    Rule(algebra.RAISED, lambda m: algebra.raised(m, _WORDS)),
    Rule(algebra.GIVEN, lambda m: algebra.given(m, _WORDS)),
    Rule(algebra.FUNCTIONS, lambda m: algebra.function(m, _WORDS)),
]

POWERS: list[Rule] = [
    rule(r"(?<=\d[a-z])\s?[-−]\s?(?=[A-Za-z0-9]{1,4}\s?=)", lambda m: "减"),
    rule(
        rf"{START}(?P<number>{NUMBER})"
        r"(?:[eE](?P<e>[-+−]?\d{1,3})|\s?[×xX*·]\s?10\s?\^\s?\(?(?P<power>[-+−]?\d{1,3})\)?)"
        rf"(?:\s?(?P<unit>(?:{_UNIT})(?:/(?:{_UNIT}))?)(?![A-Za-z0-9²³])|(?![A-Za-z0-9]|\.\d))",
        _scientific,
    ),
    rule(rf"(?<=[A-Za-z)）\]\u4e00-\u9fff]){_EXPONENT}", lambda m: power(m[1])),
    rule(rf"{START}({NUMBER}){_EXPONENT}", lambda m: numbers.decimal(m[1]) + power(m[2])),
]

RULES: list[Rule] = [
    rule(rf"(?:±|\+/-)\s?(?=[\d{_PLACE}])", lambda m: "正负"),
    rule(
        rf"{START}(?<!-)(\d+(?:\.\d+)?)\s?[-−–]\s?(\d+(?:\.\d+)?)(?=\s?[=≈])",
        lambda m: f"{numbers.decimal(m[1])}减{numbers.decimal(m[2])}",
    ),
    rule(rf"\s?[≈≅≃]\s?{_RIGHT}", lambda m: "约等于"),
    rule(rf"\s?(?:≠|!=)\s?{_RIGHT}", lambda m: "不等于"),
    rule(rf"\s?(?:≤|<=|⩽)\s?{_RIGHT}", lambda m: "小于等于"),
    rule(rf"\s?(?:≥|>=|⩾)\s?{_RIGHT}", lambda m: "大于等于"),
    rule(r"\s?(?:→|⇒|->|=>)\s?", lambda m: ","),
    rule(r"√\s?(?=[\w(（])", lambda m: "根号"),
    rule("∞", lambda m: "无穷大"),
    rule(rf"{_LEFT}\s?÷\s?{_RIGHT}", lambda m: "除以"),
    rule(rf"{_LEFT}\s?×\s?{_RIGHT}", lambda m: "乘以"),
    rule(rf"{_LEFT}\s?\+\s?{_RIGHT}", lambda m: "加"),
    rule(rf"{_LEFT}\s−\s{_RIGHT}", lambda m: "减"),
    rule(
        rf"(?<![=<>])\s?=\s?([-−](?=\d))?(?=[\d{_PLACE}])|{_LEFT}\s?=\s?([-−])?{_RIGHT}",
        lambda m: "等于负" if m[1] or m[2] else "等于",
    ),
    rule(rf"{_LEFT}\s?<\s?{_RIGHT}", lambda m: "小于"),
    rule(rf"{_LEFT}\s?>\s?{_RIGHT}", lambda m: "大于"),
    rule(rf"{_ALONE}<{_FIGURE}", lambda m: "小于"),
    rule(rf"{_ALONE}>{_FIGURE}", lambda m: "大于"),
    rule("(?<=和)/(?=或)", lambda m: ""),
    rule(r"(?<=[A-Za-z])\s?/\s?(?=[A-Za-z])", lambda m: " "),
    rule(r"(?<=[A-Za-z\u4e00-\u9fff])\s?/\s?(?=[A-Za-z\u4e00-\u9fff])", lambda m: ","),
]
