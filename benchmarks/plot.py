"""Draws what the benchmarks measured: stages, and throughput over batch, beside published marks.

    python -m benchmarks.plot speed.svg run.json reference.json

The JSON files are those of `run.py` and `compare.py`, in any order and number. The output's suffix
chooses SVG, PNG or PDF. Needs the extra `plot` (matplotlib). Published figures, which others
measured on other machines, are drawn in gray and labelled as such.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from indextts_jax.errors import InputError

PUBLISHED = (
    ("PyTorch, RTX 4090", 0.3257),
    ("TensorRT fp16, RTX 4090", 0.1365),
    ("PyTorch, A100", 0.76),
    ("TensorRT fp16, A100", 0.22),
)
"""Real time factors of IndexTTS-2 as others published them, for one utterance."""
PUBLISHED_BATCH = ("TensorRT fp16, A100", 16, 8.4)
"""Times real time at a batch, as published."""
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#222255")


def label(run: dict[str, Any], row: dict[str, Any], dtypes: set[str]) -> str:
    """What a row of `run.py` is called; of several dtypes, with its own."""
    dtype = f"\n{run['dtype']['gpt']}" if len(dtypes) > 1 else ""
    return f"{row['characters']} characters\n{row['prompt']:g} s prompt{dtype}"


def bars(found: list[dict[str, Any]]) -> list[tuple[str, dict[str, float]]]:
    """Seconds by stage of every single request, per second of audio, and what they are called."""
    singles = [
        (run, row)
        for run in found
        if run["kind"] == "run"
        for row in run["rows"]
        if row["what"] == "whole" and row["batch"] == 1
    ]
    dtypes = {run["dtype"]["gpt"] for run, _ in singles}
    return [
        (label(run, row, dtypes), {name: s / row["audio"] for name, s in row["stages"].items()})
        for run, row in singles
    ]


def pairs(found: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """Stages timed on both sides: name, seconds of the reference, seconds here."""
    return [
        (name, stage["theirs"]["median"], stage["ours"]["median"])
        for run in found
        if run["kind"] == "reference"
        for name, stage in run["stages"].items()
    ]


def throughput(found: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """Batch, and times real time, of the text that was batched."""
    rows = [
        ((run["dtype"]["gpt"], row["characters"], row["prompt"]), row)
        for run in found
        if run["kind"] == "run"
        for row in run["rows"]
        if row["what"] == "whole"
    ]
    batched = [kind for kind, row in rows if row["batch"] > 1][:1]  # one line: of the first
    points = {}
    for kind, row in rows:
        if kind in batched:
            points.setdefault(row["batch"], row["times_real_time"])
    return sorted(points.items())


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Writes the picture: as many panels as there is something for.

    Raises:
        InputError: if matplotlib is missing, or there is nothing to draw.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise InputError("drawing needs matplotlib: pip install 'indextts-jax[plot]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [
        (paint, data)
        for paint, data in (
            (_stages, bars(found)),
            (_reference, pairs(found)),
            (_throughput, throughput(found)),
        )
        if data
    ]
    if not panels:
        raise InputError("nothing to draw: no rows in these files")
    widths = [max(5.5, 0.7 * len(data) + 2.5) for _, data in panels]
    figure, axes = pyplot.subplots(
        1,
        len(panels),
        figsize=(sum(widths), 4),
        width_ratios=widths,
        squeeze=False,
        layout="constrained",
    )
    for axis, (paint, data) in zip(axes[0], panels, strict=True):
        paint(axis, data)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(_title(found), fontsize=9)
    figure.savefig(path)
    pyplot.close(figure)


def _title(found: list[dict[str, Any]]) -> str:
    """Where and when, each once."""
    places = []
    for run in found:
        device = run.get("device") or run["about"]["ours"]["device"]
        cores = run["machine"]["cores"]
        places.append(f"{device}, {run['machine']['processor']} ({cores} cores), {run['date']}")
    return "measured on " + "; ".join(dict.fromkeys(places))


def _stages(axis: Any, rows: list[tuple[str, dict[str, float]]]) -> None:
    names = list(dict.fromkeys(name for _, stages in rows for name in stages))
    bottom = [0.0] * len(rows)
    for name, colour in zip(names, COLOURS, strict=False):
        heights = [stages.get(name, 0.0) for _, stages in rows]
        axis.bar([text for text, _ in rows], heights, bottom=bottom, color=colour, label=name)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    for (text, factor), dashes in zip(PUBLISHED, ("--", "-", "-.", ":"), strict=True):
        axis.axhline(
            factor, color="gray", linewidth=0.8, linestyle=dashes, label=f"{text} (published)"
        )
    axis.tick_params(axis="x", labelsize=6)
    axis.set_ylabel("seconds for a second of audio")
    if max(bottom) > 20 * PUBLISHED[0][1]:
        axis.set_yscale("symlog", linthresh=1)
    axis.legend(fontsize=6, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    axis.set_title("one utterance, by stage", fontsize=9)


def _reference(axis: Any, rows: list[tuple[str, float, float]]) -> None:
    places = range(len(rows))
    axis.bar(
        [p - 0.2 for p in places], [r[1] for r in rows], 0.4, color=COLOURS[6], label="PyTorch"
    )
    axis.bar([p + 0.2 for p in places], [r[2] for r in rows], 0.4, color=COLOURS[0], label="here")
    for place, (_, theirs, ours) in zip(places, rows, strict=True):
        axis.text(
            place, max(theirs, ours), f"{ours / theirs:.2f}", ha="center", va="bottom", fontsize=7
        )
    axis.set_xticks(list(places), [name.replace("_", "\n") for name, _, _ in rows], fontsize=6)
    axis.set_yscale("log")
    axis.set_ylabel("seconds (logarithmic)")
    axis.legend(fontsize=6, frameon=False)
    axis.set_title("the reference in the same run; ratio above", fontsize=9)


def _throughput(axis: Any, points: list[tuple[int, float]]) -> None:
    batches = [batch for batch, _ in points]
    axis.plot(batches, [times for _, times in points], "o-", color=COLOURS[0], label="here")
    text, batch, times = PUBLISHED_BATCH
    axis.plot([batch], [times], "x", color="gray", label=f"{text} (published)")
    axis.set_xscale("log", base=2)
    slowest = min(times for _, times in points)
    if times > 20 * slowest:
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
    ticks = sorted({*batches, batch})
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_xlabel("batch")
    axis.set_ylabel("times real time")
    axis.legend(fontsize=6, frameon=False)
    axis.set_title("throughput", fontsize=9)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", type=Path, metavar="PICTURE", help="ends with .svg, .png or .pdf")
    parser.add_argument("results", type=Path, nargs="+", metavar="JSON")
    args = parser.parse_args(argv)
    try:
        if args.output.suffix not in (".svg", ".png", ".pdf"):
            raise InputError(f"{args.output}: the ending must be .svg, .png or .pdf")
        draw([read(path) for path in args.results], args.output)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {args.output}")
    return 0


def read(path: Path) -> dict[str, Any]:
    """What a benchmark measured: the last line of its output, or its file.

    Raises:
        InputError: if it is something else.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"{path} is not a result of a benchmark: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
