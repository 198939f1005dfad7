"""Flags for adapters, for commands that speak with them or export the merged model."""

from typing import Any

from absl import flags as absl_flags

from indextts_jax.errors import InputError
from indextts_jax.runtime.adapters import AppliedAdapter, read_all

ADAPTER, STRENGTH = "adapter", "adapter_strength"
FLAGS = (ADAPTER, STRENGTH)


def define(own: dict[str, Any]) -> None:
    """Defines the flags on a command's flag values, given as `own`."""
    absl_flags.DEFINE_multi_string(
        ADAPTER, [], "Adapter (LoRA) to merge into the model; repeat the flag for several.", **own
    )
    absl_flags.DEFINE_multi_float(
        STRENGTH, [1.0], "Strength of each adapter: 1 as trained, 0 for no effect.", **own
    )


def read(flags: Any) -> tuple[AppliedAdapter, ...]:
    """The requested adapters.

    Raises:
        InputError: for an adapter that cannot be read, or strengths without an adapter.
    """
    if not flags.adapter:
        if flags[STRENGTH].present:
            raise InputError(f"--{STRENGTH} needs --{ADAPTER}")
        return ()
    return tuple(read_all(flags.adapter, flags.adapter_strength))
