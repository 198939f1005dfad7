"""Times IndexTTS-2 and IndexTTS-2.5 beside each other, at the same sizes of audio.

    python -m benchmarks.versions --json versions.json
    python -m benchmarks.versions --seconds 2 --prompt 3 --steps 4 --repeats 3
    python -m benchmarks.versions --codes_only --seconds 1

Random weights of the published sizes (no files are needed); networks that both versions have alike
share theirs. Both speak in one process, in turn, so that a busy machine slows both. The stop code
is forbidden, and the length of the speech sets the number of codes: 50 a second in version 2, 25 in
version 2.5. Ratios are version 2 over version 2.5 of the same round, then their median: above 1
where 2.5 is faster. Random weights do not change times; the text has a token for each byte in 2.5,
because the published tokenizer is not in the project.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import models, record
from benchmarks.workload import TEXTS
from indextts_jax.config import bundled_config
from indextts_jax.engine import decoding
from indextts_jax.engine.acoustic import Line
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.models.components import structure
from indextts_jax.runtime import cache_folder, devices
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.utils.text_table import table
from indextts_jax.voices.analysis import Voice

SIZES = {"2.0": "published", "2.5": "published25"}


def pair(dtype: str | None, components: Sequence[str]) -> dict[str, Model]:
    """Both models; a component whose arrays have equal shapes is held once."""
    first = models.random_model(SIZES["2.0"], dtype, components=components)
    other = bundled_config(models.SIZES[SIZES["2.5"]])
    shared = [
        name
        for name in components
        if structure(name, first.config).expected == structure(name, other).expected
    ]
    own = [name for name in components if name not in shared]
    second = models.random_model(SIZES["2.5"], dtype, components=own)
    params = {**second.params, **{name: first.params[name] for name in shared}}
    second = dataclasses.replace(second, params=params)
    return {"2.0": models.without_stop(first), "2.5": models.without_stop(second)}


def settings(model: Model, args: argparse.Namespace) -> Settings:
    """The reference's settings, with as many codes as the seconds have."""
    sampling, most = SamplingConfig(beams=args.beams), code_count(model, args)
    return Settings(sampling=sampling, max_codes=most, steps=args.steps, batch=1)


def code_count(model: Model, args: argparse.Namespace) -> int:
    """The codes of that many seconds."""
    return max(1, round(args.seconds * model.config.codes_per_second))


Round = tuple[dict[str, float], dict[str, Any]]
"""Seconds by stage, and how much was spoken."""


def whole(tts: IndexTTS, prompt: Path, args: argparse.Namespace) -> Round:
    """The analysis of a prompt, and speech in its voice."""
    start = time.perf_counter()
    voice = tts.voice(prompt)
    analysed = time.perf_counter() - start
    start = time.perf_counter()
    chosen = settings(tts.model, args)
    speech = tts.speak(TEXTS[args.text], voice, settings=chosen, language=_language(tts))
    spent = time.perf_counter() - start
    said = {
        "codes": sum(one.codes for one in speech.segments),
        "text_tokens": sum(one.text_tokens for one in speech.segments),
        "audio": speech.duration,
    }
    return {"voice": analysed, **speech.seconds, "speech": spent}, said


def codes(tts: IndexTTS, args: argparse.Namespace) -> Round:
    """The codes of a text alone, after noise in the place of a voice."""
    model, draw = tts.model, np.random.default_rng(0)
    width, chosen = model.config.gpt.width, settings(tts.model, args)
    segment = tts.script(TEXTS[args.text], chosen, _language(tts)).segments[0]
    latents, emotion = (
        jnp.asarray(draw.standard_normal((1, *shape)), jnp.float32)
        for shape in ((model.config.gpt.conditioning_latents, width), (width,))
    )
    nothing = jnp.zeros((1, 1))
    voice = Voice(latents, emotion, emotion, nothing, nothing, nothing, 0, nothing, 0)
    line = Line(list(segment.ids), voice, emotion, version_of(model.config).language_of(segment))
    most = code_count(model, args)
    start = time.perf_counter()
    found, _ = decoding.search_line(model, line, chosen.sampling_up_to(most), jax.random.key(0))
    spent = time.perf_counter() - start
    audio = len(found) / model.config.codes_per_second
    return {"codes": spent}, {"codes": len(found), "text_tokens": len(segment.ids), "audio": audio}


