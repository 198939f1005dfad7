"""The kernel for NVIDIA GPUs, run as plain JAX; and its lowering, which needs no GPU."""

import dataclasses
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.config import bundled_config
from indextts_jax.errors import InputError
from indextts_jax.layers.attention import attend, together
from indextts_jax.layers.kernels.attention import attend_fused, supported
from indextts_jax.runtime.precision import check_kernels


def inputs(queries, keys, width=16, dtype="float32"):
    rng = np.random.default_rng(0)
    shapes = [(3, queries, 2, width), (3, keys, 2, width), (3, keys, 2, width)]
    return [jnp.asarray(rng.standard_normal(shape, np.float32), dtype) for shape in shapes]


def gpu(capability, kind="NVIDIA H200"):
    device = mock.NonCallableMock(spec=jax.Device, platform="gpu", device_kind=kind)
    device.compute_capability = capability
    return device


# One block and several, whole and broken ones; a row of one key, one of all.
@pytest.mark.parametrize(("queries", "keys", "width"), [(7, 5, 32), (64, 128, 16), (130, 200, 64)])
@pytest.mark.parametrize(
    ("dtype", "apart"), [("float32", 1e-6), ("float16", 1e-3), ("bfloat16", 8e-3)]
)
def test_the_kernel_is_the_plain_computation(queries, keys, width, dtype, apart):
    """In halves the weights are rounded before they are divided by their sum, not after."""
    given = inputs(queries, keys, width, dtype)
    lengths = jnp.array([1, keys // 2, keys])

    ours = attend_fused(*given, lengths, interpret=True)

    assert ours.dtype == jnp.float32
    np.testing.assert_allclose(ours, together(*given, lengths), rtol=0, atol=apart)


def test_keys_that_do_not_count_change_nothing():
    q, k, v = inputs(9, 100)
    lengths = jnp.array([3, 64, 70])
    beyond = (jnp.arange(100) >= lengths[:, None])[:, :, None, None]

    ours = attend_fused(q, k, v, lengths, interpret=True)
    other = attend_fused(
        q, jnp.where(beyond, 1e30, k), jnp.where(beyond, 7.0, v), lengths, interpret=True
    )

    np.testing.assert_array_equal(ours, other)


def test_a_row_of_no_keys_is_zero():
    ours = attend_fused(*inputs(5, 70), jnp.array([0, 1, 70]), interpret=True)

    assert not ours[0].any()
    assert np.isfinite(ours).all()


@pytest.mark.parametrize(("platform", "kernels"), [("cuda", 1), ("cpu", 0), ("tpu", 0)])
def test_only_a_program_for_cuda_holds_the_kernel(platform, kernels):
    call = jax.jit(lambda *given: attend(*given, fused=True))
    given = *inputs(64, 64), jnp.array([1, 2, 3])

    assert support.kernels(call, *given, platform=platform) == kernels


def test_supported_device_is_accepted():
    check_kernels(bundled_config("indextts2"), gpu("9.0"))


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (gpu("7.5", "Tesla T4"), r"8.0 or more, but CUDA \(Tesla T4\) has 7.5"),
        (gpu("gfx90a", "AMD Instinct"), "the model is on CUDA"),
        (jax.devices("cpu")[0], "an NVIDIA GPU .* the model is on CPU"),
    ],
)
def test_a_device_without_it_is_an_error(device, why):
    with pytest.raises(InputError, match=why):
        check_kernels(bundled_config("indextts2"), device)


@pytest.mark.parametrize("name", ["gpt", "dit"])
def test_unsupported_head_width_is_rejected(name):
    config = support.tiny_config()
    sizes = getattr(config, name)
    narrow = dataclasses.replace(sizes, heads=sizes.width // 8)

    with pytest.raises(InputError, match=f"{name} has 8"):
        check_kernels(dataclasses.replace(config, **{name: narrow}), gpu("8.0"))


@pytest.mark.parametrize(
    ("width", "takes"), [(8, False), (16, True), (24, False), (256, True), (512, False)]
)
def test_widths_that_the_kernel_takes(width, takes):
    assert supported(width) == takes
