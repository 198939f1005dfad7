"""How the notebooks are made; `tools/run_notebooks.py` runs them."""

import ast
import importlib
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import indextts_jax

ROOT = Path(__file__).parents[2]
NAMES = ("quickstart", "emotions", "import_and_verify", "finetune")


def cells(name: str) -> list[dict[str, Any]]:
    book = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    return book["cells"]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def parsed(cell: dict[str, Any]) -> ast.Module:
    """A cell as Python, with nothing in the place of its shell lines."""
    return ast.parse(re.sub(r"(?m)^( *)[!%].*$", r"\1pass", source(cell)))


def program(name: str) -> list[ast.Module]:
    return [parsed(cell) for cell in cells(name) if cell["cell_type"] == "code"]


def assigned(tree: ast.Module) -> set[str]:
    return {
        target.id
        for line in tree.body
        if isinstance(line, ast.Assign)
        for target in line.targets
        if isinstance(target, ast.Name)
    }


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    pytest.importorskip("nbclient")
    return importlib.import_module("tools.run_notebooks")


def test_these_are_all(tool: ModuleType) -> None:
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(NAMES)
    assert set(tool.PARAMETERS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_short_and_without_outputs(name: str) -> None:
    held = cells(name)
    assert len(held) < 15
    for cell in held:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_tells_of_colab_gpu_and_licences(name: str) -> None:
    first = source(cells(name)[0])
    assert "To run it in Colab" in first
    assert "Without a GPU" in first or "CPU will do" in first
    assert "CC-BY-NC-4.0" in first
    assert "consent" in first


@pytest.mark.parametrize("name", NAMES)
def test_one_cell_holds_the_parameters_and_the_tool_knows_them_all(
    name: str, tool: ModuleType
) -> None:
    (cell,) = (cell for cell in cells(name) if "parameters" in cell["metadata"].get("tags", ()))
    assert cells(name).index(cell) == 1
    assert assigned(parsed(cell)) == assigned(ast.parse(tool.parameters(name, "2.5")))


@pytest.mark.parametrize("name", NAMES)
def test_only_the_public_interface_is_used(name: str) -> None:
    for tree in program(name):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and "indextts" in (node.module or ""):
                assert node.module == "indextts_jax"
                assert {alias.name for alias in node.names} <= set(indextts_jax.__all__)
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("indextts") for alias in node.names)
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_")


@pytest.mark.parametrize("name", NAMES)
def test_shell_lines_are_commands_that_exist(name: str) -> None:
    from indextts_jax.__main__ import commands

    text = "\n".join(map(source, cells(name)))
    used = set(re.findall(r"python -m indextts_jax\.(\w+)", text))
    assert used <= set(commands())
    assert '%pip install -q "{package}"' in text


def addresses(text: str) -> set[str]:
    """Addresses from which a package or a repository would be fetched."""
    found = re.findall(
        r"(?:git\+|git clone [^\n]*?|pip install [^\n]*?)(https?://[^\s\"'\\]+)", text
    )
    return set(found) | set(
        re.findall(r"https?://github\.com/[^\s\"'\\)]*indextts[-_]jax[^\s\"']*", text)
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_installs_from_its_parameter_alone(name: str) -> None:
    (cell,) = (cell for cell in cells(name) if "parameters" in cell["metadata"].get("tags", ()))
    assert 'SOURCE = ".."' in source(cell)
    assert addresses("\n".join(map(source, cells(name)))) == set()


def test_no_page_installs_from_an_address() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        assert addresses(page.read_text("utf-8")) == set(), page
    assert addresses("pip install git+https://a.example/b") == {"https://a.example/b"}


def test_the_tool_refuses_a_notebook_that_is_not_there(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        tool.main(["sing"])
    assert "unknown: sing" in capsys.readouterr().err
