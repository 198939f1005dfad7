"""How a benchmark talks to its worker processes: one line of JSON each way."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Run = Callable[[], dict[str, np.ndarray]]
"""One run of a stage; waits for it, and returns its results on the host."""


class Side(Protocol):
    """The stages that a process serves."""

    def about(self) -> dict[str, Any]:
        """Versions and device."""
        ...

    def open(self, stage: str, work: dict[str, Any], sizes: dict[str, int]) -> Callable[[], Any]:
        """Loads what a stage needs; returns a call that runs it and waits for the device."""
        ...

    def results(self, found: Any) -> dict[str, np.ndarray]:
        """A run's results on the host, by name."""
        ...

    def memory(self) -> dict[str, int]:
        """Bytes at most so far."""
        ...


def _limit(threads: int) -> None:
    """Limits this process to the last `threads` processors, usually the least busy ones."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def serve(make: Callable[[dict[str, Any]], Side]) -> None:
    """Answers requests until the input ends; the first holds the arguments of `make`.

    What libraries print goes to standard error.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    side: Side | None = None
    run: Callable[[], Any] | None = None
    found: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        start, spent = time.perf_counter(), time.process_time()
        more: dict[str, Any] = {}
        match request["do"]:
            case "make":
                if request.get("threads"):  # before any library counts the processors
                    _limit(request["threads"])
                side = make(request)
                more = side.about()
            case "open":
                assert side is not None
                run = side.open(request["stage"], request["work"], request["sizes"])
            case "run":
                assert run is not None
                found = run()
            case "keep":
                assert side is not None
                np.savez(request["path"], **side.results(found))
            case "memory":
                assert side is not None
                more = side.memory()
        seconds = {
            "seconds": time.perf_counter() - start,
            "cpu": time.process_time() - spent,  # of all threads: what a busy machine cannot change
        }
        answers.write(json.dumps({**seconds, **more}) + "\n")
        answers.flush()


class Worker:
    """A side in a process of its own."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], **made: Any):
        self.name = Path(command[0]).name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.about = self.ask("make", **made)

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            RuntimeError: if the process ended instead.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{do}: the process ended with {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
