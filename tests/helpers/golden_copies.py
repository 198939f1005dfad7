"""Copies of the tiny golden set, changed for a test; and the record that a dump makes of one."""

import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import support

from importers import command
from indextts_jax.cli import runner
from indextts_jax.utils.hashing import hash_file


def imported(folder: Path) -> Path:
    """The tiny published files as a checkpoint, made by the import command."""
    target = folder / "tiny"
    code = runner.execute(
        command.main,
        command.define,
        name="import",
        summary="",
        common=command.COMMON,
        argv=[f"--src={support.CHECKPOINTS}", f"--dst={target}"],
    )
    assert code == 0
    return target


@functools.cache
def shared() -> Path:
    """The checkpoint of the tiny set, made once for all tests of a process: not to be changed."""
    folder = Path(tempfile.mkdtemp(prefix="indextts_jax_tiny_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return imported(folder)


def copied(tmp_path: Path, stages: Iterable[str] | None = None) -> Path:
    """The tiny golden set with some of its stages, or all."""
    folder = tmp_path / "golden"
    (folder / "tensors").mkdir(parents=True)
    for name in ("speaker.wav", "emotion.wav"):
        shutil.copyfile(support.TINY / name, folder / name)
    for path in sorted((support.TINY / "tensors").glob("*.npz")):
        if stages is None or path.stem in stages:
            shutil.copyfile(path, folder / "tensors" / path.name)
    return folder


def altered(folder: Path, file: str, **arrays: np.ndarray) -> None:
    """Replaces arrays of one file, or adds some."""
    path = folder / "tensors" / f"{file}.npz"
    with np.load(path) as data:
        held = dict(data)
    np.savez(path, **(held | arrays))


def recorded(folder: Path, **sources: tuple[Path, list[str]]) -> dict[str, Any]:
    """Writes `about.json`: hashes of all files, and published files with the stages behind them."""
    made = sorted(path for path in folder.rglob("*") if path.is_file())
    about = {
        "format": 1,
        "created": "2026-01-02T03:04:05+00:00",
        "versions": {"indextts2-inference": "2.1.1", "torch": "2.13.0"},
        "platform": "a machine",
        "device": "cpu",
        "dtype": "float32",
        "sources": [
            {**_hash(path, name), "stages": stages} for name, (path, stages) in sources.items()
        ],
        "files": [_hash(path, path.relative_to(folder).as_posix()) for path in made],
    }
    (folder / "about.json").write_text(json.dumps(about))
    return about


def _hash(path: Path, name: str) -> dict[str, Any]:
    found = hash_file(path)
    return {"name": name, "size": found.size, "sha256": found.sha256}
