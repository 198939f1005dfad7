"""Errors of half precision in the flow and the vocoder, against float32; ends in JSON.

    python benchmarks/precision.py --checkpoint indextts2 --steps 25 --prompt 430 --frames 172

The same noise, prompt and condition (random ones) go through the same weights in float32 and in
each dtype. Told are the RMS and the largest difference over the RMS of the float32 result, and
seconds of processor time: of the flow's mel, of the waveform of one and the same mel, and of the
waveform that both give together. With random weights the vocoder hears no speech, so its figures
are those of arithmetic, not of hearing.
"""

import argparse
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.config import RunConfig
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, flow_size
from indextts_jax.runtime.model import Model, load_model

GUIDANCE = 0.7
DTYPES = ("float32", "bfloat16", "float16")


def differences(ours: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """The RMS and the maximum of the difference over the RMS of what is exact."""
    rms = np.sqrt(np.mean(np.square(exact, dtype=np.float64)))
    difference = ours.astype(np.float64) - exact
    return {
        "rms": float(np.sqrt(np.mean(difference**2)) / rms),
        "max": float(np.abs(difference).max() / rms),
    }


def inputs(model: Model, prompt: int, frames: int) -> list[jax.Array]:
    """Random noise, prompt, condition and style for a target of so many frames."""
    rng = np.random.default_rng(0)
    dit, buckets = model.config.dit, model.buckets

    def random(size: int, width: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal((1, size, width), np.float32))

    padded, target = bucket(prompt, buckets.frames), bucket(frames, buckets.frames)
    return [
        random(flow_size(buckets, prompt + frames, frames), dit.mels),
        2 * random(padded, dit.mels) - 4,  # a log-mel of speech lies there
        random(padded, dit.condition),
        jnp.asarray([prompt], jnp.int32),
        random(target, dit.condition),
        jnp.asarray([frames], jnp.int32),
        random(1, dit.style)[:, 0],
    ]


def timed(call: Callable[[], jax.Array], rounds: int) -> tuple[np.ndarray, float]:
    """The result, and the median of the processor's seconds, the first call left out."""
    result, seconds = np.asarray(call()), []
    for _ in range(rounds):
        start = time.process_time()
        jax.block_until_ready(call())
        seconds.append(time.process_time() - start)
    return result, statistics.median(seconds) if seconds else float("nan")


def measure(checkpoint: str, dtypes: list[str], asked: argparse.Namespace) -> dict[str, Any]:
    """The figures of each dtype; float32 comes first, and the others are compared with it."""
    report: dict[str, Any] = {}
    exact: dict[str, np.ndarray] = {}
    for dtype in ["float32", *(name for name in dtypes if name != "float32")]:
        model = load_model(checkpoint, RunConfig(dtype=dtype), components=["dit", "vocoder"])
        given = inputs(model, asked.prompt, asked.frames)
        flow = functools.partial(
            stages.guided_mel, model, *given, steps=asked.steps, guidance=GUIDANCE
        )
        vocoder = functools.partial(stages.vocode, model)
        mel, flow_seconds = timed(flow, asked.rounds)
        exact.setdefault("mel", mel)
        heard = functools.partial(vocoder, jnp.asarray(exact["mel"]), given[5])
        wave, vocoder_seconds = timed(heard, asked.rounds)
        both = np.asarray(vocoder(jnp.asarray(mel), given[5]))
        exact.setdefault("wave", wave)
        frames, samples = asked.frames, asked.frames * model.config.mel.hop
        report[dtype] = {
            "mel": differences(mel[:, :frames], exact["mel"][:, :frames]),
            "wave": differences(wave[:, :samples], exact["wave"][:, :samples]),
            "both": differences(both[:, :samples], exact["wave"][:, :samples]),
            "flow_seconds": flow_seconds,
            "vocoder_seconds": vocoder_seconds,
        }
        sys.stderr.write(f"{dtype}: {json.dumps(report[dtype])}\n")
    return report


def main() -> int:
    """Measures, prints the table and the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument(
        "--prompt", type=int, default=430, help="frames of the prompt (86 a second)"
    )
    parser.add_argument("--frames", type=int, default=172, help="frames that are made")
    parser.add_argument("--rounds", type=int, default=1, help="timed calls after the first")
    asked = parser.parse_args()
    report = measure(asked.checkpoint, asked.dtypes, asked)
    print(f"{'dtype':10}{'mel':>19}{'waveform':>19}{'both':>19}{'flow':>9}{'vocoder':>9}")
    for dtype, row in report.items():
        errors = "".join(
            f"{row[k]['rms']:9.1e} /{row[k]['max']:8.1e}" for k in ("mel", "wave", "both")
        )
        print(f"{dtype:10}{errors}{row['flow_seconds']:7.2f} s{row['vocoder_seconds']:7.2f} s")
    settings = {"steps": asked.steps, "prompt": asked.prompt, "frames": asked.frames}
    device = jax.devices()[0].device_kind
    print(json.dumps({"dtypes": report, **settings, "device": device, "jax": jax.__version__}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
