"""The Python examples of README and docs: they name what exists, and run on the tiny set.

The examples of a page share one namespace, as in a notebook.
"""

import ast
import inspect
import shutil
from pathlib import Path
from typing import Any

import doc_pages
import golden_copies
import pytest
import support

import indextts_jax
from indextts_jax import IndexTTS
from indextts_jax.runtime import cache_folder

PAGES = [page for page in doc_pages.PAGES if doc_pages.python_blocks(page)]
each = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def trees(page: Path) -> list[ast.Module]:
    return [ast.parse(block.text, str(block)) for block in doc_pages.python_blocks(page)]


def keywords(call: ast.Call, callee: Any) -> list[str]:
    """Keywords of a call that its function does not have."""
    known = inspect.signature(callee).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known):
        return []
    names = {parameter.name for parameter in known}
    return [str(word.arg) for word in call.keywords if word.arg not in names]


@each
def test_example_imports_public_names(page: Path) -> None:
    ours = [block for block in doc_pages.python_blocks(page) if block.needs != "server"]
    for block in ours:  # the others are of clients
        for node in ast.walk(ast.parse(block.text, str(block))):
            if isinstance(node, ast.ImportFrom):
                assert node.module == "indextts_jax"
                assert {alias.name for alias in node.names} <= set(indextts_jax.__all__)


@each
def test_example_passes_keywords_that_exist(page: Path) -> None:
    for tree in trees(page):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            match node.func:
                case ast.Name(id=name) if name in indextts_jax.__all__:
                    callee = getattr(indextts_jax, name)
                case ast.Attribute(value=ast.Name(id="IndexTTS" | "tts"), attr=name):
                    callee = getattr(IndexTTS, name)
                case _:
                    continue
            assert keywords(node, callee) == [], f"{page.name}: {ast.unparse(node)}"


def test_examples_are_found() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "python.md", "startup-and-memory.md"}


@pytest.mark.nightly
@each
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    for name, recording in (("anna", "speaker"), ("bob", "emotion"), ("sad", "emotion")):
        shutil.copy(support.TINY / f"{recording}.wav", f"{name}.wav")
    Path("letter.txt").write_text("A dog barks. A cat sat.", "utf-8")
    Path("glossary.yaml").write_text("C++: {zh: C加加, en: C plus plus}\n", "utf-8")
    Path("checkpoints").symlink_to(support.CHECKPOINTS)
    Path("proof").symlink_to(support.TINY)
    Path("indextts2").symlink_to(golden_copies.shared())
    namespace: dict[str, Any] = {"play": lambda samples, rate: None}
    for block in doc_pages.python_blocks(page):
        if block.needs is None:
            exec(compile(block.text, str(block), "exec"), namespace)
