"""The result for all rows: a human-readable table, and `report.json` for programs."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indextts_jax.training.data.rows.checks import Finding
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.text_table import table

FILE = "report.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """One row and its findings."""

    id: str
    place: str
    seconds: float  # 0 if the recording could not be read
    speaker: str
    split: str | None  # None for rejected rows
    findings: Sequence[Finding]

    @property
    def rejected(self) -> bool:
        return any(finding.rejects for finding in self.findings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The results for all rows."""

    rows: Sequence[Judged]
    warnings: Sequence[str]  # warnings about the set as a whole
    refusal: str | None  # why the set is rejected
    features: Mapping[str, int] = dataclasses.field(default_factory=dict)  # bytes by feature

    @property
    def rejected(self) -> int:
        """Number of rejected rows."""
        return sum(row.rejected for row in self.rows)

    @property
    def share(self) -> float:
        """Share of rejected rows."""
        return self.rejected / max(1, len(self.rows))

    def data(self) -> dict[str, Any]:
        """Plain data: counts, then every row with findings."""
        kept = [row for row in self.rows if not row.rejected]
        return {
            "rows": len(self.rows),
            "kept": len(kept),
            "rejected": self.rejected,
            "seconds": round(sum(row.seconds for row in kept), 3),
            "train": sum(row.split == "train" for row in kept),
            "validation": sum(row.split == "validation" for row in kept),
            "speakers": dict(Counter(row.speaker for row in kept).most_common()),
            "findings": self._counts(),
            "warnings": list(self.warnings),
            "refusal": self.refusal,
            "bytes": dict(self.features),
            "details": [
                {
                    "id": row.id,
                    "place": row.place,
                    "rejected": row.rejected,
                    "findings": [finding._asdict() for finding in row.findings],
                }
                for row in self.rows
                if row.findings
            ],
        }

    def _counts(self) -> dict[str, dict[str, int]]:
        counts: dict[str, dict[str, int]] = {}
        for row in self.rows:
            for finding in row.findings:
                entry = counts.setdefault(finding.kind, {"rejected": 0, "warned": 0})
                entry["rejected" if finding.rejects else "warned"] += 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1]["rejected"], item[0])))

    def text(self) -> str:
        """Text for a terminal: counts, a table of findings, and warnings about the set."""
        kept = [row for row in self.rows if not row.rejected]
        held = [row for row in kept if row.split == "validation"]
        seconds = sum(row.seconds for row in kept)
        lines = [
            f"{len(self.rows):,} rows: {len(kept):,} kept ({seconds / 60:.1f} minutes, "
            f"{len({row.speaker for row in kept}):,} speakers, {len(held):,} for validation), "
            f"{self.rejected:,} rejected ({self.share:.1%})"
        ]
        if counts := self._counts():
            examples = {f.kind: (row.place, f.message) for row in self.rows for f in row.findings}
            found = [
                [kind, entry["rejected"], entry["warned"], _short(*examples[kind])]
                for kind, entry in counts.items()
            ]
            lines += ["", table(("finding", "rejected", "warned", "example"), found)]
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.features:
            sizes = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in self.features.items())
            lines += ["", f"features (MB): {sizes}"]
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Writes `report.json` into a directory."""
        text = json.dumps(self.data(), indent=1, ensure_ascii=False) + "\n"
        write_whole(folder / FILE, text.encode())


def _short(place: str, message: str) -> str:
    text = f"{place}: {message}"
    return text if len(text) <= 70 else text[:67] + "..."
