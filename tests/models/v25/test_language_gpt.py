"""The prefix of version 2.5: where the language row is added, and the two rows of zeros."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from indextts_jax.config import LanguageGPTConfig
from indextts_jax.models.v25.language_gpt import LanguageGPT

CONFIG = LanguageGPTConfig(
    width=8,
    layers=1,
    heads=2,
    feed_forward=16,
    text_vocabulary=23,
    text_positions=12,
    languages=5,
    code_vocabulary=9,
    code_positions=11,
    conditioning_latents=1,
    start_text=0,
    stop_text=1,
    start_code=7,
    stop_code=8,
)


@pytest.fixture(scope="module")
def gpt():
    return LanguageGPT(CONFIG, rngs=nnx.Rngs(0))


def prefix(gpt, language):
    latents, emotion = jnp.full((1, 1, 8), 2.0), jnp.full((1, 8), 3.0)
    rows, lengths = gpt.prefix(
        latents, emotion, jnp.array([[5, 6, 7]]), jnp.array([3]), jnp.array([language])
    )
    assert lengths.tolist() == [3 + 3 + 2]
    return np.asarray(rows[0])


def test_the_style_row_has_the_emotion_and_two_rows_are_zero(gpt):
    rows = prefix(gpt, 2)
    np.testing.assert_array_equal(rows[0], 5.0)
    assert not rows[1:3].any()


def test_the_language_is_added_to_all_text_rows_and_to_no_other(gpt):
    first, second = prefix(gpt, 2), prefix(gpt, 4)
    table = np.asarray(gpt.language_embedding.embedding[...])
    np.testing.assert_array_equal(first[:3], second[:3])
    np.testing.assert_allclose(
        second[3:] - first[3:], np.tile(table[4] - table[2], (5, 1)), atol=1e-6
    )


def test_text_rows_begin_with_start_at_position_0_and_end_with_stop(gpt):
    rows = prefix(gpt, 1)[3:] - np.asarray(gpt.language_embedding.embedding[...])[1]
    ids = jnp.array([0, 5, 6, 7, 1])
    expected = gpt.text_embedding(ids) + gpt.text_positions(jnp.arange(5))
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_there_is_no_second_pass(gpt):
    assert not hasattr(gpt, "latents")


def test_there_are_no_speed_rows(gpt):
    names = {path[0] for path, _ in nnx.to_flat_state(nnx.state(gpt))}
    assert "language_embedding" in names
    assert "speed_embedding" not in names
    assert jax.tree.leaves(nnx.state(gpt.language_embedding))[0].shape == (5, 8)


@pytest.mark.parametrize("field", ["languages", "conditioning_latents", "width"])
def test_sizes_are_positive(field):
    with pytest.raises(ValueError, match=f"gpt.{field} must be positive"):
        dataclasses.replace(CONFIG, **{field: 0})
