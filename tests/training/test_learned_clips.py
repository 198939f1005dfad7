"""Clips that were learned by heart are spoken: the whole way of the GPT, through the commands."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import support
from command_runs import run_import
from damage import run

from indextts_jax import export, train
from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.engine import decoding
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.models.length_regulator import target_length
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.training.data.prepared import DataSettings, Row, create

CLIPS = {"Hello world.": 19, "The dog runs.": 14}  # texts, and how many codes
STEPS = 50
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


def written(folder: Path, tts: IndexTTS, codes: dict[str, np.ndarray]) -> Path:
    """Prepared clips of one voice, which is that of the speaker prompt."""
    voice = tts.voice(support.TINY / "speaker.wav")
    tokenizer = (support.CHECKPOINTS / "bpe.model").read_bytes()
    features = ("text", "codes", "conditioning", "emotion")
    settings = DataSettings(features=features, tokenizer=hashlib.sha256(tokenizer).hexdigest())
    heard = {
        "conditioning": np.asarray(voice.latents[0], np.float32),
        "emotion": np.asarray(emotion_vector(tts.model, voice)[0], np.float32),
    }
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
    assert run_import("--src", support.CHECKPOINTS, "--dst", tmp_path / "tiny") == 0
    base = IndexTTS.open(tmp_path / "tiny")
    rng = np.random.default_rng(0)
    most = base.model.config.semantic_codec.codes
    clips = {text: rng.integers(most, size=count) for text, count in CLIPS.items()}
    data = written(tmp_path / "data", base, clips)
    flags = [f"--set={path}={value}" for path, value in RECIPE.items()]
    paths = (f"--data={data}", f"--checkpoint={tmp_path / 'tiny'}", f"--dst={tmp_path / 'run'}")
    assert run(train, "--recipe=gpt_full", *paths, *flags) == 0
    made = (f"--run={tmp_path / 'run'}", f"--step={STEPS}", f"--dst={tmp_path / 'model'}")
    assert run(export, *made, "--to=checkpoint") == 0

    spoken = []
    search = decoding.search_line
    monkeypatch.setattr(decoding, "search_line", lambda *a: spoken.append(search(*a)) or spoken[-1])
    tts = IndexTTS.open(tmp_path / "model")
    voice = tts.voice(support.TINY / "speaker.wav")
    for text, expected in clips.items():
        speech = tts.speak(text, voice, settings=GREEDY)
        codes, truncated = spoken.pop()

        assert not truncated
        assert codes.tolist() == expected.tolist()
        frames = target_length(len(codes), tts.model.config.frames_per_code)
        assert len(speech.samples) == frames * tts.model.config.mel.hop
