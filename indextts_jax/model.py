"""A loaded model: sizes, parameters on a device, tokenizer, and compiled calls of its stages."""

import dataclasses
import functools
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax import checkpoint, devices, programs
from indextts_jax.config import COMPUTE_DTYPES, INT8, Config, to_data
from indextts_jax.environment import FILES, FOLDERS, digest
from indextts_jax.errors import InputError
from indextts_jax.layers.fused_attention import supported
from indextts_jax.models import dit, gpt
from indextts_jax.models.components import COMPONENTS, structure
from indextts_jax.provenance import Provenance
from indextts_jax.text.tokenizer import Tokenizer

Params = dict[Any, Any]


_building = threading.Lock()


def compiled(
    config: Config, component: str, function: str | Callable[..., Any], **static: Any
) -> jax.stages.Wrapped:
    """One stage as a jitted function of parameters and arrays.

    `function` is a method of the component by name, or a function of the bound module (a loop);
    keywords are static. Products of float32 numbers are exact, on every device. Threads that ask
    for the same stage at once get the same function, so that it is compiled once.
    """
    with _building:
        return _jitted(config, component, function, **static)


@functools.cache
def _jitted(
    config: Config, component: str, function: str | Callable[..., Any], **static: Any
) -> jax.stages.Wrapped:
    bind = structure(component, config).bind

    def run(params: Params, *arrays: Any) -> Any:
        module = bind(params)
        call = getattr(module, function) if isinstance(function, str) else function
        leading = () if isinstance(function, str) else (module,)
        with jax.default_matmul_precision("highest"):
            return call(*leading, *arrays, **static)

    given_away = getattr(function, "donated", ())  # arrays that the result takes the place of
    return jax.jit(run, donate_argnums=tuple(1 + number for number in given_away))


class Loaded(Mapping[str, Params]):
    """Parameters by component, out of a checkpoint: each is loaded as it is first asked for."""

    def __init__(self, saved: checkpoint.Checkpoint, config: Config, names: Iterable[str]):
        self._saved, self._config, self._names = saved, config, tuple(names)
        self._held: dict[str, Params] = {}
        self._shapes: dict[str, Params] = {}
        self._verified: set[str] = set()
        self._lock = threading.Lock()
        (self.device,) = jnp.zeros(()).devices()  # the default one, which a context may set
        """Where they are loaded to."""

    def __getitem__(self, name: str) -> Params:
        if name not in self._names:
            raise KeyError(name)
        with self._lock:  # threads wait for the one that loads
            if name not in self._held:
                with jax.default_device(self.device):
                    verify = name not in self._verified
                    stored = self._saved.load([name], verify=verify)[name]
                    self._held[name] = _placed(name, stored, self._config)
            return self._held[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names  # without loading it

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def verify(self, names: Iterable[str]) -> None:
        """Compares the files of components with their hashes, before the first is loaded.

        Raises:
            CheckpointMismatch: naming every file that is missing or damaged.
        """
        wanted = tuple(names)
        self._saved.verify(wanted)
        self._verified.update(wanted)

    @property
    def held(self) -> tuple[str, ...]:
        """The components in memory."""
        return tuple(self._held)

    def held_or_shapes(self, name: str) -> Params:
        """A component's parameters if they are in memory, else their shapes."""
        if name in self._held:
            return self._held[name]
        if name not in self._names:
            raise KeyError(name)
        if name not in self._shapes:
            stored = structure(name, self._config, self._saved.provenance.dtype).expected
            place = jax.sharding.SingleDeviceSharding(self.device)
            place_it = functools.partial(_placed, name, config=self._config, device=self.device)
            shapes = jax.eval_shape(place_it, stored)
            self._shapes[name] = jax.tree.map(
                lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), shapes
            )
        return self._shapes[name]

    def release(self, names: Iterable[str]) -> None:
        """Forgets components: their memory is free when nothing else holds them."""
        with self._lock:
            for name in names:
                self._held.pop(name, None)


