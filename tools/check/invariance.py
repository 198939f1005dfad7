"""Decodes the same requests alone and in batches, and compares the codes; ends in JSON.

    python -m tools.check.invariance --checkpoint tiny --count 200 --devices 4

The same text, voice, seed and settings must give the same codes alone and in any batch. Texts,
voices, emotions, temperatures and seeds are random; half of the requests use beams. `--devices N`
simulates N devices on the CPU and also runs the largest batch sharded over them. Exits with 1 if a
code differs.
"""

import argparse
import collections
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

SIMULATED = "--xla_force_host_platform_device_count"
WAYS: tuple[dict[str, Any], ...] = (  # of choosing codes
    {"beams": 3},
    {"beams": 1},
    {"beams": 3, "temperature": 1.4, "top_p": 0.95, "top_k": 0, "length_penalty": 1.0},
    {"beams": 1, "temperature": 1.2, "top_p": 1.0, "repetition_penalty": 2.0},
)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.check.invariance", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--checkpoint", required=True, help="an imported model")
    parser.add_argument("--count", type=int, default=200, help="requests")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 3, 8], help="of the batches")
    parser.add_argument("--devices", type=int, default=1, help="simulated on the CPU")
    parser.add_argument("--max_codes", type=int, help="of a request")
    parser.add_argument("--dtype", help="to compute with")
    return parser.parse_args()


def main() -> int:
    """Decodes, compares, prints the report; the exit code."""
    asked = arguments()
    if asked.devices > 1:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {SIMULATED}={asked.devices}"
    # JAX reads the environment once.
    import jax
    import numpy as np

    from indextts_jax.config import RunConfig
    from indextts_jax.engine.acoustic import Line
    from indextts_jax.engine.decoding import Queue, SlotDecoder, search_line
    from indextts_jax.engine.seeds import segment_keys
    from indextts_jax.engine.settings import Settings, max_codes_of
    from indextts_jax.runtime.buckets import bucket
    from indextts_jax.runtime.model import Model, load_model
    from indextts_jax.runtime.sharding import replicate
    from indextts_jax.sampling.settings import SamplingConfig
    from indextts_jax.utils.stopwatch import Clock
    from indextts_jax.voices.analysis import Voice

    model = load_model(asked.checkpoint, RunConfig(dtype=asked.dtype), components=["gpt"])
    cfg = model.config.gpt
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> Any:
        return jax.numpy.asarray(rng.standard_normal(shape, np.float32))

    none = jax.numpy.zeros((1, 1, 1))
    latents = [drawn(1, cfg.conditioning_latents, cfg.width) for _ in range(3)]
    flat = none[0]
    voices = [Voice(one, flat, flat, flat, none, none, 0, none, 0) for one in latents]
    most = min(cfg.max_text_tokens, 120)
    lines, ways, seeds = [], [], []
    for number in range(asked.count):
        tokens = rng.integers(2, cfg.text_vocabulary, rng.integers(1, most + 1)).tolist()
        lines.append(Line(tokens, voices[number % 3], drawn(1, cfg.width)))
        way = dict(WAYS[number % len(WAYS)])
        way["temperature"] = way.get("temperature", 0.8) * float(rng.uniform(0.8, 1.5))
        ways.append(Settings(sampling=SamplingConfig(**way), max_codes=asked.max_codes))
        seeds.append(int(rng.integers(2**32)))

    def alone(number: int) -> tuple[list[int], bool]:
        line = lines[number]
        key = segment_keys(seeds[number], 0)[0]
        sampling = ways[number].sampling_up_to(max_codes_of(model, ways[number]))
        ids, cut = search_line(model, line, sampling, key)
        return ids.tolist(), cut

    def together(
        model: Model, numbers: Sequence[int], size: int
    ) -> Iterator[tuple[int, tuple[list[int], bool]]]:
        queue = collections.deque(numbers)
        settings = ways[numbers[0]]
        longest = max(len(lines[number].tokens) for number in numbers)
        limit = max_codes_of(model, settings)
        source = Queue(
            take=lambda: queue.popleft() if queue else None,
            line=lambda number: lines[number],
            key=lambda number: segment_keys(seeds[number], 0)[0],
        )
        decoder = SlotDecoder(
            model,
            source,
            settings.sampling_up_to(limit),
            size,
            bucket(longest, model.buckets.text),
            Clock(),
            numbers=lambda number: ways[number].sampling_up_to(limit).numbers,
        )
        for number, ids, cut in decoder.codes():
            yield number, (ids.tolist(), cut)

    def report_progress(what: str) -> None:
        sys.stderr.write(f"{time.strftime('%X')} {what}\n")

    report_progress("alone")
    expected = {number: alone(number) for number in range(asked.count)}
    runs: list[tuple[str, int, Model]] = [(str(n), n, model) for n in asked.sizes]
    if asked.devices > 1:
        size = -(-max(asked.sizes) // asked.devices) * asked.devices
        runs.append((f"{size} on {asked.devices} devices", size, replicate(model, jax.devices())))
    report: dict[str, Any] = {
        "count": asked.count,
        "codes": sum(len(ids) for ids, _ in expected.values()),
        "complete": sum(not cut for _, cut in expected.values()),
        "batches": {},
    }
    for name, size, where in runs:
        report_progress(f"batch {name}")
        found: dict[int, tuple[list[int], bool]] = {}
        for beams in {way["beams"] for way in WAYS}:
            numbers = [n for n in range(asked.count) if ways[n].sampling.beams == beams]
            if numbers:
                found |= dict(together(where, numbers, size))
        equal = [number for number in expected if found[number] == expected[number]]
        first = {
            number: next(
                (
                    step
                    for step, (ours, theirs) in enumerate(
                        zip(found[number][0], expected[number][0], strict=False)
                    )
                    if ours != theirs
                ),
                min(len(found[number][0]), len(expected[number][0])),
            )
            for number in expected
            if number not in equal
        }
        report["batches"][name] = {"equal": len(equal), "first_difference": first}
        report_progress(f"  {len(equal)} of {asked.count} equal")
    report["dtype"] = model.run.compute_dtype("gpt")
    report["device"] = str(jax.devices()[0].device_kind)
    report["jax"] = jax.__version__
    print(json.dumps(report))
    return 0 if all(b["equal"] == asked.count for b in report["batches"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
