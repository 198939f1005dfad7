"""`python -m indextts_jax.validate`: this program against recorded arrays of the reference."""

from pathlib import Path
from typing import Any

import jax
from absl import flags as absl_flags

from indextts_jax import cli, devices
from indextts_jax.errors import InputError
from indextts_jax.model import load_model
from indextts_jax.terminal import say, stage_bar
from indextts_jax.validation.compare import ATOL, ONE_RUN_RTOL, RTOL, Comparison
from indextts_jax.validation.golden import Golden
from indextts_jax.validation.report import CHOICES, validate

COMMON = ("checkpoint", "golden", "component", "atol", "rtol", "verbose", "dump", "device")
WIDTH = 46  # of the names


def define(flags: absl_flags.FlagValues) -> None:
    """The flags of this command."""
    own: dict[str, Any] = {"flag_values": flags}
    text, number = absl_flags.DEFINE_string, absl_flags.DEFINE_float
    text("checkpoint", None, "Folder made by python -m indextts_jax.import.", **own)
    text("golden", None, "Folder with tensors/*.npz, speaker.wav and emotion.wav.", **own)
    absl_flags.DEFINE_enum("component", "all", [*CHOICES, "all"], "What to validate.", **own)
    number(
        "atol",
        None,
        f"Largest difference allowed, over the RMS of the reference (by default {ATOL:g}).",
        lower_bound=0.0,
        **own,
    )
    number(
        "rtol",
        None,
        "RMS of the difference allowed, over the RMS of the reference (by default "
        f"{RTOL:g}, in the one run {ONE_RUN_RTOL:g}).",
        lower_bound=0.0,
        **own,
    )
    absl_flags.DEFINE_bool("verbose", False, "Show where each failure is worst.", **own)
    text("dump", None, "Folder to write this program's own arrays to, in the same form.", **own)
    absl_flags.DEFINE_enum("device", "auto", list(devices.PLATFORMS), "Where to run.", **own)


def line(row: Comparison, verbose: bool) -> str:
    """One array: name, shape, errors, cosine, verdict."""
    shape = "x".join(map(str, row.shape)) or "scalar"
    verdict = "pass" if row.passed else "FAIL"
    text = (
        f"{row.name:<{WIDTH}}  {shape:>14}  {row.rms:9.1e}  {row.largest:9.1e}  "
        f"{row.cosine:10.7f}  {verdict}"
    )
    return f"{text}\n    {row.note}" if row.note and (verbose or not row.passed) else text


def main(flags: Any) -> int:
    """Prints a line for every array; the exit code is 1 if one of them fails."""
    if not flags.checkpoint or not flags.golden:
        raise InputError("give --checkpoint DIR and --golden DIR")
    golden = Golden(flags.golden)
    device = devices.choose(flags.device)
    dump = Path(flags.dump) if flags.dump else None
    if dump is not None and dump.resolve() == golden.path.resolve():
        raise InputError("--dump must not be the golden directory itself")
    if dump is not None:
        dump.mkdir(parents=True, exist_ok=True)
    print(f"Using device: {devices.describe(device)}")
    devices.enable_compilation_cache()
    print(
        f"{'array':<{WIDTH}}  {'shape':>14}  {'rms':>9}  {'max':>9}  {'cosine':>10}\n"
        "(rms and max of the difference, over the RMS of the reference; integers: share unequal)"
    )
    rows = []
    with jax.default_device(device), stage_bar("Validating") as watch:
        for row in validate(
            lambda names: load_model(flags.checkpoint, dtype="float32", components=names),
            golden,
            flags.component,
            atol=flags.atol,
            rtol=flags.rtol,
            dump=dump,
            watch=watch,
        ):
            say(line(row, flags.verbose))
            rows.append(row)
    failed = [row for row in rows if not row.passed]
    print(f"{len(rows) - len(failed)} of {len(rows)} arrays pass")
    if failed:
        print(f"failed: {', '.join(row.name for row in failed)}")
    return cli.FAILURE if failed else 0


if __name__ == "__main__":
    cli.run(
        main,
        define,
        name="validate",
        summary="this program against recorded arrays of the reference.",
        common=COMMON,
    )
