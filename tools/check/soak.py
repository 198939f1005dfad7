"""Speaks a thousand times, then in threads, and measures the process; ends in JSON and a verdict.

    python -m tools.check.soak --checkpoint tiny --speaker voice.wav

Checked, once everything is warmed up (`indextts_jax.warmup`):

- nothing compiles, however texts, seeds, voices, emotions and the numbers of the settings vary;
- after the first fifty utterances memory does not grow: arrays of JAX, objects, bytes of Python,
  resident memory;
- the first request, made again at the end, gives the same samples, bit for bit;
- four threads, each with a voice and twenty sentences, give the samples of the sequence;
- when the model is dropped, its arrays are gone.

A single recording is cut into four voices; several are used as they are. The last line printed is
the report as JSON. Exits with 1 if a check fails, 2 for bad input.
"""

import argparse
import dataclasses
import gc
import hashlib
import json
import sys
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32
from tqdm import tqdm

from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.planning.warmup import warm_up, warm_up_prompts
from indextts_jax.runtime import cache_folder, devices
from indextts_jax.voices.analysis import Voice
from tools.check.soaking import meters
from tools.check.soaking.meters import Sample
from tools.check.soaking.requests import WAYS, Request, clips, requests, settings, speak

SETTLED = 50  # utterances after which memory may not grow
THREADS, SENTENCES = 4, 20
# Growth that is not yet a leak: bytes and objects; and shares of the first measurement, because
# allocators still settle for some hundred utterances. 2 % of 2 GB over a thousand utterances is
# 40 kB each; a leaked mel or waveform would be more.
SLACK = {"traced": 64 << 10, "objects": 200}
SHARE = {"in_use": 0.02, "resident": 0.02}


def digest(samples: Float32[np.ndarray, " n"]) -> str:
    """A hash of the samples, bit by bit."""
    return hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()


