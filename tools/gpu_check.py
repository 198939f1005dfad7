"""Checks this project on an NVIDIA GPU within some minutes: correctness, then speed.

    python -m tools.gpu_check --minutes 9 --output gpu_check
    python -m tools.gpu_check --minutes 9 --output more --only float16 --cache compiled
    python -m tools.gpu_check --platform cpu --config tiny --minutes 3 --output trial

Most important first: the device (an error if JAX does not see it; a CPU never replaces it); both
golden sets in float32, plain and with fused attention; then, at the published sizes with random
weights made on the device, first call and steady speed of codes, flow, vocoder and 10 s of speech,
continuous batching, and the kernels of a decoding step, in bfloat16, float32 and float16. Each time
is compared with the lower bound from the bandwidth and matrix peak measured in the same run.

`OUTPUT/result.json` is written after every part; the last line printed is the same. Keep it as
`benchmarks/results/DATE_gpu_check_DEVICE.json`. A part begins only if its estimated time is left
(`--list` prints the estimates); parts without time are listed as not reached. A part that fails,
crashes or hangs is listed with its error, and the others go on. Validation takes at most two fifths
of the time. Logs of the child processes and the profiler's traces are beside the result. Compiled
programs are not kept, so first calls include compiling; `--cache DIR` keeps them, and a second run
gets further.

Exit code: 0 if every part that ran is right, 1 if one failed, 2 without the device or for bad
input. After an interrupt (or SIGTERM) the child processes end and the results so far are printed.

What the machine needs. No network, no published weights. Python 3.12, an NVIDIA driver, and JAX
with a plugin of the same version (jax, jaxlib, jax-cuda13-plugin and jax-cuda13-pjrt 0.11.2, for
instance); and flax, orbax-checkpoint, jaxtyping, jinja2, safetensors, sentencepiece, tokenizers,
tqdm, PyYAML and absl-py. A machine for machine learning often has all these, but not soundfile
(with cffi and pycparser) and soxr, which must come along; wetext is not needed here. The project
itself need not be installed. On a machine with a network, for Python 3.12 and x86:

    for name in soundfile cffi pycparser soxr; do
      pip download --no-deps --only-binary=:all: --python-version 3.12 \\
        --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 -d wheels "$name"
    done

If flax is missing or older than 0.12.12, which is the first for jax 0.11, the same way: flax with
msgpack, optax, rich, markdown-it-py, mdurl, pygments and treescope; orbax-checkpoint with aiofiles,
etils, humanize, prometheus-client, protobuf, psutil, simplejson, tensorstore and uvloop; jaxtyping
with wadler-lindig. Then on the machine with the GPU:

    pip install --no-index --no-deps --target site wheels/*.whl
    PYTHONPATH=site python -m tools.gpu_check --minutes 9
"""

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import record
from tools import ROOT
from tools.gpu import parts as plan
from tools.gpu.options import CONFIGS, Options
from tools.gpu.schedule import (
    DONE,
    FAILED,
    NOT_REACHED,
    Budget,
    Child,
    run_side_by_side,
)

RESERVE = 5.0  # seconds for writing and printing
VALIDATION_SHARE = 0.4  # of all time, at most: a slow compiler must not take what speed needs
TINY_ESTIMATE = 1.0  # seconds of every part at the tiny sizes
STATES = {DONE: "done", FAILED: "FAILED", NOT_REACHED: "not reached"}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.gpu_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=9.0, help="for everything (by default 9)")
    add("--output", type=Path, default=Path("gpu_check"), metavar="DIR", help="(gpu_check)")
    add("--platform", choices=("cuda", "cpu"), default="cuda", help="cpu to try the tool out")
    add("--config", choices=CONFIGS, default="published", help="tiny to try the tool out")
    add("--only", nargs="+", default=[], metavar="WORD", help="parts with one of these in the name")
    add("--repeats", type=int, default=5, help="of each measurement (by default 5)")
    add("--cache", type=Path, metavar="DIR", help="keep compiled programs there between runs")
    add("--processes", type=int, default=6, help="lanes of validation at once (by default 6)")
    add("--list", action="store_true", help="print the parts and their estimates, and end")
    args = parser.parse_args(argv)
    for name in ("minutes", "repeats", "processes"):
        if getattr(args, name) <= 0:
            parser.error(f"--{name} must be positive, got {getattr(args, name)}")
    lanes = [*plan.validations(), plan.speeds(options_of(args).batches)]
    every = [part.name for lane in lanes for part in lane]
    for word in args.only:
        if not any(word in name for name in every):
            parser.error(f"--only: no part has {word!r} in its name; --list prints them all")
    return args


def options_of(args: argparse.Namespace) -> Options:
    """The options that the child processes get."""
    return Options(
        platform=args.platform,
        config=args.config,
        output=str(args.output.resolve()),
        repeats=args.repeats,
        cache=str(args.cache.resolve()) if args.cache else None,
    )


