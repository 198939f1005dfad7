"""`python -m indextts_jax.validate`: compares this program with recorded reference arrays."""

from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from indextts_jax.cli import runner
from indextts_jax.cli.terminal import say, stage_bar, warn
from indextts_jax.errors import InputError
from indextts_jax.runtime import cache_folder, devices
from indextts_jax.validation import certificate as certificates
from indextts_jax.validation.compare import ATOL, ONE_RUN_RTOL, RTOL, Comparison
from indextts_jax.validation.golden import Golden
from indextts_jax.validation.report import CHOICES, comparable
from indextts_jax.validation.whole import run_validation

COMMON = (
    "checkpoint",
    "golden",
    "component",
    "certificate",
    "atol",
    "rtol",
    "verbose",
    "dump",
    "device",
)
EXAMPLES = (
    "validate --checkpoint indextts2 --golden proof",
    "validate --checkpoint indextts2 --golden proof --component gpt --verbose",
    "validate --checkpoint indextts2 --golden proof --certificate proof.json",
)
WIDTH = 46  # of the names
HEADER = (
    f"{'array':<{WIDTH}}  {'shape':>14}  {'rms':>9}  {'max':>9}  {'cosine':>10}\n"
    "(rms and max of the difference, over the RMS of the reference; of integers, the share "
    "unequal)"
)


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    text, number = absl_flags.DEFINE_string, absl_flags.DEFINE_float
    text("checkpoint", None, "Directory made by python -m indextts_jax.import.", **own)
    text("golden", None, "Directory with tensors/*.npz, speaker.wav and emotion.wav.", **own)
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
    text("certificate", None, "JSON file to write the results to.", **own)
    absl_flags.DEFINE_bool(
        "same_files",
        True,
        "Reject golden values that were recorded from other files than the checkpoint's.",
        **own,
    )
    absl_flags.DEFINE_bool("verbose", False, "Show the worst element of each failing array.", **own)
    text(
        "dump", None, "Directory to write this program's own arrays to, in the same format.", **own
    )
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
    """Prints a line per array and the certificate; returns 1 if an array fails."""
    if not flags.checkpoint or not flags.golden:
        raise InputError("give --checkpoint DIR and --golden DIR")
    golden = Golden(flags.golden)
    dump, file = (Path(p) if p else None for p in (flags.dump, flags.certificate))
    if dump is not None and dump.resolve() == golden.path.resolve():
        raise InputError("--dump must not be the golden directory itself")
    if file is not None:
        certificates.check_writable(file)
    golden.check()
    comparable(golden, flags.component)
    device = devices.choose(flags.device)
    if dump is not None:
        dump.mkdir(parents=True, exist_ok=True)
    say(f"Using device: {devices.describe(device)}")
    cache_folder.enable_compilation_cache()
    lines = 0

    def show(row: Comparison) -> None:
        nonlocal lines
        if not lines:
            say(HEADER)
        lines += 1
        say(line(row, flags.verbose))

    with stage_bar("Validating") as on_stage:
        made = run_validation(
            flags.checkpoint,
            golden,
            flags.component,
            device=device,
            atol=flags.atol,
            rtol=flags.rtol,
            same_files=flags.same_files,
            dump=dump,
            on_stage=on_stage,
            note=warn,
            row=show,
        )
    say(f"{len(made.rows) - len(made.failed)} of {len(made.rows)} arrays pass")
    if made.failed:
        say(f"failed: {', '.join(row.name for row in made.failed)}")
    say(f"\n{made}")
    if file is not None:
        made.save(file)
        say(f"written to {file}")
    return runner.FAILURE if made.failed else 0


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="validate",
        summary="compares this program with recorded reference arrays.",
        common=COMMON,
        examples=EXAMPLES,
    )
