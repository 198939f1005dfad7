"""English rules: powers, mathematical signs, and numbers that no other rule reads."""

import re

from indextts_jax.text.rules import algebra, units
from indextts_jax.text.rules.english import numbers, say
from indextts_jax.text.rules.english.amounts import NUMBER, SIGNED, UNIT
from indextts_jax.text.rules.spans import PLACE, Rule, rule
from indextts_jax.text.rules.symbols import name_symbols

_PLACE = PLACE.pattern[1:-1]
_LEFT = rf"(?<=[\w)\]α-ωΑ-Ω{_PLACE}])"  # left operand of a binary sign
_RIGHT = rf"(?=[-−]?[\w([α-ωΑ-Ω{_PLACE}√π∠△∅])"
_ALONE = rf"(?:^|(?<=[\s(:,;\"'“‘])(?<![\d)\]{_PLACE}]\s))"
_FIGURE = rf"(?=[-−]?[{_PLACE}\d.])(?![^\s<>]{{0,20}}>)"
_EXPONENT = r"\^\s?\(?([-−+]?\d+|[a-zA-Z])\)?(?!\w|\.\d)"


def power(exponent: str) -> str:
    """What follows the base: `squared`, `cubed`, `to the power of minus five`."""
    return {"2": "squared", "3": "cubed"}.get(exponent) or _to_the(exponent)


def _to_the(exponent: str) -> str:
    number = exponent.lstrip("+-−")
    words = numbers.cardinal(int(number)) if number.isdecimal() else number
    return f"to the power of {'minus ' if exponent[0] in '-−' else ''}{words}"


def _scientific(match: re.Match[str]) -> str | None:
    """`3.0e8 m/s` and `6.02×10^23`: a number times a power of ten, and perhaps its unit."""
    exponent, number = match["e"] or match["power"], match["number"]
    if match["e"] and "." not in number and exponent.isdecimal() and "E" in match[0]:
        return None  # a name such as 2E5
    unit = f" {units.english(match['unit'])[1]}" if match["unit"] else ""
    minus = "minus " if match["sign"] else ""
    return f"{minus}{say.quantity(number)} times ten {_to_the(exponent)}{unit}"


_WORDS = algebra.Words(
    number=say.quantity,
    signs={
        "=": "equals", "==": "equals", "≠": "is not equal to", "!=": "is not equal to",
        "≤": "less than or equal to", "<=": "less than or equal to", "<": "less than",
        "≥": "greater than or equal to", ">=": "greater than or equal to", ">": "greater than",
        "≈": "is approximately", "+": "plus", "-": "minus", "−": "minus", "×": "times",
        "*": "times", "·": "times", "±": "plus or minus", "÷": "divided by", "/": "over",
        "√": "the square root of",
        "|": "given", "′": "prime",
        "∩": "intersection", "∪": "union",
    },
    power=power,
    minus="minus",
    of="of",
    functions={"sin": "sine", "cos": "cosine", "tan": "tangent", "log": "log", "ln": "L N"},
    blank=" ",
)  # fmt: skip
_TOWARDS = r"\s?(?P<of>[a-z])\s?(?:→|->)\s?(?P<sign>[-−]?)(?P<end>∞|\d{1,3}|[a-z])"
_LETTERS = r"(?:[a-zA-Z]|\d{1,3})"
_FORMULA = re.compile("[=∝<>≤≥≈→]")


def _said(text: str) -> str:
    return say.quantity(text) if text.isdecimal() else text


def _factorial(match: re.Match[str]) -> str | None:
    """`n!` beside a sign of a formula; elsewhere an exclamation."""
    text = match.string
    left = re.search(r"[=×÷*/+(]\s?$", text[: match.start()])
    right = re.match(r"\s?[=×÷*/]\s?[\w(]", text[match.end() :])
    return f"{_said(match[1])} factorial" if left or right else None


def _limit(match: re.Match[str]) -> str:
    """`lim x→0`: the limit as x approaches zero of."""
    variable, sign, end = (match[name] or match[f"_{name}"] for name in ("of", "sign", "end"))
    sign = "minus " if sign else ""
    to = "infinity" if end == "∞" else say.quantity(end) if end.isdecimal() else end
    return f"the limit as {variable} approaches {sign}{to} of "


def _expression(text: str) -> str | None:
    """An expression in words, with the names of its Greek letters."""
    said = algebra.expression(text, _WORDS)
    return None if said is None else name_symbols(said, "en")


