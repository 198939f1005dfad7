"""Times speech in chunks against the whole utterance, in turn; the last line is JSON.

    python -m benchmarks.stream --random configs/mini.yaml
    python -m benchmarks.stream --checkpoint indextts2 --first 50 --seams exact

One segment of 10 s of sound (500 codes; the stop code is forbidden, and the text's length sets the
number of codes). Rounds alternate (whole, stream, whole, stream). Those in which something is
compiled do not count; of the others medians are reported: the first audio and the whole work of the
stream, both as shares of the whole's time, and what a listener would have heard. Decoding stops at
the same code in both. On a machine with other work, the seconds of the processor say more than
those of the clock (`processor_of_whole`, for models on the processor).
"""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import measurements, models, record
from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.engine.delivery import ScriptRequest, deliver
from indextts_jax.engine.demo import demo_speaker
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.streaming.chunks import SEAMS, SIZES, Chunks
from indextts_jax.engine.streaming.listener import Listener
from indextts_jax.engine.streaming.stream import stream_sounds
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.runtime import cache_folder, devices, executables
from indextts_jax.runtime.model import Model
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.text.frontend import Script, Spoken
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import Voice

MOST = 20  # rounds in which something may be compiled


def whole(model: Model, request: ScriptRequest, settings: Settings) -> dict[str, float]:
    """Seconds of the utterance at once."""
    begin, clock, used = time.perf_counter(), Clock(), time.process_time()
    ((_, _, part),) = deliver(model, [request], settings, clock)
    return {
        "seconds": time.perf_counter() - begin,
        "processor": time.process_time() - used,
        "codes": part.segment.codes,
        "stages": clock.seconds,
    }


def streamed(model: Model, request: ScriptRequest, settings: Settings) -> dict[str, Any]:
    """What a listener hears, and seconds of all chunks."""
    begin, rate, sounds = time.monotonic(), model.config.mel.sample_rate, []
    listener, clock, used = Listener(begin), Clock(), time.process_time()
    for sound in stream_sounds(model, request, settings, clock):
        if not sounds:
            listener.prebuffer = sound.prebuffer
        listener.hear(time.monotonic(), len(sound.samples) / rate)
        sounds.append(sound)
    final = sounds[-1].final
    assert final is not None
    return {
        "seconds": time.monotonic() - begin,
        "processor": time.process_time() - used,
        "stages": clock.seconds,
        "first": listener.first,
        "codes": final.codes,
        "gaps": listener.gaps,
        "prebuffer": listener.prebuffer,
        "sounds": [round(len(sound.samples) / rate, 3) for sound in sounds],
    }


def ready(model: Model, prompt: float, codes: int, settings: Settings) -> ScriptRequest:
    """One segment whose text allows this many codes, with a voice of `prompt` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        recording = models.prompt(demo_speaker(), prompt, Path(folder))
        voice: Voice = IndexTTS(model).voice(recording)
    tokens = min(model.config.gpt.max_text_tokens, -(-codes // 10))
    text = tuple(2 + number % (model.config.gpt.text_vocabulary - 2) for number in range(tokens))
    spoken = Spoken(text, ("▁la",) * tokens, 0.0)
    script = Script("la " * tokens, (spoken,), 0.0, (), ())
    return ScriptRequest(script, voice, emotion_vector(model, voice), 0)


def report(rounds: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """Medians over rounds of whole and stream, and their ratios round by round."""
    first = [stream["first"] / one["seconds"] for one, stream in rounds]
    work = [stream["seconds"] / one["seconds"] for one, stream in rounds]
    return {
        "whole": statistics.median(one["seconds"] for one, _ in rounds),
        "stream": statistics.median(stream["seconds"] for _, stream in rounds),
        "first": statistics.median(stream["first"] for _, stream in rounds),
        "first_of_whole": statistics.median(first),
        "work_of_whole": statistics.median(work),
        "processor_of_whole": statistics.median(
            stream["processor"] / one["processor"] for one, stream in rounds
        ),
        "ratios": [list(pair) for pair in zip(first, work, strict=True)],
        "streams": [stream for _, stream in rounds],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the arguments, times, prints."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stream", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--random", help="published, tiny, or a configuration's file")
    parser.add_argument("--dtype")
    parser.add_argument("--device", default="auto", choices=list(devices.PLATFORMS))
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--codes", type=int, default=500, help="or as many as the sizes allow")
    parser.add_argument("--prompt", type=float, default=5.0, help="seconds")
    parser.add_argument("--first", type=int, default=25, choices=SIZES)
    parser.add_argument("--seams", default="fast", choices=SEAMS)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(argv)
    device = devices.choose(asked.device)
    cache_folder.enable_by_default()
    compilations = measurements.Compilations()
    with jax.default_device(device):
        model = models.opened(asked.checkpoint, asked.random, asked.dtype)
        settings = Settings(
            steps=asked.steps,
            max_codes=min(asked.codes, model.config.gpt.max_codes),
            sampling=SamplingConfig(beams=asked.beams),
        )
        chunks = Chunks(first=asked.first, seams=asked.seams)
        request = ready(model, asked.prompt, asked.codes, settings)
        rounds: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for number in range(asked.rounds + MOST):
            before = compilations.count, executables.seconds_spent()
            one = whole(model, request, settings)
            stream = streamed(model, request, dataclasses.replace(settings, chunks=chunks))
            assert one["codes"] == stream["codes"]
            sys.stderr.write(
                f"round {number}: whole {one['seconds']:.2f} s, stream {stream['seconds']:.2f} s, "
                f"first audio {stream['first']:.2f} s, sounds {stream['sounds']}\n"
            )
            if before == (compilations.count, executables.seconds_spent()):
                rounds.append((one, stream))
            if len(rounds) == asked.rounds:
                break
        else:
            sys.stderr.write("something is compiled in every round\n")
            return 1
    found = {
        **record.head("stream", devices.describe(device)),
        "weights": str(asked.checkpoint or f"random, {asked.random}"),
        "settings": {name: getattr(asked, name) for name in ("beams", "prompt", "steps")},
        "codes": rounds[0][0]["codes"],
        "chunks": dataclasses.asdict(chunks),
        **report(rounds),
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
