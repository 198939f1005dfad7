"""The layout of GPUs: the same results, on a CPU, as the stored one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.layers.correlation import OutputMajor
from indextts_jax.layers.snake import Factor
from indextts_jax.models.components import structure
from indextts_jax.runtime.layout import to_device_layout


def params(name):
    return jax.tree.map(jnp.asarray, support.tiny_params(name))


@pytest.mark.nightly
def test_vocoder_of_a_gpu_gives_the_same_samples():
    config = support.tiny_config()
    bind = structure("vocoder", config).bind
    run = jax.jit(lambda params, *given: bind(params)(*given))
    mel = jnp.asarray(
        np.random.default_rng(0).standard_normal((2, 9, config.mel.mels)), jnp.float32
    )
    given = mel, jnp.asarray([9, 5])
    on_gpu = to_device_layout("vocoder", params("vocoder"), "gpu", config=config)
    kinds = {type(leaf) for leaf in jax.tree.leaves(on_gpu, is_leaf=is_prepared)}

    assert {OutputMajor, Factor} < kinds
    np.testing.assert_allclose(
        run(on_gpu, *given), run(params("vocoder"), *given), rtol=0, atol=1e-6
    )


def is_prepared(node):
    return isinstance(node, OutputMajor | Factor)


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_vocoder_of_other_devices_stays_as_stored(platform):
    stored = params("vocoder")
    config = support.tiny_config()

    assert to_device_layout("vocoder", stored, platform, config=config) is stored
    assert not any(map(is_prepared, jax.tree.leaves(stored, is_leaf=is_prepared)))


def test_convolutions_of_the_flow_are_output_major_on_a_gpu():
    wavenet = to_device_layout("dit", params("dit"), "gpu")["wavenet"]
    held = [
        wavenet["last"]["conv"]["kernel"],
        *jax.tree.leaves(wavenet["layers"], is_leaf=is_prepared),
    ]
    prepared = [leaf for leaf in held if isinstance(leaf, OutputMajor)]

    assert len(prepared) == support.tiny_config().dit.wavenet.layers


def test_head_in_half_precision_is_padded_for_a_gpu():
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), params("gpt"))
    size = half["code_head"]["kernel"].shape[1]
    padded = to_device_layout("gpt", half, "gpu")["code_head"]["kernel"]

    assert padded.shape[1] % 8 == 0
    assert size <= padded.shape[1] < size + 8
