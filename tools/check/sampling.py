"""Sampled codes of this program and of the PyTorch reference from the same draws, run by run.

    python -m tools.check.sampling --reference_python REFERENCE/bin/python

Runs differ in seed, text, stop bias, temperature, top-k, top-p, penalties, beams and typical
sampling; half of them have beams. The last line says how many are equal; the exit code is 1 unless
all are. `margin` is the smallest gap between a draw that was taken and one that was not, in units
of log-probability. A run that differs is repeated by the reference with noise of the size of
float32 rounding on its logits: if its own codes change then, the difference is a rounding tie.

REFERENCE is the environment that `tools/make/golden.py` describes. Its transformers decides which
generation loop is compared. The published pipeline carries that of the 4.46 series; for it, add

    pip install --no-deps transformers==4.46.3 tokenizers==0.20.3 huggingface_hub==0.26.5
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from tools import ROOT
from tools.check.sampling_ours import Ours
from tools.check.sampling_runs import Run, plan

DATA = ROOT / "tests/data"
WOBBLES = 16


def reference(
    python: str, runs: Sequence[Run], sets: dict[str, Path], wobble: int = 0
) -> dict[str, Any]:
    """The reference's results of the runs, and the versions of its libraries."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "runs.json", Path(folder) / "results.json"
        request = {
            "runs": [vars(run) for run in runs],
            "sets": {name: str(path.absolute()) for name, path in sets.items()},
            "wobble": wobble,
        }
        given.write_text(json.dumps(request), encoding="utf-8")
        command = [python, "-m", "tools.reference.sampling", str(given), str(found)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (
            tqdm(total=len(runs), desc="reference", file=sys.stderr, disable=None) as bar,
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, text=True
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                bar.update(line.startswith("done"))
        if process.returncode:
            raise SystemExit(f"error: {python} could not run the reference; see above")
        return json.loads(found.read_text(encoding="utf-8"))


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether a run gave the same codes.

    Raises:
        SystemExit: if the two sides were not given the same text and draws.
    """
    if ours["checksum"] != theirs["checksum"]:
        raise SystemExit("error: the two NumPy versions draw other numbers; install the same one")
    return ours["codes"] == theirs["codes"]


def line(run: Run, ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """One run in the table."""
    given = run.settings
    mass = f"{given['typical_mass']:.2f}" if given["typical_sampling"] else "-"
    return (
        f"{run.set:8} {run.seed:4d} {run.beams:5d} {mass:>7} {run.stop_bias:5.1f} "
        f"{given['temperature']:5.1f} {given['top_k']:3d} {given['top_p']:5.2f} "
        f"{given['repetition_penalty']:7.1f} {given['length_penalty']:6.1f} "
        f"{len(theirs['codes']):5d} {theirs['margin']:8.1e}"
        f"{'*' if theirs['spare'] < 0 else ' '} "
        f"{'equal' if same(ours, theirs) else 'DIFFERENT'}"
    )


HEADER = (
    "set      seed beams typical  stop  temp   k     p penalty length codes   margin\n"
    "(codes count the stop code; * a step had fewer candidates with a probability than draws)"
)


def difference(ours: list[int], theirs: list[int], others: int) -> str:
    """Where two lists of codes first differ, and whether it is a tie."""
    pairs = enumerate(zip(ours, theirs, strict=False))
    step = next((i for i, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
    return (
        f"  from code {step + 1} on; the reference gives other codes in {others} of {WOBBLES} "
        f"repeats with rounding noise\n    reference {theirs}\n    ours      {ours}"
    )


def main() -> int:
    """Reads the arguments, runs both sides, prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.check.sampling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--reference_python", required=True, help="Python of the reference")
    parser.add_argument("--runs", type=int, default=10, help="of each of 4 groups, for each set")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--set", nargs="*", type=Path, help="folders with checkpoints and tensors")
    parser.add_argument("--store", type=Path, help="JSON file for the runs with their codes")
    args = parser.parse_args()
    jax.config.update("jax_default_matmul_precision", "highest")
    folders = args.set or [DATA / "tiny", DATA / "second"]
    sets = {path.name: path for path in folders}
    runs = plan(list(sets), args.runs, args.seed)
    if not shutil.which(args.reference_python):
        parser.error(f"--reference_python: {args.reference_python} is not a program")
    answer = reference(args.reference_python, runs, sets)
    print(f"reference: torch {answer['torch']}, transformers {answer['transformers']}\n{HEADER}")
    models = {name: Ours(path) for name, path in sets.items()}
    theirs = answer["results"]
    ours = [models[run.set].result(run) for run in tqdm(runs, desc="ours", disable=None)]
    for row in zip(runs, ours, theirs, strict=True):
        print(line(*row))
    wrong = [i for i, pair in enumerate(zip(ours, theirs, strict=True)) if not same(*pair)]
    if wrong:
        repeated = [runs[i] for i in wrong]
        again = reference(args.reference_python, repeated, sets, WOBBLES)["results"]
        for i, result in zip(wrong, again, strict=True):
            print(f"\n{line(runs[i], ours[i], theirs[i])}")
            print(difference(ours[i]["codes"], theirs[i]["codes"], result["others"]))
    for group in dict.fromkeys(run.group for run in runs):
        of_group = [i for i, run in enumerate(runs) if run.group == group]
        equal = len(set(of_group) - set(wrong))
        print(f"{group}: equal {equal} of {len(of_group)}")
    if args.store:
        store(args.store, answer, runs)
    print(f"equal {len(runs) - len(wrong)} of {len(runs)}")
    return 1 if wrong else 0


def store(path: Path, answer: dict[str, Any], runs: Sequence[Run]) -> None:
    """Writes the runs with the reference's codes, a line each."""
    stored = ("codes", "checksum")
    rows = [
        json.dumps(vars(run) | {name: result[name] for name in stored})
        for run, result in zip(runs, answer["results"], strict=True)
    ]
    versions = json.dumps({name: answer[name] for name in ("torch", "transformers")})
    text = ",\n".join(rows)
    path.write_text(f'{{"made_with": {versions},\n"runs": [\n{text}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
