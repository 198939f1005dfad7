"""The tiny published files in a folder of their own, to be damaged."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import support
import torch_files
import yaml

from importers.formats.tensors import open_tensors

# The key under which a file holds its arrays, if it has one.
PARTS = {"gpt.pth": None, "s2mel.pth": "net", "bigvgan/bigvgan_generator.pt": "generator"}


def linked(folder: Path, source: Path = support.CHECKPOINTS) -> Path:
    """A folder in which every published file is a link to the one of a set, by default the tiny."""
    for path in source.rglob("*"):
        if path.is_file():
            link = folder / path.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return folder


def arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of a tiny published file, by the names that tables use."""
    tensors = open_tensors(support.CHECKPOINTS / name, part=PARTS.get(name))
    return {key: tensor.read() for key, tensor in tensors.items()}


def replace(folder: Path, name: str, value: object, **options: object) -> None:
    """Writes a PyTorch file in the place of a linked one."""
    (folder / name).unlink(missing_ok=True)
    torch_files.save(folder / name, value, **options)


def rewrite(folder: Path, name: str, change: Callable[[dict], object]) -> None:
    """A PyTorch file of a linked folder with its arrays changed, in place."""
    held = arrays(name)
    change(held)
    part = PARTS.get(name)
    replace(folder, name, {part: held} if part else held)


def reconfigure(folder: Path, change: Callable[[dict], object]) -> None:
    """The configuration of a linked folder, changed in place."""
    path = folder / "config.yaml"
    data = yaml.safe_load(path.read_text())
    change(data)
    path.unlink()
    path.write_text(yaml.safe_dump(data, sort_keys=False))
