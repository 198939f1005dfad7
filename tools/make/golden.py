"""Makes a small model set with golden values, or checks one, with the PyTorch reference.

    REFERENCE/bin/python -m tools.make.golden COMMAND SET

Commands:
    models SET    a model set of the sizes in `golden_sizes.py`, its two prompts, `recipe.json`
    values SET    `SET/tensors/*.npz` for `SET/checkpoints`, `SET/*.wav` and `SET/recipe.json`
    check SET     computes the values again from the chosen inputs in `SET/tensors` (texts, noise,
                  draws) and compares; exits with the number of arrays that differ

REFERENCE is a virtual environment of its own, because the reference needs these versions (CPU):
    pip install torch==2.13.0 numpy scipy librosa soundfile einops omegaconf munch sentencepiece \\
        safetensors transformers==5.2.0
    pip install --no-deps torchaudio==2.11.0 indextts2-inference==2.1.1
    rm SITE_PACKAGES/torchaudio/lib/_torchaudio.abi3.so    (it needs CUDA; nothing here uses it)
`models` also calls the program espeak-ng, for the prompts.

Values depend on the libraries' versions at the level of float32 rounding. One thread is used, so
that sums are made in one order.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tools import ROOT
from tools.make import golden_models
from tools.reference import modules
from tools.reference.golden import table
from tools.reference.golden.inputs import Inputs

TOKENIZER = ROOT / "tests/data/tiny/checkpoints/bpe.model"


def main() -> int:
    """Runs the command that the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.make.golden",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("models", "values", "check"))
    parser.add_argument("set", type=Path, help="directory of the set")
    parser.add_argument(
        "--tokenizer", type=Path, default=TOKENIZER, help="the bpe.model that `models` copies"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.command == "models":
        golden_models.write(args.set, args.tokenizer)
        return 0
    if args.command == "values":
        recipe = json.loads((args.set / "recipe.json").read_text())
        arrays, notes = compute(args.set, Inputs(None, recipe["seed"]), recipe)
        (args.set / "tensors").mkdir(exist_ok=True)
        for stage, found in arrays.items():
            np.savez_compressed(args.set / "tensors" / f"{stage}.npz", **found)
        print("\n".join(notes))
        return 0
    arrays, notes = compute(args.set, Inputs(args.set / "tensors"), {})
    print("\n".join(notes))
    return compare(args.set / "tensors", arrays)


def compute(folder: Path, inputs: Inputs, recipe: Mapping[str, Any]) -> Any:
    """The arrays of every stage for one set, and notes."""
    loaded = modules.load(folder / "checkpoints")
    return table.compute(loaded, folder / "speaker.wav", folder / "emotion.wav", inputs, recipe)


def compare(folder: Path, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> int:
    """Prints each array's difference over the stored one's RMS; returns the number that differ."""
    bad = 0
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as stored:
            for name in sorted({*stored.files, *arrays[path.stem]}):
                ours, theirs = arrays[path.stem].get(name), stored.get(name)
                verdict = _difference(ours, theirs)
                bad += verdict.startswith("BAD")
                print(f"{path.stem + '.' + name:45s} {verdict}")
    print(f"{bad} differ")
    return bad


def _difference(ours: np.ndarray | None, theirs: np.ndarray | None) -> str:
    if ours is None or theirs is None:
        return "BAD: missing here" if ours is None else "BAD: not stored"
    if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        return f"BAD: {ours.dtype} {ours.shape}, stored {theirs.dtype} {theirs.shape}"
    if ours.dtype.kind != "f":
        return "equal" if (ours == theirs).all() else "BAD: not equal"
    scale = np.sqrt(np.mean(theirs.astype(np.float64) ** 2)) or 1.0
    error = np.abs(ours.astype(np.float64) - theirs) / scale
    rms = np.sqrt(np.mean(error**2))
    mark = "BAD: " if rms > 2e-6 else ""
    return f"{mark}rms {rms:.1e}, max {error.max():.1e}"


if __name__ == "__main__":
    sys.exit(main())
