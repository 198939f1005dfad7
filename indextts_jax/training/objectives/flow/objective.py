"""The objective `flow`: the L1 error of the velocity from noise to mel.

    objective = build(config, {"lora": {"rank": 16, "alpha": 32}}, components=())

A row is a prompt followed by a target, as one sequence of mel frames. The state interpolates
between noise and mel, and is zero in the prompt, whose mel is given; the loss covers the target's
frames. The length regulator is trained too, as it computes the condition.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from indextts_jax.config import RELEASES, ModelConfig
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.training import adapted
from indextts_jax.layers.training.adapted import attach, select
from indextts_jax.layers.training.dropout import dropout, fold, row_keys
from indextts_jax.layers.wavenet import keep
from indextts_jax.models.components import Params, structure
from indextts_jax.models.dit import DiT
from indextts_jax.models.length_regulator import FeatureRegulator
from indextts_jax.models.training import dit as dit_training
from indextts_jax.sampling.flow import follow, noise, sample
from indextts_jax.training.objectives.base import Batch, Outcome, Part, Term
from indextts_jax.training.objectives.flow import batches as flow_batches
from indextts_jax.training.objectives.flow.options import FlowOptions
from indextts_jax.training.versions.interface import Kind, kind_of
from indextts_jax.utils.strict_data import ConfigError, from_data

if TYPE_CHECKING:
    from indextts_jax.training.data.prepared import Prepared, Row

SIGMA = 1e-6  # standard deviation of the noise that remains at time 1
TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)  # times of the validation loss

ADAPTERS = "adapters"


class Networks(NamedTuple):
    """The networks that a loss runs, with their parameters."""

    codec: Any  # of the version
    regulator: FeatureRegulator
    dit: DiT
    kind: Kind  # how the version makes a condition


class Draws(NamedTuple):
    """The random draws of a batch's loss."""

    noise: Float[Array, "b f m"]
    times: Float[Array, " b"]
    conditional: Bool[Array, " b"]  # others lose prompt, style and condition
    style: Float[Array, "b s"]  # noise on the style vectors, relative to their RMS
    dropout: Key[Array, " b"]


def draw(key: Key[Array, ""], batch: Batch, options: FlowOptions) -> Draws:
    """The draws of a step; those of a row depend only on the key and the row's number."""
    rows = row_keys(key, batch["row"])
    frames, mels = batch["mel"].shape[1:]
    uniform = jax.vmap(jax.random.uniform)
    normal = jax.vmap(lambda key: jax.random.normal(key, batch["style"].shape[1:]))
    return Draws(
        noise=noise(fold(rows, 0), frames, mels),
        times=uniform(fold(rows, 1)),
        conditional=uniform(fold(rows, 2)) >= options.guidance_dropout,
        style=options.style_jitter * normal(fold(rows, 3)),
        dropout=fold(rows, 4),
    )


def condition(networks: Networks, batch: Batch, *, remat: bool) -> Float[Array, "b f c"]:
    """The condition of prompt and target, which are regulated separately.

    Both are rows of one call, as the norms run over single rows.
    """
    prompt, target = networks.kind.flow_rows(networks.codec, networks.regulator, batch)
    frames, size = batch["prompt_frames"], batch["mel"].shape[1]
    regulate = functools.partial(FeatureRegulator.__call__, size=size)
    stretched = (jax.checkpoint(regulate) if remat else regulate)(
        networks.regulator,
        jnp.concatenate([prompt.sequence, target.sequence]),
        jnp.concatenate([prompt.lengths, target.lengths]),
        jnp.concatenate([frames, batch["frames"] - frames]),
    )
    first, second = jnp.split(stretched, 2)
    return follow(first, frames, second, size)


def row_losses(
    dit: DiT,
    batch: Batch,
    condition: Float[Array, "b f c"],
    draws: Draws,
    *,
    dropped: float = 0.0,
    remat: bool = False,
) -> Float[Array, " b"]:
    """The mean error of each row's velocity, over the bands and frames of its target.

    `dropped` is the WaveNet's dropout rate.

    Source: `BASECFM.forward` of the PyTorch release.
    """
    mel = batch["mel"].astype(jnp.float32)
    in_prompt, target = _regions(batch)
    conditional = draws.conditional[:, None]
    remaining = 1.0 - (1.0 - SIGMA) * draws.times[:, None, None]
    state = remaining * draws.noise + draws.times[:, None, None] * mel
    wanted = mel - (1.0 - SIGMA) * draws.noise
    rms = jnp.sqrt(jnp.mean(batch["style"] ** 2, axis=-1, keepdims=True))
    style = batch["style"] + rms * draws.style

    def drop(x: Array, layer: int | Array) -> Array:
        return dropout(x, fold(draws.dropout, layer), dropped)

    velocity = dit_training.velocity(
        dit,
        zero_padding(state, target),
        zero_padding(mel, in_prompt & conditional),
        draws.times,
        jnp.where(conditional, style, 0),
        # Zeroed before its projection, whose bias remains, as in the guidance at inference.
        jnp.where(conditional[..., None], condition, 0),
        batch["frames"],
        drop=drop if dropped else keep,
        remat=remat,
    )
    return _mean(jnp.abs(velocity - wanted), target)


def mel_errors(
    networks: Networks,
    batch: Batch,
    condition: Float[Array, "b f c"],
    noise: Float[Array, "b f m"],
    options: FlowOptions,
) -> Float[Array, " b"]:
    """The mean error of each row's mel, generated from the true codes as in inference."""
    mel = sample(
        networks.dit,
        noise,
        batch["mel"],
        batch["prompt_frames"],
        condition,
        batch["style"],
        batch["frames"],
        steps=options.evaluation_steps,
        guidance=options.evaluation_guidance,
    )
    return _mean(jnp.abs(mel - batch["mel"]), _regions(batch)[1])


