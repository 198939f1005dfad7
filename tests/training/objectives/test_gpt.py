"""The objective `gpt` on two clips of the tiny set, one shorter than the other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.training.objectives.gpt import build

CLIPS = (0, 1)


@functools.cache
def reference():
    """Two clips, and the losses of the PyTorch reference (`tools/make_training_golden.py`)."""
    with np.load(support.DATA / "training/gpt.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def padded(name, size, filler):
    """An array of both clips, with something in the padding."""
    clips = [reference()[f"{name}_{n}"] for n in CLIPS]
    rows = np.full((len(clips), size), filler, np.int32)
    for row, clip in zip(rows, clips, strict=True):
        row[: len(clip)] = clip
    return rows, np.array([len(clip) for clip in clips], np.int32)


def batch(filler=0):
    text, text_lengths = padded("text", 24, filler)
    codes, code_lengths = padded("codes", 40, filler)
    return {
        "text": text,
        "text_lengths": text_lengths,
        "codes": codes,
        "code_lengths": code_lengths,
        "conditioning": np.stack([reference()[f"latents_{n}"] for n in CLIPS]),
        "emotion": np.stack([reference()[f"emotion_{n}"] for n in CLIPS]),
        "row": np.arange(len(CLIPS), dtype=np.int32),
    }


@functools.cache
def parameters():
    gpt = support.tiny_params("gpt")
    import torch

    sd = torch.load(support.CHECKPOINTS / "gpt.pth")
    heads = {"text_head": {"kernel": sd["text_head.weight"].numpy().T, "bias": sd["text_head.bias"].numpy()}}
    return jax.tree.map(jnp.asarray, {"gpt": gpt, "training_heads": heads})


@functools.cache
def evaluation():
    objective = build(support.tiny_config(), {"train": ["trunk"]}, ("gpt", "training_heads"))
    return jax.jit(lambda params, batch: objective.evaluate(params, batch, jax.random.key(0)))


def test_losses_equal_those_of_the_reference():
    found = evaluation()(parameters(), batch())
    theirs = {
        name: np.concatenate([reference()[f"{name}_loss_{n}"] for n in CLIPS])
        for name in ("text", "code")
    }
    for name, losses in theirs.items():
        assert found[name].count == len(losses)
        np.testing.assert_allclose(found[name].total, losses.sum(), rtol=1e-5)
        print(name, found[name].total, losses.sum(), float(found[name].total)/losses.sum()-1)
