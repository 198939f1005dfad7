"""Compares ways of speaking in chunks with the speech that is made at once.

    python -m tools.stream_quality --checkpoint indextts2 --voice anna --texts texts.txt
    python -m tools.stream_quality --demo --steps 4

Every way has the same codes and the same noise as the whole (S0), or what its own rules say:

    S0  the whole segment at once
    S1  all codes so far again for each chunk, new mel faded into old
    S2  ours: the flow continued from 5 s of the mel so far, 0.26 s of look-ahead
    S3  ours with 1 s of that mel, and with none
    S4  every chunk by itself with 20 codes of overlap and noise of its own, sound faded into sound

For each it prints the difference of the mel to S0 by distance to the nearest seam, the jump of
level and the clicks at seams against other places of the same sound, and the flux of the spectrum
there. With random weights only the differences mean something. `--output` keeps all sounds with a
manifest for `python -m tools.judge_speech`, which judges words, voice and quality.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, Int

from indextts_jax.audio.features import log_mel
from indextts_jax.audio.output import write_audio
from indextts_jax.config import RunConfig
from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.engine import demo
from indextts_jax.engine.acoustic import (
    Line,
    SynthesisRow,
    condition_rows,
    encode_rows,
    flow_frames,
    mel_of_rows,
    synthesize,
)
from indextts_jax.engine.decoding import search_line
from indextts_jax.engine.parts import frames_for
from indextts_jax.engine.seeds import segment_keys
from indextts_jax.engine.settings import Settings, max_codes_of
from indextts_jax.engine.streaming.acoustic import make_chunks
from indextts_jax.engine.streaming.chunks import SEAMS, Chunks
from indextts_jax.engine.streaming.frames import CONTEXT, FrameMap, frame_map
from indextts_jax.engine.streaming.segment import SegmentStream, host_prompt
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.runtime import stages
from indextts_jax.runtime.versions.interface import GrowingRows
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.text.frontend import Script
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.utils.text_table import table
from indextts_jax.voices import store
from tools.stream_measures import Measures, measured, summary

Codes = Int[np.ndarray, " n"]
Wave = Float32[np.ndarray, " n"]
OVERLAP = 20  # codes, of S4
FADE = 34  # frames, of S1 and S4


@dataclasses.dataclass(frozen=True)
class Sentence:
    """One segment with its codes: what every way makes sound of."""

    tts: IndexTTS
    line: Line
    script: Script
    codes: Codes
    key: Any
    settings: Settings
    frames: FrameMap

    @property
    def hop(self) -> int:
        return self.tts.model.config.mel.hop

    def row(self, start: int, end: int, frames: int, key: Any = None) -> SynthesisRow:
        """Some of the codes as a segment of their own."""
        return SynthesisRow(self.line, self.codes[start:end], frames, key or self.key)

    @property
    def total(self) -> int:
        """Frames of the whole."""
        counts = [len(self.codes)]
        return frames_for(self.tts.model, self.script, counts, self.settings)[0]

    def ends(self, size: int) -> list[int]:
        """The codes at which chunks end; the last has at least half a chunk."""
        ends = list(range(size, len(self.codes) - size // 2, size))
        return [*ends, len(self.codes)]


def whole(one: Sentence, size: int) -> tuple[Wave, list[int]]:
    """S0: the sound, and no seams."""
    row = one.row(0, len(one.codes), one.total)
    (wave,) = synthesize(one.tts.model, [row], one.settings, Clock())
    return wave, []


def again(one: Sentence, size: int) -> tuple[Wave, list[int]]:
    """S1: everything so far is made again with the same noise; mels are faded into each other."""
    model, mel, seams = one.tts.model, None, []
    for end in one.ends(size):
        known = min(len(one.codes), end + one.frames.look_ahead)
        frames = one.total if end == len(one.codes) else one.frames.frames(known)
        row = one.row(0, known, frames)
        noise = stages.flow_noise(
            jax.numpy.stack([one.key]), flow_frames(model, [row]), model.config.mel.mels
        )
        made, _ = mel_of_rows(
            model,
            [row],
            encode_rows(model, [row]),
            noise,
            steps=one.settings.steps,
            guidance=one.settings.guidance,
        )
        stop = one.total if end == len(one.codes) else one.frames.frames(end)
        new = np.asarray(made)[0, :stop]
        if mel is None:
            mel = new
            continue
        seam = len(mel)
        seams.append(seam)
        begin = max(0, seam - FADE)
        share = np.hanning(2 * (seam - begin))[: seam - begin, None]
        mixed = (1 - share) * mel[begin:] + share * new[begin:seam]
        mel = np.concatenate([mel[:begin], mixed, new[seam:]]).astype(np.float32)
    assert mel is not None
    size_of = -(-len(mel) // 256) * 256
    padded = np.pad(mel, ((0, size_of - len(mel)), (0, 0)))[None]
    wave = np.asarray(stages.vocode(model, padded, np.asarray([len(mel)], np.int32)))[0]
    return wave[: len(mel) * one.hop], seams


def continued(one: Sentence, size: int, context: int) -> tuple[Wave, list[int]]:
    """S2 and S3: ours."""
    model = one.tts.model
    growing = GrowingRows(condition_rows(model, [one.line]))
    stream = SegmentStream(one.key, one.frames, growing, host_prompt(one.line.voice))
    waves = []
    for end in one.ends(size):
        if end == len(one.codes):
            stream.end(one.codes, one.total)
        else:
            stream.extend(one.codes[: end + one.frames.look_ahead])
        chunk = stream.cut(end - stream.spoken)
        (wave,) = make_chunks(model, [chunk], one.settings, Clock(), context=context)
        waves.append(wave.samples)
    return np.concatenate(waves), stream.seams


def apart(one: Sentence, size: int) -> tuple[Wave, list[int]]:
    """S4: chunks that know nothing of each other."""
    sound, seams = np.zeros(0, np.float32), []
    for number, end in enumerate(one.ends(size)):
        start = max(0, (one.ends(size)[number - 1] if number else 0) - OVERLAP)
        first, last = one.frames.frames(start), one.frames.frames(end)
        last = one.total if end == len(one.codes) else last
        row = one.row(start, end, last - first, segment_keys(number + 1, 0)[1])
        (new,) = synthesize(one.tts.model, [row], one.settings, Clock())
        if not number:
            sound = new
            continue
        seams.append(len(sound) // one.hop)
        count = min(FADE * one.hop, len(sound) - first * one.hop)
        begin = len(sound) - count
        new = new[begin - first * one.hop :]
        share = np.hanning(2 * count)[:count].astype(np.float32)
        mixed = (1 - share) * sound[begin:] + share * new[:count]
        sound = np.concatenate([sound[:begin], mixed, new[count:]]).astype(np.float32)
    return sound, seams


Way = Callable[[Sentence, int], tuple[Wave, list[int]]]
WAYS: dict[str, Way] = {
    "S0 whole": whole,
    "S1 again": again,
    "S2 ours": lambda one, size: continued(one, size, CONTEXT),
    "S3 1 s": lambda one, size: continued(one, size, 86),
    "S3 none": lambda one, size: continued(one, size, 0),
    "S4 apart": apart,
}


def sentences(
    tts: IndexTTS, voice: Any, texts: Sequence[str], settings: Settings, chunks: Chunks
) -> list[Sentence]:
    """Each text (its first segment) with its codes; those too short for two chunks are left out."""
    found, version = [], version_of(tts.model.config)
    sampling = settings.sampling_up_to(max_codes_of(tts.model, settings))
    for text in texts:
        script = tts.script(text, settings)
        spoken = script.segments[0]
        script = dataclasses.replace(script, segments=(spoken,))
        line = Line(
            spoken.ids, voice, emotion_vector(tts.model, voice), version.language_of(spoken)
        )
        codes, noise = segment_keys(0, 0)
        ids, _ = search_line(tts.model, line, sampling, codes)
        frames = frame_map(tts.model, settings.timing, chunks)
        if len(ids) >= 2 * chunks.first_codes + frames.look_ahead:
            found.append(Sentence(tts, line, script, ids, noise, settings, frames))
    return found


def compared(
    found: Sequence[Sentence], size: int, folder: Path | None
) -> dict[str, dict[str, float]]:
    """The measures of each way, over all sentences."""
    results: dict[str, list[Measures]] = {name: [] for name in WAYS}
    for number, one in enumerate(found):
        config = one.tts.model.config.mel
        reference, _ = whole(one, size)
        mel = log_mel(reference, config)
        for name, way in WAYS.items():
            wave, seams = way(one, size)
            results[name].append(
                measured(wave, seams, log_mel(wave, config), mel, config.sample_rate, config.hop)
            )
            if folder is not None:
                target = folder / name.replace(" ", "_").lower()
                target.mkdir(parents=True, exist_ok=True)
                write_audio(target / f"{number}.wav", wave, config.sample_rate)
                entry = {"audio": f"{number}.wav", "text": one.script.segments[0].text}
                with (target / "manifest.jsonl").open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return {name: summary(values) for name, values in results.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the arguments, speaks, compares, prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.stream_quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--demo", action="store_true", help="the small model of random weights")
    parser.add_argument("--voice", help="a saved voice")
    parser.add_argument("--speaker", type=Path, help="a recording, instead of a saved voice")
    parser.add_argument("--texts", type=Path, help="a file with a text on each line")
    parser.add_argument("--chunk", type=int, default=50, help="codes of every chunk")
    parser.add_argument("--seams", choices=SEAMS, default="exact")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--output", type=Path, help="a new folder for all sounds")
    args = parser.parse_args(argv)
    try:
        if bool(args.checkpoint) == args.demo:
            raise InputError("give --checkpoint, or --demo")
        if args.output is not None and args.output.exists():
            raise InputError(f"{args.output} is there already")
        chunks = Chunks(first=args.chunk, seams=args.seams)
        settings = Settings(steps=args.steps)
        tts = (
            IndexTTS(demo.demo_model(RunConfig())) if args.demo else IndexTTS.load(args.checkpoint)
        )
        if args.voice:
            voice = store.load_voice(tts.model, store.voice_path(args.voice))
        else:
            voice = tts.voice(args.speaker or demo.demo_speaker())
        texts = [demo.DEMO_TEXT] if args.texts is None else args.texts.read_text().splitlines()
        found = sentences(tts, voice, [text for text in texts if text.strip()], settings, chunks)
        if not found:
            raise InputError("no text is as long as two chunks: give longer --texts")
        results = compared(found, args.chunk, args.output)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    names = list(next(iter(results.values())))
    rows = [[way, *(f"{values[name]:.3g}" for name in names)] for way, values in results.items()]
    print(table(("way", *names), rows))
    print(json.dumps({"sentences": len(found), "chunk": args.chunk, "ways": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
