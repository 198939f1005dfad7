"""Every command that README and docs show: its flags exist, and it runs on the tiny set.

What takes milliseconds runs in the default suite, everything else nightly, page by page in one
directory, in the order of the page. A block that needs more than the tiny set says so in a comment
before it (`doc_pages.NEEDS`); its flags are checked all the same.
"""

import functools
import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import doc_pages
import golden_copies
import pytest
import speech_sets
import support
from doc_pages import Block

from indextts_jax.__main__ import commands
from indextts_jax.cli import runner
from indextts_jax.runtime import cache_folder
from indextts_jax.voices import store

ROOT = doc_pages.ROOT
OTHERS = re.compile(  # commands that are not ours: the shell's, of Python's tools, of the project
    r"(\S*/)?(python[\d.]* -m (venv|pytest)|pip install|mkdocs build --strict"
    r"|ct2-transformers-converter|hf download|\.ci/run|source|curl|printf|docker)\b"
)
# Files that the commands of the pages name.
RECORDINGS = {"voice.wav": "speaker", "anna.wav": "speaker", "bob.wav": "emotion"}
RECORDINGS |= {"sad.wav": "emotion"}
TEXTS = {"letter.txt": "A dog barks.", "book.txt": "A cat. A dog.", "advert.txt": "A cat sat."}
# Keeps a command short, where it has these flags.
SHORT = {
    "synth": ("--steps=2", "--max_codes=20"),
    "plan": ("--steps=2", "--max_codes=20"),
    "warmup": ("--steps=2", "--max_codes=20"),
    "prepare": ("--min_clips=2", "--min_minutes=0", "--workers=1"),
}
DURATION = "0.4"  # seconds; 20 codes of the tiny model cannot be stretched to 20 s
CHEAP = ("show", "preview", "download", "plan")  # of these, those that compute nothing
COSTLY = ("--calibrate", "--stats")


def shown() -> list[tuple[Block, list[str]]]:
    """All commands of all pages, with their blocks."""
    pages = doc_pages.PAGES
    blocks = [block for page in pages for block in doc_pages.shell_blocks(page)]
    return [(block, words) for block in blocks for words in doc_pages.commands(block)]


def inline() -> Iterator[list[str]]:
    """Commands of this package within the prose."""
    for page in doc_pages.PAGES:
        for name, rest in doc_pages.COMMAND.findall("\n".join(quoted(page))):
            yield [name, *rest.split()]


