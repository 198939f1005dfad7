"""Measures codes a second of continuous batching for several numbers of slots; ends in JSON.

    python -m benchmarks.slots --checkpoint indextts2 --slots 1 2 4 8 --codes 24

N slots decode N requests of equally many codes, so that all slots are busy to the end (with trained
weights a request may stop earlier; its codes are counted as they are). The first round compiles;
then rounds of all sizes alternate (A B A B), and medians are reported.
"""

import argparse
import collections
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from indextts_jax.config import RunConfig
from indextts_jax.engine.acoustic import Line
from indextts_jax.engine.decoding import Queue, SlotDecoder
from indextts_jax.runtime.model import Model, load_model
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import Voice


def rounds(
    model: Model, sizes: Sequence[int], *, beams: int, codes: int, text: int
) -> Callable[[int], tuple[int, float]]:
    """One round of a number of slots: how many codes were decoded, in how many seconds."""
    cfg = model.config.gpt
    rng = np.random.default_rng(0)
    none = jax.numpy.zeros((1, 1, 1))
    latents = rng.standard_normal((1, cfg.conditioning_latents, cfg.width), np.float32)
    voice = Voice(jax.numpy.asarray(latents), *[none[0]] * 3, none, none, 0, none, 0)
    tokens = rng.integers(2, cfg.text_vocabulary, text).tolist()
    line = Line(tokens, voice, none[0] * np.zeros((1, cfg.width), np.float32))
    sampling = SamplingConfig(beams=beams, max_codes=codes, start_code=False)
    keys = jax.random.split(jax.random.key(0), max(sizes))

    def decode(size: int) -> tuple[int, float]:
        queue = collections.deque(range(size))
        source = Queue(
            take=lambda: queue.popleft() if queue else None,
            line=lambda number: line,
            key=lambda number: keys[number],
        )
        decoder = SlotDecoder(model, source, sampling, size, text, Clock())
        start = time.perf_counter()
        count = sum(len(ids) for _, ids, _ in decoder.codes())
        return count, time.perf_counter() - start

    return decode


def main() -> int:
    """Decodes, and prints the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.slots", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--beams", type=int, default=3)
    parser.add_argument("--codes", type=int, default=24, help="of each request")
    parser.add_argument("--text", type=int, default=32, help="text tokens")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype")
    asked = parser.parse_args()
    model = load_model(asked.checkpoint, RunConfig(dtype=asked.dtype), components=["gpt"])
    decode = rounds(model, asked.slots, beams=asked.beams, codes=asked.codes, text=asked.text)

    rates: dict[int, list[float]] = {size: [] for size in asked.slots}
    for number in range(asked.rounds + 1):
        for size in asked.slots:
            count, seconds = decode(size)
            sys.stderr.write(f"round {number}, {size} slots: {count} codes in {seconds:.2f} s\n")
            if number:
                rates[size].append(count / seconds)
    report: dict[str, Any] = {
        "codes_a_second": {size: round(statistics.median(r), 3) for size, r in rates.items()},
        "lowest_and_highest": {
            size: [round(min(r), 3), round(max(r), 3)] for size, r in rates.items()
        },
        "beams": asked.beams,
        "codes": asked.codes,
        "text": asked.text,
        "dtype": model.run.compute_dtype("gpt"),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
