"""This program's side of `full_size.py`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from indextts_jax.config import RunConfig
from indextts_jax.runtime import inner_stages
from indextts_jax.runtime.model import Model, load_model
from indextts_jax.validation.acoustic import regulated, turned
from indextts_jax.validation.compare import Comparison, compare
from indextts_jax.validation.golden import Golden
from indextts_jax.validation.report import (
    CHOICES,
    END_TO_END,
    chosen_stages,
    not_recorded,
    validate,
)


def rows(checkpoint: Path, golden: Golden, velocity: Path) -> Iterator[Comparison]:
    """Every comparison; the components of one stage at a time are in memory, in the end all."""

    def load(names: Sequence[str]) -> Model:
        return load_model(checkpoint, RunConfig(dtype="float32"), components=names)

    for component in CHOICES:
        if component == END_TO_END:  # which takes the most memory
            yield from over_many_frames(load(["dit", "length_regulator"]), velocity)
        stages, whole = chosen_stages(component)
        if len(not_recorded(golden, component)) < len(stages) + len(whole):
            yield from validate(load, golden, component)


def over_many_frames(model: Model, path: Path) -> Iterator[Comparison]:
    """The comparisons of what `velocity.py` recorded."""
    with np.load(path) as stored:
        given = dict(stored)
    rest = given["stretched"].shape[1]
    frames = given["condition"].shape[1]
    stretched = regulated(model, given["sequence"], rest)
    yield compare(f"length_regulator.condition_{rest}", np.asarray(stretched), given["stretched"])
    velocity = inner_stages.velocity(
        model,
        turned(given["noise"]),
        turned(given["prompt"]),
        given["time"],
        given["style"],
        given["condition"],
        jnp.asarray([frames], jnp.int32),
    )
    yield compare(f"cfm.velocity_{frames}", turned(velocity), given["velocity"])
