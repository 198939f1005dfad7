"""Clips that a run has learned by heart are spoken: the whole way of the GPT."""

import dataclasses
import hashlib
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import support
from damage import run
from models_under_test import model

from indextts_jax import train
from indextts_jax.checkpoint import writing
from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.engine import decoding
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.models.length_regulator import target_length
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.training.data.prepared import DataSettings, Row, create
from indextts_jax.training.trained import open_run
from indextts_jax.voices.analysis import Voice

CLIPS = {"Hello world.": 19, "The dog runs.": 14}  # texts, and how many codes
STEPS = 50
TOKENIZER = support.CHECKPOINTS / "bpe.model"
# As in `engine/test_tts.py`, whose programs speak here too.
GREEDY = Settings(
    steps=2, max_codes=24, sampling=SamplingConfig(beams=1, sample=False, repetition_penalty=1.0)
)
RECIPE = {
    "steps": STEPS,
    "compute": "float32",
    "options.train": "[trunk, codes, text, positions]",
    "options.text_weight": 0,
    "options.shift_codes": 1.0,  # the positions that generation gives to codes
    "options.remat": "false",
    "batch.buckets": "[1]",
    "batch.seconds": 2,
    "batch.pieces": 1,
    "optimizer.rate": 5e-3,
    "optimizer.warmup": 5,
    "evaluation.every": STEPS,
    "evaluation.samples": "false",
    "saves.every": STEPS,
}


def written(folder: Path, tts: IndexTTS, voice: Voice, codes: dict[str, np.ndarray]) -> Path:
    """Prepared clips of one voice."""
    tokenizer = hashlib.sha256(TOKENIZER.read_bytes()).hexdigest()
    features = ("text", "codes", "conditioning", "emotion")
    heard = {
        "conditioning": np.asarray(voice.latents[0]).astype(ml_dtypes.bfloat16),
        "emotion": np.asarray(emotion_vector(tts.model, voice)[0], np.float32),
    }
    settings = DataSettings(features=features, tokenizer=tokenizer, own_prompts=True)
    with create(folder, settings) as writer:
        for number, (text, found) in enumerate(codes.items()):
            (tokens,) = tts.segments(text)
            row = Row(
                id=f"r{number}",
                audio=f"r{number}.wav",
                text=text,
                speaker="anna",
                seconds=len(found) / 50,
                split="train",
                codes=len(found),
                tokens=len(tokens),
            )
            writer.add(row, {"text": np.int32(tokens), "codes": np.uint16(found), **heard})
    return folder


def test_learned_clips_are_spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = IndexTTS(model("tiny"))
    config, params = base.model.config, base.model.params
    writing.save(
        tmp_path / "base",
        config=config,
        tokenizer=TOKENIZER.read_bytes(),
        components=[("gpt", params["gpt"])],
    )
    voice = base.voice(support.TINY / "speaker.wav")
    rng, most = np.random.default_rng(0), config.semantic_codec.codes
    clips = {text: rng.integers(most, size=count) for text, count in CLIPS.items()}
    data = written(tmp_path / "data", base, voice, clips)
    flags = [f"--set={path}={value}" for path, value in RECIPE.items()]
    paths = (f"--data={data}", f"--checkpoint={tmp_path / 'base'}", f"--dst={tmp_path / 'run'}")
    assert run(train, "--recipe=gpt_full", *paths, *flags) == 0

    spoken = []
    search = decoding.search_line
    monkeypatch.setattr(decoding, "search_line", lambda *a: spoken.append(search(*a)) or spoken[-1])
    trained = jax.tree.map(jnp.asarray, open_run(tmp_path / "run", STEPS).components)
    assert list(trained) == ["gpt"]
    tts = IndexTTS(dataclasses.replace(base.model, params={**params, **trained}))
    for text, expected in clips.items():
        speech = tts.speak(text, voice, settings=GREEDY)
        codes, truncated = spoken.pop()

        assert not truncated
        assert codes.tolist() == expected.tolist()
        frames = target_length(len(codes), config.frames_per_code)
        assert len(speech.samples) == frames * config.mel.hop
