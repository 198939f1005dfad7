"""Data sets spoken by `FakeSpeaker`: plans, runs in this process, and drivers in their own.

As a script: `python dataset_runs.py OUTPUT ENGINE WORKERS DELAY [ADDRESS]` speaks what is left.
"""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fake_speaker

from indextts_jax.jobs import cluster, local
from indextts_jax.jobs.deadline import Deadline
from indextts_jax.jobs.output import ROWS, Output
from indextts_jax.jobs.plan import Planned, make_plan, read_packs
from indextts_jax.jobs.results import read_rows
from indextts_jax.jobs.rows import Common
from indextts_jax.jobs.tables import sources
from indextts_jax.jobs.work import Speaker, Work, speak_pack
from indextts_jax.jobs.worker import Spec

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def numbered(count: int) -> list[dict[str, Any]]:
    """Rows of about two seconds each."""
    return [{"id": f"r{n:04}", "text": f"this is sentence number {n}."} for n in range(count)]


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def planned(output: Path, *inputs: Path | str, common: Any = None, **options: Any) -> Planned:
    """A plan of tables, in the voice anna, with packs of about five rows."""
    found = sources([str(one) for one in inputs], output / "texts.jsonl")
    return make_plan(
        Output(output),
        found,
        common or Common(voice="anna"),
        fake_speaker.ABOUT,
        fake_speaker.find,
        **{"pack_seconds": 10.0, **options},
    )


def spec(output: Path, delay: float = 0.0) -> Spec:
    path = os.pathsep.join([str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")])
    return Spec(
        output=str(output),
        speaker=fake_speaker.NAME,
        options={"delay": delay},
        environment={"PYTHONPATH": path},
    )


def speak(
    output: Path,
    workers: int = 1,
    engine: str = "local",
    delay: float = 0.0,
    address: str | None = None,
) -> list[dict[str, Any]]:
    """Speaks what is left; gives the summaries of the packs."""
    place = Output(output)
    place.prepare()
    done = place.done()
    packs = [pack for pack in read_packs(place) if pack.number not in done]
    if not packs:
        return []
    if engine == "ray":
        where = cluster.Cluster(address=address, workers=(workers, workers), cpus=0.5)
        return list(cluster.speak_on_ray(packs, spec(output, delay), where, Deadline(None)))
    return list(local.speak_local(packs, [spec(output, delay)] * workers, Deadline(None)))


TOKENS = itertools.count()
MIXED: list[dict[str, Any]] = [
    *numbered(4),
    {"id": "bad", "text": "a\0b"},
    {"id": "same", "text": numbered(1)[0]["text"]},
    {"id": "worse", "text": "raise it now, please, at once."},
    {"id": "long", "text": "faulty words that are too long."},
    *numbered(9)[4:],
]
STATUSES = ["ok"] * 4 + ["refused", "same", "failed", "faulty"] + ["ok"] * 5


def speak_here(output: Path, packs: Any = None, speaker: Any = None, **options: Any) -> list[bool]:
    """Speaks packs, by default those that are left; whether each was committed."""
    work = Work.open(output)
    work.output.prepare()
    found: Speaker = speaker or fake_speaker.FakeSpeaker(work.plan)
    left = [pack.number for pack in work.packs if not work.output.is_done(pack.number)]
    return [
        speak_pack(work, pack, lambda: found, token=f"t{next(TOKENS)}", batch=1, **options)
        for pack in (left if packs is None else packs)
    ]


def driver(output: Path, *words: object) -> "subprocess.Popen[bytes]":
    """A process that speaks what is left of a set."""
    path = os.pathsep.join([str(ROOT), str(HERE)])
    command = [sys.executable, str(HERE / "dataset_runs.py"), str(output), *map(str, words)]
    with (output.parent / "driver.log").open("ab") as log:
        return subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": path, "RAY_AUTH_MODE": "disabled"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Waits until something is true.

    Raises:
        AssertionError: if that takes longer.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def processes(output: Path) -> list[tuple[int, int]]:
    """The processes that speak a set, each with its parent (Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if b"indextts_jax.jobs.child" in words and str(output).encode() in words and state != "Z":
            found.append((int(folder.name), int(parent)))
    return found


def rows(output: Path) -> list[dict[str, Any]]:
    """The results of all rows of finished packs, in the order of the input."""
    place = Output(output)
    found = [row for m in place.markers() for row in read_rows(place.file(m.file(ROWS)))]
    return sorted(found, key=lambda row: row["row"])


def statuses(output: Path) -> list[str]:
    return [row["status"] for row in rows(output)]


def main(argv: Sequence[str]) -> None:
    output, engine, workers, delay, *address = argv
    speak(Path(output), int(workers), engine, float(delay), address[0] if address else None)


if __name__ == "__main__":
    main(sys.argv[1:])
