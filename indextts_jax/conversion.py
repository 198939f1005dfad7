"""From the published files to a checkpoint that is known to be right, from Python.

    print(import_checkpoint("checkpoints", "indextts2"))
    print(describe_checkpoint("indextts2"))
    print(validate_checkpoint("indextts2", "proof"))

The commands `import`, `show` and `validate` do the same from a shell.
"""

import dataclasses
import importlib.resources
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
from absl import flags as absl_flags

from indextts_jax import devices
from indextts_jax.checkpoint import open_checkpoint
from indextts_jax.errors import InputError
from indextts_jax.notices import notify
from indextts_jax.provenance import Provenance
from indextts_jax.terminal import table
from indextts_jax.validation.golden import Golden
from indextts_jax.validation.whole import Validation, run_validation

if TYPE_CHECKING:  # the importers import this package
    from importers.command import Imported


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


def import_checkpoint(
    src: str | Path,
    dst: str | Path | None = None,
    *,
    dtype: str | None = None,
    components: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    force: bool = False,
    dry_run: bool = False,
    w2v_bert: str | Path | None = None,
    semantic_codec: str | Path | None = None,
    campplus: str | Path | None = None,
    bigvgan: str | Path | None = None,
    text_emotion: str | Path | None = None,
    quiet: bool = False,
) -> "Imported":
    """Translates the published PyTorch files below `src` to a checkpoint at `dst`.

    By default that is the folder `indextts_jax` in `src`. Nothing is written unless everything
    fits. The arguments are the flags of `python -m indextts_jax.import`: `dtype` is what weights
    are stored in (float32), `components` imports only these, or adds them to a checkpoint,
    `ignore` passes over names, `force` replaces what is there, `dry_run` only checks; the rest say
    where files of other repositories lie, if not where they belong. A bar shows the progress on
    standard error, unless `quiet`.

    Raises:
        InputError: for files that are missing, damaged or do not fit, each named with what is
            wrong; for a destination that is taken, or too small a disk.
    """
    from importers import command

    flags = absl_flags.FlagValues()
    command.define(flags)
    flags.mark_as_parsed()
    given: dict[str, str | Path | bool | Sequence[str] | None] = {
        "src": src,
        "dst": dst,
        "dtype": dtype,
        "components": components,
        "ignore": ignore or None,
        "force": force,
        "dry_run": dry_run,
        "w2v_bert": w2v_bert,
        "semantic_codec": semantic_codec,
        "campplus": campplus,
        "bigvgan": bigvgan,
        "text_emotion": text_emotion,
    }
    for name, value in given.items():
        if value is not None:
            _give(flags[name], value)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):  # nothing is computed
        return command.perform(flags, quiet=quiet)


def _give(flag: Any, value: str | Path | bool | Sequence[str]) -> None:
    """Sets a flag as a command line would."""
    try:
        if isinstance(value, bool):
            flag.parse(value)
        elif isinstance(value, str | Path):
            flag.parse(str(value))
        else:
            flag.parse(list(value))
    except absl_flags.Error as error:
        raise InputError(" ".join(str(error).split())) from error
    flag.using_default_value = False


def describe_checkpoint(path: str | Path) -> CheckpointSummary:
    """What a checkpoint says about itself; no array is read.

    Raises:
        InputError: if the folder holds none, or one that is damaged.
    """
    saved = open_checkpoint(path)
    return CheckpointSummary(saved.path, saved.provenance)


def validate_checkpoint(
    checkpoint: str | Path,
    golden: str | Path,
    component: str = "all",
    *,
    atol: float | None = None,
    rtol: float | None = None,
    same_files: bool = True,
    watch: Callable[[str], None] | None = None,
) -> Validation:
    """Compares this program with recorded arrays of the PyTorch reference, stage by stage.

    `golden` is a folder made by `tools/dump_reference.py`, or `tests/data/tiny`; `component` limits
    the work. Components are loaded one after the other, on the default device. `watch` is told
    what is at work. An array that differs is no error: see `Validation.passed`.

    Raises:
        InputError: for a checkpoint or a folder that cannot be compared or, with `same_files`,
            values that were recorded from other files than the checkpoint's.
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
        watch=watch or (lambda stage: None),
        note=notify,
    )


def demo_speaker() -> Path:
    """The recording of a voice that comes with this package (public domain, LibriVox)."""
    return Path(str(importlib.resources.files("indextts_jax") / "data" / "demo_speaker.wav"))
