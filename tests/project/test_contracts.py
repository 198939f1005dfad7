"""Who may import what, and where files lie; the floors are in `pyproject.toml` (`lint-imports`)."""

import ast
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from indextts_jax import config
from indextts_jax.__main__ import commands
from indextts_jax.models.components import module_class, section_of
from indextts_jax.runtime import inner_stages, stages
from indextts_jax.runtime.model import program_name

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for name in ("indextts_jax", "importers") for path in (ROOT / name).rglob("*.py")
)
FOLDERS = sorted({path.parent for path in FILES})
MOST = 18  # files of a folder: more is two folders


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """Modules that a file imports anywhere, and `module.name` for each name out of one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return frozenset(found)


def that_import(package: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if any(name.split(".")[0] == package for name in imported(path))
    }


def test_one_folder_imports_orbax() -> None:
    found = that_import("orbax")
    assert found
    assert {Path(name).parent.as_posix() for name in found} == {"indextts_jax/checkpoint"}


def test_only_commands_import_the_flags() -> None:
    may = {f"indextts_jax/{name}.py" for name in commands()}
    may |= {"importers/command.py", "importers/hub/command.py"}
    found = {name for name in that_import("absl") if not name.startswith("indextts_jax/cli/")}
    assert found
    assert found <= may


# What a table of names is written with, and where its constants come from.
OF_TABLES = (
    "importers.rules",
    "importers.table",
    "importers.tables",
    "importers.transforms",
    "importers.sizes",
    "importers.formats.tensors",
    "indextts_jax.config",
    "indextts_jax.audio.features",
    "indextts_jax.layers.snake",
)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "importers/tables").glob("*.py")), ids=lambda p: p.stem
)
def test_a_table_imports_what_tables_are_written_with(path: Path) -> None:
    ours = {name for name in imported(path) if name.split(".")[0] in ("importers", "indextts_jax")}
    assert {
        name for name in ours if not f"{name}.".startswith(tuple(f"{m}." for m in OF_TABLES))
    } == set()


def is_command(path: Path) -> bool:
    """Whether a file of the root is a command, of which there may be any number."""
    return path.stem in commands()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_a_folder_is_small_and_says_what_belongs_there(folder: Path) -> None:
    root = folder.name == "indextts_jax"
    own = [path for path in folder.glob("*.py") if not (root and is_command(path))]
    assert len(own) <= MOST
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))


def test_the_root_holds_commands_and_little_else() -> None:
    found = {path.stem for path in (ROOT / "indextts_jax").glob("*.py")}
    assert found - set(commands()) == {"__init__", "__main__", "config", "errors"}


def compiled_stages(module: Any) -> Iterator[tuple[str, str | Callable[..., Any]]]:
    """Component and function of every `model.run_stage(...)` in a module's source."""
    for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "model.run_stage":
            component, function, *_ = (ast.unparse(argument) for argument in node.args)
            yield eval(component), eval(function, vars(module))


TINY = cast(Any, SimpleNamespace(config=config.bundled_config("tiny"), run=config.RunConfig()))
STAGES = [*compiled_stages(stages), *compiled_stages(inner_stages)]


@pytest.mark.parametrize(
    ("component", "function"), STAGES, ids=lambda v: v if isinstance(v, str) else v.__name__
)
def test_a_compiled_stage_is_kept_between_runs(
    component: str, function: str | Callable[..., Any]
) -> None:
    """One that lies outside the folders whose source is in the key would be compiled each time."""
    assert program_name(TINY, component, function, {}) is not None
    versions = [TINY.config, config.bundled_config("indextts2_5")]
    networks = [module_class(component, section_of(component, one)) for one in versions]
    assert not isinstance(function, str) or any(hasattr(n, function) for n in networks)


def test_all_stages_are_seen() -> None:
    written = [Path(module.__file__ or "").read_text("utf-8") for module in (stages, inner_stages)]
    assert len(STAGES) == sum(text.count(".run_stage(") for text in written) > 30
