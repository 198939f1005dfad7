import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.config import bundled_config
from indextts_jax.models.components import structure
from indextts_jax.utils.strict_data import ConfigError


@functools.cache
def program(method, dtype):
    """A method of the tiny model, jitted over its parameters, and the parameters."""
    made = structure("conditioning", support.tiny_config(), dtype)
    params = jax.tree.map(
        lambda leaf, want: jnp.asarray(leaf, want.dtype),
        support.tiny_params("conditioning"),
        made.expected,
    )
    run = jax.jit(lambda params, *given: getattr(made.bind(params), method)(*given))
    return functools.partial(run, params)


def call(method, semantic, lengths=None, dtype="float32"):
    lengths = [semantic.shape[1]] * len(semantic) if lengths is None else lengths
    return program(method, dtype)(jnp.asarray(semantic), jnp.asarray(lengths))


@pytest.mark.parametrize(
    ("method", "prompt", "name"),
    [
        ("speaker_latents", "spk", "speaker_latents"),
        ("emotion_summary", "emo", "emo_perceiver_out"),
        ("emotion_vector", "spk", "emovec_speaker"),
        ("emotion_vector", "emo", "emovec_emotion"),
    ],
)
def test_gives_the_output_of_the_reference(method, prompt, name):
    semantic = support.golden("w2v")[f"{prompt}_semantic"]

    support.assert_close(
        call(method, semantic), support.golden("conditioning")[name], f"conditioning.{name}"
    )


@pytest.mark.parametrize(
    ("method", "prompt", "name"),
    [
        ("encode_speaker", "spk", "conformer_out"),
        ("encode_emotion", "emo", "emo_conformer_out"),
    ],
)
def test_conformers_give_the_frames_of_the_reference(method, prompt, name):
    semantic = support.golden("w2v")[f"{prompt}_semantic"]
    ours, mask = call(method, semantic)

    support.assert_close(ours, support.golden("conditioning")[name], f"conditioning.{name}")
    # The reference counts frames only up to the width of the features, here 32.
    assert mask.sum() == (semantic.shape[2] - 1) // 2 < mask.shape[1]


@pytest.mark.parametrize("method", ["speaker_latents", "emotion_vector"])
def test_padding_has_no_effect(method):
    random = np.random.default_rng(0)
    features = support.golden("w2v")["spk_semantic"][0]
    lengths = [random.integers(3, 32), random.integers(32, 64)]
    rows = 1e4 * random.normal(size=(2, 64, features.shape[1])).astype(np.float32)
    for row, length in enumerate(lengths):
        rows[row, :length] = features[20 * row : 20 * row + length]
    ours = call(method, rows, lengths)

    for row, length in enumerate(lengths):
        alone = call(method, rows[row : row + 1, :length])
        support.assert_close(ours[row], alone[0], "conditioning.padding")


@pytest.mark.parametrize("method", ["speaker_latents", "emotion_vector"])
def test_neighbours_change_nothing(method):
    semantic = support.golden("w2v")["spk_semantic"][:, :60].repeat(2, axis=0)
    first = call(method, semantic, [41, 60])
    semantic[1] = 1e4 * np.random.default_rng(0).normal(size=semantic[1].shape)
    second = call(method, semantic, [41, 7])

    support.assert_close(first[0], second[0], "conditioning.padding")


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float16", marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    ("method", "name"), [("speaker_latents", "speaker_latents"), ("emotion_vector", "emovec")]
)
def test_half_precision_weights_stay_close_to_full_precision(method, name, dtype):
    semantic = support.golden("w2v")["spk_semantic"]
    full = support.golden("conditioning")[name if name in method else f"{name}_speaker"]

    support.assert_close(
        call(method, semantic, dtype=dtype).astype(jnp.float32),
        full,
        f"conditioning.{name}_{dtype}",
    )


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("speaker_encoder", {"kernel": 14}, "kernel 14 must be odd"),
        ("speaker_encoder", {"width": 40}, "speaker_perceiver.context 32 is not"),
        ("emotion_perceiver", {"context": 31}, "emotion_perceiver.context 31 is not"),
        ("emotion_perceiver", {"latents": 2}, "emotion_perceiver.latents must be 1, got 2"),
        ("speaker_perceiver", {"width": 63}, "speaker_perceiver.width 63 is not"),
    ],
)
def test_parts_that_do_not_fit_are_refused(part, change, message):
    cfg = bundled_config("tiny").conditioning
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(cfg, **{part: dataclasses.replace(getattr(cfg, part), **change)})
