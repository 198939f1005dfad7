"""Fuzzes every reader of files: python tools/fuzz.py --minutes 10 [--reader pickle] [--out DIR].

Each reader is given files damaged at random, by numbered seeds, in a process of its own, which has
little memory, a time limit for each file, and may neither run a program nor open a connection. What
is not refused properly is kept under --out, and ends the run with exit code 1. Linux only.
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "helpers")]

MEMORY = 1_000_000_000  # bytes of address space, besides what the libraries take
SECONDS = 5  # for one file
BATCH = 30.0  # seconds that a process lives
STARTING = 300.0  # seconds that it may take besides, on a machine that is busy
FORBIDDEN = ("os.system", "subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn", "socket.")


class Hang(BaseException):
    """A file took too long."""


def _hang(number: int, frame: Any) -> NoReturn:
    raise Hang(f"more than {SECONDS} s")


def _on_stage(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(FORBIDDEN):
        sys.stderr.write(f"code was run: {event} {arguments!r}\n")
        os._exit(99)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def work(name: str, first: int, folder: Path) -> None:
    """Reads damaged files until `BATCH` is over; prints a line of JSON at the end."""
    from fuzzing import READERS, attempt

    reader = READERS[name]
    sound = reader.sound()
    path = folder / f"current{reader.ending}"
    for data in sound:  # what is imported late is imported now
        path.write_bytes(reader.damage(random.Random(0), data))
        attempt(reader, path)
    limit = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, _hang)
    sys.addaudithook(_on_stage)
    counts = {"read": 0, "refused": 0, "slowest": 0.0}
    seed, end = first, time.monotonic() + BATCH
    while time.monotonic() < end:
        rng = random.Random(seed)
        path.write_bytes(reader.damage(rng, rng.choice(sound)))
        start = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            counts["read" if attempt(reader, path) else "refused"] += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        counts["slowest"] = max(counts["slowest"], time.monotonic() - start)
        seed += 1
    print(json.dumps(counts))


def one(name: str, first: int, out: Path) -> tuple[dict[str, Any], str]:
    """What a process of its own counted, and how it ended if not well."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--work", name, str(first), folder]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=BATCH + STARTING, check=False
            )
            code, said = done.returncode, done.stderr.strip()[-3000:]
        except subprocess.TimeoutExpired:
            code, said = -9, "the process did not end: a hang that no alarm could stop"
        if code == 0:
            return json.loads(done.stdout), ""
        out.mkdir(parents=True, exist_ok=True)
        for path in Path(folder).glob("current*"):
            if path.is_file():
                (out / f"{name.replace(' ', '_')}-{first}{path.suffix}").write_bytes(
                    path.read_bytes()
                )
        return {}, f"exit code {code}\n{said}"


def main() -> int:
    """Goes round the readers until the time is over; prints a line for each at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--reader", action="append")
    parser.add_argument("--out", type=Path, default=Path("fuzz_findings"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        name, first, folder = options.work
        try:
            work(name, int(first), Path(folder))
        except BaseException:
            traceback.print_exc()
            return 1
        return 0
    from fuzzing import READERS

    names = options.reader or list(READERS)
    totals = {name: {"read": 0, "refused": 0, "slowest": 0.0} for name in names}
    end, turn, found = time.monotonic() + 60 * options.minutes, 0, 0
    while time.monotonic() < end:
        for name in names:
            first = options.seed + turn * 1_000_000
            counts, told = one(name, first, options.out)
            for key, value in counts.items():
                total = totals[name]
                total[key] = max(total[key], value) if key == "slowest" else total[key] + value
            if told:
                found += 1
                print(
                    f"FOUND by {name}, seeds from {first}, kept in {options.out}: {told}\n",
                    flush=True,
                )
            if time.monotonic() > end:
                break
        turn += 1
    for name, total in totals.items():
        count = total["read"] + total["refused"]
        print(
            f"{name:20} {count:9,} files: {total['refused']:9,} refused, {total['read']:8,} read; "
            f"slowest {total['slowest']:.2f} s"
        )
    print(f"{found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
