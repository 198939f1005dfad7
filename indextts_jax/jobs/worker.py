"""A worker: a child process that speaks packs, restarted when it dies.

    worker = Worker(Spec(output="speech"))
    result = worker.run(42)      # the summary of the pack
    worker.close()

The worker itself holds no model and no device, so that no row can end it. A pack that kills the
child twice is spoken row by row; a row that then kills it twice is named in the result and left
out.
"""

import collections
import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from indextts_jax.errors import Failure, InputError
from indextts_jax.jobs import child
from indextts_jax.jobs.output import TEMPORARY, Output
from indextts_jax.jobs.work import SEGMENTS

TOGETHER = 2  # deaths of a pack before its rows are spoken one by one
ROW = 2  # deaths of a row before it is left out
STARTS = 4  # deaths in a row without any progress, before the worker gives up

OnEvent = Callable[[str, int], None]  # "begins" or "finished", and the place of a row


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """How child processes are started."""

    output: str
    speaker: str = child.SPEAKER  # module and class
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of the speaker
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Died(Exception):
    """The child process has ended."""

    def __init__(self, place: int | None, code: int, last: str):
        self.place, self.code, self.last = place, code, last
        super().__init__(f"ended with code {code}" + (f" ({last})" if last else ""))


class Closed(Exception):
    """The worker was closed while it worked."""


class Worker:
    """Runs packs in a child process, one after the other."""

    def __init__(self, spec: Spec):
        self.spec, self.output = spec, Output(Path(spec.output))
        self.token = secrets.token_hex(6)
        self.process: subprocess.Popen[str] | None = None
        self.log: IO[bytes] | None = None
        self.closed = self.busy = False
        self.guard = threading.Lock()  # of starting and ending the process

    def run(self, pack: int, on_event: OnEvent = lambda event, place: None) -> dict[str, Any]:
        """Speaks a pack, unless it is done; returns its summary.

        Raises:
            InputError: if the input has changed.
            Failure: if the result cannot be written, or no process can be started.
            Closed: if the worker is closed meanwhile.
        """
        segments = self.output.path / TEMPORARY / f"{pack:05}-{self.token}.{SEGMENTS}"
        deaths, without_progress = 0, 0
        of_rows: collections.Counter[int] = collections.Counter()
        self.busy = True
        try:
            while not self.output.is_done(pack):
                killed = [place for place, count in of_rows.items() if count >= ROW]
                alone = deaths >= TOGETHER
                order = {"pack": pack, "killed": killed, "alone": str(segments) if alone else None}
                try:
                    self._ordered(order, on_event)
                    without_progress = 0
                except Died as death:
                    self.output.remove_attempts(self.token)
                    deaths += 1
                    without_progress += 1
                    if alone and death.place is not None:
                        of_rows[death.place] += 1
                        without_progress = 0
                    if without_progress >= TOGETHER + STARTS:
                        raise Failure(
                            f"pack {pack}: its worker process {death} before it could speak a row, "
                            f"{without_progress} times"
                        ) from death
            return next(self.output.summaries([pack]))
        finally:
            self.busy = False
            shutil.rmtree(segments, ignore_errors=True)

    def _ordered(self, order: Mapping[str, Any], on_event: OnEvent) -> None:
        """Sends an order, and follows the answers until it is done."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        place: int | None = None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            try:
                answer = json.loads(line)
            except ValueError:
                break  # cut off as the process died
            match answer["event"]:
                case "done":
                    return
                case "error" if answer["kind"] == "input":
                    raise InputError(answer["message"])
                case "error":
                    raise Failure(answer["message"])
                case event:
                    place = answer["place"] if event == "begins" else None
                    on_event(event, answer["place"])
        raise self._died(process, place)

    def _started(self) -> "subprocess.Popen[str]":
        with self.guard:
            if self.closed:
                raise Closed
            if self.process is not None and self.process.poll() is None:
                return self.process
            self._drop()
            self.log = tempfile.TemporaryFile()  # noqa: SIM115
            self.process = subprocess.Popen(
                # The directory is for whoever looks at a list of processes.
                [sys.executable, "-m", child.__name__, self.spec.output],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                env={**os.environ, **self.spec.environment},
                text=True,
                encoding="utf-8",
                start_new_session=sys.platform != "win32",  # Ctrl-C comes through us
            )
            assert self.process.stdin is not None
            spec = {
                "output": self.spec.output,
                "speaker": self.spec.speaker,
                "options": dict(self.spec.options),
                "token": self.token,
            }
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps(spec) + "\n")
                self.process.stdin.flush()
            return self.process

    def _died(self, process: "subprocess.Popen[str]", place: int | None) -> Exception:
        with self.guard:
            if self.closed:
                self._drop()
                return Closed()
            process.kill()
            code, last = process.wait(), ""
            if self.log is not None:
                self.log.seek(0, os.SEEK_END)
                self.log.seek(max(0, self.log.tell() - 2000))
                lines = self.log.read().decode("utf-8", "replace").split("\n")
                last = next((line for line in reversed(lines) if line.strip()), "")[:300]
            self._drop()
            return Died(place, code, last)

    def _drop(self) -> None:
        """Ends the process, if there is one; the guard is held."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        if self.log is not None:
            self.log.close()
            self.log = None

    def close(self) -> None:
        """Ends the process at once; what it was writing is removed."""
        with self.guard:
            self.closed = True
            if self.process is not None:
                self.process.kill()
                self.process.wait()
            if not self.busy:  # otherwise its thread is reading, and drops it
                self._drop()
        self.output.remove_attempts(self.token)
        self.output.remove_attempts(f"{self.token}.{SEGMENTS}")
