"""Links between pages, the paths that they name, and how long the README is."""

import re
import tomllib
from pathlib import Path

import doc_pages
import pytest

ROOT = doc_pages.ROOT
LANGUAGES = {"bash", "python", "json", "yaml", "text"}
# Paths in code: those that begin with a directory of the project, and files of source or settings.
BEGINS = re.compile(
    r"(?:\.ci|benchmarks|configs|docs|importers|indextts_jax|notebooks|tests|tools)/[\w./*-]*"
)
SOURCE = re.compile(r"[\w.-]+/[\w./-]+\.(?:py|pyi|yaml|toml|ipynb)")
BASES = (ROOT, ROOT / "indextts_jax", ROOT / "indextts_jax" / "training")
page = pytest.mark.parametrize(
    "page", doc_pages.PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def paths(path: Path) -> set[str]:
    """All paths of the project that a page names, in prose or in a command."""
    text = path.read_text("utf-8")
    quoted = " ".join(re.findall(r"`([^`\n]+)`", doc_pages.prose(path)))
    blocks = " ".join(block.text for block in doc_pages.blocks(path))
    words = re.split(r"[\s:,()\[\]'\"]+", f"{quoted} {blocks}")
    named = {word for word in words if BEGINS.fullmatch(word) or SOURCE.fullmatch(word)}
    assert text
    return {word.rstrip("/.") for word in named}


def exists(path: str) -> bool:
    """Whether a path, in which * stands for anything, is there."""
    if "NAME" in path:  # a placeholder
        return True
    return any(any(base.glob(path)) for base in BASES)


@page
def test_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    wrong = []
    for target in doc_pages.links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            wrong.append(f"{target}: no such file")
        elif anchor and anchor not in doc_pages.anchors(file):
            wrong.append(f"{target}: no such heading")
    assert wrong == []


@page
def test_named_path_exists(page: Path) -> None:
    assert [path for path in sorted(paths(page)) if not exists(path)] == []


def test_paths_are_found() -> None:
    assert sum(len(paths(page)) for page in doc_pages.PAGES) > 100


@page
def test_block_names_a_known_language_and_need(page: Path) -> None:
    for block in doc_pages.blocks(page):
        assert block.language in LANGUAGES, block
        assert block.needs is None or block.needs in doc_pages.NEEDS, block


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 180


def test_number_of_pages_is_limited() -> None:
    assert 12 <= len(list((ROOT / "docs").glob("*.md"))) <= 25


def test_every_page_is_in_the_index_and_in_the_site() -> None:
    index = set(doc_pages.links(ROOT / "docs" / "index.md"))
    site = (ROOT / "mkdocs.yml").read_text("utf-8")
    for path in (ROOT / "docs").glob("*.md"):
        assert path.name == "index.md" or path.name in index
        assert f": {path.name}\n" in site


def test_extras_in_the_readme_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = set(re.findall(r"\.\[(\w+)\]", (ROOT / "README.md").read_text("utf-8")))
    assert named <= set(project["optional-dependencies"])
    assert {"hub", "cuda12", "test"} <= named


@page
def test_quoted_code_is_on_one_line(page: Path) -> None:
    """Otherwise the other tests do not see it."""
    text = re.sub(r"``[^`]+``", "", doc_pages.prose(page))
    assert [line for line in text.splitlines() if line.count("`") % 2] == []