def program_name(
    config: Config, component: str, function: str | Callable[..., Any], static: Mapping[str, Any]
) -> programs.Name | None:
    """What a stage's programs are called in the cache; none for a function without a name."""
    called = function if isinstance(function, str) else _qualified(function)
    settings = repr(sorted(static.items()))
    if called is None or " at 0x" in settings:
        return None
    return programs.Name(config_key(config), component, called, settings)


def _qualified(function: Callable[..., Any]) -> str | None:
    """Its name, if it is code that the cache knows."""
    name, module = getattr(function, "__qualname__", "<"), getattr(function, "__module__", "")
    known = [f"indextts_jax.{part.removesuffix('.py')}" for part in (*FOLDERS, *FILES)]
    if "<" in name or not any(module == part or module.startswith(f"{part}.") for part in known):
        return None
    return f"{module}.{name}"


@functools.cache
def config_key(config: Config) -> str:
    """A hash of all sizes, whatever the compute dtypes: the parameters show those."""
    sizes = {name: part for name, part in to_data(config).items() if name != "compute"}
    return digest(sizes)[:16]


@dataclasses.dataclass(frozen=True)
class Model:
    """Parameters by component, in their compute dtypes, and what is needed to run them.

    Nothing in it changes between calls, so threads may share it.
    """

    config: Config
    params: Mapping[str, Any]  # of Params; a check of the values at run time would load them
    tokenizer: Tokenizer
    provenance: Provenance | None = None  # of the checkpoint that it came from

    @property
    def device(self) -> jax.Device:
        """Where the parameters lie."""
        device = getattr(self.params, "device", None)  # of `Loaded`: nothing is loaded to know it
        if device is not None:
            return device
        (device, *_) = jax.tree.leaves(dict(self.params))[0].devices()
        return device

    def run(self, component: str, function: str | Callable[..., Any], *arrays: Any, **static: Any):  # type: ignore[no-untyped-def]
        """The result of one compiled stage; see `compiled`."""
        stage = self.stage(component, function, **static)
        arguments = (self.params[component], *arrays)
        if (kept := programs.active()) is not None:
            name = program_name(self.config, component, function, static)
            device = programs.single_device(arguments)
            if name is not None and device is not None:
                return kept.get(name, stage, arguments, device).call(*arguments)
        return stage(*arguments)

    def verify(self, names: Iterable[str]) -> None:
        """Makes sure that components that may be loaded later are undamaged.

        Raises:
            CheckpointMismatch: naming every file that is missing or damaged.
        """
        if isinstance(self.params, Loaded):
            self.params.verify(names)

    def fetch(self, names: Iterable[str]) -> None:
        """Loads components now, rather than as they are first used."""
        for name in names:
            self.params[name]

    def release(self, names: Iterable[str]) -> None:
        """Forgets the parameters of components; where they are used again, they are loaded again.

        Only of a model that was loaded from a checkpoint.
        """
        if isinstance(self.params, Loaded):
            self.params.release(names)

    def stage(
        self, component: str, function: str | Callable[..., Any], **static: Any
    ) -> jax.stages.Wrapped:
        """One stage as a jitted function of the component's parameters and arrays.

        Raises:
            InputError: if the model lacks the component.
        """
        if component not in self.params:
            raise InputError(
                f"this checkpoint has no {component}; import it again with python -m "
                f"indextts_jax.import --components {','.join([*self.params, component])}"
            )
        return compiled(self.config, component, function, **static)


def cast(name: str, params: Params, config: Config, dtype: str) -> Params:
    """Parameters in a compute dtype; stored tables stay float32."""
    expected = structure(name, config, dtype).expected
    return jax.tree.map(lambda array, like: array.astype(like.dtype), params, expected)


def with_compute_dtype(config: Config, dtype: str | None) -> Config:
    """The configuration with the compute dtype of every stage that may run in halves set.

    The encoders of the prompt stay float32: they run once a prompt, and small errors there choose
    other codes. With int8 the others run in bfloat16.
    """
    if dtype is None:
        return config
    if dtype not in COMPUTE_DTYPES:
        raise InputError(f"--dtype must be one of {', '.join(COMPUTE_DTYPES)}, got {dtype!r}")
    others = ("length_regulator", "dit", "vocoder", "text_emotion")
    half = "bfloat16" if dtype == INT8 else dtype
    compute = dataclasses.replace(config.compute, gpt=dtype, **dict.fromkeys(others, half))
    return dataclasses.replace(config, compute=compute)


