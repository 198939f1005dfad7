"""Every message in docs/troubleshooting.md is one of the program."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
_VALUE = "\0"


def rows() -> list[str]:
    """The messages in the first column of the tables."""
    return re.findall(r"^\| `(.+?)` \|", PAGE.read_text("utf-8"), re.MULTILINE)


@functools.cache
def literals() -> str:
    """All strings of the code, one a line, with a mark for each value in them."""
    found = []
    for package in ("indextts_jax", "importers"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [getattr(part, "value", None) for part in node.values]
                    found.append("".join(p if isinstance(p, str) else _VALUE for p in parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(text.replace("\n", " ") for text in found)


def pattern(message: str) -> str:
    """Of the strings that a message may come from; `...` is anything with a value in it."""
    parts = [re.escape(part) for part in message.split("...")]
    return ".*?".join(parts)


@pytest.mark.parametrize("message", rows())
def test_the_message_is_one_of_the_program(message: str) -> None:
    words = [part.strip() for part in message.split("...")]
    assert max(map(len, words)) >= 8, "too short to be found"
    assert re.search(pattern(message), literals()), message


def test_an_unknown_message_is_noticed() -> None:
    assert len(rows()) > 40
    assert not re.search(pattern("the moon is ... made of cheese"), literals())


def test_each_message_is_there_once() -> None:
    assert len(set(rows())) == len(rows())
