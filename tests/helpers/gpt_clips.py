"""Two clips of the tiny set, as batches of the objective `gpt`; one is shorter than the other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import support

from importers.speech import Importer

CLIPS = (0, 1)
COMPONENTS = ("conditioning", "gpt", "training_heads")


@functools.cache
def reference():
    """The clips, and the losses of the PyTorch reference (`tools/make/gpt_losses.py`)."""
    with np.load(support.DATA / "training/gpt.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def of_both(name):
    """An array of each clip."""
    return [reference()[f"{name}_{n}"] for n in CLIPS]


def padded(name, size, filler):
    """An array of both clips with `filler` behind, and their lengths."""
    clips = of_both(name)
    rows = np.full((len(clips), size), filler, np.int32)
    for row, clip in zip(rows, clips, strict=True):
        row[: len(clip)] = clip
    return rows, np.array([len(clip) for clip in clips], np.int32)


def batch(filler=0):
    """A batch whose padding holds `filler`, with frozen conditioning."""
    text, text_lengths = padded("text", 19, filler)
    codes, code_lengths = padded("codes", 37, filler)
    return {
        "text": text,
        "text_lengths": text_lengths,
        "codes": codes,
        "code_lengths": code_lengths,
        "conditioning": np.stack(of_both("latents")),
        "emotion": np.stack(of_both("emotion")),
        "row": np.arange(len(CLIPS), dtype=np.int32),
    }


@functools.cache
def parameters():
    """The components that the objective may need, from the published files."""
    importer = Importer.open(support.CHECKPOINTS, training=True)
    return {name: jax.tree.map(jnp.asarray, importer.read(name)) for name in COMPONENTS}
