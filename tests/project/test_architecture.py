"""The paths and names in docs/architecture.md are those of the code."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", TEXT)))
PATHS = [quote for quote in QUOTED if re.fullmatch(r"\w[\w/.-]*\.(py|pyi|yaml|toml)", quote)]
PACKAGES = [quote for quote in QUOTED if re.fullmatch(r"\w[\w/]*/", quote)]
PAIRS = [match for quote in QUOTED if (match := re.fullmatch(r"(\S+\.py): ([\w.]+)", quote))]


def found(path: str) -> Path | None:
    """The file or directory, from the root of the project or of the package."""
    places = (ROOT / path, ROOT / "indextts_jax" / path)
    return next((place for place in places if place.exists()), None)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def defined(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Functions, classes, constants and fields of a module or a class, by name."""
    names = {}
    for line in body:
        match line:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                names[name] = line
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names[name] = line
    return names


def test_there_are_paths_and_names_to_check() -> None:
    assert len(PATHS) > 10
    assert len(PAIRS) > 80


@pytest.mark.parametrize("path", [*PATHS, *PACKAGES])
def test_a_path_exists(path: str) -> None:
    assert found(path) is not None or path == "configs/NAME.yaml"


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0])
def test_a_name_is_defined_where_the_page_says(pair: re.Match[str]) -> None:
    path = found(pair[1])
    assert path is not None, pair[1]
    body = parsed(path).body
    for name in pair[2].split("."):
        assert name in defined(body), f"{pair[1]} defines no {pair[2]}"
        body = getattr(defined(body)[name], "body", [])


def test_every_package_is_in_the_table() -> None:
    packages = {path.parent.name for path in (ROOT / "indextts_jax").glob("*/__init__.py")}
    table = TEXT.split("| package |")[1].split("\n\n")[0]
    assert {name for name in packages if f"| `{name}/` |" not in table} == set()
