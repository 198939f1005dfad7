"""README, CONTRIBUTING, CHANGELOG and docs/*.md as blocks of code, commands and links."""

import contextlib
import dataclasses
import functools
import re
import runpy
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from indextts_jax.cli import runner

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")]
)
COMMAND = re.compile(r"(?:\S*/)?python(?:3(?:\.\d+)?)? -m indextts_jax\.(\w+)(.*)")
# What the comment before a block may say that it needs; such blocks are checked and not run.
NEEDS = {
    "network": "it downloads something",
    "gpu": "an accelerator",
    "training": "recordings of a person or a trained model: an accelerator, or hours",
    "published": "the published weights",
    "reference": "an environment with the PyTorch reference",
    "judges": "the networks that judge speech",
    "server": "a running server",
    "docker": "Docker",
    "device": "an audio device",
}


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: Path
    line: int  # of the opening fence
    language: str
    text: str
    needs: str | None  # of the comment before it

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@functools.cache
def blocks(page: Path) -> tuple[Block, ...]:
    """All fenced blocks of a page."""
    found = []
    lines = page.read_text("utf-8").splitlines()
    start = None
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if start is None:
            start = number
            continue
        mark = re.fullmatch(r"<!-- needs: (\w+) -->", lines[start - 1].strip()) if start else None
        language = lines[start].strip().removeprefix("```")
        text = "\n".join(lines[start + 1 : number])
        found.append(Block(page, start + 1, language, text, mark and mark[1]))
        start = None
    assert start is None, f"{page}:{start}: a block without an end"
    return tuple(found)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"(?ms)^\s*```.*?^\s*```$", "", page.read_text("utf-8"))


def commands(block: Block) -> list[list[str]]:
    """The commands of a block of shell, each as its words."""
    lines = block.text.replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in re.split(r"&&", line)]
    return [words for part in parts if (words := shlex.split(part, comments=True))]


def ours(words: list[str]) -> str | None:
    """The name of the command of this package that the words run, if they do."""
    if len(words) > 2 and Path(words[0]).name.startswith("python") and words[1] == "-m":
        return words[2].removeprefix("indextts_jax.") if "indextts_jax." in words[2] else None
    return None


@functools.cache
def registered(name: str) -> dict[str, Any]:
    """What a command gives its runner: main, define, positional, ..."""
    given: dict[str, Any] = {}

    def keep(main: Any, define: Any, **more: Any) -> None:
        given.update(main=main, define=define, **more)

    with mock.patch.object(runner, "run", keep), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the module may be imported already
        runpy.run_module(f"indextts_jax.{name}", run_name="__main__")
    return given


def parse(name: str, words: list[str]) -> Any:
    """The flags of a command, as it reads them itself; `InputError` for what it does not know."""
    command = registered(name)
    return runner.parse(words, command["define"], command.get("positional", ()))


def run(name: str, words: list[str]) -> int:
    """Runs a command in this process and gives its exit code."""
    command = dict(registered(name))
    return runner.execute(command.pop("main"), command.pop("define"), argv=words, **command)


def shell_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "bash"]


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


def links(page: Path) -> Iterator[str]:
    """Targets of all links and pictures of a page that are within the project."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not re.match(r"\w+://|mailto:", target):
            yield target


@functools.cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as repository browsers and MkDocs make them."""
    found: set[str] = set()
    for heading in re.findall(r"(?m)^#+ (.+)$", prose(page)):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return frozenset(found)


@contextlib.contextmanager
def said(block: Block, words: list[str]) -> Iterator[None]:
    """Adds to a failure which command of which page it was."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{block}: {shlex.join(words)}: {error}") from error
