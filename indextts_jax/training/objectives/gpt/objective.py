"""The objective `gpt`: the cross-entropy of codes and text tokens, teacher-forced.

    objective = build(config, {"train": ["trunk"]}, components=("gpt", "training_heads"))

With guided attention, `attention` in the log is its distance from the alignment, and `guided` the
weighted term of that step.

A row is `[latents + emotion | two rows of the version | start t_1..t_L stop | start c_1..c_N]`.
Targets are t_1..t_L and stop for the text head, c_1..c_N and stop for the code head: each counts
once, and padding does not count.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.config import RELEASES, ModelConfig
from indextts_jax.layers.masks import valid
from indextts_jax.layers.training.adapted import attach, draw, select
from indextts_jax.layers.training.dropout import fold, row_keys
from indextts_jax.models.components import Params, structure
from indextts_jax.models.gpt import head_logits
from indextts_jax.models.training.gpt import (
    Clips,
    Disturbance,
    head_losses,
    hidden_states,
)
from indextts_jax.training.objectives.base import Batch, Outcome, Part, Term
from indextts_jax.training.objectives.gpt import batches as gpt_batches
from indextts_jax.training.objectives.gpt import guidance
from indextts_jax.training.objectives.gpt.options import GPTOptions, patterns_of
from indextts_jax.training.versions.interface import kind_of
from indextts_jax.utils.strict_data import ConfigError, from_data

if TYPE_CHECKING:
    from indextts_jax.training.data.prepared import Prepared, Row

Array = jax.Array
HEADS, ADAPTERS = "training_heads", "adapters"
DECILES = 10  # ranges of code positions, for the log
_TRUNK, _CODES, _SHIFT = 0, 1, 2  # numbers folded into a row's key for each use


def build(
    config: ModelConfig, options: Mapping[str, Any], components: Collection[str]
) -> GPTObjective:
    """The objective with a recipe's options, given the components that exist (or are initialised).

    Raises:
        ConfigError: for an option that is unknown or out of range.
    """
    made = from_data(GPTOptions, options)
    if made.guided_weight > 0 and "guided" not in kind_of(config).RECIPES:
        raise ConfigError(
            f"guided_weight must be 0 for {RELEASES[config.version].name}, whose codes are not "
            "aligned with texts"
        )
    return GPTObjective(config, made, HEADS in components)


@dataclasses.dataclass(frozen=True)
class GPTObjective:
    """See the module, and `base.Objective`."""

    config: ModelConfig
    options: GPTOptions
    has_heads: bool = True  # whether the text head exists

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the user before the start."""
        if self.has_heads or self.options.text_weight == 0:
            return ()
        return (
            "text_weight is 0: the checkpoint has no training_heads (python -m indextts_jax.import "
            "--training keeps them)",
        )

    @property
    def needs(self) -> tuple[str, ...]:
        """Features needed for batches."""
        return gpt_batches.needed(self.options, self.config)

    @property
    def components(self) -> tuple[str, ...]:
        """Components whose parameters the loss needs."""
        heads = (HEADS,) if self._text_weight > 0 else ()
        return ("gpt", *heads, *(("conditioning",) if self.options.trains_conditioning else ()))

    @property
    def parts(self) -> tuple[Part, ...]:
        """A single part: codes, text, and guided attention."""
        named = [
            pattern for group in self.options.train for pattern in patterns_of(group, self.config)
        ]
        lora = (f"{ADAPTERS}.*",) if self.options.lora else ()
        trains = (*(p for p in named if p.split(".")[0] in self.components), *lora)
        weights = {
            "code": self.options.code_weight,
            "text": self._text_weight,
            "guided": self.options.guided_weight,
        }
        weights = {name: weight for name, weight in weights.items() if weight > 0}
        return (Part("model", trains, self._loss, weights),)

    def size(self, row: Row) -> float:
        """Length of a row in seconds."""
        return row.seconds

    def collate(
        self, rows: Sequence[Row], data: Prepared, seconds: float, rng: np.random.Generator
    ) -> Batch:
        """A batch of rows; see `gpt_batches.collate`."""
        return gpt_batches.collate(rows, data, seconds, rng, self.config, self.options)

    def extra(self, key: Array) -> Params:
        """The initial adapter by adapted component; its change is zero."""
        lora = self.options.lora
        if lora is None:
            return {}
        kernels = select(structure("gpt", self.config).expected, lora.kernels)
        return {ADAPTERS: {"gpt": draw(key, kernels, lora.rank)}}

    def evaluate(self, params: Params, batch: Batch, key: Array) -> dict[str, Term]:
        """The terms without dropout and noise (deterministic), and without guidance."""
        return self._terms(params, batch, None)

    def divergence(self, params: Params, base: Params, batch: Batch) -> dict[str, Term]:
        """The KL divergence of the model's predictions from those of another, in nats per code."""
        ours, theirs = (jax.nn.log_softmax(self._guesses(one, batch)) for one in (params, base))
        values = jnp.sum(jnp.exp(theirs) * (theirs - ours), axis=-1)
        lengths = batch["code_lengths"]
        return {"kl": _term(values, valid(lengths + 1, values.shape[1]))}

    def _guesses(self, params: Params, batch: Batch) -> Array:
        """Logits of each code and of the stop (b s+1 v), teacher-forced."""
        gpt = self._bound("gpt", self._adapted(params, False))
        states = hidden_states(gpt, self._clips(params, batch), remat=self.options.remat)
        return head_logits(gpt.code_head, states.codes)

    @property
    def _text_weight(self) -> float:
        return self.options.text_weight if self.has_heads else 0.0

    def _loss(self, params: Params, batch: Batch, key: Array) -> Outcome:
        return Outcome(self._terms(params, batch, row_keys(key, batch["row"])))

    def _terms(self, params: Params, batch: Batch, keys: Array | None) -> dict[str, Term]:
        gpt = self._bound("gpt", self._adapted(params, keys is not None))
        clips = self._clips(params, batch)
        disturbance, given = self._disturbed(clips, keys)
        near = self._near(batch) if self.options.guided_weight > 0 else None
        states = hidden_states(gpt, given, disturbance, near=near, remat=self.options.remat)
        stop = self.config.gpt.stop_code
        terms = _code_terms(gpt.code_head, states.codes, clips.codes, clips.code_lengths, stop)
        if self._text_weight > 0:
            heads, stop = self._bound(HEADS, params[HEADS]), self.config.gpt.stop_text
            targets, mask = _framed(clips.text, clips.text_lengths, stop)
            loss, _ = head_losses(heads.text_head, states.text, targets)
            terms["text"] = _term(loss, mask)
        if near is not None:
            assert states.guided is not None
            aligned = batch[gpt_batches.GUIDED]
            found = guidance.attention(states.guided, clips.code_lengths, aligned)
            terms["attention"] = guidance.logged(found)
            if keys is not None:
                until = self.options.guided_until
                terms["guided"] = guidance.faded(found, batch["progress"], until)
        return terms

    def _bound(self, name: str, params: Params) -> Any:
        return structure(name, self.config).bind(params)

    def _adapted(self, params: Params, training: bool) -> Params:
        lora = self.options.lora
        if lora is None:
            return params["gpt"]
        rate = lora.dropout if training else 0.0
        return attach(params["gpt"], params[ADAPTERS]["gpt"], scale=lora.scale, rate=rate)

    def _clips(self, params: Params, batch: Batch) -> Clips:
        if self.options.trains_conditioning:
            heard = self._bound("conditioning", params["conditioning"])
            latents = kind_of(self.config).voice_latents(heard, batch)
            mood = batch["mood"].astype(jnp.float32)
            emotion = heard.emotion_vector(mood, batch["mood_lengths"])
        else:
            latents, emotion = batch["conditioning"], batch["emotion"]
        return Clips(
            latents,
            emotion,
            batch["text"],
            batch["text_lengths"],
            batch["codes"],
            batch["code_lengths"],
            batch.get("languages"),
        )

    def _disturbed(self, clips: Clips, keys: Array | None) -> tuple[Disturbance | None, Clips]:
        """The dropout and noise of a step, and the disturbed inputs; targets are unchanged."""
        if keys is None:
            return None, clips
        options, cfg = self.options, self.config.gpt
        if options.code_noise > 0:
            ordinary = min(cfg.start_code, cfg.stop_code)
            disturb = functools.partial(_random_codes, options.code_noise, ordinary)
            clips = clips._replace(codes=jax.vmap(disturb)(fold(keys, _CODES), clips.codes))
        late = None
        if options.shift_codes > 0:
            choose = functools.partial(jax.random.bernoulli, p=options.shift_codes)
            late = jax.vmap(choose)(fold(keys, _SHIFT))
        rates = options.dropout, options.text_dropout
        return Disturbance(fold(keys, _TRUNK), *rates, late), clips

    def _near(self, batch: Batch) -> Array:
        """The mask of text tokens that each code is drawn to."""
        alignment, lengths = batch[gpt_batches.ALIGNMENT], batch["text_lengths"]
        return guidance.near(alignment, lengths, batch["text"].shape[1], self.options.guided_reach)


