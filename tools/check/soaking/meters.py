"""Measurements of a long run: memory, objects, arrays, compilations."""

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
    """A list that receives the name of every program compiled in the context."""
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
    """Resident bytes of this process; None where the system does not report them."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        answer = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):  # Windows
        return None
    return int(answer.stdout) * 1024


def trim() -> None:
    """Has the C library return unused memory to the system (glibc)."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One measurement of the process, after a garbage collection."""

    utterance: int
    resident: int | None  # bytes
    in_use: int | None  # resident bytes after unused memory was returned
    traced: int  # bytes that Python allocated since tracing began
    objects: int  # that the garbage collector knows
    arrays: int  # of JAX
    array_bytes: int
    compiled: int  # programs since the warm-up


def look(utterance: int, compiled: int) -> Sample:
    """The state of the process."""
    gc.collect()
    arrays = jax.live_arrays()
    before_trim = resident()
    trim()
    return Sample(
        utterance,
        before_trim,
        resident(),
        tracemalloc.get_traced_memory()[0],
        len(gc.get_objects()),
        len(arrays),
        sum(array.nbytes for array in arrays),
        compiled,
    )
