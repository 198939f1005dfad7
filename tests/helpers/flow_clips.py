"""Batches and prepared clips for tests of the objective `flow`."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import support

from indextts_jax.training.objectives.flow.objective import Draws, FlowObjective
from indextts_jax.training.objectives.flow.options import FlowOptions

DRAWN = ("noise", "times", "conditional")
KNOWN = ("loss", "condition")


@functools.cache
def reference() -> dict[str, np.ndarray]:
    """Rows, draws, and what the PyTorch reference gives for them (`tools/make/flow_losses.py`)."""
    with np.load(support.DATA / "training" / "flow.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def batch() -> dict[str, Any]:
    """The recorded rows as a batch."""
    arrays = {k: v for k, v in reference().items() if k not in (*DRAWN, *KNOWN)}
    return arrays | {"row": np.arange(len(arrays["mel"]), dtype=np.int32)}


def draws() -> Draws:
    """The recorded draws; nothing else is disturbed."""
    noise, times, conditional = (jnp.asarray(reference()[name]) for name in DRAWN)
    return Draws(noise, times, conditional, jnp.zeros(batch()["style"].shape), _no_keys(len(times)))


def flow(**options: Any) -> FlowObjective:
    """The objective on the tiny model."""
    return FlowObjective(support.tiny_config(), FlowOptions(**options))


def params() -> dict[str, Any]:
    """The tiny parameters of its networks."""
    return {
        name: jax.tree.map(jnp.asarray, support.tiny_params(name)) for name in flow().components
    }


def _no_keys(rows: int) -> Any:
    return jax.random.split(jax.random.key(0), rows)


@dataclasses.dataclass(frozen=True)
class Clip:
    """What the objective reads of a row."""

    id: str
    speaker: str
    codes: int
    frames: int

    @property
    def seconds(self) -> float:
        return self.codes / 50


class Clips:
    """Prepared clips in memory: every number says which clip and which frame or code it is of."""

    def __init__(self, *clips: Clip):
        self.rows = clips
        cfg = support.tiny_config()
        self.arrays = {}
        for n, clip in enumerate(clips, 1):
            at = {k: np.arange(getattr(clip, k)) for k in ("codes", "frames")}
            self.arrays[clip.id] = {
                "codes": (at["codes"] % cfg.semantic_codec.codes).astype(np.uint16),
                "mel": np.tile((n + at["frames"] / 1024)[:, None], cfg.mel.mels).astype("f2"),
                "latents": np.tile((n + at["codes"] / 256)[:, None], cfg.gpt.width).astype("f4"),
                "style": np.full(cfg.dit.style, n, np.float32),
            }

    def read(self, row: Clip, feature: str) -> np.ndarray:
        return self.arrays[row.id][feature]

    def prompts(self, row: Clip, rng: np.random.Generator) -> Clip:
        others = [clip for clip in self.rows if clip.speaker == row.speaker and clip is not row]
        return others[int(rng.random() * len(others))] if others else row
