"""The vocoder learns one second of speech."""

from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from indextts_jax.audio.features import log_mel
from indextts_jax.audio.io import load_audio
from indextts_jax.config import bundled_config
from indextts_jax.models.vocoder import Vocoder
from indextts_jax.training.objectives.vocoder import objective as vocoder

FRAMES = 86  # a second
STEPS = 1200
SPEECH = Path(__file__).parents[3] / "indextts_jax" / "data" / "demo_speaker.wav"


@pytest.mark.nightly
def test_one_second_of_speech_is_learned():
    from flax import nnx

    config = bundled_config("mini")
    objective = vocoder.build(
        config, {"segment": FRAMES * config.mel.hop, "discriminators": None}, ()
    )
    sound = load_audio(SPEECH, config.mel.sample_rate)
    sound = sound[: FRAMES * config.mel.hop].astype(np.float32)
    batch = {"mel": log_mel(sound, config.mel)[None], "samples": sound[None]}
    module = Vocoder(config.vocoder, rngs=nnx.Rngs(0))
    params = objective.unfold({"vocoder": nnx.to_pure_dict(nnx.split(module)[1])})
    optimizer = optax.chain(
        optax.clip_by_global_norm(500), optax.adam(optax.cosine_decay_schedule(2e-3, STEPS), 0.8)
    )

    @jax.jit
    def step(params, state):
        def loss(params):
            term = objective.loss(params, batch, jax.random.key(0)).terms["mel"]
            return term.total / term.count

        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    state = optimizer.init(params)
    for number in range(STEPS):
        params, state, value = step(params, state)
        if number % 50 == 0:
            print(number, float(value), flush=True)
    term = jax.jit(objective.evaluate)(params, batch, jax.random.key(0))["mel_l1"]

    assert term.total / term.count < 0.15
