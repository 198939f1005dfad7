"""A human-readable summary of a checkpoint.

print(describe_checkpoint("indextts2"))
"""

import dataclasses
from pathlib import Path

from indextts_jax.checkpoint.provenance import Provenance
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.utils.text_table import table


@dataclasses.dataclass(frozen=True)
class CheckpointSummary:
    """The metadata of a checkpoint; `str` formats it as a table."""

    path: Path
    provenance: Provenance

    @property
    def components(self) -> tuple[str, ...]:
        """Names of its components."""
        return tuple(record.name for record in self.provenance.components)

    @property
    def parameters(self) -> int:
        """Numbers in all arrays."""
        return sum(record.parameters for record in self.provenance.components)

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(record.bytes for record in self.provenance.components)

    def __str__(self) -> str:
        """A line for each component, and where they come from."""
        record = self.provenance
        rows = [
            (part.name, f"{part.parameters:,}", f"{part.bytes:,}", part.digest[:12])
            for part in record.components
        ]
        total = ("total", f"{self.parameters:,}", f"{self.bytes:,}", "")
        return "\n".join(
            [
                f"{self.path}: weights in {record.dtype}, made {record.created} from "
                f"{len(record.sources)} files",
                f"ignored at import: {', '.join(record.ignored) or 'nothing'}",
                table(("component", "parameters", "bytes", "SHA-256"), [*rows, total]),
            ]
        )


def describe_checkpoint(path: str | Path) -> CheckpointSummary:
    """The summary of a checkpoint; no arrays are read.

    Raises:
        InputError: if the directory is not a checkpoint, or is damaged.
    """
    saved = open_checkpoint(path)
    return CheckpointSummary(saved.path, saved.provenance)
