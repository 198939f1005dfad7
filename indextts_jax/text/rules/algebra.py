"""Algebra: expressions with variables, such as `f(x) = 3x - 2`, in words."""

import re
from collections.abc import Callable
from typing import NamedTuple

_VARIABLE = "[a-zA-Z]"
_COEFFICIENT = "[a-dikn-rt-z]"  # letters behind a number that are not units: 5m is a length
_POWER = r"(?:\s?\^\s?(?:\([^()\n]{1,16}\)|[-−+]?(?:\d{1,3}|[a-z])))?"
_FUNCTION = r"(?:[fghFGHP]['’′]{0,2}|sin|cos|tan|log|ln|lg)\s?\([^()\n]{1,12}\)"
_NUMBER = r"\d{1,9}(?:\.\d{1,6})?"
_ATOM = (
    rf"[-−]?(?:(?:{_NUMBER})?\()?[-−]?(?:{_FUNCTION}|√\s?(?:\w{{1,3}}|\([^()\n]{{1,24}}\))|{_NUMBER}{_COEFFICIENT}{{0,2}}|{_VARIABLE}{{1,2}})"
    rf"{_POWER}(?:{_COEFFICIENT}{_POWER})?\)?{_POWER}"
)
_SIGN = r"(?:\s?(?:==?|≠|!=|≤|<=|≥|>=|≈|[+×÷*·<>])\s?|\s[-−]\s|[-−/])"
EXPRESSION = re.compile(
    rf"(?<![\w.$€£'’^°-])(?<!\^\()(?<!\d\s){_ATOM}(?:{_SIGN}{_ATOM}){{1,12}}(?![\w'’%]|\.\d|-[A-Za-z]|[-/]\w|\()",
    re.ASCII,
)
_PLAIN_WORDS = frozenset(
    [
        "am",
        "an",
        "as",
        "at",
        "be",
        "by",
        "do",
        "go",
        "he",
        "if",
        "in",
        "is",
        "it",
        "me",
        "my",
        "no",
        "of",
        "on",
        "or",
        "so",
        "to",
        "up",
        "us",
        "we",
        "hi",
        "ok",
        "oh",
    ]
)
# A formula with brackets in brackets, roots or a double sign, which `EXPRESSION` does not reach.
_WORD = "|".join(sorted(_PLAIN_WORDS))
_PIECE = (
    rf"(?:\d{{1,9}}(?:\.\d{{1,6}})?(?!\d)|(?<![A-Za-z])(?!(?:{_WORD})(?![A-Za-z]))[A-Za-z]{{1,2}}"
    r"(?![A-Za-z'’])|[()√^=±+×÷*/<>≤≥≈≠·−-])"
)
FORMULA = re.compile(rf"(?<![\w.$€£'’^°-]){_PIECE}(?:\s?{_PIECE}){{4,60}}(?![\w'’%])", re.ASCII)
_REACHING = re.compile(r"[√±]\s?\(|±\s?√|(?<![A-Za-z])[a-eij-z0-9)]\([^()]{1,12}[-−+][^()]{1,12}\)")
_GIVEN = re.compile(r"(?<![\w.'’-])P\s?\(\s?([A-Za-z])\s?\|\s?([A-Za-z])\s?\)")
_FUNCTIONS = re.compile(
    r"(?<![\w.'’-])([fgh]|P|log|ln|sin|cos|tan)(['’′]?)"
    r"\(([-−]?(?:\d{1,4}(?:\.\d{1,3})?|\d?[a-zA-Z]))\)(?!\w)"
)
# A power with more than a number: `2^(n+1)`.
RAISED = re.compile(r"(?<=[A-Za-z0-9)\]])\^\s?\(([^()\n]{2,16})\)")
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[a-zA-Z]+|==|!=|<=|>=|\S|\s+")
# Without one of these, a hyphen or a slash joins a name.
_STRONG = re.compile(r"==?|[+≠≤≥≈×÷*·<>^√]|\s[-−]\s|^\d+[nxyz][-−]\d+$")
_LETTER = re.compile(r"(?<![A-Za-z])[a-zA-Z](?![A-Za-z])|(?<![A-Za-z])[a-z]{2}(?![A-Za-z])")


