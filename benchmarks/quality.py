"""Measures what half precision and int8 cost, against float32 on the same weights; ends in JSON.

    python -m benchmarks.quality codes indextts2
    python -m benchmarks.quality codes indextts2 --dtypes bfloat16 --utterances 4 --codes 200
    python -m benchmarks.quality sound indextts2 --steps 25 --prompt 430 --frames 172

All inputs are random numbers from a seed, at the sizes of the checkpoint: no prompt is needed.

`codes`: float32 decodes each utterance greedily. Each dtype is then compared
- by step: it gets these codes one by one (teacher forcing); reported are the share of steps whose
  highest logit is the same code, and the difference of the logits over their RMS;
- by sequence: it decodes by itself, greedily, and with the default beams and the same draws;
  reported are the share of equal sequences, and of codes before the first difference.

`sound`: the same noise, prompt and condition go through flow and vocoder in each dtype. Reported
are the RMS and the largest difference over the RMS of float32, of the mel, of the waveform from
equal mels, and of the waveform of both together, and seconds of processor time. With random weights
there is no speech in the mel, so these are figures of arithmetic, not of what one hears.
"""

import argparse
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import record
from indextts_jax.config import RunConfig
from indextts_jax.errors import InputError
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, flow_size
from indextts_jax.runtime.inner_stages import replay_logits
from indextts_jax.runtime.model import Model, load_model
from indextts_jax.sampling.generate import SamplingConfig
from indextts_jax.utils.text_table import table

EXACT = "float32"
WAYS = ("greedy", "sampled")
GUIDANCE = 0.7


