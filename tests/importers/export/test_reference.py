"""Exports in front of the PyTorch reference: what it computes from them passes `validate`."""

import functools
import os
import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import support

from importers.export import library
from importers.export.library import ExportOptions
from importers.export.source import open_source
from importers.library import import_checkpoint
from indextts_jax import validate
from indextts_jax.checkpoint import writing
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import runner

ROOT = Path(__file__).parents[3]
REFERENCE = "INDEXTTS_JAX_REFERENCE_PYTHON"  # see the top of tools/dump_reference.py


def changed(model: Path, dst: Path) -> Path:
    """A checkpoint each of whose kernels is a little another than the model's."""
    saved, random = open_checkpoint(model), np.random.default_rng(0)

    def touched(path: Any, leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        if path[-1].key != "kernel":
            return array
        return array * (1 + 0.05 * random.normal(size=array.shape)).astype(array.dtype)

    writing.save(
        dst,
        config=saved.config,
        tokenizer=saved.tokenizer,
        components=(
            (name, jax.tree_util.tree_map_with_path(touched, saved.load([name])[name]))
            for name in saved.components
        ),
        sources=saved.provenance.sources,
    )
    return dst


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["tiny", "second"])
@pytest.mark.parametrize("form", ["without_base", "changed_with_base", "changed_without_base"])
def test_the_reference_computes_the_same_from_an_export(
    name: str, form: str, tmp_path: Path
) -> None:
    """Without a base everything is written anew, and with one what was changed."""
    if not os.environ.get(REFERENCE):
        pytest.skip(f"{REFERENCE} does not name a Python with the PyTorch reference")
    folder, model = support.DATA / name, tmp_path / "model"
    import_checkpoint(folder / "checkpoints", model, training=True)
    if form.startswith("changed"):
        model = changed(model, tmp_path / "changed")
    base = folder / "checkpoints" if form.endswith("with_base") else None
    options = ExportOptions(to="published", dst=tmp_path / "out", base=base)
    done = library.export(open_source(model), options)
    assert all(file.written for file in done.files if file.arrays > 2)
    command: list[Any] = [os.environ[REFERENCE], "-m", "tools.dump_reference"]
    command += ["--src", tmp_path / "out", "--dst", tmp_path / "golden", "--steps", "4"]
    for kind in ("speaker", "emotion"):
        command += [f"--{kind}", folder / f"{kind}.wav"]
    subprocess.run(command, check=True, cwd=ROOT)
    run = functools.partial(
        runner.execute,
        validate.main,
        validate.define,
        name="validate",
        summary="",
        common=validate.COMMON,
    )
    # The files are others than those that the checkpoint was imported from.
    argv = [f"--checkpoint={model}", f"--golden={tmp_path / 'golden'}"]
    assert run(argv=argv) == runner.BAD_INPUT
    assert run(argv=[*argv, "--nosame_files"]) == 0
