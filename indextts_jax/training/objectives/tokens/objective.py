"""Semantic encoder and codec, from scratch: codes that preserve words, rhythm and loudness."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from indextts_jax.config import ModelConfig, SemanticCodecConfig
from indextts_jax.layers.masks import valid
from indextts_jax.models.components import Params, structure
from indextts_jax.training.objectives.base import Batch, Outcome, Part, Term
from indextts_jax.training.objectives.tokens import codebook, ctc
from indextts_jax.training.objectives.tokens import rows as tokens_rows
from indextts_jax.training.objectives.tokens.codebook import Codebook
from indextts_jax.training.objectives.tokens.heads import Heads
from indextts_jax.training.objectives.tokens.options import TokensOptions
from indextts_jax.utils.strict_data import from_data

if TYPE_CHECKING:
    from indextts_jax.training.data.prepared import Prepared, Row

HEADS, FOLLOWED = "tokens_heads", "tokens_codebook"  # training only
KEPT = "ctc_head"  # the heads that a checkpoint keeps
ROWS = "semantic_codec.quantiser.codebook.embedding"
TALLY = "code_counts"  # in validation: counts of codes


def build(
    config: ModelConfig, options: Mapping[str, Any], components: Collection[str]
) -> TokensObjective:
    """The objective with a recipe's options.

    Raises:
        ConfigError: for an option that is unknown or out of range.
    """
    return TokensObjective(config, from_data(TokensOptions, options))


class Coded(NamedTuple):
    """Outputs of the networks for a batch."""

    features: Float[Array, "b t d"]
    seen: Float[Array, "b t w"]  # input of the quantiser
    codes: Int[Array, "b t"]
    chosen: Float[Array, "b t w"]  # rows of the codebook
    embedded: Float[Array, "b t d"]  # codes at the width of the features


@dataclasses.dataclass(frozen=True)
class TokensObjective:
    """See the module, and `base.Objective`."""

    config: ModelConfig
    options: TokensOptions

    @property
    def needs(self) -> tuple[str, ...]:
        """Features needed for batches."""
        return ("encoder_input", "encoder_mask", "mel")

    @property
    def components(self) -> tuple[str, ...]:
        """Components whose parameters the loss needs."""
        return ("semantic_encoder", "semantic_codec")

    @property
    def parts(self) -> tuple[Part, ...]:
        """A single part; the codebook is a statistic."""
        trains = (
            "semantic_encoder.*",
            "semantic_codec.[!q]*",
            "semantic_codec.quantiser.project_*",
            f"{HEADS}.*",
        )
        names = ("ctc_features", "ctc_codes", "reconstruction", "commitment", "prosody")
        weights = {name: getattr(self.options, name) for name in names}
        return (Part("model", trains, self.loss, weights),)

    @property
    def kept(self) -> Mapping[str, str]:
        """The CTC head over codes, which is used for alignments."""
        return {KEPT: HEADS} if self.options.ctc_codes > 0 else {}

    def size(self, row: Row) -> float:
        """Length of the clip in seconds."""
        return row.seconds

    def collate(
        self, rows: Sequence[Row], data: Prepared, seconds: float, rng: np.random.Generator
    ) -> Batch:
        """A batch of rows; see `tokens_rows.collate`."""
        return tokens_rows.collate(rows, data, seconds, self.options, rng)

    def extra(self, key: Key[Array, ""]) -> Params:
        """Decoder, heads, and the state of the codebook's averages."""
        cfg = self.config.semantic_codec
        heads = Heads(cfg, self.options.speakers, rngs=nnx.Rngs(key))
        sums, counts, idle = codebook.empty(cfg.codes, cfg.code_width)
        followed = {"sums": sums, "counts": counts, "idle": idle}
        return {HEADS: nnx.to_pure_dict(nnx.split(heads)[1]), FOLLOWED: followed}

    def loss(self, params: Params, batch: Batch, key: Key[Array, ""]) -> Outcome:
        """The terms of a batch, and the updated codebook."""
        quantised = jnp.all(batch["progress"] >= self.options.free)
        coded = self._coded(params, batch, quantised)
        terms = self._terms(params, batch, coded, quantised)
        return Outcome(terms, self._followed(params, batch, coded, quantised, key))

    def evaluate(self, params: Params, batch: Batch, key: Key[Array, ""]) -> dict[str, Term]:
        """The terms with quantisation.

        For the log also the character error rate (CER) before and after the quantiser, and the
        counts of codes.
        """
        coded = self._coded(params, batch, jnp.bool_(True))
        mask = valid(batch["lengths"], coded.codes.shape[1])
        heads = self._heads(params)
        counts = codebook.tally(coded.codes, mask, self.config.semantic_codec.codes)
        return self._terms(params, batch, coded, jnp.bool_(True)) | {
            "cer_features": _errors(heads.features(coded.features), batch),
            "cer_codes": _errors(heads.spell(coded.embedded, batch["lengths"]), batch),
            TALLY: Term(counts, jnp.float32(1)),
        }

    def summary(self, sums: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The share of codes used in validation, and their perplexity."""
        return codebook.usage(sums[TALLY])

    def _heads(self, params: Params) -> Heads:
        graph = _heads_graph(self.config.semantic_codec, self.options.speakers)
        heads: Heads = nnx.merge(graph, params[HEADS])
        return heads

    def _coded(self, params: Params, batch: Batch, quantised: Bool[Array, ""]) -> Coded:
        encoder = structure("semantic_encoder", self.config).bind(params["semantic_encoder"])
        codec = structure("semantic_codec", self.config).bind(params["semantic_codec"])
        lengths, given = batch["lengths"], batch["features"]
        features = encoder(given, valid(lengths, given.shape[1]), training=True)
        encoded = codec.encode(features, lengths, training=True)
        quantiser = codec.quantiser
        seen = quantiser.project_in(encoded).astype(jnp.float32)
        codes = quantiser.lookup(jax.lax.stop_gradient(encoded))
        chosen = jax.lax.stop_gradient(quantiser.codebook(codes).astype(jnp.float32))
        # Straight-through estimator: the value of the codebook row, the gradient of its input.
        through = seen + jax.lax.stop_gradient(jnp.where(quantised, chosen - seen, 0))
        embedded = quantiser.project_out(through).astype(jnp.float32)
        return Coded(features, seen, codes, chosen, embedded)

    def _terms(
        self, params: Params, batch: Batch, coded: Coded, quantised: Bool[Array, ""]
    ) -> dict[str, Term]:
        heads, lengths = self._heads(params), batch["lengths"]
        decoded = heads.decoder(coded.embedded, lengths).astype(jnp.float32)
        spoken = heads.prosody(coded.embedded, lengths, batch["speakers"])
        commitment = jnp.square(coded.seen - jax.lax.stop_gradient(coded.chosen))
        return {
            "ctc_features": _letters(heads.features(coded.features), batch),
            "ctc_codes": _letters(heads.spell(coded.embedded, lengths), batch),
            "reconstruction": _frames(
                jnp.abs(decoded - jax.lax.stop_gradient(coded.features)), lengths
            ),
            "commitment": _frames(jnp.where(quantised, commitment, 0), lengths),
            "prosody": _frames(jnp.abs(spoken - batch["prosody"]), lengths),
        }

    def _followed(
        self,
        params: Params,
        batch: Batch,
        coded: Coded,
        quantised: Bool[Array, ""],
        key: Key[Array, ""],
    ) -> dict[str, Array]:
        options = self.options
        held = params[FOLLOWED]
        rows = params["semantic_codec"]["quantiser"]["codebook"]["embedding"]
        seen = jax.lax.stop_gradient(coded.seen)
        book = codebook.follow(
            Codebook(rows, held["sums"], held["counts"], held["idle"]),
            seen.reshape(-1, seen.shape[-1]),
            coded.codes.reshape(-1),
            valid(batch["lengths"], coded.codes.shape[1]).reshape(-1),
            key,
            decay=options.decay,
            idle_steps=jnp.where(quantised, options.idle_steps, options.free_idle_steps),
        )
        names = {"sums": book.sums, "counts": book.counts, "idle": book.idle}
        after = {f"{FOLLOWED}.{name}": value for name, value in names.items()}
        return after | {ROWS: book.rows}


@functools.cache
def _heads_graph(cfg: SemanticCodecConfig, speakers: int) -> Any:
    return nnx.split(nnx.eval_shape(lambda: Heads(cfg, speakers, rngs=nnx.Rngs(0))))[0]


def _letters(logits: Float[Array, "b t v"], batch: Batch) -> Term:
    """CTC loss per letter, over rows with feasible labels."""
    labels, counts = batch["labels"], batch["label_counts"]
    fits = ctc.feasible(batch["lengths"], labels, counts) & batch["spelled"]
    losses = ctc.ctc_losses(logits, batch["lengths"], labels, counts)
    return Term(
        jnp.sum(jnp.where(fits, losses, 0)), jnp.sum(jnp.where(fits, counts, 0)).astype(jnp.float32)
    )


def _errors(logits: Float[Array, "b t v"], batch: Batch) -> Term:
    """Letter errors of greedy decoding, over the letters of all rows that have any."""
    counts = jnp.where(batch["spelled"], batch["label_counts"], 0)
    wrong = ctc.edits(logits, batch["lengths"], batch["labels"], counts)
    total = jnp.sum(jnp.where(batch["spelled"], wrong, 0))
    return Term(total.astype(jnp.float32), jnp.sum(counts).astype(jnp.float32))


def _frames(x: Float[Array, "b t c"], lengths: Int[Array, " b"]) -> Term:
    """A mean over channels and valid frames."""
    mask = valid(lengths, x.shape[1])
    total = jnp.sum(jnp.where(mask, jnp.mean(x, axis=-1), 0))
    return Term(total, jnp.sum(lengths).astype(jnp.float32))
