"""Dry run: a model whose stages are compiled instead of run."""

import functools
import math
from typing import Any

import jax
import numpy as np

from indextts_jax.runtime import executables
from indextts_jax.runtime.model import Model, program_name
from indextts_jax.runtime.parameters import Parameters


class DryRunModel(Model):
    """A model whose stages are compiled instead of run; they return zeros of the right shapes."""

    def run_stage(self, component: str, function: Any, *arrays: Any, **static: Any) -> Any:
        """Compiles a stage and returns zeros instead of its result."""
        stage = self.stage(component, function, **static)
        arguments = (self.params[component], *arrays)
        leaves, tree = jax.tree.flatten(arguments)
        place = (component, function, tuple(sorted(static.items())), tree, *map(_shape, leaves))
        if place not in self._results:
            self._results[place] = self._compile(stage, component, function, arguments, static)
        shapes, need = self._results[place]
        called = f"{component} {function if isinstance(function, str) else function.__name__}"
        given = sum(map(_bytes, jax.tree.leaves(arrays)))
        self.needs[called] = max(self.needs.get(called, 0), need + given)
        self.given[called] = max(self.given.get(called, 0), given)
        committed = any(leaf.committed for leaf in leaves if isinstance(leaf, jax.Array))
        committed |= any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
        device = self.device if committed else None

        def zeros(like: Any) -> jax.Array:
            if jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key):
                keys = jax.random.split(jax.random.key(0), like.shape)
                return jax.device_put(keys, device)
            return jax.device_put(np.zeros(like.shape, like.dtype), device)

        return jax.tree.map(zeros, shapes)

    @functools.cached_property
    def needs(self) -> dict[str, int]:
        """Bytes that the largest program of each stage needs in addition to the parameters."""
        return {}

    @functools.cached_property
    def given(self) -> dict[str, int]:
        """Bytes of the arrays that each stage was given at most, apart from the parameters."""
        return {}

    @functools.cached_property
    def _results(self) -> dict[Any, Any]:
        return {}

    def _compile(
        self,
        stage: jax.stages.Wrapped,
        component: str,
        function: Any,
        arguments: tuple[Any, ...],
        static: dict[str, Any],
    ) -> tuple[Any, int]:
        """Compiles a stage; returns the shapes of its results and the bytes that it needs."""
        name = program_name(self, component, function, static)
        if (kept := executables.active()) is not None and name is not None:
            program = kept.get(name, stage, arguments, self.device)
            return program.call.out_info, needed(program.record.memory)
        lowered = stage.lower(*arguments)
        made = lowered.compile()  # cached by JAX for the call with arrays of these shapes
        return lowered.out_info, needed(executables.memory_of(made))


def needed(memory: executables.Memory | None) -> int:
    """Bytes of a program's results and scratch; 0 if the backend has no analysis."""
    return memory.results + memory.scratch if memory is not None else 0


def _bytes(leaf: Any) -> int:
    return math.prod(leaf.shape) * leaf.dtype.itemsize


def _shape(leaf: Any) -> tuple[Any, ...]:
    return leaf.shape, leaf.dtype


def dry_run_model(model: Model) -> DryRunModel:
    """The model for a dry run; components that are not in memory are not loaded."""
    params = model.params.shapes if isinstance(model.params, Parameters) else model.params
    return DryRunModel(
        model.config,
        params,
        model.tokenizer,
        model.provenance,
        model.run,
        alignment=model.alignment,
    )
