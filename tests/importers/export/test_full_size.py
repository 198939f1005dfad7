"""Export at the published size, of random weights."""

import filecmp
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from importers.export import library
from importers.export.library import ExportOptions
from importers.export.source import open_source
from importers.library import import_checkpoint
from importers.speech import Importer
from importers.table import flatten
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.models.components import COMPONENTS

ROOT = Path(__file__).parents[3]
FOLDER = "INDEXTTS_JAX_FULL_SIZE"  # an empty folder with 25 GB free


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
        command = [
            sys.executable,
            "-m",
            "tools.make.full_size",
            src.absolute(),
            "--without",
            "qwen",
        ]
        subprocess.run(command, check=True, cwd=ROOT)
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
