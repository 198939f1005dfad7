"""The objective learns: half a second of speech by heart, heard through the flow that speaks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import support
from flax import nnx

from indextts_jax.audio.features import log_mel
from indextts_jax.audio.io import load_audio
from indextts_jax.config import ModelConfig, WaveNetConfig
from indextts_jax.models.components import module_class
from indextts_jax.training.objectives.flow.objective import FlowObjective
from indextts_jax.training.objectives.flow.options import FlowOptions

BANDS, FRAMES, CODES, ROWS, STEPS, RATE = 8, 31, 18, 8, 1000, 3e-3


def config() -> ModelConfig:
    """The tiny sizes with few bands: all of the noise has to come through the width, which takes
    long to learn where it is little more than the bands.
    """
    tiny = support.tiny_config()
    wavenet = WaveNetConfig(layers=2, kernel=3, dilation=1)
    field = {"layers": 3, "feed_forward": 128, "mels": BANDS, "wavenet": wavenet}
    return dataclasses.replace(
        tiny,
        mel=dataclasses.replace(tiny.mel, mels=BANDS),
        vocoder=dataclasses.replace(tiny.vocoder, mels=BANDS),
        dit=dataclasses.replace(tiny.dit, **field),
    )


def clip(cfg: ModelConfig) -> dict[str, jax.Array]:
    """The clip in every row of a batch; rows differ in their draws. There is no prompt."""
    wave = load_audio(support.TINY / "speaker.wav", cfg.mel.sample_rate, 15.0, 0.5)
    arrays = {
        "mel": log_mel(wave, cfg.mel)[:FRAMES],
        "style": np.random.default_rng(0).standard_normal(cfg.dit.style, np.float32),
        "codes": np.arange(CODES, dtype=np.int32),  # all different: each frame can be told
        "prompt_codes": np.zeros(CODES, np.int32),
        "code_counts": np.int32(CODES),
        "frames": np.int32(FRAMES),
        "prompt_frames": np.int32(0),
        "prompt_code_counts": np.int32(0),
    }
    rows = {name: jnp.repeat(jnp.asarray(a)[None], ROWS, axis=0) for name, a in arrays.items()}
    return rows | {"row": jnp.arange(ROWS)}


def drawn(name: str, cfg: ModelConfig) -> dict:
    """New parameters of a component."""
    module = module_class(name, getattr(cfg, name))(getattr(cfg, name), rngs=nnx.Rngs(0))
    return nnx.to_pure_dict(nnx.split(module)[1])


@pytest.mark.nightly
def test_one_clip_is_learned_by_heart():
    cfg = config()
    objective = FlowObjective(cfg, FlowOptions(latents=0.0, remat=False))
    batch, key = clip(cfg), jax.random.key(0)
    frozen = {"semantic_codec": drawn("semantic_codec", cfg)}
    params = {name: drawn(name, cfg) for name in ("dit", "length_regulator")}
    rate = optax.cosine_decay_schedule(RATE, STEPS)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate, b2=0.98))

    def loss(params, number):
        key_of_step = jax.random.fold_in(key, number)
        term = objective.loss(params | frozen, batch, key_of_step).terms["flow"]
        return term.total / term.count

    def step(carry, number):
        params, state = carry
        gradient = jax.grad(loss)(params, number)
        update, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, update), state), None

    train = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.arange(STEPS)))
    (params, _), _ = train((params, optimizer.init(params)))
    found = jax.jit(objective.evaluate)(params | frozen, batch, jax.random.key(1))

    error = float(found["mel"].total / found["mel"].count)
    assert error < 0.1, f"mel L1 {error:.3f} after 10 steps of the flow"
