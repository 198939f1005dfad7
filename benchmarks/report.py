"""Writes results of the benchmarks as Markdown.

    python -m benchmarks.report run.json reference.json
    python -m benchmarks.report run.json reference.json --into README.md

The JSON files are those of `run.py` and `compare.py`. With `--into`, the text replaces what is
between the lines `<!-- speed -->` and `<!-- /speed -->` of that file.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import plot
from indextts_jax.errors import InputError

START, END = "<!-- speed -->", "<!-- /speed -->"
NAMES = {
    "semantic_encoder": "semantic encoder (Wav2Vec2-BERT)",
    "semantic_codec": "semantic codec",
    "style_encoder": "style encoder (CAMPPlus)",
    "conditioning": "conformers and perceivers",
    "codes": "codes",
    "latents": "latents",
    "flow": "regulator and flow",
    "vocoder": "vocoder",
    "voice": "**a new voice**",
    "segment": "**a segment**",
    "speech": "**a segment, voice analysed before**",
}


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def seconds(value: float) -> str:
    """Three digits, or as many as there are."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def place(found: dict[str, Any]) -> str:
    """Machine, versions and date."""
    machine = found["machine"]
    return f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}"


def reference(found: dict[str, Any]) -> str:
    """Both sides, stage by stage."""
    work, about = found["work"], found["about"]
    theirs, ours = about["theirs"], about["ours"]
    repeats = len(next(iter(found["stages"].values()))["ours"]["seconds"])
    rows = [
        [
            NAMES[name],
            *(
                f"{seconds(stage[side]['median'])} ± {stage[side]['spread']:.2g}"
                for side in ("theirs", "ours")
            ),
            f"{stage['ratio']:.2f}",
            "codes equal" if stage["difference"].get("codes") == 1 else _apart(stage["difference"]),
        ]
        for name, stage in found["stages"].items()
    ]
    for name, total in found["sums"].items():
        times = (seconds(total[side]) for side in ("theirs", "ours"))
        rows.append([NAMES[name], *times, f"{total['ratio']:.3f}", ""])
    header = ("stage", "PyTorch, s", "here, s", "ratio", "difference")
    caption = (
        f"Both sides alternate on the same weights, inputs and work, in one run ({place(found)}; "
        f"{found['date']}): reference with torch {theirs['torch']}, transformers "
        f"{theirs['transformers']}, {theirs['dtype']}, {theirs['device']}; here jax {ours['jax']}, "
        f"flax {ours['flax']}, {ours['dtype']}, {ours['device']}. Prompt {work['prompt']:g} s, "
        f"{work['tokens']} text tokens, {work['codes']} codes ({work['seconds']:.1f} s of audio), "
        f"{work['beams']} beams, {work['steps']} steps, guidance {work['guidance']}. Medians of "
        f"{repeats} runs after a first one, and half the distance of the quartiles; the ratio of a "
        f"stage is the median of those of its runs, that of a sum is of the sums."
    )
    return f"{caption}\n\n{markdown(header, rows)}"


def _apart(difference: dict[str, float]) -> str:
    if "codes" in difference:
        return f"{difference['codes']:.0%} of the codes equal"
    return f"{max(difference.values()):.0e}"


def run(found: dict[str, Any]) -> str:
    """A row for each voice, text and batch."""
    rows = []
    several = found["settings"]["repeats"] > 1
    for row in found["rows"]:
        speech = row["what"] == "whole"
        held = row["memory"].get("device", row["memory"]["process"]) / 1e9
        what = f"{row['characters']} characters" if speech else "a new voice"
        rows.append(
            [
                what + (f", {row['batch']} at once" if row.get("batch", 1) > 1 else ""),
                f"{row['prompt']:g} s",
                f"{row['audio']:.1f} s" if speech else "",
                seconds(row["median"]) + (f" ± {row['spread']:.2g}" if several else "") + " s",
                f"{row['first']:.1f} s ({row['compile']:.1f})",
                f"{row['real_time_factor']:.3g}" if speech else "",
                _codes(row) if speech else "",
                f"{row['over_floor']:.1f}",
                _stages(row),
                f"{held:.1f} GB",
            ]
        )
    header = (
        *("text", "prompt", "audio", "time", "first call (compiling)", "RTF"),
        *("codes a second", "x floor", "x floor, by stage", "memory so far"),
    )
    peaks = "; ".join(
        f"{dtype} {peak['flops'] / 1e9:,.0f} GFLOP/s, {peak['bandwidth'] / 1e9:,.1f} GB/s"
        for dtype, peak in found["peaks"].items()
    )
    kinds = ", ".join(f"{stage} {dtype}" for stage, dtype in found["dtype"].items())
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    settings = found["settings"]
    caption = (
        f"This program alone ({found['device']}; {place(found)}; {found['date']}; {versions}; "
        f"weights: {found['weights']}; {kinds}; {settings['steps']} steps, "
        f"{settings['beams']} beams, {settings['repeats']} run{'s' * several} after the first). "
        f"The floor follows from formulae and from the peaks of this device, measured just "
        f"before: {peaks}."
    )
    return f"{caption}\n\n{markdown(header, rows)}"


def _codes(row: dict[str, Any]) -> str:
    """Codes a second, and what that moves."""
    moved = row.get("bytes_per_second")
    return f"{row['codes_per_second']:.1f}" + (f" ({moved / 1e9:.1f} GB/s)" if moved else "")


def _stages(row: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {row['stages'][name] / least:.1f}"
        for name, least in row.get("floors", {}).items()
    )


def published() -> str:
    """What others published, marked as such."""
    marks = ", ".join(f"{name} {factor:g}" for name, factor in plot.PUBLISHED)
    name, batch, times = plot.PUBLISHED_BATCH
    return (
        f"Published by others, on their machines, not measured by us: RTF {marks}; {times:g} times "
        f"real time at batch {batch} ({name})."
    )


def report(found: Sequence[dict[str, Any]]) -> str:
    """Everything, in the order given, then the published marks."""
    kinds = {"run": run, "reference": reference}
    return "\n\n".join([*(kinds[one["kind"]](one) for one in found), published()])


def put(text: str, path: Path) -> None:
    """Replaces what stands between the two marks of a file.

    Raises:
        InputError: if they are not there.
    """
    whole = path.read_text(encoding="utf-8")
    before, start, rest = whole.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise InputError(f"{path} has no lines {START} and {END}")
    path.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", type=Path, nargs="+", metavar="JSON")
    parser.add_argument("--into", type=Path, metavar="README", help="file to put it into")
    args = parser.parse_args(argv)
    try:
        text = report([plot.read(path) for path in args.results])
        if args.into:
            put(text, args.into)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
