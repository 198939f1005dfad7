"""Speaks four requests at once on one device and spread over all; prints how far they are apart.

Run by `test_sharding.py` in a process of its own: JAX counts its devices once.
"""

import dataclasses
import json

import jax
import support
from models_under_test import model

from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.runtime.sharding import replicate

TEXTS = ["Hello world.", "A dog barks.", "No cat is here at all.", "Yes."]


def main() -> None:
    settings = Settings(steps=2, max_codes=24, batch=4)
    alone = IndexTTS(model("tiny"))
    voice = alone.voice(support.TINY / "speaker.wav")
    requests = [Request(text=text, voice=voice, seed=seed) for seed, text in enumerate(TEXTS)]
    expected = alone.speak_many(requests, settings=settings)
    spread = dataclasses.replace(alone, model=replicate(alone.model, jax.devices()))
    found = spread.speak_many(requests, settings=settings)
    pairs = list(zip(found, expected, strict=True))
    print(
        json.dumps(
            {
                "devices": jax.device_count(),
                "held_by": len(jax.tree.leaves(spread.model.params["dit"])[0].devices()),
                "same_segments": [ours.segments == theirs.segments for ours, theirs in pairs],
                "apart": [
                    support.relative_errors(ours.samples, theirs.samples)[1]
                    for ours, theirs in pairs
                ],
            }
        )
    )


if __name__ == "__main__":
    main()
