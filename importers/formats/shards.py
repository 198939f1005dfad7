"""Arrays in several `.safetensors` files, with an index that says which is where."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from importers.formats.mapped import SourceError
from importers.formats.safetensors_header import unique
from importers.formats.tensors import Tensors, chosen_prefix, open_tensors
from importers.table import Tensor
from indextts_jax.errors import gathered

INDEX_ENDING = ".safetensors.index.json"
MAX_INDEX = 8 * 2**20  # bytes


class Shards(Tensors):
    """The arrays of several files."""

    def __init__(self, path: Path, files: Sequence[Tensors], prefix: str):
        arrays: dict[str, Tensor] = {
            name.removeprefix(prefix): tensor
            for file in files
            for name, tensor in file.items()
            if name.startswith(prefix)
        }
        dict.__init__(self, arrays)
        self.path, self.files, self.prefix = path, files, prefix
        self.ignored = ()
        self.layout = dict(zip(arrays, arrays, strict=True))
        left = [name for file in files for name in file if not name.startswith(prefix)]
        self.unread = tuple(left)

    @property
    def bytes_read(self) -> int:
        """Bytes of the files requested so far."""
        return sum(file.bytes_read for file in self.files)

    def release(self) -> None:
        """Lets the system reclaim the memory of what was read."""
        for file in self.files:
            file.release()


def shard_names(path: Path) -> dict[str, str]:
    """The file of each array, from an index.

    Raises:
        SourceError: if it is not such an index, or names files in other directories.
    """
    if path.stat().st_size > MAX_INDEX:
        raise SourceError(f"{path}: {path.stat().st_size:,} bytes are too many for an index")
    try:
        index = json.loads(path.read_text("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not valid JSON: {error!s:.120}") from error
    places = index.get("weight_map") if isinstance(index, dict) else None
    if (
        not isinstance(places, Mapping)
        or not places
        or not all(isinstance(v, str) for v in places.values())
    ):
        raise SourceError(f"{path}: expected weight_map, from arrays to files")
    for name in sorted(set(places.values())):
        if PurePosixPath(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise SourceError(f"{path}: {name!r:.80} is outside the directory")
    return dict(places)


def open_shards(path: Path, anchor: str | None = None) -> Shards:
    """The arrays that an index lists.

    Raises:
        SourceError: if a file is missing or damaged, or disagrees with the index.
    """
    places = shard_names(path)
    files, problems = [], []
    for name in sorted(set(places.values())):
        try:
            file = open_tensors(path.parent / name)
        except FileNotFoundError:
            problems.append(f"missing: {path.parent / name}, which {path.name} lists")
            continue
        except (SourceError, OSError) as error:
            problems.append(str(error))
            continue
        files.append(file)
        stated = {array for array, place in places.items() if place == name}
        held = set(file.layout)
        if lacking := sorted(stated - held):
            problems.append(f"{path.name}: {lacking[0]} is not in {name} ({len(lacking)} are not)")
        if extra := sorted(held - stated):
            problems.append(f"{path.name} does not list {extra[0]} in {name} ({len(extra)} in all)")
    if problems:
        raise SourceError(gathered(f"reading the files of {path}", problems))
    names = [name for file in files for name in file]
    return Shards(path, files, chosen_prefix(names, anchor, path))
