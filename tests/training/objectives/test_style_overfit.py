"""Four invented speakers are learned until all of their clips are told apart."""

import dataclasses
import functools
import types

import jax
import learning
import numpy as np
import pytest
from flax import nnx

from indextts_jax.config import bundled_config
from indextts_jax.models.style_encoder import StyleEncoder
from indextts_jax.training.objectives.style import objective as style

RATE, SECONDS, SPEAKERS, CLIPS, STEPS = 22050, 1.0, 4, 4, 100


@functools.cache
def config():
    """The mini with a small encoder."""
    whole = bundled_config("mini")
    small = dataclasses.replace(
        whole.style_encoder,
        head_width=4,
        width=8,
        growth=4,
        bottleneck=8,
        mask_width=4,
        layers=(2, 2, 2),
        style=32,
    )
    return dataclasses.replace(
        whole,
        style_encoder=small,
        dit=dataclasses.replace(whole.dit, style=32),
        emotion_prototypes=dataclasses.replace(whole.emotion_prototypes, style=32),
    )


def voice(speaker: int, clip: int) -> np.ndarray:
    """A buzz through two resonances: its pitch and they are the speaker's."""
    rng = np.random.default_rng(100 * speaker + clip)
    pitch = (90 + 35 * speaker) * rng.uniform(0.95, 1.05)
    time = np.arange(int(1.5 * RATE)) / RATE
    sound = 0.01 * rng.standard_normal(len(time))
    for harmonic in range(1, 40):
        f = harmonic * pitch
        centres = (500 + 120 * speaker, 1500 + 250 * speaker)
        level = sum(np.exp(-(((f - centre) / 200) ** 2)) for centre in centres)
        sound += level * np.sin(2 * np.pi * f * time + rng.uniform(0, 6))
    return (3000 * sound / np.abs(sound).max()).astype(np.int16)


@dataclasses.dataclass(frozen=True, eq=False)
class Clips:
    """A few clips of each speaker."""

    rows: tuple = tuple(
        types.SimpleNamespace(id=f"{s}-{c}", speaker=f"s{s}", split="train")
        for s in range(SPEAKERS)
        for c in range(CLIPS)
    )

    def read(self, row, feature):
        speaker, clip = map(int, row.id.split("-"))
        return voice(speaker, clip)


@pytest.mark.nightly
def test_few_speakers_are_distinguished():
    options = {"speakers": SPEAKERS, "seconds": SECONDS, "speeds": [1.0]}
    objective, clips = style.build(config(), options, ()), Clips()
    batches = [
        objective.collate(clips.rows, clips, SECONDS, np.random.default_rng(n)) for n in range(4)
    ]
    given = learning.drawn(style_encoder=StyleEncoder(config().style_encoder, rngs=nnx.Rngs(0)))
    params, _ = learning.learned(objective, given, lambda n: batches[n % 4], STEPS, 3e-3)

    evaluate = jax.jit(objective.evaluate)
    for batch in batches:
        right = evaluate(params, batch, jax.random.key(0))["right"]
        assert right.total == right.count == len(clips.rows)
