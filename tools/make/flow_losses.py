"""Writes the training loss of the PyTorch reference's flow and regulator on the tiny set.

    REFERENCE/bin/python -m tools.make.flow_losses tests/data/tiny/checkpoints tests/data/training

The result is `flow.npz`: a batch of rows, the draws of its losses, and each row's loss and
condition. `tests/training` compares the objective `flow` with them. REFERENCE is the environment
that `tools/make/golden.py` describes. Each row goes through the reference alone, without padding.
"""

import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from tools.reference import stages
from tools.reference.modules import Reference, load

FRAMES, CODES = 47, 23  # of the padded batch
# Frames and codes of prompt and target, whether latents are added, whether it is conditional.
ROWS = (
    ((17, 10), (30, 18), True, True),  # faster than its codes say
    ((0, 0), (41, 23), True, True),  # without a prompt
    ((11, 7), (19, 11), False, True),
    ((13, 8), (29, 17), True, False),
)


def inputs(reference: Reference) -> dict[str, np.ndarray]:
    """A batch as the objective takes it, and draws."""
    random = np.random.default_rng(0)
    rows, settings = len(ROWS), reference.config
    mels = settings.s2mel.preprocess_params.spect_params.n_mels
    normal = {
        "mel": (FRAMES, mels),
        "noise": (FRAMES, mels),
        "latents": (CODES, settings.gpt.model_dim),
        "style": (settings.s2mel.style_encoder.dim,),
    }
    arrays = {k: random.standard_normal((rows, *v)).astype(np.float16) for k, v in normal.items()}
    found = {name: array.astype(np.float32) for name, array in arrays.items()}
    found["times"] = random.random(rows).astype(np.float32)
    for name in ("prompt_codes", "codes"):
        codes = random.integers(settings.semantic_codec.codebook_size, size=(rows, CODES))
        found[name] = codes.astype(np.int32)
    prompts, targets, latents, conditional = zip(*ROWS, strict=True)
    found["prompt_frames"], found["prompt_code_counts"] = np.int32(prompts).T
    frames, found["code_counts"] = np.int32(targets).T
    found["frames"] = found["prompt_frames"] + frames
    return found | {"with_latents": np.bool_(latents), "conditional": np.bool_(conditional)}


def condition(reference: Reference, row: dict[str, Tensor]) -> Tensor:
    """Prompt and target at frame rate, (1 f c)."""

    def stretched(codes: Tensor, latents: Tensor | None, frames: Tensor) -> Tensor:
        x = stages.code_features(reference, codes[None].long())
        if latents is not None:
            x = x + reference.gpt_layer(latents[None])
        return stages.stretch(reference, x, frames)

    count, frames = row["code_counts"], row["prompt_frames"]
    latents = row["latents"][:count] if row["with_latents"] else None
    parts = [stretched(row["codes"][:count], latents, row["frames"] - frames)]
    if frames > 0:
        prompt = row["prompt_codes"][: row["prompt_code_counts"]]
        parts.insert(0, stretched(prompt, None, frames))
    return torch.cat(parts, 1)


def loss(reference: Reference, row: dict[str, Tensor], mu: Tensor) -> Tensor:
    """The reference's own loss; without prompt, style and condition its formula, written out."""
    cfm, frames = reference.cfm, row["frames"][None].long()
    mel, noise = (row[name][: row["frames"]].T[None] for name in ("mel", "noise"))
    time, style, prompt = row["times"], row["style"][None], row["prompt_frames"][None].long()
    if row["conditional"]:
        # The draws: the time, then one that leaves nothing out. In evaluation mode the estimator
        # would read the prompt's length as "leave everything out", so it alone is in training
        # mode; its submodules, and so their dropout, are not.
        draws = [time.reshape(1, 1, 1), torch.ones(1)]
        with (
            mock.patch.object(torch, "rand", side_effect=draws),
            mock.patch.object(torch, "randn_like", return_value=noise),
            mock.patch.object(cfm.estimator, "training", True),
        ):
            return cfm(mel, frames, prompt, mu, style)[0]
    remaining = 1 - (1 - cfm.sigma_min) * time
    state, wanted = remaining * noise + time * mel, mel - (1 - cfm.sigma_min) * noise
    state[..., : int(prompt)] = 0
    zeros = torch.zeros_like
    found = cfm.estimator(state, zeros(mel), frames, time[None], zeros(style), zeros(mu))
    return (found - wanted)[..., int(prompt) :].abs().mean()


def main(checkpoints: str, target: str) -> None:
    """Writes `flow.npz`."""
    torch.set_num_threads(1)
    reference = load(Path(checkpoints))
    arrays: dict[str, Any] = inputs(reference)
    conditions = np.zeros((len(ROWS), FRAMES, 0), np.float32)
    losses = []
    for number in range(len(ROWS)):
        row = {name: torch.as_tensor(array[number]) for name, array in arrays.items()}
        with torch.inference_mode():
            mu = condition(reference, row)
            losses.append(float(loss(reference, row, mu)))
        if not number:
            conditions = np.zeros((len(ROWS), FRAMES, mu.shape[-1]), np.float32)
        conditions[number, : mu.shape[1]] = mu[0].numpy()
    arrays["condition"], arrays["loss"] = conditions, np.float32(losses)
    np.savez_compressed(Path(target) / "flow.npz", **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