def quoted(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", doc_pages.prose(page))


@functools.cache
def sources() -> str:
    """The source of all tools and benchmarks, for the names of their flags."""
    return "".join(
        path.read_text("utf-8")
        for folder in ("tools", "benchmarks", "docs")
        for path in sorted((ROOT / folder).rglob("*.py"))
    )


def script(words: list[str]) -> Path | None:
    """The tool or benchmark that the words run, by path or as a module."""
    if not Path(words[0]).name.startswith("python") or len(words) < 2:
        return None
    if words[1] == "-m" and words[2].split(".")[0] in ("tools", "benchmarks"):
        return ROOT / Path(*words[2].split(".")).with_suffix(".py")
    return ROOT / words[1] if words[1].endswith(".py") else None


def test_flags_of_shown_commands_exist() -> None:
    count = 0
    for block, words in shown():
        with doc_pages.said(block, words):
            if name := doc_pages.ours(words):
                doc_pages.parse(name, words[3:])
                count += 1
    assert count > 50


def test_flags_of_commands_in_the_prose_exist() -> None:
    for name, *words in inline():
        if words and words[0].startswith("-"):  # otherwise no more than its name is meant
            doc_pages.parse(name, words)


def test_shown_tools_have_the_flags_that_they_are_given() -> None:
    for block, words in shown():
        path = script(words)
        if path is None:
            continue
        assert path.is_file(), f"{block}: {path}"
        for flag in (word.split("=")[0] for word in words if word.startswith("--")):
            assert f'"{flag}"' in sources(), f"{block}: {flag}"


def test_other_commands_are_known() -> None:
    for block, words in shown():
        known = doc_pages.ours(words) or script(words) or OTHERS.match(" ".join(words))
        assert known, f"{block}: {words}"


def test_shown_extras_and_markers_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    text = "\n".join(block.text for block, _ in shown())
    extras = set(re.findall(r"\.\[(\w+)\]", text))
    assert extras <= set(project["project"]["optional-dependencies"])
    assert set(re.findall(r"pytest -m (\w+)", text)) <= {"unit", "parity", "commands", "nightly"}


@functools.cache
def flags() -> frozenset[str]:
    """The flags of all commands of this package."""
    names = (path.stem for path in (ROOT / "indextts_jax").glob("*.py"))
    found = [doc_pages.parse(name, []) for name in names if name in commands()]
    return frozenset(flag for values in found for flag in values)


@pytest.mark.parametrize("page", doc_pages.PAGES, ids=lambda page: page.name)
def test_flags_named_in_the_prose_exist(page: Path) -> None:
    named = {flag for quote in quoted(page) for flag in re.findall(r"(?<!\S)--(\w+)", quote)}
    unknown = {
        flag
        for flag in named - {"strict"}  # of MkDocs
        if not {flag, flag.removeprefix("no")} & flags() and f'"--{flag}"' not in sources()
    }
    assert unknown == set()


@functools.cache
def checkpoint() -> Path:
    """The tiny set, imported once."""
    return golden_copies.shared()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with what the commands of a page take for granted."""
    monkeypatch.setenv(store.FOLDER, str(tmp_path / "voices"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    monkeypatch.chdir(tmp_path)
    for name, recording in RECORDINGS.items():
        shutil.copy(support.TINY / f"{recording}.wav", name)
    for name, text in TEXTS.items():
        Path(name).write_text(text, "utf-8")
    Path("glossary.yaml").write_text("C++: {zh: C加加, en: C plus plus}\n", "utf-8")
    Path("proof").symlink_to(support.TINY)
    Path("tests").symlink_to(ROOT / "tests")
    Path("checkpoints").symlink_to(support.CHECKPOINTS)
    Path("indextts2").symlink_to(checkpoint())
    speech_sets.write_set(tmp_path, 8)
    rows = [{"id": f"r{n}", "text": text} for n, text in enumerate(("A cat sat.", "Go on."))]
    Path("rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def cheap(name: str, words: list[str]) -> bool:
    return name in CHEAP and not set(words) & set(COSTLY)


def runnable(page: Path, chosen: bool) -> list[tuple[Block, str, list[str]]]:
    """The commands of a page that the tiny set is enough for: the cheap ones, or the others."""
    return [
        (block, name, words)
        for block in doc_pages.shell_blocks(page)
        if not block.needs
        for words in doc_pages.commands(block)
        if (name := doc_pages.ours(words)) and cheap(name, words) is chosen
    ]


def run_all(page: Path, chosen: bool) -> None:
    """Runs these commands in this directory, one after the other."""
    for block, name, words in runnable(page, chosen):
        if name == "import":  # the command makes its own
            Path(words[words.index("--dst") + 1]).unlink(missing_ok=True)
        if "--duration" in words:
            words[words.index("--duration") + 1] = DURATION
        code = doc_pages.run(name, [*words[3:], *SHORT.get(name, ())])
        wanted = re.search(rf"{name} .*# exit code (\d)", block.text)
        allowed = {int(wanted[1])} if wanted else {0, runner.FAULTY}
        assert code in allowed, f"{block}: {' '.join(words)} ended with {code}"


def pages(chosen: bool) -> list[Path]:
    return [page for page in doc_pages.PAGES if runnable(page, chosen)]


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("page", pages(True), ids=lambda page: page.name)
def test_cheap_command_runs(page: Path) -> None:
    run_all(page, True)


@pytest.mark.nightly
@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("page", pages(False), ids=lambda page: page.name)
def test_command_runs(page: Path) -> None:
    run_all(page, False)
