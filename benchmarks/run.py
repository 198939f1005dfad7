"""Times this program, whole and by stage, against the lower bound that the device allows.

    python -m benchmarks.run indextts2
    python -m benchmarks.run --random published --texts 80 --prompts 5 --batch 1,4

A row for a new voice (analysis of a prompt), one for each text of 7 to 200 characters with prompts
of 5 and 15 s, and one for each batch. Random weights (`--random`: made in place, no files) never
stop by themselves. So that the work is equal for all weights, the stop code is forbidden and the
text's length sets the number of codes: 50 a second at 14 characters a second.

The first call is reported separately: it compiles (the cache of compiled programs is used only with
`--cache`). Then median and spread of the repeats, each stage's share, codes a second and the
gigabytes a second that decoding moves, the real time factor (seconds of compute for a second of
audio), and the ratio to the lower bound: bytes and multiply-adds by formula over the bandwidth and
matrix peak measured at the start. The last line is the same as JSON.
"""

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax

from benchmarks import measurements, models, record, roofline
from benchmarks.workload import TEXTS
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.runtime import cache_folder, devices
from indextts_jax.utils.text_table import table


def memory(device: jax.Device) -> dict[str, int]:
    """Bytes at most so far, of the process and, where it counts them, of the device."""
    found = {"process": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    if stats := device.memory_stats():
        found["device"] = stats["peak_bytes_in_use"]
    return found


def benchmark(args: argparse.Namespace) -> dict[str, Any]:
    """Times everything that is asked for, and prints each row as it comes."""
    device = devices.choose(args.device)
    if args.cache:
        cache_folder.enable_compilation_cache()
    compilations = measurements.Compilations()
    with jax.default_device(device):
        model = models.opened(
            args.checkpoint, args.random, args.dtype, fused_attention=args.fused_attention
        )
        compute = {name: model.run.compute_dtype(name) for name in ("gpt", "dit", "vocoder")}
        peaks = {dtype: roofline.measure(dtype) for dtype in sorted({"float32", *compute.values()})}
    if model.config.version != "2.0":
        raise InputError(
            f"the lower bounds are those of version 2.0, and this model is of version "
            f"{model.config.version}: python -m benchmarks.versions times both versions"
        )
    for dtype, peak in peaks.items():
        _tell(f"{dtype}: {peak.flops / 1e9:,.0f} GFLOP/s, {peak.bandwidth / 1e9:,.1f} GB/s")
    found: dict[str, Any] = {
        **record.head("run", devices.describe(device)),
        "weights": str(args.checkpoint.name) if args.checkpoint else f"random, {args.random}",
        "dtype": compute,
        "settings": {
            "steps": args.steps,
            "beams": args.beams,
            "repeats": args.repeats,
            "fused_attention": args.fused_attention,
        },
        "peaks": {dtype: vars(peak) for dtype, peak in peaks.items()},
        "rows": [],
    }

    def add(row: dict[str, Any]) -> None:
        found["rows"].append({**row, "memory": memory(device)})
        _tell(_line(found["rows"][-1]))
        if args.json:
            record.write(args.json, found)

    tts = IndexTTS(model)
    with tempfile.TemporaryDirectory() as folder:
        for seconds in args.prompts:
            path = models.prompt(args.speaker, seconds, Path(folder))
            peak = peaks["float32"]
            row, voice = measurements.analysed(tts, path, seconds, peak, args.repeats, compilations)
            add(row)
            for request in requests(args, seconds):
                add(measurements.whole(tts, voice, request, peaks, args.repeats, compilations))
    return found


def requests(args: argparse.Namespace, prompt: float) -> list[measurements.Request]:
    """The texts one by one; with the first prompt, the batches of one text too."""

    def request(characters: int, rows: int) -> measurements.Request:
        return measurements.Request(
            characters=characters,
            text=TEXTS[characters],
            prompt=prompt,
            steps=args.steps,
            beams=args.beams,
            rows=rows,
            codes=args.codes,
        )

    singles = [request(characters, 1) for characters in args.texts] if 1 in args.batch else []
    batches = [rows for rows in args.batch if rows > 1] if prompt == args.prompts[0] else []
    return [*singles, *(request(args.batch_text, rows) for rows in batches)]


HEADER = (
    *("what", "prompt", "text", "batch", "codes", "audio s", "median s", "spread", "first s"),
    *("compile s", "RTF", "codes/s", "GB/s", "x floor", "GB"),
)


def _line(row: dict[str, Any]) -> list[str]:
    def shown(name: str, form: str) -> str:
        return format(row[name], form) if name in row else ""

    held = row["memory"].get("device", row["memory"]["process"])
    return [
        row["what"],
        shown("prompt", "g"),
        shown("characters", "d"),
        shown("batch", "d"),
        shown("codes", "d"),
        shown("audio", ".2f"),
        shown("median", ".3f"),
        shown("spread", ".3f"),
        shown("first", ".2f"),
        shown("compile", ".2f"),
        shown("real_time_factor", ".3f"),
        shown("codes_per_second", ".1f"),
        f"{row['bytes_per_second'] / 1e9:.1f}" if "bytes_per_second" in row else "",
        shown("over_floor", ".1f"),
        f"{held / 1e9:.2f}",
    ]


def _stages(rows: list[dict[str, Any]]) -> str:
    lines = [
        [
            *(_line(row)[1:4]),
            name,
            f"{seconds:.3f}",
            f"{seconds / row['median']:.0%}",
            f"{row['floors'][name]:.3f}" if name in row["floors"] else "",
            f"{seconds / row['floors'][name]:.1f}" if name in row["floors"] else "",
        ]
        for row in rows
        if "stages" in row
        for name, seconds in row["stages"].items()
    ]
    header = ("prompt", "text", "batch", "stage", "median s", "share", "floor s", "x floor")
    return table(header, lines)


def _tell(line: str | list[str]) -> None:
    print(line if isinstance(line, str) else "  ".join(line), file=sys.stderr, flush=True)


def _numbers(kind: type) -> Any:
    return lambda text: [kind(part) for part in text.split(",")]


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("checkpoint", nargs="?", type=Path, help="an imported checkpoint")
    add("--random", metavar="SIZES", help="random weights: published, tiny, or a YAML file")
    add("--device", default="auto", help="auto, cpu, cuda or tpu (by default auto)")
    add("--dtype", help="float32, bfloat16, float16 or int8 (by default what the checkpoint says)")
    add("--fused_attention", action="store_true", help="of decoding and flow, on NVIDIA GPUs")
    add("--texts", type=_numbers(int), default=list(TEXTS), help="characters (7,16,28,80,200)")
    add("--prompts", type=_numbers(float), default=[5.0, 15.0], help="seconds (by default 5,15)")
    add("--batch", type=_numbers(int), default=[1, 4, 16, 32], help="(by default 1,4,16,32)")
    add("--batch_text", type=int, default=80, choices=TEXTS, help="text of a batch (80)")
    add("--codes", type=int, help="codes of every text (by default by its length)")
    add("--steps", type=int, default=25, help="of the flow (by default 25)")
    add("--beams", type=int, default=3, help="(by default 3)")
    add("--repeats", type=int, default=5, help="(by default 5)")
    add("--quick", action="store_true", help="one text and prompt, batch 1 and 4, two repeats")
    add("--cache", action="store_true", help="use the cache of compiled programs")
    add("--speaker", type=Path, default=models.DATA / "demo_speaker.wav", metavar="WAV")
    add("--json", type=Path, metavar="FILE", help="file for the result, as it grows")
    args = parser.parse_args(argv)
    if args.quick:
        args.texts, args.prompts, args.batch, args.repeats = [16], [5.0], [1, 4], 2
        args.batch_text = 16
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 2 for bad input."""
    args = arguments(argv)
    try:
        if unknown := set(args.texts) - set(TEXTS):
            raise InputError(f"--texts: there are {', '.join(map(str, TEXTS))}, not {unknown}")
        if not args.speaker.is_file():
            raise InputError(f"{args.speaker} does not exist")
        found = benchmark(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{found['device']}, {found['machine']['processor']}, {found['versions']}")
    print(f"weights: {found['weights']}, {found['dtype']}, {found['settings']}")
    print(table(HEADER, [_line(row) for row in found["rows"]]))
    print(_stages(found["rows"]))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
