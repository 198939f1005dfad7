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
def literals() -> list[str]:
    """All strings of the code, with a mark for each value in them."""
    found = []
    for package in ("indextts_jax", "importers"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [getattr(part, "value", None) for part in node.values]
                    found.append("".join(p if isinstance(p, str) else _VALUE for p in parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found


def is_ours(message: str) -> bool:
    """Whether a string of the code has the parts of a message between `...`, in this order."""
    parts = [part for part in message.split("...") if part]
    longest = max(parts, key=len)
    pattern = ".*".join(map(re.escape, parts))
    return any(longest in text and re.search(pattern, text, re.DOTALL) for text in literals())


@pytest.mark.parametrize("message", rows())
def test_the_message_is_one_of_the_program(message: str) -> None:
    words = [part.strip() for part in message.split("...")]
    assert max(map(len, words)) >= 8, "too short to be found"
    assert is_ours(message), message


def test_an_unknown_message_is_noticed() -> None:
    assert len(rows()) > 40
    assert not is_ours("the moon is ... made of cheese")


def test_each_message_is_there_once() -> None:
    assert len(set(rows())) == len(rows())
