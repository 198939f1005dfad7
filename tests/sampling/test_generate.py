import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.config import bundled_config
from indextts_jax.errors import InputError
from indextts_jax.layers.kernels.decode_attention import attend_filled
from indextts_jax.models import gpt_joint_cache
from indextts_jax.models.components import structure
from indextts_jax.sampling import loop
from indextts_jax.sampling.generate import generate
from indextts_jax.sampling.settings import SamplingConfig

BUCKET = 23  # text tokens
KEYS = jax.random.split(jax.random.key(0), 3)


@functools.partial(jax.jit, static_argnames=("strategy", "fused"))
def generated(params, *given, strategy, fused=False):
    gpt = structure("gpt", support.tiny_config(), fused_attention=fused).bind(params)
    return generate(gpt, *given, strategy=strategy)


@functools.cache
def params():
    return jax.tree.map(jnp.asarray, support.tiny_params("gpt"))


def speak(texts, lengths, settings, source=None, emotion=1.0, **more):
    """Codes of a batch of texts, in the golden voice, padded with ids of size 10 000."""
    golden, rows = support.golden("gpt"), len(texts)
    padded = np.full((rows, BUCKET), 10_007, np.int32)
    for row, text in enumerate(texts):
        padded[row, : len(text)] = text
    return generated(
        params(),
        jnp.repeat(jnp.asarray(golden["speaker_latents"]), rows, axis=0),
        jnp.outer(jnp.broadcast_to(emotion, rows), golden["emovec"][0]),
        jnp.asarray(padded),
        jnp.asarray(lengths, jnp.int32),
        KEYS[:rows] if source is None else jnp.asarray(source),
        settings.numbers,
        strategy=settings.strategy,
        **more,
    )


def assert_codes(result, reference):
    """Equal codes; the reference holds the stop code, and fills up with it."""
    lengths = np.asarray(result.lengths + ~result.truncated)
    np.testing.assert_array_equal(result.codes[:, : reference.shape[1]], reference)
    assert lengths.max() == reference.shape[1]


# By the validation's stages too (tests/validation), which the default run checks.
@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("greedy_codes", {"beams": 1}),
        ("greedy_codes_no_penalty", {"beams": 1, "repetition_penalty": 1.0}),
        ("beam3_codes", {}),
        ("beam4_lp1_codes", {"beams": 4, "repetition_penalty": 2.0, "length_penalty": 1.0}),
    ],
)
def test_search_gives_the_codes_of_the_reference(name, settings):
    gpt = support.golden("gpt")
    text = gpt["text_ids"]
    result = speak(text, [text.shape[1]], SamplingConfig(sample=False, max_codes=48, **settings))

    assert_codes(result, gpt[name])


# By the validation's stages too (tests/validation), which the default run checks.
@pytest.mark.nightly
@pytest.mark.parametrize("name", ["single", "single_typical", "beam3", "beam3_typical"])
def test_sampling_gives_the_codes_of_the_reference_from_its_noise(name):
    text, sampling = support.golden("gpt")["text_ids"], support.golden("gpt_sampling")
    given = json.loads(str(sampling[f"{name}_settings"]))
    settings = SamplingConfig(beams=given.pop("num_beams"), max_codes=32, **given)
    noise = sampling[f"{name}_exponential"][None]

    assert_codes(speak(text, [text.shape[1]], settings, noise), sampling[f"{name}_codes"])


def test_the_kernel_for_gpus_gives_the_codes_of_the_reference(monkeypatch):
    interpreted = functools.partial(attend_filled, interpret=True)
    monkeypatch.setattr(gpt_joint_cache, "attend_filled", interpreted)
    gpt, sampling = support.golden("gpt"), support.golden("gpt_sampling")
    text, noise = gpt["text_ids"], sampling["beam3_exponential"][None]
    given = json.loads(str(sampling["beam3_settings"]))
    searched = SamplingConfig(sample=False, max_codes=48)
    drawn = SamplingConfig(beams=given.pop("num_beams"), max_codes=32, **given)

    assert_codes(speak(text, [text.shape[1]], searched, fused=True), gpt["beam3_codes"])
    assert_codes(speak(text, [text.shape[1]], drawn, noise, fused=True), sampling["beam3_codes"])


