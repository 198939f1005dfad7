"""The attention of codes to text tokens, from the pass over finished codes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import support
from flax import nnx

from indextts_jax.config import LanguageGPTConfig
from indextts_jax.models.components import structure
from indextts_jax.models.gpt import GPT, text_attention
from indextts_jax.models.v25.language_gpt import LanguageGPT

HEADS = ((0, 1), (1, 0), (1, 1))
LENGTHS, COUNTS = np.array([7, 11]), np.array([9, 16])


@functools.cache
def run(method: str, **static: object):
    gpt = structure("gpt", support.tiny_config())
    params = jax.tree.map(jnp.asarray, support.tiny_params("gpt"))
    return functools.partial(
        jax.jit(lambda params, *given: getattr(gpt.bind(params), method)(*given, **static)), params
    )


@functools.cache
def rows():
    """Two rows, padded with large numbers of tokens."""
    gpt, rng = support.tiny_config().gpt, np.random.default_rng(0)
    return (
        rng.normal(size=(2, gpt.conditioning_latents, gpt.width)).astype(np.float32),
        rng.normal(size=(2, gpt.width)).astype(np.float32),
        rng.integers(2, gpt.text_vocabulary - 1, size=(2, 11)),
        LENGTHS,
        rng.integers(gpt.code_vocabulary - 2, size=(2, 16)),
        COUNTS,
    )


def attention() -> np.ndarray:
    return np.asarray(run("code_attention", heads=HEADS)(*rows()[:5]))


def test_latents_are_the_same_bits_with_attention():
    plain = run("latents")(*rows())
    aligned, seen = run("aligned_latents", heads=HEADS)(*rows())
    assert np.array_equal(plain, aligned)
    assert np.array_equal(seen, attention())


def test_attention_is_a_softmax_over_text_tokens():
    seen = attention()
    assert seen.shape == (2, 3, 16, 11)
    np.testing.assert_allclose(seen.sum(axis=-1), 1, atol=1e-5)
    assert (seen[0, ..., 7:] == 0).all()


def test_attention_of_a_head_is_that_of_its_queries_and_keys():
    latents, emotion, text, lengths, codes, _ = (jnp.asarray(a[1:]) for a in rows())
    gpt = structure("gpt", support.tiny_config())
    params = jax.tree.map(jnp.asarray, support.tiny_params("gpt"))
    module = gpt.bind(params)
    prefix, _ = module.prefix(latents, emotion, text, lengths)
    start = jnp.full((1, 1), support.tiny_config().gpt.start_code)
    behind = module._codes(jnp.concatenate([start, codes[:, :-1]], axis=1))
    query, key, _ = next(module._blocks()).project(jnp.concatenate([prefix, behind], axis=1))
    first = prefix.shape[1] - text.shape[1] - 1  # start, text, stop
    scores = query[0, 1, prefix.shape[1] :] @ key[0, 1, first : first + text.shape[1]].T
    wanted = jax.nn.softmax(scores * query.shape[-1] ** -0.5)
    np.testing.assert_allclose(attention()[1, 0], wanted, atol=1e-5)


def test_a_code_does_not_see_itself_or_later_ones():
    *given, codes, _ = rows()
    changed = codes.copy()
    changed[:, 5:] = 3
    seen = run("code_attention", heads=HEADS)(*given, changed)
    assert np.array_equal(seen[:, :, :6], attention()[:, :, :6])
    assert not np.array_equal(seen[:, :, 6:], attention()[:, :, 6:])


def test_text_padding_changes_nothing():
    latents, emotion, text, lengths, codes, _ = rows()
    other = np.where(np.arange(11) < lengths[:, None], text, 4)
    seen = run("code_attention", heads=HEADS)(latents, emotion, other, lengths, codes)
    assert np.array_equal(seen, attention())


def test_increments_give_the_same_rows():
    rng = np.random.default_rng(1)
    queries, keys = (jnp.asarray(rng.normal(size=(1, 2, n, 4))) for n in (9, 5))
    count = jnp.array([5])
    whole = text_attention(queries, keys, count)
    parts = [text_attention(queries[:, :, a:b], keys, count) for a, b in ((0, 4), (4, 9))]
    np.testing.assert_allclose(np.concatenate(parts, axis=2), whole, atol=1e-6)


def test_version_2_5_has_attention_in_the_language():
    config = LanguageGPTConfig(
        width=8,
        layers=2,
        heads=2,
        feed_forward=16,
        text_vocabulary=23,
        text_positions=14,
        languages=5,
        code_vocabulary=9,
        code_positions=20,
        conditioning_latents=1,
        start_text=0,
        stop_text=1,
        start_code=7,
        stop_code=8,
    )

    @jax.jit
    def seen(language):
        gpt = LanguageGPT(config, rngs=nnx.Rngs(0))
        latents, emotion = jnp.full((1, 1, 8), 2.0), jnp.full((1, 8), 3.0)
        text, codes = jnp.array([[5, 6, 7]]), jnp.array([[1, 2, 3, 4]])
        given = (latents, emotion, text, jnp.array([3]), codes, language)
        return gpt.code_attention(*given, heads=((1, 0),))

    first, other = seen(jnp.array([0])), seen(jnp.array([3]))
    assert first.shape == (1, 1, 4, 3)
    assert not np.array_equal(first, other)


def test_both_versions_share_the_pass():
    assert LanguageGPT.code_attention is GPT.code_attention
