"""Writes the published files with random weights, one after the other."""

import contextlib
import json
import shutil
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch
import yaml

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from tools.make.published_files import manifest, rules, settings
from tools.make.published_files.manifest import Nested, Spec

MANIFESTS = ("gpt", "s2mel", "w2v_bert", "semantic_codec", "campplus", "bigvgan", "qwen")
Progress = Callable[[int], None]


def read_manifests(folder: Path) -> dict[str, Nested]:
    """The manifests of a directory, by file."""
    names = {file: "qwen_emotion" if file == "qwen" else file for file in MANIFESTS}
    return {file: manifest.read(folder / f"{name}.json") for file, name in names.items()}


def with_matrices(manifests: Mapping[str, Nested], config: ModelConfig) -> dict[str, Nested]:
    """The manifests, and those of the two small matrices that have none."""
    rows = sum(config.emotion_prototypes.groups)
    return {
        **manifests,
        "spk_matrix": {"matrix": Spec((rows, config.emotion_prototypes.style), "float32")},
        "emo_matrix": {"matrix": Spec((rows, config.emotion_prototypes.width), "float32")},
    }


def needed(manifests: Mapping[str, Nested]) -> int:
    """Bytes that the files take, the training state among them; headers and small files aside."""
    state = 2 * manifest.size(manifests["s2mel"]) if "s2mel" in manifests else 0
    return sum(manifest.size(nested) for nested in manifests.values()) + state


@contextlib.contextmanager
def new_folder(target: Path, size: int) -> Iterator[Path]:
    """A temporary directory that becomes `target` at the end, or is removed on failure.

    Raises:
        InputError: if something is there, or the disk has not `size` bytes and 1 % free.
    """
    if target.exists():
        raise InputError(f"{target} exists already; remove it, or name another directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < 1.01 * size:
        raise InputError(f"{target.parent} has {free / 1e9:.2f} GB free; {size / 1e9:.2f} needed")
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_arrays(
    folder: Path, manifests: Mapping[str, Nested], seed: int, progress: Progress
) -> None:
    """Every file of arrays for which there is a manifest; `progress` gets numbers of bytes.

    At most one file's arrays are in memory; of a `.safetensors` file, one array.
    """
    for file, nested in manifests.items():
        path = folder / settings.FILES[file]
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":
            _safetensors(path, file, nested, seed, progress)
            continue
        tensors = _tensors(file, nested, seed, progress)
        if file == "s2mel":
            tensors = {"net": tensors, **_training(nested, seed, progress)}
        torch.save(tensors["matrix"] if file.endswith("_matrix") else tensors, path)


def write_settings(folder: Path, manifests: Mapping[str, Nested], config: ModelConfig) -> None:
    """Every settings file."""
    data = settings.published(config, manifests["s2mel"])
    text = yaml.safe_dump(data, sort_keys=False, default_flow_style=None)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    layers = {name.split(".")[2] for name in manifests["w2v_bert"] if ".layers." in name}
    w2v = Path(settings.FILES["w2v_bert"]).parent
    _json(folder / w2v / "config.json", settings.w2v_bert(config, len(layers)))
    _json(folder / w2v / "preprocessor_config.json", settings.EXTRACTOR)
    bigvgan = Path(settings.FILES["bigvgan"]).parent
    _json(folder / bigvgan / "config.json", settings.bigvgan(config))
    if "qwen" in manifests:
        _json(folder / Path(settings.FILES["qwen"]).parent / "config.json", settings.QWEN)


def _tensors(file: str, nested: Nested, seed: int, progress: Progress, prefix: str = "") -> Any:
    """Tensors in the nesting of a manifest."""
    result: OrderedDict[str, Any] = OrderedDict()
    for name, spec in nested.items():
        if isinstance(spec, Spec):
            result[name] = torch.from_numpy(rules.value(file, f"{prefix}{name}", spec, seed))
            progress(spec.bytes)
        else:
            result[name] = _tensors(file, spec, seed, progress, f"{prefix}{name}.")
    return result


def _training(nested: Nested, seed: int, progress: Progress) -> dict[str, Any]:
    """The rest of the published file: states of optimizers, and counters."""
    optimizer = {}
    for part, specs in nested.items():
        state = {}
        for index, (name, spec) in enumerate(manifest.arrays(specs)):
            moments = [
                torch.from_numpy(1e-3 * np.asarray(rules.value(kind, name, spec, seed), np.float32))
                for kind in ("exp_avg", "exp_avg_sq")
            ]
            state[index] = {
                "step": torch.tensor(1000.0),
                "exp_avg": moments[0],
                "exp_avg_sq": moments[1].square_(),
            }
            progress(2 * spec.bytes)
        group = {"lr": 1e-4, "betas": (0.9, 0.98), "eps": 1e-9, "params": list(state)}
        optimizer[part] = {"state": state, "param_groups": [group]}
    return {"optimizer": optimizer, "scheduler": {}, "iters": 1000, "epoch": 1}


def _safetensors(path: Path, file: str, nested: Nested, seed: int, progress: Progress) -> None:
    """Writes array by array, because the library's writer holds a copy of all."""
    kinds = {"float32": "F32", "int64": "I64", "bfloat16": "BF16"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, spec in manifest.arrays(nested):
        end = start + spec.bytes
        header[name] = {
            "dtype": kinds[spec.dtype],
            "shape": spec.shape,
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for name, spec in manifest.arrays(nested):
            array = rules.value(file, name, spec, seed)
            if spec.dtype == "bfloat16":
                array = array.astype(ml_dtypes.bfloat16)
            stream.write(np.ascontiguousarray(array).view(np.uint8).data)
            progress(spec.bytes)


def _json(path: Path, data: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
