"""What a long run is watched by: memory, objects, arrays, compilations."""

import contextlib
import ctypes
import dataclasses
import gc
import os
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

COMPILED = "/jax/core/compile/backend_compile_duration"  # also where a program came from the cache
_STATM = Path("/proc/self/statm")


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """A list that grows by the name of every program that is compiled meanwhile."""
    names: list[str] = []

    def listen(event: str, seconds: float, **rest: Any) -> None:
        if event == COMPILED:
            names.append(str(rest.get("fun_name", "a program")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def resident() -> int | None:
    """Bytes of this process that lie in memory now; none where the system does not say."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        told = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):  # Windows
        return None
    return int(told.stdout) * 1024


def give_back() -> None:
    """Has the C library return to the system what nobody uses, where it can (glibc)."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One look at the process, after the garbage was collected."""

    utterance: int
    resident: int | None  # bytes
    in_use: int | None  # bytes of them that the C library does not merely keep
    traced: int  # bytes that Python allocated since tracing began
    objects: int  # that the garbage collector knows
    arrays: int  # of JAX
    array_bytes: int
    compiled: int  # programs since the warm-up


def look(utterance: int, compiled: int) -> Sample:
    """The state of the process."""
    gc.collect()
    arrays = jax.live_arrays()
    kept = resident()
    give_back()
    return Sample(
        utterance,
        kept,
        resident(),
        tracemalloc.get_traced_memory()[0],
        len(gc.get_objects()),
        len(arrays),
        sum(array.nbytes for array in arrays),
        compiled,
    )
