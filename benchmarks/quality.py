"""How often half precision chooses the codes that float32 chooses, and how far its logits are off.

    python benchmarks/agreement.py indextts2
    python benchmarks/agreement.py indextts2 --dtypes bfloat16 --utterances 4 --codes 200

The voice and the texts are random numbers from the seed, at the sizes of the checkpoint: no prompt
is needed. Float32 decodes each utterance greedily. Then each dtype is compared
- by step: it is given these codes one by one (teacher forcing); the share of steps at which its
  highest logit is the same code, and the difference of the logits over their RMS;
- by sequence: it decodes for itself, greedily and with the default beams and draws from the same
  keys; the share of equal sequences, and of codes before the first difference.
The last line is the same as JSON.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import timing

from indextts_jax.config import RunConfig
from indextts_jax.errors import InputError
from indextts_jax.runtime.inner_stages import replay_logits
from indextts_jax.runtime.model import Model, load_model
from indextts_jax.runtime.stages import search_codes
from indextts_jax.sampling.generate import SamplingConfig
from indextts_jax.utils.text_table import table

EXACT = "float32"
WAYS = ("greedy", "sampled")


def utterances(model: Model, count: int, tokens: int, seed: int) -> tuple[np.ndarray, ...]:
    """Latents, emotion, text tokens and their numbers, of no speaker and no language."""
    cfg, rng = model.config.gpt, np.random.default_rng(seed)
    special = max(cfg.start_text, cfg.stop_text) + 1
    return (
        rng.standard_normal((count, cfg.conditioning_latents, cfg.width), np.float32),
        rng.standard_normal((count, cfg.width), np.float32),
        rng.integers(special, cfg.text_vocabulary, (count, tokens)),
        np.full(count, tokens),
    )


def decoded(model: Model, given: Sequence[np.ndarray], way: str, codes: int) -> np.ndarray:
    """The codes of each utterance, filled with the stop code."""
    settings = SamplingConfig(max_codes=codes)
    if way == "greedy":
        settings = SamplingConfig(beams=1, sample=False, max_codes=codes)
    keys = jax.random.split(jax.random.key(0), len(given[0]))
    rows = []
    for row in range(len(given[0])):  # one by one, as they are spoken
        one = slice(row, row + 1)
        arrays = (*(jnp.asarray(array[one]) for array in given), keys[one], settings.numbers)
        made = search_codes(model, *arrays, strategy=settings.strategy)
        rows.append(np.asarray(made.codes[0]))
    return np.stack(rows)


def forced(model: Model, given: Sequence[np.ndarray], codes: np.ndarray) -> np.ndarray:
    """The logits at each step, when the codes are given."""
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
    rms = np.sqrt(np.mean(exact.astype(np.float64) ** 2))
    return {
        "steps": len(exact),
        "argmax": float(np.mean(exact.argmax(-1) == other.argmax(-1))),
        "rms_error": float(np.sqrt(np.mean((exact - other).astype(np.float64) ** 2)) / rms),
        "max_error": float(np.max(np.abs(exact - other)) / rms),
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


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """All figures; one model is in memory at a time."""

    def opened(dtype: str) -> Model:
        print(f"loading {dtype}", file=sys.stderr, flush=True)
        return load_model(args.checkpoint, RunConfig(dtype=dtype), components=["gpt"])

    model = opened(EXACT)
    stop = model.config.gpt.stop_code
    given = utterances(model, args.utterances, args.tokens, args.seed)
    codes = {way: decoded(model, given, way, args.codes) for way in WAYS}
    logits = forced(model, given, codes["greedy"])
    lengths = np.minimum(np.sum(codes["greedy"] != stop, axis=1) + 1, args.codes)
    del model
    rows = []
    for dtype in args.dtypes:
        model = opened(dtype)
        steps = by_step(logits, forced(model, given, codes["greedy"]), lengths)
        sequences = {
            way: by_sequence(codes[way], decoded(model, given, way, args.codes), stop)
            for way in WAYS
        }
        del model
        rows.append({"dtype": dtype, "by_step": steps, **sequences})
    return {
        "kind": "agreement",
        "checkpoint": args.checkpoint.name,
        "machine": timing.machine(),
        "device": jax.devices()[0].device_kind,
        "versions": {name: metadata.version(name) for name in ("jax", "jaxlib", "indextts-jax")},
        "utterances": args.utterances,
        "tokens": args.tokens,
        "codes": args.codes,
        "lengths": {way: np.sum(codes[way] != stop, axis=1).tolist() for way in WAYS},
        "rows": rows,
    }


def shown(found: dict[str, Any]) -> str:
    """The figures as a table."""
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


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("checkpoint", type=Path, help="an imported checkpoint")
    add("--dtypes", type=lambda text: text.split(","), default=["bfloat16", "float16"])
    add("--utterances", type=int, default=8, help="(by default 8)")
    add("--tokens", type=int, default=24, help="text tokens of each (by default 24)")
    add("--codes", type=int, default=100, help="at most, of each (by default 100)")
    add("--seed", type=int, default=0, help="of voices and texts (by default 0)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 2 for bad input."""
    try:
        found = compare(arguments(argv))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(shown(found))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