class Words(NamedTuple):
    """How a language says the signs of an expression."""

    number: Callable[[str], str]
    signs: dict[str, str]
    power: Callable[[str], str]
    minus: str  # before a number
    of: str  # between a function and its argument
    functions: dict[str, str]
    blank: str  # between words


def expression(text: str, words: Words) -> str | None:
    """An expression in words; None for what is not algebra, such as `A/B` or `B-2`."""
    letters = _LETTER.findall(text)
    if not letters or not _STRONG.search(text) or _PLAIN_WORDS.intersection(text.split()):
        return None
    if re.fullmatch(r"[A-Z]|I", text.split()[0]) and "I" in letters:
        return None
    said = _say(text, words)
    return None if said == text else said


def formula(text: str, words: Words) -> str | None:
    """A formula in words; None where `EXPRESSION` does, or where it is not a formula."""
    if not _REACHING.search(text) or text.count("(") != text.count(")"):
        return None
    if not _LETTER.search(text):
        return None
    said = _say(text, words)
    return None if said == text else said


def function(match: re.Match[str], words: Words) -> str:
    """`f(x)`: f of x."""
    name = words.functions.get(match[1], match[1])
    prime = words.signs["′"] if match[2] else ""
    return _joined([name, prime, words.of, _say(match[3], words)], words)


def _say(text: str, words: Words) -> str:
    text = re.sub(r"\^\s?\(([-−+]?\w+)\)", r"^\1", text)
    tokens = [token for token in _TOKEN.findall(text) if token.strip()]
    said: list[str] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        before = tokens[place - 1] if place else ""
        if token == "^" and tokens[place + 1] == "(":
            end = place + tokens[place:].index(")")
            said.append(words.power(_say(" ".join(tokens[place + 2 : end]), words)))
            place = end + 1
            continue
        if token == "^":
            sign = tokens[place + 1] in "-−+"
            exponent = "".join(tokens[place + 1 : place + 2 + sign])
            said.append(words.power(exponent))
            place += 2 + sign
            continue
        if token[0].isdigit():
            said.append(words.number(token))
        elif token in words.functions:
            said.append(words.functions[token])
        elif token.isalpha():
            said.append(token)
        elif token in "-−" and (not before or before in "(=<>≤≥≠≈+*×÷/"):
            said.append(words.minus)
        elif token in "'’′" and before in "fghFGHP'’′" and before:
            said.append(words.signs["′"])
        elif token == "(" and before and before in "fghFGHP'’′":
            said.append(words.of)
        elif (
            token == "("
            and (before[:1].isalnum() or before == ")")
            and before not in words.functions
        ):
            said.append(words.signs["*"])
        elif token in words.signs:
            said.append(words.signs[token])
        elif token not in "()":
            return text
        place += 1
    return _joined(said, words)


def raised(match: re.Match[str], words: Words) -> str:
    """What follows the base in `2^(n+1)`."""
    return words.blank + words.power(_say(match[1], words))


def plain(text: str, words: Words) -> str:
    """A short expression in words."""
    return _say(text, words)


def given(match: re.Match[str], words: Words) -> str:
    """`P(A|B)`: P of A given B."""
    return _joined(["P", words.of, match[1], words.signs["|"], match[2]], words)


def _joined(said: list[str], words: Words) -> str:
    return re.sub(r" {2,}", " ", words.blank.join(filter(None, said))).strip()


ABSOLUTE = re.compile(
    r"(?<![\w|])\|([-−]?(?:[fgh]\([a-z0-9]\)|[A-Za-z0-9]{1,4})"
    r"(?:\s?[-−+]\s?(?:[fgh]\([a-z0-9]\)|[A-Za-z0-9]{1,4}))?)\|(?=\s?[-−+=<>≤≥×÷/]|[。，,.;]|\s*$)"
)
FUNCTIONS = _FUNCTIONS
GIVEN = _GIVEN
