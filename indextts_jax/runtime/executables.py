"""A store of compiled programs: loaded from disk, they are not traced or lowered again.

Loading a model activates a store in the cache directory (`cache_folder.enable_by_default`);
`Model.run_stage` then looks there first. A program's file is machine code: load only files that you
would trust as a program.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import pickle
import threading
import time
import warnings
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental import serialize_executable

from indextts_jax.runtime.environment import Environment, environment, source
from indextts_jax.utils import atomic, disk_cache
from indextts_jax.utils.hashing import digest
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

ENDING = ".program"
DESCRIPTION = "environment.json"
_FORMAT = 1
_NEVER = 1e9  # seconds


class NotCompiled(LookupError):
    """Raised when a compiled program is missing and compiling is disabled."""


class Name(NamedTuple):
    """The name of a program: a stage of a model."""

    config: str  # hash of the configuration
    component: str
    function: str
    static: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Bytes of device memory, as reported by the compiler."""

    arguments: int
    results: int
    scratch: int
    code: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ExecutableRecord:
    """The header of a program's file."""

    format: int
    component: str
    function: str
    static: str
    shapes: str  # of the arrays, without the parameters
    seconds: float  # of tracing and compiling
    memory: Memory | None
    sha256: str  # of what follows

    @property
    def stage(self) -> str:
        """The stage in human-readable form."""
        return f"{self.component} {self.function.rpartition('.')[2]}"


class Executable(NamedTuple):
    """A program that is ready to run."""

    call: jax.stages.Compiled
    record: ExecutableRecord
    kept: bool  # it came from the store
    seconds: float  # until it was ready


Notice = Callable[[Executable], None]


class ExecutableStore:
    """The programs in one directory; concurrent threads share each program."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.notice: Notice = lambda program: None
        """Called with each program as it becomes ready."""
        self.compiles = True
        """Whether to compile missing programs; if not, `NotCompiled` is raised."""
        self.spent = 0.0
        """Total seconds spent on loading and compiling programs."""
        self._ready: dict[Hashable, Executable] = {}
        self._lock = threading.Lock()
        self._environments: dict[jax.Device, Environment] = {}
        self._warned = False

    def get(
        self, name: Name, stage: jax.stages.Wrapped, arguments: tuple[Any, ...], device: jax.Device
    ) -> Executable:
        """The program of a stage for the shapes of these arguments (arrays or shapes)."""
        leaves, tree = jax.tree.flatten(arguments)
        kinds = tuple(map(_kind, leaves))
        place = (name, device, tree, kinds)
        program = self._ready.get(place)
        if program is None:
            # One lock for all programs: XLA already compiles on every core.
            with self._lock:
                program = self._ready.get(place)
                if program is None:
                    program = self._make(name, stage, arguments, device, str(tree), kinds)
                    self._ready[place] = program
                    self.spent += program.seconds
                    self.notice(program)
        return program

    def forget(self) -> None:
        """Drops all programs from memory; they stay on disk."""
        with self._lock:
            self._ready.clear()

    def place(self, device: jax.Device, config: str) -> Path:
        """The directory of a configuration's programs for a device."""
        if device not in self._environments:
            self._environments[device] = environment(device)
        return self.folder / self._environments[device].key / config

    def _make(
        self,
        name: Name,
        stage: jax.stages.Wrapped,
        arguments: tuple[Any, ...],
        device: jax.Device,
        tree: str,
        kinds: tuple[Any, ...],
    ) -> Executable:
        start = time.perf_counter()
        words = [f"{dtype}{list(shape)}{weak}" for shape, dtype, weak in kinds]
        options = ("jax_enable_x64", "jax_default_matmul_precision")
        switches = [str(getattr(jax.config, option)) for option in options]
        key = digest([*name, device.id, tree, words, switches])[:32]
        path = self.place(device, name.config) / f"{key}{ENDING}"
        if (found := self._read(path, device)) is not None:
            return Executable(*found, kept=True, seconds=time.perf_counter() - start)
        if not self.compiles:
            raise NotCompiled(f"{name.component} {name.function}")
        compiled = _compile(stage, arguments)
        arrays = jax.tree.leaves(arguments[1:])
        record = ExecutableRecord(
            format=_FORMAT,
            component=name.component,
            function=name.function,
            static=name.static,
            shapes=", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays),
            seconds=round(time.perf_counter() - start, 3),
            memory=memory_of(compiled),
            sha256="",
        )
        record = self._write(path, device, compiled, record)
        return Executable(compiled, record, kept=False, seconds=time.perf_counter() - start)

    def _read(
        self, path: Path, device: jax.Device
    ) -> tuple[jax.stages.Compiled, ExecutableRecord] | None:
        if not path.is_file():
            return None
        try:
            record, body = read_file(path)
            code, taken, given = pickle.loads(body)
            call = serialize_executable.deserialize_and_load(
                code, taken, given, backend=device.client, execution_devices=[device]
            )
        except Exception as error:  # XLA and pickle raise many types
            self._warn(f"{path} cannot be loaded and is compiled again ({_line(error)})")
            return None
        return call, record

    def _write(
        self,
        path: Path,
        device: jax.Device,
        compiled: jax.stages.Compiled,
        record: ExecutableRecord,
    ) -> ExecutableRecord:
        try:
            body = pickle.dumps(serialize_executable.serialize(compiled))
        except Exception as error:  # a backend without support, or a program that holds constants
            self._warn(f"{record.component} {record.function} is not stored ({_line(error)})")
            return record
        record = dataclasses.replace(record, sha256=hashlib.sha256(body).hexdigest())
        head = json.dumps(to_data(record)).encode()
        try:
            description = path.parent.parent / DESCRIPTION
            if not description.is_file():
                text = json.dumps(to_data(self._environments[device]), indent=1)
                atomic.write_whole(description, text.encode())
            atomic.write_whole(path, b"\n".join([head, body]))
        except OSError as error:
            self._warn(f"compiled programs are not stored: {path.parent}: {error.strerror}")
        return record

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, stacklevel=2)


