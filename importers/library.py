"""Imports the published files from Python: options in, a checkpoint out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from absl import flags as absl_flags

from importers.command import Imported
from indextts_jax.errors import InputError


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
