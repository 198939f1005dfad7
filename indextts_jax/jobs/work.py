"""One pack from its rows to its commit."""

import dataclasses
import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from indextts_jax.errors import Failure
from indextts_jax.jobs.output import AUDIO, ROWS, Output
from indextts_jax.jobs.plan import Pack, Plan, read_packs, read_plan, read_same
from indextts_jax.jobs.results import SUFFIXES, Outcome, Result, write_audio, write_rows
from indextts_jax.jobs.rows import KILLED, REFUSED, SAME, Row
from indextts_jax.utils import hashing

SEGMENTS = "segments"  # of rows that are spoken alone, below an attempt's directory

Notify = Callable[[str, int], None]  # "begins" or "finished", and the place of a row in its pack


class Broken(Failure):
    """The device or the process is broken, not a row: the pack is for a new process."""


class Speaker(Protocol):
    """What speaks rows. A row's problem is its outcome; an exception ends the run."""

    def speak(self, rows: Sequence[Row]) -> Iterator[tuple[int, Outcome]]:
        """The outcome of each row with its index, as soon as it is ready."""

    def alone(self, row: Row, key: str, folder: Path) -> Outcome:
        """The outcome of one row; what is finished of it is stored in `folder`."""


@dataclasses.dataclass(frozen=True)
class Work:
    """The plan and the output of a run, as a worker has them."""

    output: Output
    plan: Plan
    packs: Sequence[Pack]
    same: dict[int, int]

    @classmethod
    def open(cls, path: str | Path) -> "Work":
        """Reads the plan of a directory.

        Raises:
            InputError: if it cannot be read.
        """
        output = Output(Path(path))
        return cls(output, read_plan(output), read_packs(output), read_same(output))


def speak_pack(
    work: Work,
    number: int,
    speaker: Callable[[], Speaker],
    *,
    token: str,
    batch: int,
    alone: Path | None = None,
    killed: Collection[int] = (),
    notify: Notify = lambda event, place: None,
) -> bool:
    """Speaks a pack and commits it; False if another worker was first.

    With `alone`, a directory for finished segments, rows are spoken one at a time; the `killed`
    ones are left out.

    Raises:
        InputError: if the input has changed.
        Failure: if the result cannot be written.
    """
    if work.output.is_done(number):
        return False
    pack, began, started = work.packs[number], time.time(), hashing.now()
    pairs = work.plan.rows_of(pack)
    worker = f"{socket.gethostname()}:{token}"
    outcomes: dict[int, Outcome] = {}
    for place, (row, _) in enumerate(pairs):
        if row.problem:
            outcomes[place] = Outcome(status=REFUSED, reasons=(row.problem,))
        elif row.number in work.same:
            outcomes[place] = Outcome(status=SAME)
        elif place in killed:
            outcomes[place] = Outcome(status=KILLED, reasons=("its worker process died twice",))
    waiting = [place for place in range(len(pairs)) if place not in outcomes]
    with work.output.attempt(number, token) as attempt:
        if alone is not None:
            for place in waiting:
                notify("begins", place)
                outcomes[place] = speaker().alone(*pairs[place], alone)
                notify("finished", place)
        elif waiting:
            for index, outcome in speaker().speak([pairs[place][0] for place in waiting]):
                outcomes[waiting[index]] = outcome
                notify("finished", waiting[index])
        results = [
            Result(row=row, key=key, outcome=outcomes[place], same_as=work.same.get(row.number))
            for place, (row, key) in enumerate(pairs)
        ]
        audio = attempt.folder / f"audio{SUFFIXES[work.plan.audio]}"
        rows = attempt.folder / "rows.parquet"
        write_audio(audio, work.plan.audio, results)
        write_rows(rows, results, worker)
        counts: dict[str, int] = {}
        for result in results:
            counts[result.outcome.status] = counts.get(result.outcome.status, 0) + 1
        return attempt.commit(
            {AUDIO: audio, ROWS: rows},
            counts=counts,
            audio=sum(result.outcome.seconds for result in results),
            compute=time.time() - began,
            worker=worker,
            started=started,
            finished=time.time(),
            batch=batch,
        )