def read_file(path: Path) -> tuple[ExecutableRecord, bytes]:
    """A program's header and content, after a check of its hash; nothing is run.

    Raises:
        ValueError: if it is damaged.
    """
    head, _, body = path.read_bytes().partition(b"\n")
    try:
        record = from_data(ExecutableRecord, json.loads(head))
    except (ConfigError, RecursionError, ValueError) as error:
        raise ValueError("its header is damaged") from error
    if record.format != _FORMAT:
        raise ValueError(f"it has format {record.format}, expected {_FORMAT}")
    if hashlib.sha256(body).hexdigest() != record.sha256:
        raise ValueError("its SHA-256 is not the recorded one")
    return record, body


def memory_of(compiled: jax.stages.Compiled) -> Memory | None:
    """The compiler's memory analysis of a program; None if the backend has none."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        return None
    return Memory(
        arguments=analysis.argument_size_in_bytes,
        results=analysis.output_size_in_bytes - analysis.alias_size_in_bytes,
        scratch=analysis.temp_size_in_bytes,
        code=analysis.generated_code_size_in_bytes,
    )


def _compile(stage: jax.stages.Wrapped, arguments: tuple[Any, ...]) -> jax.stages.Compiled:
    # On CPU, an executable that JAX loaded from its own cache is serialized without its code
    # (jaxlib 0.10.2: `Function ... not found` when it runs). So JAX must not cache our programs
    # (the minimum compile time), nor find them if they were compiled without a store (metadata in
    # the cache key).
    apart = {
        "jax_persistent_cache_min_compile_time_secs": _NEVER,
        "jax_compilation_cache_include_metadata_in_key": True,
    }
    usual = {option: getattr(jax.config, option) for option in apart}
    try:
        for option, value in apart.items():
            jax.config.update(option, value)
        return stage.lower(*arguments).compile()
    finally:
        for option, value in usual.items():
            jax.config.update(option, value)


def _kind(leaf: Any) -> tuple[tuple[int, ...], Any, bool]:
    return leaf.shape, leaf.dtype, getattr(leaf, "weak_type", False)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


_active: ExecutableStore | None = None
_chosen = False


def activate(folder: Path | None) -> ExecutableStore | None:
    """Stores programs, and facts about them, in a directory from now on; None: use JAX alone."""
    global _active, _chosen
    _chosen = True
    _active = None if folder is None else ExecutableStore(folder)
    disk_cache.keep_in(folder, f"{source()} flax {importlib.metadata.version('flax')}")
    return _active


def chosen() -> bool:
    """Whether `activate` was called: whether to store programs has been decided."""
    return _chosen


def active() -> ExecutableStore | None:
    """The active store."""
    return _active


def seconds_spent() -> float:
    """Total seconds spent so far on loading and compiling programs."""
    return _active.spent if _active is not None else 0.0


@contextlib.contextmanager
def compiling(allowed: bool) -> Iterator[None]:
    """Within this context, unless `allowed`, a missing program raises `NotCompiled`."""
    store = _active
    before = store.compiles if store is not None else True
    try:
        if store is not None:
            store.compiles = allowed
        yield
    finally:
        if store is not None:
            store.compiles = before


def single_device(arguments: Any) -> jax.Device | None:
    """The one device that holds all arrays, or may hold them; None if there are several."""
    found = None
    for leaf in jax.tree.leaves(arguments):
        sharding = getattr(leaf, "sharding", None)
        if sharding is None:
            continue  # a NumPy array
        if sharding.num_devices > 1:
            return None
        if found is None or getattr(leaf, "committed", True):
            (found,) = sharding.device_set
    return found
