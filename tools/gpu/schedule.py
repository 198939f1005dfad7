"""Runs parts in child processes within a budget of time: a crash or a hang loses one part.

A lane is a list of parts that one child takes in turn, so that what they share (weights on the
device, compiled programs) is made once. A child that dies or hangs is replaced for the next part.
Lanes may run side by side.
"""

import contextlib
import dataclasses
import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tools.gpu.parts import Part

DONE, FAILED, SKIPPED, NOT_REACHED = "done", "failed", "does not apply", "not reached"
TAIL = 1500  # characters of a dead child's log that are reported


@dataclasses.dataclass
class Budget:
    """Seconds until everything must end; a share of another budget ends no later than that one."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    whole: "Budget | None" = None
    _stopped: bool = dataclasses.field(default=False, init=False)

    def __post_init__(self) -> None:
        self._end = self.clock() + self.seconds

    @property
    def left(self) -> float:
        """Seconds that are left."""
        if self.stopped:
            return 0.0
        left = self._end - self.clock()
        return left if self.whole is None else min(left, self.whole.left)

    @property
    def stopped(self) -> bool:
        """Whether the work was asked to end now."""
        return self._stopped or (self.whole is not None and self.whole.stopped)

    def stop(self) -> None:
        """Asks the work to end now."""
        self._stopped = True


class Child:
    """A process that answers one line of JSON for each line that it is given.

    The answers come from its standard output; its standard error goes to a log.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str]):
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
            )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def ask(self, part: Part, seconds: float) -> dict[str, Any]:
        """The answer; after `TimeoutError` or `ChildProcessError` this child has ended."""
        assert self._process.stdin is not None
        request = {"function": part.function, "arguments": part.arguments}
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=max(seconds, 0.001))
        except queue.Empty:
            self.end()
            raise TimeoutError(f"no answer within {seconds:.0f} s") from None
        except BrokenPipeError:
            line = None
        if line is None:
            self.end()
            tail = self.log.read_text(encoding="utf-8", errors="replace")[-TAIL:]
            code = self._process.returncode
            raise ChildProcessError(f"the process ended with {code}; its log ends: {tail}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Kills the process."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()


Start = Callable[[str], Child]  # of a lane's name
Report = Callable[[dict[str, Any]], None]


def run_lane(
    name: str, parts: Sequence[Part], budget: Budget, start: Start, report: Report
) -> None:
    """Each part in turn, as far as there is time; `report` gets every outcome as it comes."""
    child: Child | None = None
    try:
        for part in parts:
            left = budget.left
            if left < part.estimate:
                why = f"needs about {part.estimate:.0f} s, {max(left, 0):.0f} s were left"
                report({"part": part.name, "status": NOT_REACHED, "error": why})
                continue
            begun = budget.clock()
            try:
                child = child or start(name)
                outcome = child.ask(part, min(part.limit, left))
            except TimeoutError as error:
                child = None
                # The whole budget ended, which is not the part's failure.
                late = left <= part.limit
                outcome = {"status": NOT_REACHED if late else FAILED, "error": str(error)}
            except ChildProcessError as error:
                child = None
                outcome = {"status": FAILED, "error": str(error)}
                if budget.stopped:
                    outcome = {"status": NOT_REACHED, "error": "interrupted"}
            except OSError as error:
                outcome = {"status": FAILED, "error": f"{type(error).__name__}: {error}"}
            seconds = round(budget.clock() - begun, 2)
            report({"part": part.name, "seconds": seconds, **outcome})
    finally:
        if child is not None:
            child.end()


def run_side_by_side(
    lanes: Sequence[Sequence[Part]], budget: Budget, start: Start, report: Report, processes: int
) -> None:
    """Runs lanes in up to `processes` processes; the first error is raised when all have ended."""
    lock = threading.Lock()

    def report_locked(outcome: dict[str, Any]) -> None:
        with lock:
            report(outcome)

    with ThreadPoolExecutor(max(1, processes)) as pool:
        runs = [
            pool.submit(run_lane, lane[0].name, lane, budget, start, report_locked)
            for lane in lanes
            if lane
        ]
    for run in runs:
        run.result()
