"""Compares this program with the PyTorch reference, stage by stage, on weights of any size.

    python -m tools.check.full_size full full_jax --speaker voice.wav \\
        --reference_python REFERENCE/bin/python

FULL holds published files (real ones, or those of `tools.make.full_size`), FULL_JAX is the
checkpoint imported from them, REFERENCE the environment that `tools/dump_reference.py` describes.
The reference runs first, in a process of its own, module by module: prompt analysis, conditioning,
40 greedy codes, beam search, latents, one run to the waveform, 0.5 s of vocoder, and one evaluation
of the velocity over 1,500 frames. Then this program, component by component: each stage on the
reference's input for it, and last the whole run from the recording and the text. `--keep DIR` keeps
the reference's arrays, and uses those that are there.

Prints a table by stage, then JSON; exits with 1 unless every array is within the usual tolerances.
At the published size it takes about twenty minutes and 9 GB of memory.
"""

import argparse
import contextlib
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from indextts_jax.errors import InputError
from indextts_jax.runtime import cache_folder
from indextts_jax.utils.text_table import table
from indextts_jax.validation.compare import Comparison
from indextts_jax.validation.golden import Golden
from tools import ROOT
from tools.check import full_size_ours, process_memory

TEXT = "Hello world, this is a test of the system."
STAGES = (
    "audio,w2v,codec,campplus,conditioning,emotion_vector,gpt,gpt_latent,length_regulator,cfm,"
    "bigvgan,end_to_end"
)


def reference(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Has the reference write its arrays; returns its seconds, and bytes of its largest process.

    Raises:
        InputError: if it fails.
    """
    start = time.perf_counter()
    golden, velocity = folder / "golden", folder / "velocity.npz"
    if not golden.is_dir():
        dump = ["-m", "tools.dump_reference", "--src", args.src, "--dst", golden]
        dump += ["--speaker", args.speaker, "--text", args.text, "--stages", args.stages]
        _call(args.reference_python, [*dump, "--codes", args.codes, "--steps", args.steps])
    if not velocity.is_file():
        module = [
            "-m",
            "tools.reference.velocity",
            args.src,
            golden,
            velocity,
            "--frames",
            args.frames,
        ]
        _call(args.reference_python, module)
    most = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"seconds": time.perf_counter() - start, "memory": most}


def _call(python: str, arguments: Sequence[Any]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if subprocess.run([python, *map(str, arguments)], env=environment).returncode:
        raise InputError(f"the reference failed; --reference_python was {python}")


def by_stage(rows: Sequence[Comparison]) -> dict[str, dict[str, Any]]:
    """The worst errors of every stage, whether its integers are equal, and the number of arrays."""
    stages: dict[str, dict[str, Any]] = {}
    for row in rows:
        worst = stages.setdefault(
            row.stage, {"arrays": 0, "rms": 0.0, "largest": 0.0, "equal": True, "passed": True}
        )
        worst["arrays"] += 1
        worst["passed"] &= row.passed
        if row.exact:
            worst["equal"] &= row.rms == 0
        else:
            worst["rms"] = max(worst["rms"], row.rms)
            worst["largest"] = max(worst["largest"], row.largest)
    return stages


def margins(golden: Golden) -> dict[str, dict[str, float]]:
    """The smallest and the median margin of every kind of choice of the reference."""
    found = {}
    for file in golden.recorded:
        for name, array in golden.arrays(file).items():
            if name.endswith("_margins") and np.isfinite(array).any():
                finite = array[np.isfinite(array)]
                found[f"{file}.{name.removesuffix('_margins')}"] = {
                    "least": float(finite.min()),
                    "median": float(np.median(finite)),
                }
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.check.full_size",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("src", type=Path, metavar="FULL", help="directory of the published files")
    add("checkpoint", type=Path, metavar="FULL_JAX", help="checkpoint imported from them")
    add("--speaker", type=Path, required=True, metavar="WAV", help="recording of a voice")
    add("--text", default=TEXT, help=f"what is said (by default {TEXT!r})")
    add("--reference_python", default=sys.executable, help="Python where the reference is")
    add("--codes", type=int, default=40, help="codes of the searches (by default 40)")
    add("--steps", type=int, default=25, help="steps of the flow (by default 25)")
    add("--frames", type=int, default=1500, help="frames of the velocity (by default 1500)")
    add("--stages", default=STAGES, help="stages of the reference, with commas; or all")
    add("--keep", type=Path, metavar="DIR", help="directory for the reference's arrays")
    return parser.parse_args()


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep


def compare(args: argparse.Namespace) -> int:
    """Runs both, prints every array, the table and the JSON; returns the exit status."""
    for path in (args.src, args.checkpoint, args.speaker):
        if not path.exists():
            raise InputError(f"{path} does not exist")
    with _folder(args.keep) as folder:
        theirs = reference(args, folder)
        golden = Golden(folder / "golden")
        cache_folder.enable_compilation_cache()
        start, rows = time.perf_counter(), []
        for row in full_size_ours.rows(args.checkpoint, golden, folder / "velocity.npz"):
            rows.append(row)
            errors = "equal" if row.exact and row.passed else f"{row.rms:.1e}  {row.largest:.1e}"
            print(f"{row.name:46s} {errors}" + ("" if row.passed else f"  FAIL {row.note}"))
            sys.stdout.flush()
            gc.collect()
        seconds = time.perf_counter() - start
        choices = margins(golden)
    stages = by_stage(rows)
    print(
        table(
            ("stage", "arrays", "rms", "largest", "integers"),
            [
                (name, str(s["arrays"]), f"{s['rms']:.1e}", f"{s['largest']:.1e}", _word(s))
                for name, s in stages.items()
            ],
        )
    )
    failed = [row.name for row in rows if not row.passed]
    found = {
        "stages": stages,
        "failed": failed,
        "margins": choices,
        "arrays": {row.name: [row.rms, row.largest] for row in rows},
        "reference": theirs,
        "ours": {"seconds": seconds, "memory": process_memory.read().get("VmHWM")},
        "versions": {"python": platform.python_version(), "jax": jax.__version__},
    }
    print(json.dumps(found))
    return 1 if failed else 0


def _word(stage: dict[str, Any]) -> str:
    return "equal" if stage["equal"] else "DIFFER"


def main() -> int:
    """Runs the command; 2 for bad input."""
    try:
        return compare(_arguments())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
