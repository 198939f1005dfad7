"""How XLA compiles the stages for GPUs. Other devices get no options."""

import os
from typing import Any

from indextts_jax.runtime.layout import GPUS

GRAPHS = "xla_gpu_enable_command_buffer"
OPTIONS: dict[str, Any] = {
    # XLA computes products that share an operand as one, and for that concatenates their other
    # operands: weights of two layers, or keys of prefix and codes, at every step.
    "xla_gpu_dot_merger_threshold_mb": 0,
    # XLA's own list and WHILE: a loop whose body fits into a CUDA graph becomes part of it, so that
    # no step waits for the host. XLA leaves WHILE out if the driver is too old (before CUDA 12.3).
    GRAPHS: "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE",
}


# Otherwise XLA compiles a product or a convolution in several forms and keeps the fastest, which
# may be another in the next process. JAX stores these choices in its cache directory, beside our
# programs, so a program that is compiled again differs only if that directory is lost.
DETERMINISTIC = {"xla_gpu_deterministic_ops": True, "xla_gpu_autotune_level": 0}


def compiler_options(platform: str, *, deterministic: bool = False) -> tuple[tuple[str, Any], ...]:
    """XLA's options for a device's platform; what `XLA_FLAGS` names is left to it."""
    if platform not in GPUS:
        return ()
    flags = os.environ.get("XLA_FLAGS", "")
    options = OPTIONS | (DETERMINISTIC if deterministic else {})
    return tuple((name, value) for name, value in options.items() if f"--{name}=" not in flags)
