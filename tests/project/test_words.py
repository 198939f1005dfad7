"""Plain words: no dialect in messages, help texts, docstrings, comments and pages."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("indextts_jax", "importers")
PAGES = ("README.md", "docs")

# Own lines in a row, or the end of a line of code. (A tokenizer would take as long as the parser.)
_COMMENT = re.compile(r"^[ \t]*# .*(?:\n[ \t]*#.*)*|(?<=  )# .*$", re.MULTILINE)


class Banned(NamedTuple):
    """A pattern for words to avoid, what to write instead, and a phrase that it must find."""

    pattern: str
    instead: str
    example: str


BANNED = [
    Banned(r"told", "said, reported, named, called with", "what is told besides"),
    Banned(r"tells?", "says, reports, calls with", "tells `on_stage` the name"),
    Banned(r"rungs?", "bucket", "the smallest rung that holds it"),
    Banned(r"ladders?", "buckets", "a short ladder of shapes"),
    Banned(r"turned", "transposed, changed", "the keys are turned"),
    Banned(r"laid out", "in device layout, arranged", "kernels laid out for a device"),
    Banned(r"(?:lie|lies|lying|taken) apart", "unstacked", "layers lying apart"),
    Banned(r"lies?|lying", "is, is stored, is on", "what lies in a checkpoint"),
    Banned(r"(?:the|in) halves", "half precision", "the best of the halves"),
    Banned(
        r"(?<!there )(?<!There )(?:is|are|was|were) (?:no|(?-i:none))(?! longer| more)",
        "is not a, has no, or None in capitals",
        "the folder is no checkpoint",
    ),
    Banned(r"(?:does|do|will) not do", "is too small, is not enough", "8 GB does not do:"),
    Banned(r"heard", "used, audible", "the excerpt is heard"),
    Banned(r"wish(?:es|ed)?", "request, requested value", "a larger wish is an error"),
    Banned(r"so many", "this many, a number of", "segments of so many codes"),
    Banned(r"for people", "human-readable", "bytes for people"),
    Banned(r"spread (?:over|across)", "sharded over", "rows spread over devices"),
    Banned(r"rehears(?:al|als|e|ed)", "dry run, ahead-of-time compilation", "a rehearsal"),
    Banned(
        r"room (?:for|of)|(?:make|makes|made|leave|leaves|no) room",
        "capacity, memory, space",
        "a cache with room for the next codes",
    ),
    Banned(r"(?:sub)?folders?", "directory", "the folder of voices"),
    Banned(r"further tr(?:y|ies)|another try|tried again", "retry", "the seed of a further try"),
    Banned(r"kept (?:voice|voices|program|programs)", "saved, stored", "a kept voice"),
    Banned(r"asked for|asks for", "requested, requests", "what is asked for"),
    Banned(r"given away", "donated", "the state is given away"),
    Banned(r"from nothing", "from scratch", "a model from nothing"),
    Banned(r"exclude each other", "are mutually exclusive", "--a and --b exclude each other"),
    Banned(r"whole or not at all", "atomically", "written whole or not at all"),
    Banned(r"what is (?:odd|wrong)", "warnings, faults, problems", "what is odd about a text"),
    Banned(r"one an? (?:row|line|emotion|layer|component)", "one per", "a key, one a row"),
    Banned(r"lineages?", "beam ancestry", "the lineage of a beam"),
]
HARMLESS = [
    "it is not a checkpoint",
    "there is no such file",
    "this is no longer needed",
    "folder_of is code, and so is `folder`",
    "the believer returned, unheard-of earlier: a ladder_like name",
    "five rooms, and the rest of the applies",
]


@functools.cache
def _finder() -> re.Pattern[str]:
    """All patterns as whole words, each in a group of its own."""
    groups = (f"({banned.pattern})" for banned in BANNED)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(groups)})(?![\w-])", re.IGNORECASE)


def findings(text: str) -> Iterator[str]:
    """What is banned in a text, with the words to write instead; `code` does not count."""
    plain = " ".join(re.sub(r"`[^`]*`", "`", text).split())
    for match in _finder().finditer(plain):
        around = plain[max(0, match.start() - 40) : match.end() + 30]
        assert match.lastindex is not None
        banned = BANNED[match.lastindex - 1]
        yield f"{match[0]!r} in '...{around}...': write {banned.instead}"


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Docstrings, messages and help texts: all strings of two words and more, with their lines."""
    inside: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside.update(node.values)
            words = [v.value if isinstance(v, ast.Constant) else "{}" for v in node.values]
            yield node.lineno, "".join(map(str, words))
        elif (
            isinstance(node, ast.Constant)
            and node not in inside
            and isinstance(node.value, str)
            and " " in node.value.strip()
        ):
            yield node.lineno, node.value


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Comments with their lines; own-line comments that follow each other are one text."""
    for match in _COMMENT.finditer(source):
        row = source.count("\n", 0, match.start()) + 1
        yield row, re.sub(r"\n\s*#", " ", match[0])


def prose(page: str) -> Iterator[tuple[int, str]]:
    """Paragraphs of Markdown with their lines, without code blocks and HTML comments."""
    plain = re.sub(
        r"^(```|~~~).*?^\1|<!--.*?-->",
        lambda match: "\n" * match[0].count("\n"),
        page,
        flags=re.MULTILINE | re.DOTALL,
    )
    row = 1
    for paragraph in re.split(r"(\n\s*\n)", plain):
        yield row, paragraph
        row += paragraph.count("\n")


def checked(paths: Iterator[Path]) -> list[tuple[str, Path]]:
    """The paths, with their names below the root."""
    return [(path.relative_to(ROOT).as_posix(), path) for path in sorted(paths)]


def test_sources_use_plain_words() -> None:
    problems = []
    for name, path in checked(p for package in PACKAGES for p in (ROOT / package).rglob("*.py")):
        source = path.read_text("utf-8")
        texts = [*literals(ast.parse(source)), *comments(source)]
        problems += [
            f"{name}:{row}: {problem}" for row, text in texts for problem in findings(text)
        ]
    assert not problems, "\n".join(problems)


def test_pages_use_plain_words() -> None:
    problems = []
    places = (ROOT / name for name in PAGES)
    for name, path in checked(
        p for at in places for p in ([at] if at.is_file() else at.rglob("*.md"))
    ):
        texts = prose(path.read_text("utf-8"))
        problems += [
            f"{name}:{row}: {problem}" for row, text in texts for problem in findings(text)
        ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("banned", BANNED, ids=lambda banned: banned.example)
def test_banned_example_is_found(banned: Banned) -> None:
    assert any(banned.instead in found for found in findings(banned.example))
    assert not list(findings(banned.instead))


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_is_accepted(text: str) -> None:
    assert not list(findings(text))


def test_markdown_code_is_skipped() -> None:
    page = "A word.\n\n```sh\nls folder\n```\n\nA `folder` <!-- told -->\nand a folder.\n"
    found = [(row, problem) for row, text in prose(page) for problem in findings(text)]
    assert len(found) == 1
    assert found[0][0] == 7
