"""What pages take from recorded results and from the public names is up to date."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

import indextts_jax

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_generate", DOCS / "_generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_up_to_date(generate: ModuleType) -> None:
    old = [path.name for path, now, new in generate.pages() if now != new]
    assert old == [], "run: python docs/_generate.py"


def test_every_result_is_listed(generate: ModuleType) -> None:
    text = generate.results()
    for path in generate.RESULTS.glob("*.json"):
        assert f"`{path.name}`" in text


def test_every_public_name_is_described(generate: ModuleType) -> None:
    rows = [line.split(" | ") for line in generate.names().splitlines()[2:]]
    assert [row[0].strip("| `") for row in rows] == list(indextts_jax.__all__)
    assert all(row[2].strip() for row in rows)


def test_result_of_an_unknown_kind_is_listed(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"kind": "gpu_check", "device": "h200"}))
    monkeypatch.setattr(generate, "RESULTS", tmp_path)
    assert "| `a.json` | gpu_check | h200 |" in generate.results()


def test_page_without_the_marks_is_an_error(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in generate.GENERATED:
        (tmp_path / name).write_text("nothing")
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    with pytest.raises(SystemExit, match="has no lines"):
        list(generate.pages())
