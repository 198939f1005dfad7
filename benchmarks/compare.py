"""Times the PyTorch reference and this program side by side, stage by stage, on the same weights.

    python -m benchmarks.compare full full_jax --reference_python REFERENCE/bin/python

FULL holds published files (real ones, or those of `tools.make.full_size`), FULL_JAX is the
checkpoint imported from them, REFERENCE the environment that `tools/dump_reference.py` describes.
Both sides run in processes of their own, in turn, on the same arrays and the same work (beams,
codes, steps, guidance, threads). Their results are compared too: equal results prove equal work.
One stage is loaded at a time, which takes about 8 GB of memory for both sides. The first run of a
stage is reported separately. The reference recomputes the conditioning for every segment, so it is
a stage of its own on both sides.

The sums at the end: `voice` is everything for a new prompt (the semantic encoder twice, on both
sides), `speech` everything for a segment, and `segment` adds the conditioning, as the reference
does. The last line is the same as JSON.
"""

import argparse
import dataclasses
import datetime
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import record
from benchmarks.workers.protocol import Worker
from benchmarks.workload import PASSES, PROMPT_STAGES, STAGES, Work
from indextts_jax.checkpoint import reading
from indextts_jax.errors import InputError
from indextts_jax.utils.text_table import table

ROOT = Path(__file__).parents[1]


def difference(ours: Path, theirs: Path) -> dict[str, Any]:
    """RMS difference of the results over the RMS of the reference, or the share of equal codes."""
    found: dict[str, Any] = {}
    with np.load(ours) as mine, np.load(theirs) as reference:
        for name, expected in reference.items():
            if mine[name].shape != expected.shape:
                raise InputError(f"{name}: {mine[name].shape} here, {expected.shape} there")
            if name == "codes":
                found[name] = float(np.mean(mine[name] == expected))
            else:
                error, size = mine[name] - expected, np.sqrt(np.mean(expected**2))
                found[name] = float(np.sqrt(np.mean(error**2)) / size)
    return found