def _regions(batch: Batch) -> tuple[Bool[Array, "b f"], Bool[Array, "b f"]]:
    """The frames of the prompts, and those of the targets."""
    size = batch["mel"].shape[1]
    in_prompt = valid(batch["prompt_frames"], size)
    return in_prompt, valid(batch["frames"], size) & ~in_prompt


def _mean(errors: Float[Array, "b f m"], frames: Bool[Array, "b f"]) -> Float[Array, " b"]:
    """The mean of each row over the masked frames; 0 for a row without any."""
    errors = jnp.where(frames, jnp.mean(errors, axis=-1), 0.0)
    return jnp.sum(errors, axis=-1) / jnp.maximum(jnp.sum(frames, axis=-1), 1)


def build(
    config: ModelConfig, options: Mapping[str, Any], components: Collection[str]
) -> FlowObjective:
    """The objective with a recipe's options; all its components exist in every model.

    Raises:
        ConfigError: for an option that is unknown or out of range.
    """
    usual = kind_of(config).LATENTS
    made = from_data(FlowOptions, {"latents": usual, **options})
    if made.latents > 0 and not usual:
        name = RELEASES[config.version].name
        raise ConfigError(f"latents must be 0 for {name}, whose GPT makes none")
    if made.lora is not None:
        try:
            select(structure("dit", config).expected, made.lora.kernels)
        except ValueError as error:
            raise ConfigError(f"lora.kernels: {error}") from error
    return FlowObjective(config, made)


@dataclasses.dataclass(frozen=True)
class FlowObjective:
    """See the module, and `base.Objective`."""

    config: ModelConfig
    options: FlowOptions

    @property
    def needs(self) -> tuple[str, ...]:
        """Features needed for batches."""
        return ("mel", "codes", "style", *(("latents",) if self.options.latents else ()))

    @property
    def components(self) -> tuple[str, ...]:
        """Components whose parameters the loss needs."""
        return ("semantic_codec", "length_regulator", "dit")

    @property
    def parts(self) -> tuple[Part, ...]:
        """A single part: the error of the velocity."""
        lora = (f"{ADAPTERS}.*",) if self.options.lora else ()
        trains = (*(f"{name}.*" for name in self.options.trained), *lora)
        return (Part("model", trains, self.loss, {"flow": 1.0}),)

    def size(self, row: Row) -> float:
        """Seconds of the clip; `collate` adds capacity for a prompt."""
        return row.seconds

    def collate(
        self, rows: Sequence[Row], data: Prepared, seconds: float, rng: np.random.Generator
    ) -> Batch:
        """A batch of rows; see `flow_batches.collate`."""
        return flow_batches.collate(rows, data, seconds, self.config, self.options, rng)

    def extra(self, key: Key[Array, ""]) -> Params:
        """The initial adapter by adapted component; its change is zero."""
        lora = self.options.lora
        if lora is None:
            return {}
        kernels = select(structure("dit", self.config).expected, lora.kernels)
        return {ADAPTERS: {"dit": adapted.draw(key, kernels, lora.rank)}}

    def loss(self, params: Params, batch: Batch, key: Key[Array, ""]) -> Outcome:
        """The mean error of the velocity over the rows of a batch."""
        return Outcome({"flow": self.injected(params, batch, draw(key, batch, self.options))})

    def injected(self, params: Params, batch: Batch, draws: Draws) -> Term:
        """The loss with given draws."""
        networks, options = self._networks(params), self.options
        stretched = condition(networks, batch, remat=options.remat)
        losses = row_losses(
            networks.dit,
            batch,
            stretched,
            draws,
            dropped=options.wavenet_dropout,
            remat=options.remat,
        )
        return _term(losses, batch)

    def evaluate(self, params: Params, batch: Batch, key: Key[Array, ""]) -> dict[str, Term]:
        """The loss at fixed times, and the error of the mel after several steps of the flow."""
        networks = self._networks(params)
        stretched = condition(networks, batch, remat=False)
        drawn = draw(key, batch, self.options)
        fixed = drawn._replace(
            conditional=jnp.ones_like(drawn.conditional),
            style=jnp.zeros_like(drawn.style),
        )

        def at(time: Float[Array, ""]) -> Float[Array, " b"]:
            draws = fixed._replace(times=jnp.full_like(fixed.times, time))
            return row_losses(networks.dit, batch, stretched, draws)

        losses = jnp.mean(jax.lax.map(at, jnp.asarray(TIMES)), axis=0)
        errors = mel_errors(networks, batch, stretched, drawn.noise, self.options)
        return {"flow": _term(losses, batch), "mel": _term(errors, batch)}

    def _networks(self, params: Params) -> Networks:
        if lora := self.options.lora:
            dit = attach(params["dit"], params[ADAPTERS]["dit"], scale=lora.scale)
            params = params | {"dit": dit}
        codec, regulator, dit = (
            structure(name, self.config).bind(params[name]) for name in self.components
        )
        return Networks(codec, regulator, dit, kind_of(self.config))


def _term(rows: Float[Array, " b"], batch: Batch) -> Term:
    """A mean over rows; those without a target do not count."""
    there = batch["frames"] > batch["prompt_frames"]
    return Term(jnp.sum(jnp.where(there, rows, 0.0)), jnp.sum(there).astype(jnp.float32))
