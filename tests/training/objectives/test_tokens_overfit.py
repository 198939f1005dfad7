"""Thirty clips of invented speech are learned until codes alone spell them."""

import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import learning
import numpy as np
import pytest
from flax import nnx

from indextts_jax.config import SemanticCodecConfig, SemanticEncoderConfig, bundled_config
from indextts_jax.models.components import structure
from indextts_jax.models.semantic_codec import SemanticCodec
from indextts_jax.models.semantic_encoder import SemanticEncoder
from indextts_jax.training.objectives.tokens import ctc
from indextts_jax.training.objectives.tokens import objective as tokens
from indextts_jax.training.objectives.tokens.heads import SYMBOLS

CLIPS, LETTERS, FRAMES, STEPS = 30, 8, 44, 400


@functools.cache
def config():
    """The mini with a small encoder and codec."""
    whole, width = bundled_config("mini"), 48
    encoder = SemanticEncoderConfig(
        features=160,
        width=width,
        layers=2,
        heads=2,
        feed_forward=96,
        kernel=7,
        left=8,
        right=4,
        norm_eps=1e-5,
    )
    codec = SemanticCodecConfig(
        width=width, hidden=32, feed_forward=64, layers=1, kernel=5, codes=64, code_width=8
    )
    heard = {
        name: dataclasses.replace(getattr(whole.conditioning, name), features=width)
        for name in ("speaker_encoder", "emotion_encoder")
    }
    return dataclasses.replace(
        whole,
        conditioning=dataclasses.replace(whole.conditioning, **heard),
        length_regulator=dataclasses.replace(whole.length_regulator, features=width),
        gpt=dataclasses.replace(whole.gpt, code_vocabulary=66, start_code=64, stop_code=65),
        semantic_encoder=encoder,
        semantic_codec=codec,
    )


class Clips:
    """Each letter has a sound of its own, which lasts 3 to 5 frames of the encoder."""

    def __init__(self):
        rng = np.random.default_rng(0)
        sounds = rng.standard_normal((len(SYMBOLS), 160))
        loudness = rng.normal(-5, 2, (len(SYMBOLS), 80))
        self.arrays, self.rows = {}, []
        for number in range(CLIPS):
            # No spaces, and nothing twice in a row: that would sound like one long letter.
            letters = len(SYMBOLS) - 2
            spelled = 2 + np.cumsum(rng.integers(1, letters, LETTERS)) % letters
            voiced = np.repeat(spelled, rng.integers(3, 6, LETTERS))
            noise = 0.3 * rng.standard_normal((len(voiced), 160))
            self.arrays[str(number)] = {
                "encoder_input": (sounds[voiced] + noise).astype(np.float16),
                "encoder_mask": np.ones(len(voiced), np.uint8),
                "mel": np.repeat(loudness[voiced], 2, axis=0).astype(np.float16),
            }
            text = "".join(SYMBOLS[letter] for letter in spelled)
            self.rows.append(
                types.SimpleNamespace(
                    id=str(number), text=text, spoken="", split="validation", speaker="anna"
                )
            )

    def read(self, row, feature):
        return self.arrays[row.id][feature]


@pytest.mark.nightly
def test_thirty_clips_are_spelled_by_their_codes():
    objective, clips = tokens.build(config(), {"speakers": 1, "idle_steps": 50}, ()), Clips()
    batch = objective.collate(clips.rows, clips, FRAMES / 50, np.random.default_rng(0))
    batch = jax.tree.map(jnp.asarray, batch)
    given = learning.drawn(
        semantic_encoder=SemanticEncoder(config().semantic_encoder, rngs=nnx.Rngs(0)),
        semantic_codec=SemanticCodec(config().semantic_codec, rngs=nnx.Rngs(1)),
    )
    params, _ = learning.learned(objective, given, learning.same(batch), STEPS, 3e-3)

    @jax.jit
    def spelled(params):
        """By the features, and by the codes alone, as speaking embeds them."""
        encoder, codec = (
            structure(name, config()).bind(params[name])
            for name in ("semantic_encoder", "semantic_codec")
        )
        lengths, size = batch["lengths"], batch["features"].shape[1]
        features = encoder(batch["features"], jnp.arange(size) < lengths[:, None])
        codes = codec.quantiser.lookup(codec.encode(features, lengths))
        graph = tokens._heads_graph(config().semantic_codec, 1)
        heads = nnx.merge(graph, params[tokens.HEADS])
        return heads.features(features), heads.spell(codec.vq2emb(codes), lengths)

    expected, lengths = [row.text for row in clips.rows], np.asarray(batch["lengths"])
    for logits in map(np.asarray, spelled(params)):
        heard = [ctc.greedy(scores[:n]) for scores, n in zip(logits, lengths, strict=True)]
        assert ["".join(SYMBOLS[i - 1] for i in found) for found in heard] == expected