def benchmark(args: argparse.Namespace) -> dict[str, Any]:
    """Times both versions in turn; prints each round as it comes."""
    device = devices.choose(args.device)
    if args.cache:
        cache_folder.enable_compilation_cache()
    parts = ("gpt",) if args.codes_only else models.SPOKEN
    with jax.default_device(device):
        both = {version: IndexTTS(model) for version, model in pair(args.dtype, parts).items()}
    rounds: list[dict[str, dict[str, float]]] = []
    spoken: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        prompt = models.prompt(args.speaker, args.prompt, Path(folder))
        for number in range(args.repeats + 1):
            found: dict[str, dict[str, float]] = {}
            for version, tts in both.items():
                made = codes(tts, args) if args.codes_only else whole(tts, prompt, args)
                found[version], spoken[version] = made
            rounds.append(found)
            print(_line(number, found), file=sys.stderr, flush=True)
    return {
        **record.head("versions", devices.describe(device)),
        "weights": "random, published sizes",
        "dtype": {v: tts.model.run.compute_dtype("gpt") for v, tts in both.items()},
        "settings": {
            "prompt": None if args.codes_only else args.prompt,
            "characters": args.text,
            "steps": args.steps,
            "beams": args.beams,
            "repeats": args.repeats,
        },
        "spoken": spoken,
        "first": rounds[0],  # with compilation
        "stages": summed(rounds[1:]),
    }


def _language(tts: IndexTTS) -> str | None:
    """The language of the texts, where a version takes one."""
    return None if tts.model.config.version == "2.0" else "en"


def summed(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """Seconds by stage and version, and the median of the ratios within a round."""
    names = [name for name in rounds[0]["2.0"] if name in rounds[0]["2.5"]]
    return {
        name: {version: record.summary([one[version][name] for one in rounds]) for version in SIZES}
        | {"ratio": median(one["2.0"][name] / max(one["2.5"][name], 1e-9) for one in rounds)}
        for name in names
    }


def _line(number: int, found: dict[str, dict[str, float]]) -> str:
    def shown(one: dict[str, float]) -> str:
        return " ".join(f"{name} {seconds:.1f}" for name, seconds in one.items())

    return f"round {number}: " + "; ".join(f"{v}: {shown(one)}" for v, one in found.items())


def rows(found: dict[str, Any]) -> list[list[str]]:
    """A line for each stage: seconds of both versions, and the ratio."""
    return [
        [
            name,
            *(f"{stage[v]['median']:.3g} ± {stage[v]['spread']:.2g}" for v in SIZES),
            f"{stage['ratio']:.2f}",
        ]
        for name, stage in found["stages"].items()
    ]


HEADER = ("stage", "IndexTTS-2, s", "IndexTTS-2.5, s", "ratio")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.versions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--seconds", type=float, default=4.0, help="of audio (by default 4)")
    add("--prompt", type=float, default=5.0, help="seconds of the recording (by default 5)")
    add("--text", type=int, default=28, choices=TEXTS, help="characters (by default 28)")
    add("--steps", type=int, default=25, help="of the flow (by default 25)")
    add("--beams", type=int, default=3, help="(by default 3)")
    add("--repeats", type=int, default=3, help="after a first round (by default 3)")
    add("--codes_only", action="store_true", help="the GPT alone: less memory, no prompt")
    add("--dtype", help="float32, bfloat16, float16 or int8 (by default float32)")
    add("--device", default="auto", help="auto, cpu, cuda or tpu (by default auto)")
    add("--cache", action="store_true", help="use the cache of compiled programs")
    add("--speaker", type=Path, default=models.DATA / "demo_speaker.wav", metavar="WAV")
    add("--json", type=Path, metavar="FILE", help="file for the result")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command."""
    args = arguments(argv)
    found = benchmark(args)
    if args.json:
        record.write(args.json, found)
    print(table(HEADER, rows(found)))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
