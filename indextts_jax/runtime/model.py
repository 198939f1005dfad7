"""A loaded model: sizes, parameters on a device, tokenizer, and compiled calls of its stages."""

import dataclasses
import functools
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from indextts_jax.checkpoint import reading
from indextts_jax.checkpoint.provenance import Provenance
from indextts_jax.config import BucketConfig, ModelConfig, RunConfig
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS, OPTIONAL, Params, structure
from indextts_jax.runtime import adapters as adapting
from indextts_jax.runtime import cache_folder, executables
from indextts_jax.runtime.adapters import AdapterUse, AppliedAdapter
from indextts_jax.runtime.buckets import buckets_of
from indextts_jax.runtime.compiler_options import compiler_options
from indextts_jax.runtime.environment import FOLDERS
from indextts_jax.runtime.parameters import Parameters
from indextts_jax.runtime.precision import check_kernels, uses_kernels
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.utils.hashing import digest
from indextts_jax.utils.strict_data import to_data

_building = threading.Lock()


def compiled(
    config: ModelConfig,
    component: str,
    function: str | Callable[..., Any],
    *,
    fused_attention: bool = False,
    platform: str = "cpu",
    deterministic: bool = False,
    **static: Any,
) -> jax.stages.Wrapped:
    """One stage as a jitted function of parameters and arrays.

    `function` is the name of a method of the component, or a function of the bound module (a loop);
    keywords are static. float32 products have full precision on every device (no TF32). Concurrent
    threads get the same function, so that it is compiled once. `platform` is that of the device; it
    and `deterministic` decide how XLA compiles, see `compiler_options`.
    """
    with _building:
        options = compiler_options(platform, deterministic=deterministic)
        return _jitted(config, component, function, fused_attention, options, **static)


@functools.cache
def _jitted(
    config: ModelConfig,
    component: str,
    function: str | Callable[..., Any],
    fused_attention: bool,
    options: tuple[tuple[str, Any], ...],
    **static: Any,
) -> jax.stages.Wrapped:
    bind = structure(component, config, fused_attention=fused_attention).bind

    def run(params: Params, *arrays: Any) -> Any:
        module = bind(params)
        call = getattr(module, function) if isinstance(function, str) else function
        leading = () if isinstance(function, str) else (module,)
        with jax.default_matmul_precision("highest"):
            return call(*leading, *arrays, **static)

    donated = getattr(function, "donated", ())  # arrays whose buffers the result reuses
    return jax.jit(
        run,
        donate_argnums=tuple(1 + number for number in donated),
        compiler_options=dict(options) or None,
    )


def program_name(
    model: "Model", component: str, function: str | Callable[..., Any], static: Mapping[str, Any]
) -> executables.Name | None:
    """The name of a stage's programs in the cache; None for a function without a stable name."""
    called = function if isinstance(function, str) else _qualified(function)
    settings = repr(sorted(static.items()))
    if called is None or " at 0x" in settings:
        return None
    if component in OPTIONAL:  # `config_key` leaves it out
        settings += f" {digest(to_data(getattr(model.config, component)))[:16]}"
    return executables.Name(config_key(model.config, model.run), component, called, settings)


def _qualified(function: Callable[..., Any]) -> str | None:
    """The qualified name of a function whose source is part of the environment, else None."""
    name, module = getattr(function, "__qualname__", "<"), getattr(function, "__module__", "")
    known = [f"indextts_jax.{part}" for part in FOLDERS]
    if "<" in name or not any(module == part or module.startswith(f"{part}.") for part in known):
        return None
    return f"{module}.{name}"


@functools.cache
def config_key(config: ModelConfig, run: RunConfig) -> str:
    """A hash of what programs depend on, apart from the shapes and dtypes of their arrays.

    Optional components are left out, so that adding one to a checkpoint does not invalidate
    programs.
    """
    without: dict[str, Any] = dict.fromkeys(OPTIONAL)
    settings = [run.fused_attention, run.deterministic]
    return digest([to_data(dataclasses.replace(config, **without)), settings])[:16]


