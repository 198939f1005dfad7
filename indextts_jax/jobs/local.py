"""The local engine: one worker for each device of this machine, each with a thread that waits."""

import dataclasses
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from indextts_jax.errors import Failure, InputError
from indextts_jax.jobs.deadline import SKIPPED, Deadline
from indextts_jax.jobs.plan import Pack
from indextts_jax.jobs.worker import Closed, Spec, Worker

VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL = 0.5  # seconds between two looks at the clock
OnRow = Callable[[], None]  # called for each row that is finished


def speak_local(
    packs: Sequence[Pack],
    specs: Sequence[Spec],
    deadline: Deadline,
    on_row: OnRow = lambda: None,
) -> Iterator[dict[str, Any]]:
    """Yields the summary of each pack as it is finished; `specs` has one entry for each worker.

    Stopping the iteration ends all workers at once; what they were writing is removed.

    Raises:
        InputError: if the input has changed.
        Failure: if a pack cannot be spoken or written.
    """
    waiting: queue.SimpleQueue[Pack] = queue.SimpleQueue()
    for pack in packs:
        waiting.put(pack)
    results: queue.Queue[dict[str, Any] | BaseException | None] = queue.Queue()
    workers = [Worker(spec) for spec in specs]

    def on_event(event: str, place: int) -> None:
        if event == "finished":
            on_row()

    def work(worker: Worker) -> None:
        try:
            while True:
                try:
                    pack = waiting.get_nowait()
                except queue.Empty:
                    break
                if not deadline.allows(pack.seconds):
                    results.put({"pack": pack.number, SKIPPED: True})
                    continue
                began = time.time()
                made = worker.run(pack.number, on_event)
                deadline.note(pack.seconds, time.time() - began)
                results.put(made)
        except Closed:
            return
        except BaseException as error:
            results.put(error)
            return
        results.put(None)

    threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in workers]
    for thread in threads:
        thread.start()
    working = len(threads)
    try:
        while working:
            if deadline.passed():
                return
            try:
                made = results.get(timeout=POLL)
            except queue.Empty:
                continue
            if made is None:
                working -= 1
            elif isinstance(made, BaseException):
                raise made
            else:
                yield made
    finally:
        for worker in workers:
            worker.close()
        for thread in threads:
            thread.join(timeout=2)


def specs(spec: Spec, workers: int | None) -> list[Spec]:
    """One specification for each worker of this machine, each with a device of its own.

    Without a number there is one for each GPU; a TPU host or a machine without accelerators has
    one worker for all.

    Raises:
        InputError: for more workers than devices.
    """
    platform, count = local_devices(str(spec.options.get("device", "auto")))
    if platform != "gpu":
        if platform == "tpu" and (workers or 1) > 1:
            raise InputError("a TPU host has one worker, which uses all its chips", "workers")
        return [spec] * (workers or 1)
    if workers is not None and workers > count:
        raise InputError(f"workers: {workers} for {count} GPUs", "workers")
    given = [one for one in os.environ.get(VISIBLE, "").split(",") if one]
    names = given or [str(number) for number in range(count)]
    return [
        dataclasses.replace(spec, environment={**spec.environment, VISIBLE: name})
        for name in names[: workers or count]
    ]


_PROBE = "import jax; d = jax.local_devices(); print(d[0].platform, len(d))"


def local_devices(device: str) -> tuple[str, int]:
    """Platform and number of this machine's devices, asked in a process that ends: it frees them.

    Raises:
        Failure: if JAX does not start.
    """
    if device == "cpu":
        return "cpu", 1
    found = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True)
    words = found.stdout.split()
    if found.returncode or len(words) < 2:
        raise Failure(f"JAX finds no devices: {found.stderr.strip()[-300:]}")
    return words[-2], int(words[-1])