ALGEBRA: list[Rule] = [
    rule(
        r"\b(sin|cos|tan)\s?\^([23])\s?(?=[a-z(\d])",
        lambda m: f"{_WORDS.functions[m[1]]} {power(m[2])} ",
    ),
    rule(
        rf"(?<=[\w)!{_PLACE}])/(?=\()",
        lambda m: " over " if _FORMULA.search(m.string) else None,
    ),
    rule(rf"\blim\s?_?(?:[({{]{_TOWARDS}[)}}]\s?|{_TOWARDS.replace('P<', 'P<_')}\s)", _limit),
    rule(rf"(?<![\w.!])({_LETTERS})!(?!\w)", _factorial),
    rule(
        r"(?<=\))!(?=\s?[=×÷*/,.;)]|\s*$)",
        lambda m: " factorial" if _FORMULA.search(m.string) else None,
    ),
    rule(
        r"(?<![\w./])([-−]?)(\d{1,3}|[a-z])/([a-z])(?![\w/'’])",
        lambda m: (
            f"{'minus ' if m[1] else ''}{_said(m[2])} over {m[3]}"
            if _FORMULA.search(m.string)
            else None
        ),
    ),
    Rule(algebra.ABSOLUTE, lambda m: f"the absolute value of {algebra.plain(m[1], _WORDS)}"),
    Rule(algebra.FORMULA, lambda m: algebra.formula(m[0], _WORDS)),
    Rule(algebra.EXPRESSION, lambda m: _expression(m[0])),
    Rule(algebra.RAISED, lambda m: algebra.raised(m, _WORDS)),
    Rule(algebra.GIVEN, lambda m: algebra.given(m, _WORDS)),
    Rule(algebra.FUNCTIONS, lambda m: algebra.function(m, _WORDS)),
]

POWERS: list[Rule] = [
    rule(r"(?<=\d[a-z])(?:\s?[-−]\s?(?=\w{1,4}\s?=)|\s[-−]\s(?=\d))", lambda m: " minus "),
    rule(
        rf"{SIGNED}(?P<number>{NUMBER})"
        r"(?:[eE](?P<e>[-+−]?\d{1,3})|\s?[×x*·]\s?10\s?\^\s?\(?(?P<power>[-+−]?\d{1,3})\)?)"
        rf"(?:\s?(?P<unit>{UNIT})(?![A-Za-z0-9²³])|(?!\w|\.\d))",
        _scientific,
    ),
    rule(rf"(?<=[A-Za-z)\]]){_EXPONENT}", lambda m: f" {power(m[1])}"),
    rule(
        rf"(?<![\w.])({NUMBER}){_EXPONENT}",
        lambda m: f"{say.quantity(m[1])} {power(m[2])}",
    ),
]

SIGNS: list[Rule] = [
    rule(rf"\s?(?:±|\+/-|\+-)\s?(?=[\d{_PLACE}])", lambda m: " plus or minus "),
    rule(rf"\s?(?:≈|≅|≃){_RIGHT}|\s?[≈≅≃]\s+{_RIGHT}", lambda m: " is approximately "),
    rule(rf"\s?(?:≠|!=)\s?{_RIGHT}", lambda m: " is not equal to "),
    rule(rf"\s?(?:≤|<=|⩽)\s?{_RIGHT}", lambda m: " less than or equal to "),
    rule(rf"\s?(?:≥|>=|⩾)\s?{_RIGHT}", lambda m: " greater than or equal to "),
    rule(r"\s?(?:→|⇒|->|=>)\s?", lambda m: ", "),
    rule(r"√\s?(?=[\w(])", lambda m: "the square root of "),
    rule("∞", lambda m: " infinity "),
    rule(r"(?<=\d)\s?\+\s?(?=[\dA-Za-z(])", lambda m: " plus "),
    rule(rf"{_LEFT}\s\+\s{_RIGHT}", lambda m: " plus "),
    rule(r"(?<=\d)\s?[×*x]\s?(?=\d)", lambda m: " times "),
    rule(rf"{_LEFT}\s?×\s?{_RIGHT}", lambda m: " times "),
    rule(rf"{_LEFT}\s?÷\s?{_RIGHT}", lambda m: " divided by "),
    rule(r"(?<=\d)\s?[-−]\s?(?=\d+\s?=)", lambda m: " minus "),
    rule(rf"{_LEFT}\s[-−]\s(?=[\w(]+\s?=)|{_LEFT}\s?−\s?{_RIGHT}", lambda m: " minus "),
    rule(rf"{_LEFT}\s?==\s?{_RIGHT}", lambda m: " equals "),
    rule(
        rf"\s?=\s?([-−](?=\d))?(?=[\d({_PLACE}])|{_LEFT}\s?=\s?([-−])?{_RIGHT}",
        lambda m: " equals minus " if m[1] or m[2] else " equals ",
    ),
    rule(rf"{_LEFT}\s?<\s?(?=[-−]?[\dα-ω])", lambda m: " less than "),
    rule(rf"{_LEFT}\s?>\s?(?=[-−]?[\dα-ω])", lambda m: " greater than "),
    # Without a left operand: "a share of <5%".
    rule(rf"{_ALONE}<{_FIGURE}", lambda m: "less than "),
    rule(rf"{_ALONE}>{_FIGURE}", lambda m: "more than "),
    rule(rf"{_LEFT}\s<\s{_RIGHT}", lambda m: " less than "),
    rule(rf"{_LEFT}\s>\s{_RIGHT}", lambda m: " greater than "),
]

RULES: list[Rule] = [
    *SIGNS,
    rule(
        rf"{SIGNED}({NUMBER})(?!\w)", lambda m: ("minus " if m["sign"] else "") + say.number(m[2])
    ),
    rule(r"\d+\.\d+|\d+", lambda m: say.number(m[0])),
]
