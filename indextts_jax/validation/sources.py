"""Whether a golden directory was recorded from the files that a checkpoint was imported from."""

import dataclasses
from collections.abc import Iterable
from pathlib import PurePosixPath

from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS
from indextts_jax.validation.golden import FileHash, Golden


@dataclasses.dataclass(frozen=True)
class SourceComparison:
    """The source files of a golden directory compared with those of a checkpoint."""

    equal: tuple[str, ...] = ()
    other: tuple[str, ...] = ()  # same name, different content
    absent: tuple[str, ...] = ()  # of components missing from the checkpoint


def compare_sources(
    golden: Golden, saved: Checkpoint, stages: Iterable[str]
) -> SourceComparison | None:
    """The comparison of the source files of some stages; None if the directory records none.

    Files are identified by content, as paths differ between machines.
    """
    if golden.about is None:
        return None
    wanted = set(stages)
    hashes = {source.sha256 for source in saved.provenance.sources}
    stems = {_stem(source.name) for source in saved.provenance.sources}
    partial = not set(COMPONENTS) <= set(saved.components)
    found: dict[str, list[str]] = {"equal": [], "other": [], "absent": []}
    for source in (FileHash(**entry) for entry in golden.about["sources"]):
        if not wanted & set(source.stages):
            continue
        if source.sha256 in hashes:
            kind = "equal"
        else:
            kind = "absent" if partial and _stem(source.name) not in stems else "other"
        found[kind].append(source.name)
    return SourceComparison(**{kind: tuple(names) for kind, names in found.items()})


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem


def require_same(golden: Golden, saved: Checkpoint, found: SourceComparison | None) -> None:
    """Checks that golden directory and checkpoint come from the same files.

    Raises:
        InputError: naming every file that differs.
    """
    if found is not None and found.other:
        raise InputError(
            f"{golden.path} was recorded from other files than {saved.path} was imported from: "
            f"{', '.join(found.other)} (SHA-256 of each differs from the provenance's); record it "
            "from the same files, or compare anyway with same_files=False"
        )