def with_fused_attention(config: Config, device: jax.Device) -> Config:
    """The configuration with attention of decoding and flow in kernels, on a device for them.

    Raises:
        InputError: for a device or a head width that there is no kernel for.
    """
    if (lack := devices.lacks_kernels(device)) is not None:
        raise InputError(f"fused attention needs {lack}")
    widths = {
        "gpt": config.gpt.width // config.gpt.heads,
        "dit": config.dit.width // config.dit.heads,
    }
    for name, width in widths.items():
        if not supported(width):
            raise InputError(
                f"fused attention takes heads of width 16, 32, 64, 128 or 256; {name} has {width}"
            )
    return dataclasses.replace(
        config,
        gpt=dataclasses.replace(config.gpt, fused_attention=True),
        dit=dataclasses.replace(config.dit, fused_attention=True),
    )


def _placed(name: str, params: Params, config: Config, device: jax.Device | None = None) -> Params:
    """A component's parameters as they are computed with; `params` is emptied on the way.

    The device is the one that they lie on, which shapes alone do not tell.
    """
    if device is None:
        (device, *_) = jax.tree.leaves(params)[0].devices()
    dtype = getattr(config.compute, name, "float32")
    if eight := dtype == INT8:
        dtype = "float32" if device.platform == "cpu" else "bfloat16"  # of all but the kernels
    wanted = cast(name, params, config, dtype)
    params.clear()  # what is laid out anew must not be held twice
    if name == "gpt":
        return gpt.laid_out(wanted, device.platform, eight_bits=eight)
    return dit.laid_out(wanted) if name == "dit" else wanted


def load_model(
    path: str | Path,
    *,
    dtype: str | None = None,
    components: Iterable[str] | None = None,
    lazy: bool = False,
    fused_attention: bool = False,
) -> Model:
    """The model of an imported checkpoint, on the default device.

    `dtype` sets the compute dtype of the stages after the prompt's analysis; by default the
    checkpoint's configuration says it. A `lazy` model loads each component as it is first used.
    With `fused_attention` attention is one kernel in the flow (see `layers.fused_attention`) and
    one in decoding (`layers.fused_cached_attention`).

    Raises:
        InputError: if the checkpoint is missing, damaged, or does not fit its configuration; if the
            device has no fused attention.
    """
    saved = checkpoint.open_checkpoint(path)
    config = with_compute_dtype(saved.config, dtype)
    if fused_attention:
        (device,) = jnp.zeros(()).devices()
        config = with_fused_attention(config, device)
    names = tuple(COMPONENTS if components is None else components)
    if saved.provenance.ignored:
        passed_over = ", ".join(saved.provenance.ignored)
        warnings.warn(f"{path} was imported with --ignore {passed_over}", stacklevel=2)
    saved.require(names)  # of all, before the first is read
    params = Loaded(saved, config, names)
    if not lazy:
        for name in names:  # one after the other: stored and cast arrays lie in memory together
            params[name]
    return Model(config, params, Tokenizer(saved.tokenizer), saved.provenance)


def random_params(expected: Params, seed: int) -> Params:
    """Random values for a parameter tree: norms neutral, kernels scaled by what they sum over."""
    generator = np.random.default_rng(seed)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        match path[-1].key:
            case "scale" | "var" | "gamma":
                values = np.ones(leaf.shape)
            case "bias" | "mean" | "alpha" | "beta":
                values = np.zeros(leaf.shape)
            case "kernel":
                values = generator.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
            case _:
                values = generator.normal(size=leaf.shape)
        return jnp.asarray(values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, expected)


def random_model(config: Config, tokenizer: bytes, seed: int = 0) -> Model:
    """A model with random weights: it runs like a real one, and sounds like noise."""
    params = {
        name: _placed(name, random_params(structure(name, config).expected, seed), config)
        for name in COMPONENTS
    }
    return Model(config, params, Tokenizer(tokenizer))
