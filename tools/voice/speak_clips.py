"""Speaks the clips that a voice is judged on, whole or with real inputs for some stages.

    python -m tools.voice.speak_clips full --checkpoint voice --texts heldout.txt \\
        --prompts clips.jsonl --seeds 3 --dst spoken
    python -m tools.voice.speak_clips vocoder --checkpoint voice --prompts clips.jsonl --dst spoken
    python -m tools.voice.speak_clips flow --checkpoint voice --prompts clips.jsonl --dst spoken

`full` speaks each text with the next of the prompts, `vocoder` makes clips from their own mel,
`flow` from their own codes with another clip of the speaker as prompt. Writes wav files and
`results.jsonl` (audio, text, prompt), which `tools.judge_speech` reads, and prints how many of the
utterances stopped by themselves, and the time taken.
"""

import argparse
import collections
import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import soundfile
from tqdm import tqdm

from indextts_jax import IndexTTS, Request, enable_compilation_cache
from indextts_jax.audio.features import log_mel
from indextts_jax.audio.io import load_audio
from indextts_jax.engine.acoustic import Line, SynthesisRow, synthesize
from indextts_jax.errors import InputError
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, pad
from indextts_jax.runtime.model import Model
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices import analysis

CROP = 20.0  # seconds of a clip


class Clip(NamedTuple):
    """A recording of a known text."""

    audio: Path
    text: str
    speaker: str


class Spoken(NamedTuple):
    """One spoken clip."""

    name: str
    samples: np.ndarray
    text: str
    prompt: Path
    stopped: bool = True


def read_clips(path: Path) -> list[Clip]:
    """The clips of a manifest."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [Clip(path.parent / row["audio"], row["text"], row["speaker"]) for row in rows]


def full(tts: IndexTTS, clips: list[Clip], args: argparse.Namespace) -> Iterator[Spoken]:
    """Each text with the next prompt, with each seed."""
    texts = [line for line in args.texts.read_text("utf-8").splitlines() if line.strip()]
    voices = {clip.audio: tts.voice(clip.audio) for clip in clips[: len(texts)]}
    settings = dataclasses.replace(tts.settings, batch=args.batch)
    pairs = [
        (seed, number, text, clips[number % len(clips)])
        for seed in range(args.seeds)
        for number, text in enumerate(texts)
    ]
    requests = [
        Request(text=text, voice=voices[clip.audio], seed=seed) for seed, _, text, clip in pairs
    ]
    for place, speech in tts.stream_many(requests, settings=settings):
        seed, number, text, clip = pairs[place]
        stopped = not any(segment.faults for segment in speech.segments)
        yield Spoken(f"{number:03d}_{seed}", speech.samples, text, clip.audio, stopped)


def vocoder(tts: IndexTTS, clips: list[Clip], args: argparse.Namespace) -> Iterator[Spoken]:
    """Each clip from its own mel."""
    model, mel = tts.model, tts.model.config.mel
    for number, clip in enumerate(clips):
        found = log_mel(load_audio(clip.audio, mel.sample_rate, CROP), mel)
        size = bucket(len(found), model.buckets.frames)
        wave = stages.vocode(model, pad(found[None], size), np.asarray([len(found)], np.int32))
        yield Spoken(
            f"{number:03d}", np.asarray(wave)[0, : len(found) * mel.hop], clip.text, clip.audio
        )


def flow(tts: IndexTTS, clips: list[Clip], args: argparse.Namespace) -> Iterator[Spoken]:
    """Each clip from its own codes, with another clip of its speaker as prompt."""
    model, mel = tts.model, tts.model.config.mel
    by_speaker = collections.defaultdict(list)
    for clip in clips:
        by_speaker[clip.speaker].append(clip)
    for number, clip in enumerate(clips):
        others = [other for other in by_speaker[clip.speaker] if other.audio != clip.audio]
        if not others:
            continue
        prompt = others[number % len(others)]
        voice = tts.voice(prompt.audio)
        (segment,) = tts.script(clip.text).segments[:1]
        line = Line(segment.ids, voice, voice.emotion)
        frames = len(log_mel(load_audio(clip.audio, mel.sample_rate, CROP), mel))
        row = SynthesisRow(line, true_codes(model, clip.audio), frames, jax.random.key(args.seeds))
        (samples,) = synthesize(model, [row], tts.settings, Clock())
        yield Spoken(f"{number:03d}", samples, clip.text, prompt.audio)


def true_codes(model: Model, path: Path) -> np.ndarray:
    """The codes of a recording."""
    semantic, lengths = analysis.semantic(model, load_audio(path, analysis.ENCODER_RATE, CROP))
    return np.asarray(stages.quantize(model, semantic, lengths)[0])[0, : int(lengths[0])]


def main() -> int:
    """Reads the flags, speaks, writes what was spoken."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.voice.speak_clips", description=__doc__.splitlines()[0]
    )
    parser.add_argument("stage", choices=["full", "vocoder", "flow"])
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument(
        "--prompts", type=Path, required=True, help="manifest: audio, text, speaker"
    )
    parser.add_argument("--texts", type=Path, help="for full: a text a line")
    parser.add_argument("--clips", type=int, help="use only so many of the prompts")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--dst", type=Path, required=True)
    args = parser.parse_args()
    if args.stage == "full" and args.texts is None:
        parser.error("full needs --texts")
    enable_compilation_cache()
    args.dst.mkdir(parents=True, exist_ok=True)
    try:
        tts = IndexTTS.load(args.checkpoint)
        clips = read_clips(args.prompts)[: args.clips]
        speak = {"full": full, "vocoder": vocoder, "flow": flow}[args.stage]
        rate, rows, seconds, stopped, began = tts.sample_rate, [], 0.0, 0, time.perf_counter()
        for one in tqdm(speak(tts, clips, args), unit="clip"):
            soundfile.write(args.dst / f"{one.name}.wav", np.clip(one.samples, -1, 1), rate)
            prompt = str(one.prompt.absolute())
            rows.append({"audio": f"{one.name}.wav", "text": one.text, "prompt": prompt})
            seconds += len(one.samples) / rate
            stopped += one.stopped
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (args.dst / "results.jsonl").write_text(text, encoding="utf-8")
    took = time.perf_counter() - began
    print(f"{len(rows)} clips, {stopped} without faults, {seconds:.0f} s of speech in {took:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
