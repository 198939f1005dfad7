"""The objective learns: one real clip by heart, heard through the flow that speaks."""

import flow_clips
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import support

from indextts_jax.audio.features import log_mel
from indextts_jax.audio.io import load_audio

FRAMES, CODES, ROWS, STEPS = 86, 50, 8, 1500


def clip():
    """A second of speech as a batch of the same row, each with other draws, without a prompt."""
    cfg = support.tiny_config()
    wave = load_audio(support.TINY / "speaker.wav", cfg.mel.sample_rate, 15.0, 0.5)
    mel = log_mel(wave, cfg.mel)[:FRAMES]
    rng = np.random.default_rng(0)
    none = np.zeros(ROWS, np.int32)
    return {
        "mel": np.repeat(mel[None], ROWS, axis=0),
        "style": np.repeat(rng.standard_normal((1, cfg.dit.style), np.float32), ROWS, axis=0),
        # every frame of the clip has a code of its own, so that all of it can be told apart
        "codes": np.repeat(np.arange(CODES, dtype=np.int32)[None], ROWS, axis=0),
        "prompt_codes": np.zeros((ROWS, CODES), np.int32),
        "code_counts": none + CODES,
        "frames": none + FRAMES,
        "prompt_frames": none,
        "prompt_code_counts": none,
        "row": np.arange(ROWS, dtype=np.int32),
    }


@pytest.mark.nightly
def test_one_clip_is_learned_by_heart():
    objective = flow_clips.flow(latents=0.0, remat=False)
    batch = jax.tree.map(jnp.asarray, clip())
    params = jax.tree.map(jnp.asarray, flow_clips.params())
    frozen = {"semantic_codec": params.pop("semantic_codec")}
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adam(optax.cosine_decay_schedule(3e-3, STEPS), b2=0.98),
    )

    def loss(params, key):
        term = objective.loss(params | frozen, batch, key).terms["flow"]
        return term.total / term.count

    @jax.jit
    def step(carry, number):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, jax.random.fold_in(key, number))
        update, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, update), state), value

    key, carry = jax.random.key(0), (params, optimizer.init(params))
    losses = []
    for number in range(STEPS):
        carry, value = step(carry, number)
        losses.append(value)
    found = jax.jit(objective.evaluate)(carry[0] | frozen, batch, jax.random.key(1))

    error = float(found["mel"].total / found["mel"].count)
    assert np.mean(losses[-50:]) < 0.4 * losses[0]
    assert error < 0.1, f"mel L1 {error:.3f} after 10 steps of the flow"
