import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.layers.training.dropout import row_keys
from indextts_jax.models.components import structure
from indextts_jax.models.gpt import head_logits
from indextts_jax.models.training.gpt import Clips, Disturbance, hidden_states


@functools.cache
def gpt():
    """The tiny GPT's structure and parameters."""
    params = jax.tree.map(jnp.asarray, support.tiny_params("gpt"))
    return structure("gpt", support.tiny_config()), params


def twice(codes):
    """The golden clip with these codes, as two rows."""
    golden = support.golden("gpt")
    rows = [golden["speaker_latents"], golden["emovec"], golden["text_ids"]]
    latents, emotion, text = (np.repeat(each, 2, axis=0) for each in rows)
    lengths = np.full(2, text.shape[1]), np.full(2, codes.shape[1])
    clips = Clips(latents, emotion, text, lengths[0], np.repeat(codes, 2, axis=0), lengths[1])
    return jax.tree.map(jnp.asarray, clips)


def test_codes_at_both_positions_give_what_the_reference_computes():
    """Row 0 has the positions of the latent pass (0, 1, 2, ...), row 1 those of generation."""
    made, params = gpt()
    codes = support.golden("gpt_latent")["codes"]  # the greedy ones

    @jax.jit
    def run(params, clips):
        bound, late = made.bind(params), jnp.array([False, True])
        # A rate that drops nothing: the form of training, with the numbers of the reference.
        given = Disturbance(row_keys(jax.random.key(0), jnp.arange(2)), dropout=1e-12, late=late)
        states = hidden_states(bound, clips, given).codes
        return states[0], head_logits(bound.code_head, states[1])

    latents, logits = run(params, twice(codes))
    steps = support.golden("gpt")["step_logits"][0]

    support.assert_close(
        latents[:-1], support.golden("gpt_latent")["latent"][0], "gpt_latent.latent"
    )
    support.assert_close(logits[: len(steps)], steps, "gpt.step_logits")


@pytest.mark.nightly
def test_guided_heads_report_their_attention_to_the_text():
    made, params = gpt()
    clips = twice(support.golden("gpt_latent")["codes"])
    shape = *clips.codes.shape, clips.text.shape[1]
    near = np.random.default_rng(0).random(shape) < 0.3

    @jax.jit
    def run(params, near):
        bound = made.bind(params)
        return hidden_states(bound, clips, near=near).guided

    some, rest, everything = (run(params, jnp.asarray(m)) for m in (near, ~near, near | True))

    @jax.jit
    def by_hand(params):
        """Weights of the first two heads of the second of three layers."""
        bound = made.bind(params)
        rows, _ = bound.prefix(*clips[:4])
        start = bound.cfg.start_code
        codes = jnp.pad(jnp.asarray(clips.codes), ((0, 0), (1, 0)), constant_values=start)
        place = jnp.arange(codes.shape[1])
        embedded = bound.code_embedding(codes) + bound.code_positions(place)
        x, *layers = jnp.concatenate([rows, embedded], axis=1), 0, 1
        for layer in layers:
            block = jax.tree.map(lambda a, layer=layer: a[layer], bound.blocks)
            q, k, v = block.project(x)
            scores = q @ jnp.swapaxes(k, 2, 3) / np.sqrt(q.shape[-1])
            scores = jnp.where(jnp.tri(scores.shape[-1], dtype=bool), scores, -jnp.inf)
            weights = jax.nn.softmax(scores, axis=-1)
            x = block.finish(x, weights @ v)
        return weights[:, :2]

    weights = by_hand(params)
    first = weights.shape[-1] - clips.codes.shape[1] - 1  # row of the start code
    tokens = slice(first - 1 - clips.text.shape[1], first - 1)
    at_codes = np.asarray(weights)[:, :, first : first + clips.codes.shape[1], tokens]
    expected = (at_codes * near[:, None]).sum(-1)

    assert some.shape == (1, *expected.shape)
    np.testing.assert_allclose(some[0], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(some + rest, everything, rtol=1e-5)
