import jax
import pytest

from indextts_jax.runtime.compiler_options import GRAPHS, compiler_options


@pytest.mark.parametrize("deterministic", [False, True])
def test_this_jax_knows_the_options(deterministic):
    """XLA checks names and values of options of GPUs on every device."""
    options = dict(compiler_options("gpu", deterministic=deterministic))
    double = jax.jit(lambda x: 2 * x, compiler_options=options)

    assert double(3) == 6


def test_options_are_for_gpus_alone():
    assert compiler_options("cpu", deterministic=True) == ()
    assert compiler_options("tpu") == ()


def test_deterministic_programs_choose_nothing_by_timing():
    assert dict(compiler_options("gpu", deterministic=True))["xla_gpu_autotune_level"] == 0
    assert "xla_gpu_autotune_level" not in dict(compiler_options("gpu"))


def test_xla_flags_come_first(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--{GRAPHS}=FUSION --xla_dump_to=/nowhere")
    names = [name for name, _ in compiler_options("gpu")]

    assert GRAPHS not in names
    assert "xla_gpu_dot_merger_threshold_mb" in names
