"""Files of a published directory: where each belongs, and how it is written."""

import dataclasses
import json
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from importers.formats.safetensors_writer import write_safetensors
from importers.formats.shards import Shards
from importers.formats.torch_writer import write_torch
from importers.release.locate import AUXILIARY, FEATURES, Located
from importers.table import Tensor
from indextts_jax.errors import Failure
from indextts_jax.utils import strict_yaml


@dataclasses.dataclass(frozen=True)
class Place:
    """Paths of a base's files below another directory: as in the base, or as published."""

    located: Located
    target: Path

    def of(self, file: str) -> Path:
        """The path of a file; creates its parent directory."""
        path, src = self.located.files[file], self.located.src
        if path.is_relative_to(src):
            place = self.target / path.relative_to(src)
        else:  # named by a flag
            model = "w2v_bert" if file == FEATURES else file.removesuffix("_config")
            published = self.target / AUXILIARY[model].places[0]
            place = published.with_suffix(path.suffix)
            place = place if file == model else place.with_name(path.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


def copy_file(source: Path, target: Path) -> None:
    """Copies a file's bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def write_arrays(path: Path, layout: Any, arrays: Mapping[str, Tensor]) -> None:
    """Writes a file of arrays in the format that its suffix names.

    `layout` nests their names as in the file; names without an array are left out.
    """
    if path.suffix == ".safetensors":
        write_safetensors(path, {key: arrays[name] for key, name in layout.items()})
    else:
        write_torch(path, _held(layout, arrays), arrays)


def write_shards(path: Path, base: Shards, arrays: Mapping[str, Tensor]) -> None:
    """Writes the files that the index of a base names, and an index of what they hold."""
    places: dict[str, str] = {}
    size = 0
    for shard in base.files:
        names = {key: key.removeprefix(base.prefix) for key in shard if key.startswith(base.prefix)}
        if len(names) == len(shard) and all(arrays[n] is base[n] for n in names.values()):
            copy_file(shard.path, path.parent / shard.path.name)
        else:
            write_arrays(path.parent / shard.path.name, names, arrays)
        places |= dict.fromkeys(names, shard.path.name)
        size += sum(
            math.prod(arrays[name].shape) * arrays[name].dtype.itemsize for name in names.values()
        )
    index = {"metadata": {"total_size": size}, "weight_map": places}
    path.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _held(layout: Any, arrays: Mapping[str, Tensor]) -> Any:
    if not isinstance(layout, dict):
        return layout
    pairs = ((key, _held(child, arrays)) for key, child in layout.items())
    return {key: child for key, child in pairs if isinstance(child, dict) or child in arrays}


def rewrite_tokens(text: str, tokens: int) -> str:
    """Copies `config.yaml` with another number of text tokens, otherwise unchanged.

    Raises:
        Failure: if the number is not found in the text.
    """
    wanted: Any = strict_yaml.parse(text)
    wanted["gpt"]["number_text_tokens"] = tokens
    changed = re.sub(r"(\bnumber_text_tokens\s*:\s*)\d+", rf"\g<1>{tokens}", text)
    if strict_yaml.parse(changed) != wanted:
        raise Failure("config.yaml: gpt.number_text_tokens cannot be changed in its text")
    return changed