def test_a_batch_of_two_texts_gives_the_codes_of_the_reference():
    batch = support.golden("gpt_batch")
    text = batch["text_ids"]  # the filler is an id that generation drops
    result = speak(text, [text.shape[1]] * 2, SamplingConfig(beams=1, sample=False, max_codes=48))

    assert_codes(result, batch["greedy_codes"])


TEXTS = [[21, 7, 55, 3, 14, 60], [262, 263, 805, 332, 77, 32, 29, 66, 794, 60, 821], [500]]
LENGTHS = [len(text) for text in TEXTS]


def random_noise(beams):
    return np.random.default_rng(1).exponential(size=(3, 32, beams * 66)).astype(np.float32)


def test_codes_of_a_row_do_not_depend_on_its_neighbours():
    settings, noise = SamplingConfig(max_codes=32), random_noise(3)
    emotion = np.array([1.0, -2.0, 0.5])
    together = speak(TEXTS, LENGTHS, settings, noise, emotion)
    for row, text in enumerate(TEXTS):
        one = slice(row, row + 1)
        alone = speak([text], LENGTHS[one], settings, noise[one], emotion[row])
        np.testing.assert_array_equal(together.codes[row], alone.codes[0])
        assert together.lengths[row] == alone.lengths[0]


@pytest.mark.parametrize("fused", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_growing_the_cache_changes_nothing(monkeypatch, fused):
    gpt = support.golden("gpt")
    text, settings = gpt["text_ids"], SamplingConfig(beams=1, sample=False, max_codes=47)
    for name in ("FIRST_WINDOW", "FIRST_ROOM"):  # rounded up, to 32 and 48, for the kernel
        monkeypatch.setattr(loop, name, 20)
    interpreted = functools.partial(attend_filled, interpret=True)
    monkeypatch.setattr(gpt_joint_cache, "attend_filled", interpreted)
    generated.clear_cache()
    result = speak(text, [text.shape[1]], settings, fused=fused)
    generated.clear_cache()

    assert_codes(result, gpt["greedy_codes"])


@pytest.mark.parametrize("beams", [1, 3])
def test_one_program_on_the_device_decodes_any_text_of_a_bucket(beams):
    golden, settings = support.golden("gpt"), SamplingConfig(beams=beams, max_codes=32)
    results, programs = [], []
    for text, temperature in zip(TEXTS, (0.8, 1.3, 2.0), strict=True):
        padded = np.zeros((1, BUCKET), np.int32)
        padded[0, : len(text)] = text
        given = jax.device_put(
            (
                golden["speaker_latents"],
                golden["emovec"],
                padded,
                np.array([len(text)], np.int32),
                random_noise(beams)[:1],
                SamplingConfig(temperature=temperature).numbers,
            )
        )
        with jax.transfer_guard("disallow"):
            results.append(generated(params(), *given, strategy=settings.strategy))
        programs.append(generated._cache_size())

    assert len(set(programs)) == 1
    assert len({tuple(result.codes[0].tolist()) for result in results}) == 3


def test_more_codes_than_positions_are_refused():
    holds = support.tiny_config().gpt.max_codes
    with pytest.raises(InputError, match=f"max_codes is {holds + 1}.*{holds} codes"):
        speak(TEXTS[:1], [6], SamplingConfig(max_codes=holds + 1))


def test_the_published_sizes_fit_together():
    config = bundled_config("indextts2")
    gpt, settings = structure("gpt", config, "bfloat16"), SamplingConfig()
    result = jax.eval_shape(
        lambda params, *given: generate(gpt.bind(params), *given, strategy=settings.strategy),
        gpt.expected,
        jax.ShapeDtypeStruct((2, config.gpt.conditioning_latents, config.gpt.width), jnp.float32),
        jax.ShapeDtypeStruct((2, config.gpt.width), jnp.float32),
        jax.ShapeDtypeStruct((2, 120), jnp.int32),
        jax.ShapeDtypeStruct((2,), jnp.int32),
        KEYS[:2],
        settings.numbers,
    )

    assert result.codes.shape == (2, 1500)
    assert result.lengths.shape == result.truncated.shape == (2,)
