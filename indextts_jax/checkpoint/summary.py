"""What a checkpoint says about itself, for people.

print(describe_checkpoint("indextts2"))
"""

import dataclasses
from pathlib import Path

from indextts_jax.checkpoint.provenance import Provenance
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.utils.text_table import table


@dataclasses.dataclass(frozen=True)
class CheckpointSummary:
    """What a checkpoint says about itself; `str` gives it as a table."""

    path: Path
    provenance: Provenance

    @property
    def components(self) -> tuple[str, ...]:
        """Names of what it holds."""
        return tuple(record.name for record in self.provenance.components)

    @property
    def parameters(self) -> int:
        """Numbers in all arrays."""
        return sum(record.parameters for record in self.provenance.components)

    @property
    def bytes(self) -> int:
        """Of all arrays."""
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
    """What a checkpoint says about itself; no array is read.

    Raises:
        InputError: if the folder holds none, or one that is damaged.
    """
    saved = open_checkpoint(path)
    return CheckpointSummary(saved.path, saved.provenance)