def listing(args: argparse.Namespace) -> str:
    """The parts that would run, with the estimate of each, and the sum so far."""
    first, lanes, speeds = planned(options_of(args), args.only)
    lines = [f"{first.estimate:5.0f} s  {first.name}"]
    for lane in lanes:
        lines += [f"{part.estimate:5.0f} s  {part.name} (beside others)" for part in lane]
    total = 0.0
    for part in speeds:
        total += part.estimate
        lines.append(f"{part.estimate:5.0f} s  {part.name} (measurements so far: {total:.0f} s)")
    return "\n".join(lines)


def starter(options: Options) -> Callable[[str], Child]:
    """What starts the child process of a lane."""
    output = Path(options.output)

    def start(lane: str) -> Child:
        paths = [ROOT, os.environ.get("PYTHONPATH", "")]
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(str(p) for p in paths if p))
        if lane.startswith("validate"):
            # Several processes share the device: none may take most of its memory at once.
            environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        command = [
            sys.executable,
            "-m",
            "tools.gpu.worker",
            json.dumps(dataclasses.asdict(options)),
        ]
        return Child(command, output / f"{lane.replace(' ', '_')}.log", environment)

    return start


class Session:
    """The time that is left and the child processes, which an interrupt ends."""

    def __init__(self, args: argparse.Namespace):
        self.budget = Budget(60 * args.minutes - RESERVE)
        self.options = options_of(args)
        self.children: list[Child] = []
        self.interrupted: str | None = None
        self._make = starter(self.options)

    def start(self, lane: str) -> Child:
        """The child process of a lane."""
        self.children.append(self._make(lane))
        return self.children[-1]

    def interrupt(self, number: int, frame: Any) -> None:
        """Ends all children; their parts count as not reached."""
        self.interrupted = signal.Signals(number).name
        self.budget.stop()
        for child in self.children:
            child.end()

    @contextlib.contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Ends the children with this process: none may hold the device after it."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, self.interrupt) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def check(args: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Runs all parts, and writes what is known after each."""
    options, budget, start = session.options, session.budget, session.start
    args.output.mkdir(parents=True, exist_ok=True)
    found = {
        **record.head("gpu_check", None),
        "settings": {**dataclasses.asdict(options), "minutes": args.minutes, "only": args.only},
        "parts": [],
    }
    del found["settings"]["output"]  # a path of this machine

    def report(outcome: dict[str, Any]) -> None:
        found["parts"].append(outcome)
        found["interrupted"] = session.interrupted
        record.write(args.output / "result.json", found)
        print(line(outcome), file=sys.stderr, flush=True)

    first, validations, speeds = planned(options, args.only)
    run_side_by_side([[first]], budget, start, report, 1)
    (opened,) = found["parts"]
    if opened["status"] != DONE:
        return found
    found["device"] = opened["result"]["device"]
    share = Budget(VALIDATION_SHARE * 60 * args.minutes, whole=budget)
    run_side_by_side(validations, share, start, report, args.processes)
    run_side_by_side([speeds], budget, start, report, 1)
    return found


def planned(
    options: Options, only: list[str]
) -> tuple[plan.Part, list[list[plan.Part]], list[plan.Part]]:
    """The device, the lanes of validation, the measurements."""

    def suited(parts: list[plan.Part]) -> list[plan.Part]:
        parts = plan.chosen(parts, only)
        return plan.cheap(parts, TINY_ESTIMATE) if options.config == "tiny" else parts

    lanes = [suited(lane) for lane in plan.validations()]
    return plan.device_part(), lanes, suited(plan.speeds(options.batches))


SHOWN = (
    *("device", "arrays", "first", "median", "real_time_factor", "codes_per_second"),
    *("over_floor", "kernels_per_step", "busy_us_per_step"),
)


def line(outcome: dict[str, Any]) -> str:
    """One part as a line."""
    result = outcome.get("result", {})
    shown = [(name, result[name]) for name in SHOWN if name in result]
    numbers = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in shown)
    error = " ".join(outcome.get("error", "").split())[:300]
    state = STATES.get(outcome["status"], outcome["status"])
    return f"{outcome['part']:42} {state:12} {outcome.get('seconds', 0):7.1f} s  {numbers}{error}"


def main(argv: list[str] | None = None) -> int:
    """Runs the command."""
    args = arguments(argv)
    if args.list:
        print(listing(args))
        return 0
    session = Session(args)
    with session.handling_signals():
        found = check(args, session)
    states = [outcome["status"] for outcome in found["parts"]]
    print("\n".join(map(line, found["parts"])))
    print(json.dumps(found))
    if found["device"] is None and not session.interrupted:
        print(f"error: {' '.join(found['parts'][0]['error'].split())}", file=sys.stderr)
        return 2
    if session.interrupted:
        return 128 + signal.Signals[session.interrupted]
    return int(FAILED in states)


if __name__ == "__main__":
    sys.exit(main())