def _random_codes(rate: float, codes: int, key: Array, given: Array) -> Array:
    """Replaces each code of a row by a random one with some probability."""
    where, what = jax.random.split(key)
    replaced = jax.random.bernoulli(where, rate, given.shape)
    return jnp.where(replaced, jax.random.randint(what, given.shape, 0, codes), given)


def _framed(ids: Array, lengths: Array, stop: int) -> tuple[Array, Array]:
    """The targets of a head (b t+1), with the stop after each row's ids; and their mask."""
    size = ids.shape[1] + 1
    padded = jnp.pad(ids, ((0, 0), (0, 1)))
    targets = jnp.where(jnp.arange(size) == lengths[:, None], stop, padded)
    return targets, valid(lengths + 1, size)


def _term(values: Array, mask: Array) -> Term:
    return Term(jnp.sum(jnp.where(mask, values, 0)), jnp.sum(mask, dtype=jnp.float32))


def _code_terms(
    head: Any, states: Array, codes: Array, lengths: Array, stop: int
) -> dict[str, Term]:
    """Cross-entropy of the codes and their stop.

    For the log also that of the stop alone, by position, and the accuracy.
    """
    targets, mask = _framed(codes, lengths, stop)
    loss, right = head_losses(head, states, targets)
    position = jnp.arange(targets.shape[1])
    decile = DECILES * position // (lengths[:, None] + 1)
    kept = jax.lax.stop_gradient(loss)
    return {
        "code": _term(loss, mask),
        "stop": _term(kept, position == lengths[:, None]),
        "code_top1": _term(right.astype(jnp.float32), mask),
        **{f"code_decile_{n}": _term(kept, mask & (decile == n)) for n in range(DECILES)},
    }
