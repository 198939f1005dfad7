"""Fuzzes every reader of files with damaged ones. Linux only.

    python -m tools.check.fuzz --minutes 10 [--reader pickle] [--out DIR]

Each reader runs in a process of its own, on files damaged at random by numbered seeds. The process
has little memory and a time limit for each file, and may neither run a program nor open a
connection. A file that is not refused properly is saved under --out; then the exit code is 1.
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

from tools import ROOT

MEMORY = 1_000_000_000  # bytes of address space, in addition to that of the libraries
SECONDS = 5  # of the processor, for one file: a busy machine is no finding
BATCH = 30.0  # seconds that a process lives
STARTING = 300.0  # seconds that it may take to start, on a busy machine
FORBIDDEN = ("os.system", "subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn", "socket.")


class Hang(BaseException):
    """A file took too long."""


def _hang(number: int, frame: Any) -> NoReturn:
    raise Hang(f"more than {SECONDS} s")


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
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
    for data in sound:  # so that late imports happen before the limits
        path.write_bytes(reader.damage(random.Random(0), data))
        attempt(reader, path)
    limit = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, _hang)
    sys.addaudithook(_audit)
    counts = {"read": 0, "refused": 0, "slowest": 0.0}
    seed, end = first, time.monotonic() + BATCH
    while time.monotonic() < end:
        rng = random.Random(seed)
        path.write_bytes(reader.damage(rng, rng.choice(sound)))
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            counts["read" if attempt(reader, path) else "refused"] += 1
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        counts["slowest"] = max(counts["slowest"], time.process_time() - start)
        seed += 1
    print(json.dumps(counts))


def _child(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs this module in a process that finds the readers, which are helpers of the tests."""
    paths = (ROOT, ROOT / "tests" / "helpers")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    return subprocess.run(
        [sys.executable, "-m", "tools.check.fuzz", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=BATCH + STARTING,
        check=False,
    )


def readers() -> list[str]:
    """The names of all readers.

    Raises:
        RuntimeError: if they cannot be imported.
    """
    done = _child("--names")
    if done.returncode:
        raise RuntimeError(f"the readers cannot be imported: {done.stderr[-3000:]}")
    names: list[str] = json.loads(done.stdout)
    return names


def one(name: str, first: int, out: Path) -> tuple[dict[str, Any], str]:
    """The counts of one child process, and how it failed if it did."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = _child("--work", name, str(first), folder)
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
    """Fuzzes the readers in rounds until the time is over; prints a line for each at the end."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.check.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10, help="(by default 10)")
    parser.add_argument("--reader", action="append", help="by name, repeatable (by default all)")
    parser.add_argument("--out", type=Path, default=Path("fuzz_findings"), help="for findings")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (by default 0)")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--names", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.names:
        from fuzzing import READERS

        print(json.dumps(list(READERS)))
        return 0
    if options.work:
        name, first, folder = options.work
        try:
            work(name, int(first), Path(folder))
        except BaseException:
            traceback.print_exc()
            return 1
        return 0
    known = readers()
    names = options.reader or known
    if unknown := set(names) - set(known):
        parser.error(
            f"--reader: unknown {', '.join(sorted(unknown))}; there are {', '.join(known)}"
        )
    totals = {name: {"read": 0, "refused": 0, "slowest": 0.0} for name in names}
    end, rounds, found = time.monotonic() + 60 * options.minutes, 0, 0
    while time.monotonic() < end:
        for name in names:
            first = options.seed + rounds * 1_000_000
            counts, finding = one(name, first, options.out)
            for key, value in counts.items():
                total = totals[name]
                total[key] = max(total[key], value) if key == "slowest" else total[key] + value
            if finding:
                found += 1
                print(
                    f"FOUND by {name}, seeds from {first}, saved in {options.out}: {finding}\n",
                    flush=True,
                )
            if time.monotonic() > end:
                break
        rounds += 1
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
