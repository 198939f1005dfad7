"""The vocoder: trained with a mel loss first, then also against discriminators.

In training every kernel has weight norm (`weight_norm`); checkpoints store plain kernels, so a run
begins with `unfold`, and its results pass through `fold`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.models.components import Params, structure
from indextts_jax.training.objectives.base import Batch, Outcome, Part, Term
from indextts_jax.training.objectives.vocoder import discriminators, weight_norm
from indextts_jax.training.objectives.vocoder.mel_loss import mel_distances
from indextts_jax.training.objectives.vocoder.options import DiscriminatorOptions, VocoderOptions
from indextts_jax.training.objectives.vocoder.spectra import log_mel
from indextts_jax.utils.strict_data import ConfigError, from_data

if TYPE_CHECKING:
    from indextts_jax.training.data.prepared import Prepared, Row

# The activations' alpha and beta are trained; they are tables only to keep them in float32.
TRAINS = ("vocoder.*", "vocoder.*.alpha", "vocoder.*.beta")
JUDGES = "discriminators"
PEAK = 2**15  # full scale of 16-bit samples
SILENCE = np.log(1e-5)  # log-mel value of silence in every band


def build(
    config: ModelConfig, options: Mapping[str, Any], components: Collection[str]
) -> VocoderObjective:
    """The objective with a recipe's options.

    Raises:
        ConfigError: for an option that is unknown or out of range.
    """
    return VocoderObjective(config, from_data(VocoderOptions, options))


@dataclasses.dataclass(frozen=True)
class VocoderObjective:
    """See the module, and `base.Objective`."""

    config: ModelConfig
    options: VocoderOptions

    def __post_init__(self) -> None:
        if self.options.segment % self.config.mel.hop:
            raise ConfigError(
                f"segment must be a multiple of {self.config.mel.hop} samples, the model's frame, "
                f"got {self.options.segment}"
            )
        judges = self.options.discriminators
        longest = max(judges.windows, default=0) if judges else 0
        if max(longest, self.config.mel.n_fft) > self.options.segment:
            raise ConfigError(
                f"segment must hold a window of {max(longest, self.config.mel.n_fft)} samples, "
                f"got {self.options.segment}"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """Features needed for batches."""
        return ("samples", self.options.inputs)

    @property
    def components(self) -> tuple[str, ...]:
        """The component whose parameters the loss needs."""
        return ("vocoder",)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The vocoder, and the discriminators if there are any."""
        weights = {"mel": self.options.mel_weight}
        if self.options.discriminators is None:
            return (Part("model", TRAINS, self.loss, weights),)
        weights |= {"adversarial": 1.0, "features": self.options.feature_weight}
        return (
            Part("model", TRAINS, self.loss, weights),
            Part(JUDGES, (f"{JUDGES}.*",), self.judges_loss, {"real": 1.0, "fake": 1.0}),
        )

    def size(self, row: Row) -> float:
        """Length of a segment in seconds; every row gives one segment."""
        return self.options.segment / self.config.mel.sample_rate

    def collate(
        self, rows: Sequence[Row], data: Prepared, seconds: float, rng: np.random.Generator
    ) -> Batch:
        """A random segment of each clip, of `options.segment` samples whatever `seconds` is.

        Shorter clips are padded with silence.
        """
        hop, size = self.config.mel.hop, self.options.segment
        frames = size // hop
        mel = np.full((len(rows), frames, self.config.mel.mels), SILENCE, np.float32)
        samples = np.zeros((len(rows), size), np.float32)
        for i, row in enumerate(rows):
            given, sound = data.read(row, self.options.inputs), data.read(row, "samples")
            if len(sound) < hop * len(given):
                raise InputError(
                    f"clip {row.id} has {len(sound)} samples for {len(given)} frames: expected "
                    f"{hop} a frame; prepare the data again"
                )
            start = int(rng.integers(max(len(given) - frames, 0) + 1))
            cut = given[start : start + frames]
            mel[i, : len(cut)] = cut
            part = sound[hop * start : hop * (start + len(cut))]
            samples[i, : len(part)] = part.astype(np.float32) / PEAK
        return {"mel": mel, "samples": samples}

    def extra(self, key: Key[Array, ""]) -> Params:
        """New discriminators, if the options have them."""
        if self.options.discriminators is None:
            return {}
        return {JUDGES: weight_norm.unfold(discriminators.draw(self.options.discriminators, key))}

    def unfold(self, params: Params) -> Params:
        """Trained parameters from those of a checkpoint."""
        vocoder = weight_norm.unfold(params["vocoder"], weight_norm.outputs_or_inputs)
        return params | {"vocoder": vocoder}

    def fold(self, params: Params) -> Params:
        """Checkpoint parameters from trained ones."""
        vocoder = weight_norm.fold(params["vocoder"], weight_norm.outputs_or_inputs)
        return params | {"vocoder": vocoder}

    def loss(self, params: Params, batch: Batch, key: Key[Array, ""]) -> Outcome:
        """The vocoder's loss."""
        made, real = self._waveform(params, batch), batch["samples"]
        rate = self.config.mel.sample_rate
        terms = {"mel": _term(mel_distances(made, real, rate))}
        if self.options.discriminators is not None:
            judge = self._judges(params)
            judged_real, judged = jax.lax.stop_gradient(judge(real)), judge(made)
            terms["adversarial"] = _term(discriminators.real_losses(judged))
            terms["features"] = _term(discriminators.feature_distances(judged_real, judged))
        return Outcome(terms)

    def judges_loss(self, params: Params, batch: Batch, key: Key[Array, ""]) -> Outcome:
        """The discriminators' loss."""
        made = jax.lax.stop_gradient(self._waveform(params, batch))
        judge = self._judges(params)
        real = discriminators.real_losses(judge(batch["samples"]))
        fake = discriminators.fake_losses(judge(made))
        return Outcome({"real": _term(real), "fake": _term(fake)})

    def evaluate(self, params: Params, batch: Batch, key: Key[Array, ""]) -> dict[str, Term]:
        """The mel loss, and the mean error of the natural log-mel that the vocoder reads."""
        made, real = self._waveform(params, batch), batch["samples"]
        cfg = self.config.mel
        errors = jnp.mean(jnp.abs(log_mel(made, cfg) - log_mel(real, cfg)), axis=(1, 2))
        return {"mel": _term(mel_distances(made, real, cfg.sample_rate)), "mel_l1": _term(errors)}

    def _waveform(self, params: Params, batch: Batch) -> Float[Array, "b n"]:
        vocoder = structure("vocoder", self.config).bind(self.fold(params)["vocoder"])
        made: Float[Array, "b n"] = vocoder(
            jnp.asarray(batch["mel"], jnp.float32), remat=self.options.remat
        )
        return made

    def _judges(self, params: Params) -> discriminators.Discriminators:
        assert self.options.discriminators is not None
        graph = _judges_graph(self.options.discriminators)
        judges: discriminators.Discriminators = nnx.merge(graph, weight_norm.fold(params[JUDGES]))
        return judges


@functools.cache
def _judges_graph(options: DiscriminatorOptions) -> Any:
    return nnx.split(
        nnx.eval_shape(lambda: discriminators.Discriminators(options, rngs=nnx.Rngs(0)))
    )[0]


def _term(rows: Float[Array, " b"]) -> Term:
    return Term(jnp.sum(rows), jnp.float32(len(rows)))
