"""Writes the PyTorch reference's cross-entropy for two clips of the tiny set.

    REFERENCE/bin/python -m tools.make.gpt_losses tests/data/tiny tests/data/training

The result is `gpt.npz`: the inputs of each clip, and the cross-entropy of every target of both
heads. `tests/training` compares the objective `gpt` with it. REFERENCE is the environment that
`tools/make/golden.py` describes.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tools.reference.modules import load


def losses(model: Any, clip: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Cross-entropy of each target of one clip: the text and its stop, the codes and their stop."""
    latents, emotion = torch.tensor(clip["latents"])[None], torch.tensor(clip["emotion"])[None]
    text = torch.tensor(clip["text"], dtype=torch.int64)
    codes = torch.tensor(clip["codes"], dtype=torch.int64)
    speed = model.speed_emb(torch.tensor([1, 0]))[None]
    conditioning = torch.cat([latents + emotion[:, None], speed], 1)

    def framed(ids: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        return torch.cat([torch.tensor([start]), ids, torch.tensor([stop])])

    text = framed(text, model.start_text_token, model.stop_text_token)
    codes = framed(codes, model.start_mel_token, model.stop_mel_token)
    rows = model.text_embedding(text)[None] + model.text_pos_embedding(text[None])
    more = model.mel_embedding(codes)[None] + model.mel_pos_embedding(codes[None])
    both = model.get_logits(conditioning, rows, model.text_head, more, model.mel_head)
    found = {}
    for name, logits, ids in zip(("text", "code"), both, (text, codes), strict=True):
        found[f"{name}_loss"] = cross_entropy(logits[0, :, :-1].T, ids[1:], reduction="none")
    return {name: loss.detach().numpy() for name, loss in found.items()}


def main(small_set: str, target: str) -> None:
    """Writes `gpt.npz`."""
    torch.set_num_threads(1)
    folder = Path(small_set)
    model = load(folder / "checkpoints").gpt
    with np.load(folder / "tensors/gpt.npz") as gpt:
        known = {name: gpt[name] for name in gpt.files}
    with np.load(folder / "tensors/gpt_latent.npz") as found:
        codes = found["codes"]
    random = np.random.default_rng(0)
    clips = [
        {
            "latents": known["speaker_latents"][0],
            "emotion": known["emovec"][0],
            "text": known["text_ids"][0],
            "codes": codes[0],
        },
        {
            "latents": random.normal(size=known["speaker_latents"][0].shape).astype(np.float32),
            "emotion": random.normal(size=known["emovec"][0].shape).astype(np.float32),
            "text": random.integers(2, model.text_head.out_features, 9),
            "codes": random.integers(0, model.start_mel_token, 22),
        },
    ]
    arrays = {}
    for number, clip in enumerate(clips):
        for name, array in {**clip, **losses(model, clip)}.items():
            wide = array.astype(np.int32) if array.dtype.kind == "i" else array
            arrays[f"{name}_{number}"] = wide
    np.savez_compressed(Path(target) / "gpt.npz", **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
