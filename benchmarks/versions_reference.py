"""Times what only IndexTTS-2.5 has beside the PyTorch reference: codes, and their decoder.

    python -m benchmarks.versions_reference --sources SOURCES --reference_python PYTHON

SOURCES is a directory with the reference's own sources, PYTHON the interpreter of an environment
for them: `tools/make/golden25.py` describes both. Every other network has the sizes of version 2;
`benchmarks.compare` times it. Weights are random, of the published sizes, and not the same on both
sides: the work is (beams, codes, tokens, threads), which each side checks. Both run in turn, the
first run apart. Ratios are ours over the reference's: below 1 where this program is faster.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import yaml

from benchmarks import models, record, versions
from benchmarks.workers.protocol import Worker
from importers.export import settings
from indextts_jax.config import bundled_config
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.runtime import devices, stages
from indextts_jax.runtime.buckets import bucket, pad
from indextts_jax.utils.text_table import table

ROOT = Path(__file__).parents[1]
SIDES = ("theirs", "ours")
SIZES, VERSION = "published25", "2.5"


def codes(tts: IndexTTS, args: argparse.Namespace) -> tuple[Callable[[], object], dict[str, int]]:
    """The search of a text's codes, and its work."""
    _, said = versions.codes(tts, args)  # compiles, too
    return lambda: versions.codes(tts, args), {
        "codes": said["codes"],
        "tokens": said["text_tokens"],
    }


def codec(tts: IndexTTS, args: argparse.Namespace) -> tuple[Callable[[], object], dict[str, int]]:
    """The decoding of as many codes, and its work."""
    count = versions.code_count(tts.model, args)
    most = tts.model.config.semantic_codec.codes
    given = np.random.default_rng(0).integers(0, most, (1, count))
    padded = jnp.asarray(pad(given, bucket(count, tts.model.buckets.codes)), jnp.int32)
    lengths = jnp.asarray([count], jnp.int32)

    def run() -> object:
        return jax.block_until_ready(stages.decode_codes(tts.model, padded, lengths))

    run()
    return run, {"codes": count, "tokens": 0}


STAGES = {"codes": (codes, ("gpt",)), "codec": (codec, ("semantic_codec",))}
"""How each stage is run here, and the components that it needs."""


def measured(name: str, args: argparse.Namespace, config: Path) -> dict[str, Any]:
    """One stage on both sides, in turn."""
    prepare, components = STAGES[name]
    model = models.random_model(SIZES, None, components=components)
    if name == "codes":
        model = models.without_stop(model)
    run, work = prepare(IndexTTS(model), args)
    cfg = model.config
    sizes = {
        "text": cfg.gpt.text_vocabulary - 1,
        "width": cfg.gpt.width,
        "style": cfg.style_encoder.style,
        "semantic": cfg.semantic_encoder.width,
    }
    search = os.pathsep.join([str(args.sources), str(ROOT)])
    worker = Worker(
        [args.reference_python, "-m", "tools.reference.worker25"],
        {**os.environ, "PYTHONPATH": search},
        config=str(config),
        threads=args.threads,
    )
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    try:
        worker.ask("open", stage=name, work={**work, "beams": args.beams}, sizes=sizes)
        first = worker.ask("run")["seconds"]
        for _ in range(args.repeats):
            seconds["theirs"].append(worker.ask("run")["seconds"])
            start = time.perf_counter()
            run()
            seconds["ours"].append(time.perf_counter() - start)
            print(f"{name}: " + ", ".join(f"{s} {t[-1]:.2f} s" for s, t in seconds.items()))
        about = worker.about
    finally:
        worker.close()
    return {
        "work": work,
        "about": about,
        "first": {"theirs": first},
        **{side: record.summary(found) for side, found in seconds.items()},
        "ratio": float(np.median(np.divide(seconds["ours"], seconds["theirs"]))),
    }


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.versions_reference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--sources", type=Path, required=True, help="directory of the reference's sources")
    add("--reference_python", required=True, help="Python of its environment")
    add("--stages", default=",".join(STAGES), help="stages, with commas (by default both)")
    add("--seconds", type=float, default=2.0, help="of audio (by default 2)")
    add("--text", type=int, default=28, help="characters (by default 28)")
    add("--beams", type=int, default=3, help="(by default 3)")
    add("--threads", type=int, default=0, help="threads of the reference (by default all cores)")
    add("--repeats", type=int, default=3, help="timed runs of each side (by default 3)")
    add("--json", type=Path, metavar="FILE", help="file for the result")
    parser.set_defaults(steps=25)  # of the flow, which is not run; `versions.settings` asks for it
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command."""
    args = arguments(argv)
    device = devices.choose("cpu")
    found: dict[str, Any] = {**record.head("versions_reference", devices.describe(device))}
    found |= {"version": VERSION, "beams": args.beams, "stages": {}}
    with tempfile.TemporaryDirectory() as folder, jax.default_device(device):
        config = Path(folder) / "config.yaml"
        published = settings.published(bundled_config(models.SIZES[SIZES]))
        config.write_text(yaml.safe_dump(published), encoding="utf-8")
        for name in args.stages.split(","):
            found["stages"][name] = measured(name, args, config)
            if args.json:  # after each stage: a run that is stopped keeps what it measured
                record.write(args.json, found)
    lines = []
    for name, one in found["stages"].items():
        times = (f"{one[side]['median']:.3g} ± {one[side]['spread']:.2g}" for side in SIDES)
        lines.append([name, *times, f"{one['ratio']:.2f}"])
    print(table(("stage", "reference, s", "ours, s", "ratio"), lines))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
