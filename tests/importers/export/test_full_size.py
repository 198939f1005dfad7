"""Export at the published size, of random weights, and in front of the PyTorch reference."""

import filecmp
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import support

from importers.export import library
from importers.export.library import ExportOptions
from importers.export.source import open_source
from importers.library import import_checkpoint
from importers.speech import Importer
from importers.table import flatten
from indextts_jax import validate
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import runner
from indextts_jax.models.components import COMPONENTS

TOOLS = Path(__file__).parents[3] / "tools"
FOLDER = "INDEXTTS_JAX_FULL_SIZE"  # an empty folder with 25 GB free
REFERENCE = "INDEXTTS_JAX_REFERENCE_PYTHON"  # see the top of tools/dump_reference.py


def published(checkpoint: Path, dst: Path, base: Path | None) -> library.Exported:
    options = ExportOptions(to="published", dst=dst, base=base)
    return library.export(open_source(checkpoint), options)


def files_below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.nightly
def test_full_size_comes_back_array_for_array():
    pytest.importorskip("torch")
    if not os.environ.get(FOLDER):
        pytest.skip(f"{FOLDER} does not name a folder with 25 GB free")
    folder = Path(os.environ[FOLDER])
    src, model = folder / "published", folder / "model"
    if not src.exists():
        command = [sys.executable, TOOLS / "make_full_size.py", src, "--without", "qwen"]
        subprocess.run(command, check=True)
    if not model.exists():
        import_checkpoint(src, model)
    published(model, folder / "again", src)
    names = files_below(src)
    assert filecmp.cmpfiles(src, folder / "again", names, shallow=False)[0] == names
    published(model, folder / "new", None)
    again, before = Importer.open(folder / "new"), open_checkpoint(model)
    for component in COMPONENTS:
        ours = flatten(before.load([component])[component])
        for path, array in flatten(again.read(component)).items():
            np.testing.assert_array_max_ulp(array, np.asarray(ours[path]), 1)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["tiny", "second"])
def test_the_reference_computes_the_same_from_an_export(name: str, tmp_path: Path) -> None:
    """Everything is written anew, nothing is copied from the published files."""
    if not os.environ.get(REFERENCE):
        pytest.skip(f"{REFERENCE} does not name a Python with the PyTorch reference")
    folder, model = support.DATA / name, tmp_path / "model"
    import_checkpoint(folder / "checkpoints", model)
    published(model, tmp_path / "out", None)
    command: list[Any] = [os.environ[REFERENCE], TOOLS / "dump_reference.py"]
    command += ["--src", tmp_path / "out", "--dst", tmp_path / "golden", "--inputs", folder]
    subprocess.run([*command, "--steps", "4"], check=True)
    code = runner.execute(
        validate.main,
        validate.define,
        name="validate",
        summary="",
        common=validate.COMMON,
        # The files are others than those that the checkpoint was imported from.
        argv=[f"--checkpoint={model}", f"--golden={tmp_path / 'golden'}", "--nosame_files"],
    )
    assert code == 0