def differences(found: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """The RMS and the maximum of the difference, over the RMS of the exact array."""
    rms = np.sqrt(np.mean(np.square(exact, dtype=np.float64)))
    difference = found.astype(np.float64) - exact
    return {
        "rms": float(np.sqrt(np.mean(difference**2)) / rms),
        "max": float(np.abs(difference).max() / rms),
    }


def open_model(args: argparse.Namespace, dtype: str, components: Sequence[str]) -> Model:
    """The components in a dtype."""
    print(f"loading {dtype}", file=sys.stderr, flush=True)
    return load_model(args.checkpoint, RunConfig(dtype=dtype), components=components)


def utterances(model: Model, count: int, tokens: int, seed: int) -> tuple[np.ndarray, ...]:
    """Random latents, emotion vectors and text tokens, and the numbers of tokens."""
    cfg, rng = model.config.gpt, np.random.default_rng(seed)
    special = max(cfg.start_text, cfg.stop_text) + 1
    return (
        rng.standard_normal((count, cfg.conditioning_latents, cfg.width), np.float32),
        rng.standard_normal((count, cfg.width), np.float32),
        rng.integers(special, cfg.text_vocabulary, (count, tokens)),
        np.full(count, tokens),
    )


def decode(model: Model, given: Sequence[np.ndarray], way: str, codes: int) -> np.ndarray:
    """The codes of each utterance, filled with the stop code."""
    settings = SamplingConfig(max_codes=codes)
    if way == "greedy":
        settings = SamplingConfig(beams=1, sample=False, max_codes=codes)
    keys = jax.random.split(jax.random.key(0), len(given[0]))
    rows = []
    for row in range(len(given[0])):  # one at a time, as `speak` decodes them
        one = slice(row, row + 1)
        arrays = (*(jnp.asarray(array[one]) for array in given), keys[one], settings.numbers)
        made = stages.search_codes(model, *arrays, strategy=settings.strategy)
        rows.append(np.asarray(made.codes[0]))
    return np.stack(rows)


def teacher_forced(model: Model, given: Sequence[np.ndarray], codes: np.ndarray) -> np.ndarray:
    """The logits of each step, given the codes."""
    rows = []
    for row in range(len(codes)):
        one = slice(row, row + 1)
        arrays = [jnp.asarray(array[one]) for array in (*given, codes)]
        rows.append(np.asarray(replay_logits(model, *arrays)[0]))
    return np.stack(rows)


def by_step(exact: np.ndarray, other: np.ndarray, lengths: np.ndarray) -> dict[str, float]:
    """Agreement of the highest logit, and errors over the RMS, at the steps that count."""
    counts = np.arange(exact.shape[1]) < lengths[:, None]
    exact, other = exact[counts], other[counts]
    errors = differences(other, exact)
    return {
        "steps": len(exact),
        "argmax": float(np.mean(exact.argmax(-1) == other.argmax(-1))),
        "rms_error": errors["rms"],
        "max_error": errors["max"],
    }


def by_sequence(exact: np.ndarray, other: np.ndarray, stop: int) -> dict[str, float]:
    """Equal sequences, and the codes before the first difference."""
    same = exact == other
    spoken = np.maximum(np.sum(exact != stop, axis=1), 1)
    before = np.minimum(np.where(same.all(1), spoken, np.argmin(same, axis=1)), spoken)
    return {
        "equal": float(np.mean(same.all(1))),
        "before_difference": float(np.sum(before) / np.sum(spoken)),
    }


def measure_codes(args: argparse.Namespace) -> dict[str, Any]:
    """All figures of `codes`; one model is in memory at a time."""
    model = open_model(args, EXACT, ["gpt"])
    stop = model.config.gpt.stop_code
    given = utterances(model, args.utterances, args.tokens, args.seed)
    codes = {way: decode(model, given, way, args.codes) for way in WAYS}
    logits = teacher_forced(model, given, codes["greedy"])
    lengths = np.minimum(np.sum(codes["greedy"] != stop, axis=1) + 1, args.codes)
    del model
    rows = []
    for dtype in args.dtypes:
        model = open_model(args, dtype, ["gpt"])
        steps = by_step(logits, teacher_forced(model, given, codes["greedy"]), lengths)
        sequences = {
            way: by_sequence(codes[way], decode(model, given, way, args.codes), stop)
            for way in WAYS
        }
        del model
        rows.append({"dtype": dtype, "by_step": steps, **sequences})
    return {
        "kind": "agreement",
        "utterances": args.utterances,
        "tokens": args.tokens,
        "codes": args.codes,
        "lengths": {way: np.sum(codes[way] != stop, axis=1).tolist() for way in WAYS},
        "rows": rows,
    }


def codes_table(found: dict[str, Any]) -> str:
    """The figures of `codes` as a table."""
    header = ("dtype", "steps", "same argmax", "RMS error", "largest", "greedy equal", "before")
    lines = [
        [
            row["dtype"],
            row["by_step"]["steps"],
            f"{row['by_step']['argmax']:.4f}",
            f"{row['by_step']['rms_error']:.1e}",
            f"{row['by_step']['max_error']:.1e}",
            *(f"{row[way][name]:.2f}" for way in WAYS for name in ("equal", "before_difference")),
        ]
        for row in found["rows"]
    ]
    return table((*header, "sampled equal", "before"), lines)


def flow_inputs(model: Model, prompt: int, frames: int, seed: int) -> list[jax.Array]:
    """Random noise, prompt, condition and style for a target of so many frames."""
    rng = np.random.default_rng(seed)
    dit, buckets = model.config.dit, model.buckets

    def random(size: int, width: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal((1, size, width), np.float32))

    padded, target = bucket(prompt, buckets.frames), bucket(frames, buckets.frames)
    return [
        random(flow_size(buckets, prompt + frames, frames), dit.mels),
        2 * random(padded, dit.mels) - 4,  # the range of a log-mel of speech
        random(padded, dit.condition),
        jnp.asarray([prompt], jnp.int32),
        random(target, dit.condition),
        jnp.asarray([frames], jnp.int32),
        random(1, dit.style)[:, 0],
    ]


def timed(call: Callable[[], jax.Array], rounds: int) -> tuple[np.ndarray, float]:
    """The result, and the median of the processor's seconds without the first call."""
    result, seconds = np.asarray(call()), []
    for _ in range(rounds):
        start = time.process_time()
        jax.block_until_ready(call())
        seconds.append(time.process_time() - start)
    return result, statistics.median(seconds) if seconds else float("nan")


def measure_sound(args: argparse.Namespace) -> dict[str, Any]:
    """All figures of `sound`; float32 comes first, and the others are compared with it."""
    report: dict[str, Any] = {}
    exact: dict[str, np.ndarray] = {}
    for dtype in [EXACT, *(name for name in args.dtypes if name != EXACT)]:
        model = open_model(args, dtype, ["dit", "vocoder"])
        given = flow_inputs(model, args.prompt, args.frames, args.seed)
        flow = functools.partial(
            stages.guided_mel, model, *given, steps=args.steps, guidance=GUIDANCE
        )
        vocoder = functools.partial(stages.vocode, model)
        mel, flow_seconds = timed(flow, args.rounds)
        exact.setdefault("mel", mel)
        from_exact_mel = functools.partial(vocoder, jnp.asarray(exact["mel"]), given[5])
        wave, vocoder_seconds = timed(from_exact_mel, args.rounds)
        both = np.asarray(vocoder(jnp.asarray(mel), given[5]))
        exact.setdefault("wave", wave)
        frames, samples = args.frames, args.frames * model.config.mel.hop
        report[dtype] = {
            "mel": differences(mel[:, :frames], exact["mel"][:, :frames]),
            "wave": differences(wave[:, :samples], exact["wave"][:, :samples]),
            "both": differences(both[:, :samples], exact["wave"][:, :samples]),
            "flow_seconds": flow_seconds,
            "vocoder_seconds": vocoder_seconds,
        }
    settings = {"steps": args.steps, "prompt": args.prompt, "frames": args.frames}
    return {"kind": "precision", "dtypes": report, **settings}


def sound_table(found: dict[str, Any]) -> str:
    """The figures of `sound` as a table: RMS and largest error, seconds."""
    parts = ("mel", "wave", "both")
    lines = [
        [
            dtype,
            *(f"{row[part]['rms']:.1e} / {row[part]['max']:.1e}" for part in parts),
            *(f"{row[name]:.2f}" for name in ("flow_seconds", "vocoder_seconds")),
        ]
        for dtype, row in found["dtypes"].items()
    ]
    return table(("dtype", "mel", "waveform", "both", "flow s", "vocoder s"), lines)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="what", required=True)
    codes = commands.add_parser("codes", help="agreement of the codes")
    sound = commands.add_parser("sound", help="errors of flow and vocoder")
    for command in (codes, sound):
        command.add_argument("checkpoint", type=Path, help="an imported checkpoint")
        dtypes = {"type": lambda text: text.split(","), "default": ["bfloat16", "float16"]}
        command.add_argument("--dtypes", **dtypes, help="(by default bfloat16,float16)")
        command.add_argument("--seed", type=int, default=0, help="of the inputs (by default 0)")
    add = codes.add_argument
    add("--utterances", type=int, default=8, help="(by default 8)")
    add("--tokens", type=int, default=24, help="text tokens of each (by default 24)")
    add("--codes", type=int, default=100, help="at most, of each (by default 100)")
    add = sound.add_argument
    add("--steps", type=int, default=25, help="of the flow (by default 25)")
    add("--prompt", type=int, default=430, help="frames of the prompt, 86 a second (430)")
    add("--frames", type=int, default=172, help="frames to generate (by default 172)")
    add("--rounds", type=int, default=1, help="timed calls after the first (by default 1)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 2 for bad input."""
    args = arguments(argv)
    measure, show = {"codes": (measure_codes, codes_table), "sound": (measure_sound, sound_table)}[
        args.what
    ]
    try:
        found = measure(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    head = {
        "checkpoint": args.checkpoint.name,
        "machine": record.machine(),
        "device": jax.devices()[0].device_kind,
        "versions": record.versions(("jax", "jaxlib", "indextts-jax")),
    }
    print(show(found))
    print(json.dumps(found | head))
    return 0


if __name__ == "__main__":
    sys.exit(main())