@dataclasses.dataclass(frozen=True, repr=False)
class Model:
    """Parameters by component, in their compute dtypes, and everything needed to run them.

    Calls do not change it, so threads may share it.
    """

    config: ModelConfig
    params: Mapping[str, Any]  # to Params; typed Any, as a run-time type check would load them
    tokenizer: Any  # that of its version
    provenance: Provenance | None = None  # of its checkpoint
    run: RunConfig = dataclasses.field(default_factory=RunConfig)
    adapters: tuple[AdapterUse, ...] = ()  # merged into the parameters
    settings: bytes | None = None  # YAML: default settings
    alignment: bytes | None = None  # JSON: heads that follow the text, see `checkpoint.alignment`

    def __repr__(self) -> str:
        facts = [f"version {self.config.version}"]
        if self.provenance is not None:
            count = sum(component.parameters for component in self.provenance.components)
            facts.append(f"{count / 1e6:,.1f} M parameters")
            facts.append(self.run.dtype or self.provenance.dtype)
        facts += [f"adapter {adapter.name}" for adapter in self.adapters]
        return f"<Model: {', '.join(facts)}>"

    @property
    def buckets(self) -> BucketConfig:
        """Padded lengths, those of text tokens and codes within the GPT's position tables."""
        return buckets_of(self.config, self.run)

    @property
    def device(self) -> jax.Device:
        """The device that holds the parameters."""
        # `Parameters` knows it without loading anything.
        device = getattr(self.params, "device", None)
        if device is not None:
            return device
        (device, *_) = jax.tree.leaves(dict(self.params))[0].devices()
        return device

    def run_stage(
        self, component: str, function: str | Callable[..., Any], *arrays: Any, **static: Any
    ) -> Any:
        """Runs one compiled stage; only the typed functions of `stages` should call this."""
        stage = self.stage(component, function, **static)
        arguments = (self.params[component], *arrays)
        if (kept := executables.active()) is not None:
            name = program_name(self, component, function, static)
            device = executables.single_device(arguments)
            if name is not None and device is not None:
                return kept.get(name, stage, arguments, device).call(*arguments)
        return stage(*arguments)

    def verify(self, names: Iterable[str]) -> None:
        """Checks the files of components that may be loaded later.

        Raises:
            CheckpointMismatch: naming every file that is missing or damaged.
        """
        if isinstance(self.params, Parameters):
            self.params.verify(names)

    def fetch(self, names: Iterable[str]) -> None:
        """Loads components now, rather than on first use."""
        for name in names:
            self.params[name]

    def release(self, names: Iterable[str]) -> None:
        """Frees the parameters of components; they are loaded again on next use.

        No effect unless the model was loaded from a checkpoint.
        """
        if isinstance(self.params, Parameters):
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
        fused = uses_kernels(component, self.config, self.run, self.device)
        return compiled(
            self.config,
            component,
            function,
            fused_attention=fused,
            platform=self.device.platform,
            deterministic=self.run.deterministic,
            **static,
        )


def load_model(
    path: str | Path,
    run: RunConfig | None = None,
    *,
    components: Iterable[str] | None = None,
    lazy: bool = False,
    adapters: Sequence[AppliedAdapter] = (),
) -> Model:
    """The model of an imported checkpoint, on the default device, with adapters if there are any.

    A `lazy` model loads each component on first use. Compiled programs are stored between runs; see
    `cache_folder.enable_compilation_cache`.

    Raises:
        InputError: if the checkpoint is missing, damaged, or does not fit its configuration; if the
            device does not support fused attention; for an adapter of another checkpoint.
    """
    saved, run = reading.open_checkpoint(path), run or RunConfig()
    cache_folder.enable_by_default()
    if run.fused_attention:
        (device,) = jnp.zeros(()).devices()
        check_kernels(saved.config, device)
    names = tuple(COMPONENTS if components is None else components)
    if saved.provenance.ignored:
        passed_over = ", ".join(saved.provenance.ignored)
        warnings.warn(f"{path} was imported with --ignore {passed_over}", stacklevel=2)
    saved.require(names)  # check all before loading the first
    adapting.check(adapters, saved)
    params = Parameters(saved, run, names, adapters=adapters)
    if not lazy:
        for name in names:  # one by one: while loading, stored and cast arrays are both in memory
            params[name]
    uses = tuple(applied.use for applied in adapters)
    tokenizer = version_of(saved.config).tokenizer(saved.tokenizer)
    return Model(
        saved.config,
        params,
        tokenizer,
        saved.provenance,
        run,
        uses,
        saved.settings,
        saved.alignment,
    )
