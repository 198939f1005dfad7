"""The style encoder, from scratch: speaker classification."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from indextts_jax.config import ModelConfig
from indextts_jax.layers.parameters import Table
from indextts_jax.models.components import Params, structure
from indextts_jax.models.style_encoder import BatchNorm, StyleEncoder
from indextts_jax.training.objectives.base import Batch, Outcome, Part, Term
from indextts_jax.training.objectives.style import rows as style_rows
from indextts_jax.training.objectives.style.options import StyleOptions
from indextts_jax.utils.strict_data import from_data

if TYPE_CHECKING:
    from indextts_jax.training.data.prepared import Prepared, Row

ENCODER, CLASSES = "style_encoder", "style_classes"  # the second is used only in training
LEAST = 1e-12  # added to a squared length


def build(
    config: ModelConfig, options: Mapping[str, Any], components: Collection[str]
) -> StyleObjective:
    """The objective with a recipe's options.

    Raises:
        ConfigError: for an option that is missing, unknown or out of range.
    """
    return StyleObjective(config, from_data(StyleOptions, options))


@dataclasses.dataclass(frozen=True)
class StyleObjective:
    """See the module, and `base.Objective`."""

    config: ModelConfig
    options: StyleOptions

    @property
    def needs(self) -> tuple[str, ...]:
        """Features needed for batches."""
        return ("samples",)

    @property
    def components(self) -> tuple[str, ...]:
        """The component whose parameters the loss needs."""
        return (ENCODER,)

    @property
    def parts(self) -> tuple[Part, ...]:
        """A single part: speaker classification."""
        return (Part("model", (f"{ENCODER}.*", f"{CLASSES}.*"), self.loss, {"speaker": 1.0}),)

    def size(self, row: Row) -> float:
        """Length of a crop in seconds, for every row."""
        return self.options.seconds

    def collate(
        self, rows: Sequence[Row], data: Prepared, seconds: float, rng: np.random.Generator
    ) -> Batch:
        """A crop of each row, of `options.seconds`; see `style_rows.collate`."""
        cfg = self.config
        return style_rows.collate(
            rows, data, self.options, cfg.mel.sample_rate, cfg.style_encoder.mels, rng
        )

    def extra(self, key: Key[Array, ""]) -> Params:
        """One direction for each class, which is a speaker at a speed."""
        shape = (self.config.style_encoder.style, self.options.speakers * len(self.options.speeds))
        bound = math.sqrt(6 / sum(shape))
        return {CLASSES: {"kernel": jax.random.uniform(key, shape, minval=-bound, maxval=bound)}}

    def loss(self, params: Params, batch: Batch, key: Key[Array, ""]) -> Outcome:
        """The margin softmax loss, and the updated BatchNorm statistics."""
        options, progress = self.options, jnp.max(batch["progress"])
        frozen = (progress >= options.frozen_from).astype(jnp.float32)
        encoder: StyleEncoder = structure(ENCODER, self.config).bind(params[ENCODER])
        for _, module in nnx.iter_modules(encoder):
            if isinstance(module, BatchNorm):
                module.frozen = nnx.Cache(frozen)
        styles = _styles(encoder, batch)
        statistics = {
            ".".join(map(str, (ENCODER, *path))): variable.get_value()
            for path, variable in nnx.to_flat_state(nnx.state(encoder))
            if isinstance(variable, Table)
        }
        grown = (progress - options.margin_from) / max(
            options.margin_to - options.margin_from, 1e-6
        )
        margin = options.margin * jnp.clip(grown, 0, 1)
        return Outcome(self._terms(params, styles, batch["classes"], margin), statistics)

    def evaluate(self, params: Params, batch: Batch, key: Key[Array, ""]) -> dict[str, Term]:
        """The softmax loss without margin over rows of trained speakers, and the accuracy.

        Other speakers are evaluated in pairs, see `style_rows.equal_error_rate`.
        """
        encoder = structure(ENCODER, self.config).bind(params[ENCODER])
        return self._terms(params, _styles(encoder, batch), batch["classes"], jnp.float32(0))

    def _terms(
        self, params: Params, styles: Array, classes: Int[Array, " b"], margin: Array
    ) -> dict[str, Term]:
        cosines = jnp.matmul(_unit(styles), _unit(params[CLASSES]["kernel"], axis=0))
        known = classes >= 0
        logits = margin_logits(cosines, classes, margin, self.options.scale)
        chosen = jnp.sum(_one_hot(classes, logits) * jax.nn.log_softmax(logits), axis=1)
        right = jnp.argmax(cosines, axis=1) == classes
        count = jnp.sum(known).astype(jnp.float32)
        return {
            "speaker": Term(-jnp.sum(jnp.where(known, chosen, 0)), count),
            "right": Term(jnp.sum(known & right).astype(jnp.float32), count),
        }


def margin_logits(
    cosines: Float[Array, "b v"], classes: Int[Array, " b"], margin: Array, scale: float
) -> Float[Array, "b v"]:
    """Scaled cosines, with a margin added to the angle of each row's own class.

    If angle plus margin exceeds pi, a linear continuation keeps the function decreasing.

    Source: `ArcMarginLoss` of 3D-Speaker; additive angular margin softmax (ArcFace).
    """
    sines = jnp.sqrt(jnp.clip(1 - jnp.square(cosines), LEAST, 1))
    shifted = cosines * jnp.cos(margin) - sines * jnp.sin(margin)
    straight = cosines - jnp.sin(margin) * margin
    shifted = jnp.where(cosines > -jnp.cos(margin), shifted, straight)
    return scale * jnp.where(_one_hot(classes, cosines) > 0, shifted, cosines)


def _one_hot(classes: Int[Array, " b"], like: Float[Array, "b v"]) -> Float[Array, "b v"]:
    return jax.nn.one_hot(classes, like.shape[1], dtype=jnp.float32)


def _styles(encoder: StyleEncoder, batch: Batch) -> Float[Array, "b s"]:
    banks = batch["banks"]
    styles: Array = encoder(banks, jnp.full(len(banks), banks.shape[1]))
    return styles.astype(jnp.float32)


def _unit(x: Array, axis: int = -1) -> Array:
    return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=axis, keepdims=True) + LEAST)
