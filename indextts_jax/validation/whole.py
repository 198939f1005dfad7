"""A complete validation: comparisons and certificate."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import jax

from indextts_jax.checkpoint.provenance import Provenance
from indextts_jax.config import RELEASES
from indextts_jax.errors import InputError
from indextts_jax.runtime import devices
from indextts_jax.utils.notices import notify
from indextts_jax.validation import certificate as certificates
from indextts_jax.validation.certificate import Certificate
from indextts_jax.validation.compare import Comparison
from indextts_jax.validation.golden import Golden
from indextts_jax.validation.loading import DTYPE, OneByOne
from indextts_jax.validation.report import comparable, validate
from indextts_jax.validation.sources import compare_sources, require_same


@dataclasses.dataclass(frozen=True)
class Validation:
    """The result of a validation; `str` gives the certificate as text."""

    rows: tuple[Comparison, ...]
    certificate: Certificate  # ready for JSON

    @property
    def passed(self) -> bool:
        """Whether all compared arrays agree."""
        return not self.failed

    @property
    def failed(self) -> tuple[Comparison, ...]:
        """The arrays that differ."""
        return tuple(row for row in self.rows if not row.passed)

    def __str__(self) -> str:
        """The certificate as a table."""
        return certificates.summary(self.certificate)

    def save(self, path: str | Path) -> None:
        """Writes the certificate as JSON, atomically.

        Raises:
            InputError: if the path cannot be written, or is something else.
        """
        certificates.write(Path(path), self.certificate)


def run_validation(
    checkpoint: str | Path,
    golden: Golden,
    component: str = "all",
    *,
    device: jax.Device,
    atol: float | None = None,
    rtol: float | None = None,
    same_files: bool = True,
    dump: Path | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    note: Callable[[str], None] = lambda message: None,
    row: Callable[[Comparison], None] = lambda comparison: None,
) -> Validation:
    """Compares all that can be compared; calls `row` with each result, `note` with remarks.

    Raises:
        InputError: if nothing can be compared; see `Golden`, `OneByOne` and `require_same`.
    """
    reasons = comparable(golden, component)
    left_out = {stage: why for stage, why in reasons.items() if why}
    rows = []
    with jax.default_device(device):
        clock = _Clock(on_stage)
        load = OneByOne(checkpoint, on_stage=on_stage)
        _require_version(golden, load.saved.config.version, checkpoint)
        sources = compare_sources(golden, load.saved, [s for s in reasons if s not in left_out])
        if same_files:
            require_same(golden, load.saved, sources)
        _mention(load.saved.provenance, note)
        for comparison in validate(
            load, golden, component, atol=atol, rtol=rtol, dump=dump, on_stage=clock.begin
        ):
            row(comparison)
            rows.append(comparison)
        clock.end()
    made = certificates.certificate(
        rows,
        golden,
        load.saved,
        device=device,
        left_out=left_out,
        sources=sources,
        seconds=clock.seconds,
        component=component,
        atol=atol,
        rtol=rtol,
    )
    return Validation(tuple(rows), made)


def validate_checkpoint(
    checkpoint: str | Path,
    golden: str | Path,
    component: str = "all",
    *,
    atol: float | None = None,
    rtol: float | None = None,
    same_files: bool = True,
    on_stage: Callable[[str], None] | None = None,
) -> Validation:
    """Compares this program with recorded arrays of the PyTorch reference, stage by stage.

    `golden` is a directory made by `tools/dump_reference.py`, or `tests/data/tiny`; `component`
    restricts the comparison. Components are loaded one after the other, on the default device.
    `on_stage` is called with a description of the current stage. An array that differs does not
    raise: see `Validation.passed`.

    Raises:
        InputError: for a checkpoint or a directory that cannot be compared or, with `same_files`,
            arrays recorded from other files than the checkpoint's.
    """
    recorded = Golden(golden)
    recorded.check()
    return run_validation(
        checkpoint,
        recorded,
        component,
        device=devices.choose(),
        atol=atol,
        rtol=rtol,
        same_files=same_files,
        on_stage=on_stage or (lambda stage: None),
        note=notify,
    )


def _require_version(golden: Golden, version: str, checkpoint: str | Path) -> None:
    if golden.version != version:
        recorded, held = RELEASES[golden.version].name, RELEASES[version].name
        raise InputError(
            f"{golden.path} was recorded from {recorded}, but {checkpoint} is {held}: only arrays "
            "of the same version can be compared"
        )


def _mention(record: Provenance, note: Callable[[str], None]) -> None:
    """Notes conditions that qualify the certificate."""
    if record.ignored:
        note(f"the checkpoint was imported with --ignore {', '.join(record.ignored)}")
    if record.dtype != DTYPE:
        note(
            f"the checkpoint stores {record.dtype}: its rounded weights differ from the "
            f"reference's by more than the tolerances; import with --dtype {DTYPE} to compare"
        )


class _Clock:
    """Measures the seconds of each stage."""

    def __init__(self, on_stage: Callable[[str], None]):
        self.seconds: dict[str, float] = {}
        self._on_stage = on_stage
        self._stage: str | None = None
        self._start = 0.0

    def begin(self, stage: str) -> None:
        """Ends the current stage, and begins another."""
        self.end()
        self._on_stage(stage)
        self._stage, self._start = stage, time.perf_counter()

    def end(self) -> None:
        """Ends the current stage."""
        if self._stage is not None:
            self.seconds[self._stage] = time.perf_counter() - self._start
        self._stage = None