def stage(name: str, work: Work, args: argparse.Namespace, sizes: dict[str, int]) -> dict[str, Any]:
    """The times of one stage on both sides, and the difference of the results."""
    request = {"stage": name, "work": dataclasses.asdict(work), "sizes": sizes}
    shared = {"device": args.device, "threads": args.threads}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    workers = {
        "theirs": Worker(
            [args.reference_python, "-m", "tools.reference.worker"],
            environment,
            folder=str(args.full),
            half=args.half,
            **shared,
        ),
        "ours": Worker(
            [sys.executable, "-m", "benchmarks.workers.ours"],
            environment,
            folder=str(args.checkpoint),
            dtype=args.dtype,
            **shared,
        ),
    }
    found: dict[str, Any] = {"about": {side: worker.about for side, worker in workers.items()}}
    try:
        for what, named in (("open", "load"), ("run", "first")):
            found[named] = {}
            for side, worker in workers.items():
                answer = worker.ask(what, **(request if what == "open" else {}))
                found[named][side] = answer["seconds"]
                _log(f"  {named} {side}: {answer['seconds']:.2f} s, cpu {answer['cpu']:.2f} s")
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in workers}
        for _ in range(args.repeats):
            for side, worker in workers.items():
                runs[side].append(answer := worker.ask("run"))
                _log(f"  {side}: {answer['seconds']:.3f} s, cpu {answer['cpu']:.3f} s")
        for side, times in runs.items():
            found[side] = record.summary([run["seconds"] for run in times])
            found[side]["cpu"] = record.summary([run["cpu"] for run in times])
        seconds = {side: found[side]["seconds"] for side in workers}
        found["ratio"] = float(np.median(np.divide(seconds["ours"], seconds["theirs"])))
        found["cpu_ratio"] = found["ours"]["cpu"]["median"] / found["theirs"]["cpu"]["median"]
        found["memory"] = {side: worker.ask("memory") for side, worker in workers.items()}
        with tempfile.TemporaryDirectory() as folder:
            paths = {side: Path(folder) / f"{side}.npz" for side in workers}
            for side, worker in workers.items():
                worker.ask("keep", path=str(paths[side]))
            found["difference"] = difference(paths["ours"], paths["theirs"])
    finally:
        for worker in workers.values():
            worker.close()
    return found


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def sums(stages: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Seconds of both sides for a new voice and for a segment, where all stages are there."""
    groups = {
        "voice": PROMPT_STAGES,
        "speech": [name for name in STAGES if name not in PROMPT_STAGES],
        "segment": ["conditioning", *(name for name in STAGES if name not in PROMPT_STAGES)],
    }
    found = {}
    for group, names in groups.items():
        if all(name in stages for name in names):
            total = {
                side: sum(PASSES.get(name, 1) * stages[name][side]["median"] for name in names)
                for side in ("theirs", "ours")
            }
            found[group] = {**total, "ratio": total["ours"] / total["theirs"]}
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("full", type=Path, metavar="FULL", help="directory of the published files")
    add("checkpoint", type=Path, metavar="FULL_JAX", help="checkpoint imported from them")
    add("--reference_python", default=sys.executable, help="Python where the reference is")
    add("--stages", default=",".join(STAGES), help="stages, with commas (by default all)")
    add("--device", default="cpu", help="cpu or cuda, for both sides")
    add("--dtype", default="float32", help="of this program: float32, bfloat16, float16 or int8")
    add("--half", action="store_true", help="the reference's own float16 (its use_fp16)")
    add("--threads", type=int, default=0, help="threads of each side (by default all cores)")
    add("--prompt", type=float, default=5.0, help="seconds of the prompt (by default 5)")
    add("--tokens", type=int, default=30, help="text tokens (by default 30)")
    add("--codes", type=int, default=100, help="codes, 50 a second (by default 100)")
    add("--steps", type=int, default=25, help="steps of the flow (by default 25)")
    add("--beams", type=int, default=3, help="(by default 3)")
    add("--guidance", type=float, default=0.7, help="(by default 0.7)")
    add("--sample", action="store_true", help="draw the codes; then they differ")
    add("--repeats", type=int, default=3, help="timed runs of each side (by default 3)")
    add("--json", type=Path, metavar="FILE", help="file for the result, as it grows")
    add("--add", action="store_true", help="add these stages to those in the file of --json")
    return parser.parse_args()


def _row(name: str, found: dict[str, Any]) -> list[str]:
    difference = ", ".join(
        f"{value:.0%} equal" if what == "codes" else f"{value:.0e}"
        for what, value in found["difference"].items()
    )
    times = [f"{found[side]['median']:.3f} ± {found[side]['spread']:.3f}" for side in SIDES]
    first = [f"{found['first'][side]:.2f}" for side in SIDES]
    cpu = [f"{found[side]['cpu']['median']:.2f}" for side in SIDES]
    ratios = [f"{found['ratio']:.2f}", *cpu, f"{found['cpu_ratio']:.2f}"]
    return [name, *times, *ratios, *first, difference]


SIDES = ("theirs", "ours")


def compare(args: argparse.Namespace) -> int:
    """Runs everything, prints the table and the JSON."""
    from benchmarks.workers.ours import sizes

    names = args.stages.split(",")
    if unknown := set(names) - set(STAGES):
        raise InputError(f"--stages: unknown {', '.join(sorted(unknown))}; {', '.join(STAGES)}")
    for path in (args.full, args.checkpoint):
        if not path.exists():
            raise InputError(f"{path} does not exist")
    work = Work(
        prompt=args.prompt,
        tokens=args.tokens,
        codes=args.codes,
        steps=args.steps,
        beams=args.beams,
        guidance=args.guidance,
        sample=args.sample,
    )
    config = reading.open_checkpoint(args.checkpoint).config
    stages = measured_stages(args.json, work) if args.add else {}
    for name in names:
        _log(f"{name} ...")
        stages[name] = stage(name, work, args, sizes(config))
        _log("  ".join(_row(name, stages[name])))
        if args.json:  # after each stage: an interrupted run keeps what it measured
            record.write(args.json, result(work, stages))
    found = result(work, stages)
    header = (
        *("stage", "reference s", "ours s", "ratio", "cpu s", "ours", "ratio"),
        *("first", "ours", "difference"),
    )
    rows = [_row(name, stage) for name, stage in stages.items()]
    for group, total in found["sums"].items():
        times = (f"{total[side]:.3f}" for side in SIDES)
        rows.append([group, *times, f"{total['ratio']:.2f}", *[""] * 6])
    print(f"{found['machine']['processor']}, {found['about']}")
    print(f"{work}: {work.seconds:.2f} s of audio")
    print(table(header, rows))
    print(json.dumps(found))
    return 0


def result(work: Work, stages: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Everything that was measured so far."""
    return {
        "kind": "reference",
        "date": datetime.date.today().isoformat(),
        "machine": record.machine(),
        "about": next(iter(stages.values()))["about"],
        "work": {**dataclasses.asdict(work), "seconds": work.seconds},
        "stages": stages,
        "sums": sums(stages),
    }


def measured_stages(path: Path | None, work: Work) -> dict[str, dict[str, Any]]:
    """The stages that a file holds.

    Raises:
        InputError: if they were measured with other work.
    """
    if path is None or not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["work"] != {**dataclasses.asdict(work), "seconds": work.seconds}:
        raise InputError(f"{path} holds other work: {found['work']}")
    return found["stages"]


def main() -> int:
    """Runs the command; 2 for bad input."""
    try:
        return compare(_arguments())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
