"""One evaluation of the reference's velocity field over many frames, for `tools.check.full_size`.

    REFERENCE/bin/python -m tools.reference.velocity SRC GOLDEN OUT.npz --frames 1500

The condition is the prompt's, followed by the codes' condition stretched to the remaining frames.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from tools.reference import stages
from tools.reference.modules import Files, Reference

TIME = 0.3


@torch.no_grad()
def arrays(reference: Reference, golden: Path, frames: int, seed: int) -> dict[str, np.ndarray]:
    """The condition of that many frames, the velocity, and the arrays it is computed from."""

    def recorded(file: str, name: str) -> torch.Tensor:
        with np.load(golden / "tensors" / f"{file}.npz") as stored:
            return torch.from_numpy(stored[name])

    prompt, style = recorded("audio", "ref_mel"), recorded("campplus", "style")
    rest = frames - prompt.shape[-1]
    sequence = recorded("length_regulator", "infer_in")
    stretched = stages.stretch(reference, sequence, rest)
    condition = torch.cat([recorded("length_regulator", "prompt_condition"), stretched], 1)
    shape = (1, prompt.shape[1], frames)
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
    padded = stages.padded_prompt(prompt, frames)
    velocity = reference.cfm.estimator(
        torch.from_numpy(noise),
        padded,
        torch.tensor([frames]),
        torch.tensor([TIME]),
        style,
        condition,
    )
    return {
        "noise": noise,
        "time": np.float32([TIME]),
        "sequence": sequence.numpy(),
        "stretched": stretched.numpy(),
        "condition": condition.numpy(),
        "prompt": padded.numpy(),
        "style": style.numpy(),
        "velocity": velocity.numpy(),
    }


def main() -> None:
    """Reads the arguments, writes the arrays."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference.velocity", description=__doc__)
    parser.add_argument("src", type=Path)
    parser.add_argument("golden", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    reference = Reference(Files(args.src))
    np.savez(args.out, **arrays(reference, args.golden, args.frames, args.seed))


if __name__ == "__main__":
    main()
