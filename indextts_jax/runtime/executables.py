"""Compiled programs kept between runs: they are loaded as they are, not traced or lowered again.

The commands activate a store in the cache folder (`cache_folder.enable_compilation_cache`);
`Model.run_stage` then looks there first. A program's file is machine code: one that others made is
to be trusted as a program is.
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
    """A program that is not in the store, where nothing may be compiled."""


class Name(NamedTuple):
    """Which program: a stage of a model."""

    config: str  # hash of the configuration
    component: str
    function: str
    static: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Bytes of device memory, as the compiler tells them."""

    arguments: int
    results: int
    scratch: int
    code: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ExecutableRecord:
    """What a program's file says about itself."""

    format: int
    component: str
    function: str
    static: str
    shapes: str  # of the arrays besides the parameters
    seconds: float  # of tracing and compiling
    memory: Memory | None
    sha256: str  # of what follows

    @property
    def stage(self) -> str:
        """For people."""
        return f"{self.component} {self.function.rpartition('.')[2]}"


class Executable(NamedTuple):
    """A program that is ready to run."""

    call: jax.stages.Compiled
    record: ExecutableRecord
    kept: bool  # it came from the store
    seconds: float  # until it was ready


Notice = Callable[[Executable], None]


class ExecutableStore:
    """The programs of one folder; threads that ask for the same one at once get the same."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.notice: Notice = lambda program: None
        """Is told of each program as it becomes ready."""
        self.compiles = True
        """Whether a program that is not there is made; else `NotCompiled` is raised."""
        self.spent = 0.0
        """Seconds until programs were ready, all together."""
        self._ready: dict[Hashable, Executable] = {}
        self._lock = threading.Lock()
        self._environments: dict[jax.Device, Environment] = {}
        self._warned = False

    def get(
        self, name: Name, stage: jax.stages.Wrapped, arguments: tuple[Any, ...], device: jax.Device
    ) -> Executable:
        """The program of a stage for arguments (or their shapes) of these shapes."""
        leaves, tree = jax.tree.flatten(arguments)
        kinds = tuple(map(_kind, leaves))
        place = (name, device, tree, kinds)
        program = self._ready.get(place)
        if program is None:
            # One lock for all: XLA compiles on every core as it is.
            with self._lock:
                program = self._ready.get(place)
                if program is None:
                    program = self._make(name, stage, arguments, device, str(tree), kinds)
                    self._ready[place] = program
                    self.spent += program.seconds
                    self.notice(program)
        return program

    def forget(self) -> None:
        """Lets go of all programs; they stay in the folder."""
        with self._lock:
            self._ready.clear()

    def place(self, device: jax.Device, config: str) -> Path:
        """The folder of a configuration's programs for a device."""
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
        except Exception as error:  # whatever XLA or pickle raise at what they cannot read
            self._warn(f"{path} cannot be used and is made anew ({_line(error)})")
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
        except Exception as error:  # a backend that cannot, or a program that holds constants
            self._warn(f"{record.component} {record.function} is not kept ({_line(error)})")
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
            self._warn(f"compiled programs are not kept: {path.parent}: {error.strerror}")
        return record

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, stacklevel=2)


def read_file(path: Path) -> tuple[ExecutableRecord, bytes]:
    """A program's record and its content, seen to be undamaged; nothing of it is run.

    Raises:
        ValueError: if it is damaged.
    """
    head, _, body = path.read_bytes().partition(b"\n")
    try:
        record = from_data(ExecutableRecord, json.loads(head))
    except (ConfigError, RecursionError, ValueError) as error:
        raise ValueError("its head is damaged") from error
    if record.format != _FORMAT:
        raise ValueError(f"it has format {record.format}, expected {_FORMAT}")
    if hashlib.sha256(body).hexdigest() != record.sha256:
        raise ValueError("its SHA-256 is not the recorded one")
    return record, body


def memory_of(compiled: jax.stages.Compiled) -> Memory | None:
    """What the compiler says of a program's memory; none where it says nothing."""
    told = compiled.memory_analysis()
    if told is None:
        return None
    return Memory(
        arguments=told.argument_size_in_bytes,
        results=told.output_size_in_bytes - told.alias_size_in_bytes,
        scratch=told.temp_size_in_bytes,
        code=told.generated_code_size_in_bytes,
    )


def _compile(stage: jax.stages.Wrapped, arguments: tuple[Any, ...]) -> jax.stages.Compiled:
    # XLA for CPU writes programs without their code where they came from JAX's own cache (jaxlib
    # 0.10.2: `Function ... not found` when run). So these are never written there, and not found
    # where the same program was compiled without a store: their keys have metadata besides.
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


def activate(folder: Path | None) -> ExecutableStore | None:
    """Keeps programs, and facts of them, in a folder from now on; none: as JAX does by itself."""
    global _active
    _active = None if folder is None else ExecutableStore(folder)
    disk_cache.keep_in(folder, f"{source()} flax {importlib.metadata.version('flax')}")
    return _active


def active() -> ExecutableStore | None:
    """The store that is in use."""
    return _active


def seconds_spent() -> float:
    """Seconds so far until programs were ready, all together."""
    return _active.spent if _active is not None else 0.0


@contextlib.contextmanager
def compiling(allowed: bool) -> Iterator[None]:
    """Where it is not allowed, a program that the store lacks raises `NotCompiled`."""
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
    """The device that all arrays lie on, or may be put on; none if they lie on several."""
    found = None
    for leaf in jax.tree.leaves(arguments):
        sharding = getattr(leaf, "sharding", None)
        if sharding is None:
            continue  # of NumPy
        if sharding.num_devices > 1:
            return None
        if found is None or getattr(leaf, "committed", True):
            (found,) = sharding.device_set
    return found