def growth(samples: Sequence[Sample], name: str) -> float | None:
    """How much the last fifth of the samples exceeds the first fifth; None if not measured.

    Medians: memory of the allocator comes and goes.
    """
    values = [getattr(sample, name) for sample in samples]
    if not values or None in values:
        return None
    share = max(1, len(values) // 5)
    return median(values[-share:]) - median(values[:share])


def broken_laws(samples: Sequence[Sample], compiled: Sequence[str], same: bool) -> list[str]:
    """The failed checks, as messages."""
    wrong = []
    if compiled:
        wrong.append(f"{len(compiled)} compilations after the warm-up: {', '.join(compiled[:5])}")
    if not same:
        wrong.append("the first request gave other samples at the end")
    settled = [sample for sample in samples if sample.utterance >= SETTLED]
    if settled:
        first, last = settled[0], settled[-1]
        for name in ("arrays", "array_bytes"):
            before, after = getattr(first, name), getattr(last, name)
            if after > before:
                wrong.append(f"{name} grew from {before} to {after}")
    shares = {k: (getattr(settled[0], k) or 0) * share for k, share in SHARE.items() if settled}
    for name, slack in (SLACK | shares).items():
        more = growth(settled, name)
        if more is not None and more > slack:
            wrong.append(f"{name} grew by {more:.0f}, more than {slack:.0f}")
    return wrong


def soak(
    tts: IndexTTS,
    voices: Sequence[Voice],
    todo: Sequence[Request],
    every: int = 10,
    **more: int | None,
) -> tuple[dict[str, Any], list[str]]:
    """Speaks all requests, and the first again at the end; the report, and the failed checks."""
    samples: list[Sample] = []
    length = silent = 0
    tracemalloc.start()
    try:
        with (
            meters.compilations() as compiled,
            tqdm(total=len(todo), desc="Speaking", unit="utterance", file=sys.stderr) as bar,
        ):
            for number, request in enumerate(todo, 1):
                waveform = speak(tts, voices, request, **more)
                length += len(waveform)
                silent += not len(waveform)
                if number == 1:
                    first = digest(waveform)
                del waveform
                if number == 1 or number % every == 0:
                    samples.append(meters.look(number, len(compiled)))
                    bar.set_postfix(MB=(samples[-1].resident or 0) >> 20, compiled=len(compiled))
                bar.update()
            same = digest(speak(tts, voices, todo[0], **more)) == first
    finally:
        tracemalloc.stop()
    wrong = broken_laws(samples, compiled, same)
    settled = [sample for sample in samples if sample.utterance >= SETTLED]
    report = {
        "utterances": len(todo),
        "without_a_code": silent,
        "audio_seconds": round(length / tts.model.config.mel.sample_rate, 1),
        "compiled_after_warm_up": len(compiled),
        "first_equals_last": same,
        "growth_after_settling": {name: growth(settled, name) for name in SLACK | SHARE},
        "samples": [dataclasses.asdict(sample) for sample in samples],
    }
    return report, wrong


def threads(
    tts: IndexTTS, voices: Sequence[Voice], count: int, sentences: int, **more: int | None
) -> tuple[dict[str, Any], list[str]]:
    """`count` threads, each with its voice, compared with the same requests in sequence."""
    todo = [
        [
            dataclasses.replace(request, voice=thread % len(voices))
            for request in requests(sentences, len(voices), seed=thread + 1)
        ]
        for thread in range(count)
    ]

    def all_of(own: Sequence[Request]) -> list[str]:
        return [digest(speak(tts, voices, request, **more)) for request in own]

    sequence = [all_of(own) for own in tqdm(todo, desc="In sequence", file=sys.stderr)]
    with meters.compilations() as compiled, ThreadPoolExecutor(count) as pool:
        jobs = pool.map(all_of, todo)
        together = list(tqdm(jobs, total=count, desc="In threads", file=sys.stderr))
    differ = sum(
        a != b for x, y in zip(sequence, together, strict=True) for a, b in zip(x, y, strict=True)
    )
    wrong = [f"{differ} utterances differ in threads"] if differ else []
    if compiled:
        wrong.append(f"{len(compiled)} compilations in threads: {', '.join(compiled[:5])}")
    return {"threads": count, "sentences": count * sentences, "different": differ}, wrong


def voice_bytes(voice: Voice) -> int:
    """Bytes of a voice's arrays."""
    return sum(leaf.nbytes for leaf in vars(voice).values() if isinstance(leaf, jax.Array))


def prepared(
    checkpoint: str, speakers: Sequence[Path], **more: int | None
) -> tuple[IndexTTS, list[Voice], int]:
    """A model and voices with everything compiled, and how many programs that took."""
    with meters.compilations() as compiled:
        tts = IndexTTS.load(checkpoint)
        with tqdm(desc="Warming up", unit="stage", file=sys.stderr) as bar:

            def on_stage(what: str) -> None:
                bar.set_postfix_str(what)
                bar.update()

            warm_up_prompts(tts, on_stage=on_stage)
            voices = [tts.voice(path) for path in clips(speakers)]
            for voice in voices:
                for way in range(len(WAYS)):
                    warm_up(tts, voice, settings(way, **more), on_stage=on_stage)
    return tts, voices, len(compiled)


def run(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Runs everything; returns the report, and the failed checks."""
    cache_folder.enable_compilation_cache()
    more = {"steps": args.steps, "max_codes": args.max_codes}
    tts, voices, compiled = prepared(args.checkpoint, args.speaker, **more)
    report: dict[str, Any] = {
        "device": devices.describe(tts.model.device),
        "jax": jax.__version__,
        "compiled_in_warm_up": compiled,
        "model_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(dict(tts.model.params))),
        "voice_bytes": [voice_bytes(voice) for voice in voices],
    }
    wrong: list[str] = []
    todo = requests(args.utterances, len(voices), args.seed)
    for name, (part, bad) in {
        "soak": soak(tts, voices, todo, **more),
        "threads": threads(tts, voices, THREADS, args.sentences, **more),
    }.items():
        report[name] = part
        wrong += bad
    del tts, voices
    gc.collect()
    left = sum(array.nbytes for array in jax.live_arrays())
    report["bytes_after_dropping"] = left
    if left > 1 << 10:  # a key or two
        wrong.append(f"{left} bytes of arrays remain after the model and the voices are deleted")
    return report | {"broken": wrong, "verdict": "broken" if wrong else "all laws hold"}, wrong


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the arguments, soaks, prints the report."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.check.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--checkpoint", required=True, help="checkpoint made by indextts_jax.import"
    )
    parser.add_argument("--speaker", required=True, nargs="+", type=Path, help="recordings")
    parser.add_argument("--utterances", type=int, default=1000)
    parser.add_argument("--sentences", type=int, default=SENTENCES, help="of each thread")
    parser.add_argument("--steps", type=int, default=4, help="of the flow")
    parser.add_argument("--max_codes", type=int, default=None, help="of a segment")
    parser.add_argument("--seed", type=int, default=0, help="of the mix of requests")
    args = parser.parse_args(argv)
    try:
        report, wrong = run(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
