"""The flags of adapters, for commands that speak with them or export what they make."""

from typing import Any

from absl import flags as absl_flags

from indextts_jax.errors import InputError
from indextts_jax.runtime.adapters import AppliedAdapter, read_all

ADAPTER, STRENGTH = "adapter", "adapter_strength"
FLAGS = (ADAPTER, STRENGTH)


def define(own: dict[str, Any]) -> None:
    """The flags; `own` has the flag values that they belong to."""
    absl_flags.DEFINE_multi_string(
        ADAPTER, [], "Adapter (LoRA) to merge into the model; several with several flags.", **own
    )
    absl_flags.DEFINE_multi_float(
        STRENGTH, [1.0], "Of each adapter: 1 as it was trained, 0 not at all.", **own
    )


def read(flags: Any) -> tuple[AppliedAdapter, ...]:
    """The adapters that are asked for.

    Raises:
        InputError: for one that cannot be read, or strengths that belong to none.
    """
    if not flags.adapter:
        if flags[STRENGTH].present:
            raise InputError(f"--{STRENGTH} needs --{ADAPTER}")
        return ()
    return tuple(read_all(flags.adapter, flags.adapter_strength))
