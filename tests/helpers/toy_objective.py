"""A small objective and data for it, to test the loop over steps without any network."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.training.data.prepared import Prepared, Row, create
from indextts_jax.training.loop.session import Base, Session, open_session
from indextts_jax.training.objectives.base import Batch, Outcome, Part, Term
from indextts_jax.training.recipe import (
    BatchRecipe,
    EvaluationRecipe,
    LogRecipe,
    OptimizerRecipe,
    Recipe,
    SavesRecipe,
)

WIDTH, PER_SECOND = 5, 4


@dataclasses.dataclass(frozen=True)
class Toy:
    """Regression of a mean over positions that differ in number, with noise and a statistic."""

    noise: float = 0.1
    poison: tuple[str, ...] = ()  # rows whose loss is not finite
    trains: tuple[str, ...] = ("toy.*.kernel", "toy.*.bias")
    needs: tuple[str, ...] = ("mel",)
    components: tuple[str, ...] = ("toy",)

    @property
    def parts(self) -> tuple[Part, ...]:
        return (Part("model", self.trains, self.loss, {"error": 1.0, "size": 0.01}),)

    def size(self, row: Row) -> float:
        return row.seconds

    def collate(
        self, rows: Sequence[Row], data: Prepared, seconds: float, rng: np.random.Generator
    ) -> Batch:
        length = round(seconds * PER_SECOND)
        x = np.zeros((len(rows), length, WIDTH), np.float32)
        lengths = np.zeros(len(rows), np.int32)
        for n, row in enumerate(rows):
            mel = data.read(row, "mel")
            lengths[n] = len(mel)
            x[n, : len(mel)] = mel
            if row.id in self.poison:
                x[n] = np.nan
        draw = rng.normal(size=len(rows)).astype(np.float32)
        return {"x": x, "lengths": lengths, "draw": draw}

    def extra(self, key: jax.Array) -> dict[str, Any]:
        return {"head": {"scale": jax.random.normal(key, (3,))}}

    def _terms(self, params: Any, batch: Batch, noise: Any) -> Outcome:
        toy = params["toy"]
        x = batch["x"] + noise[:, None, None]
        mask = jnp.arange(x.shape[1]) < batch["lengths"][:, None]
        hidden = jnp.tanh(x @ toy["blocks"]["kernel"][0] + toy["blocks"]["bias"])
        guess = (hidden @ toy["out"]["kernel"])[..., 0]
        error = jnp.where(mask, (guess - jnp.sin(batch["x"].sum(-1))) ** 2, 0)
        mean = 0.9 * toy["norm"]["mean"] + 0.1 * guess.mean()
        return Outcome(
            {
                "error": Term(error.sum(), mask.sum().astype(jnp.float32)),
                "size": Term(jnp.abs(hidden).mean((1, 2)).sum(), jnp.float32(len(x))),
                "free": Term(batch["draw"].sum(), jnp.float32(len(x))),
            },
            {"toy.norm.mean": mean},
        )

    def loss(self, params: Any, batch: Batch, key: jax.Array) -> Outcome:
        keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(batch["row"])
        noise = self.noise * jax.vmap(lambda k: jax.random.normal(k, ()))(keys)
        return self._terms(params, batch, noise)

    def evaluate(self, params: Any, batch: Batch, key: jax.Array) -> dict[str, Term]:
        terms = self._terms(params, batch, jnp.zeros(len(batch["x"]))).terms
        return {name: terms[name] for name in ("error", "size")}


def base() -> Base:
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32) / 2

    params = {
        "toy": {
            "blocks": {"kernel": draw(1, WIDTH, 8), "bias": draw(8)},
            "out": {"kernel": draw(8, 1)},
            "norm": {"mean": np.float32(0)},
            "table": {"positions": draw(3)},
        }
    }
    return Base(params, frozenset({"toy.table.positions"}), "0123456789abcdef")


def data(folder: Path, rows: int = 23) -> Prepared:
    rng = np.random.default_rng(1)
    with create(folder) as writer:
        for n in range(rows):
            length = int(rng.integers(4, 16))
            row = Row(
                id=f"clip{n}",
                audio=f"{n}.wav",
                text="a",
                speaker=f"speaker{n % 3}",
                seconds=length / PER_SECOND,
                split="validation" if n % 5 == 4 else "train",
            )
            writer.add(row, {"mel": rng.normal(size=(length, WIDTH)).astype(np.float16)})
    return Prepared.open(folder)


def recipe(**changes: Any) -> Recipe:
    """20 steps of 4 rows of at most 4 s."""
    values: dict[str, Any] = {
        "objective": "toy",
        "steps": 20,
        "average": 0.9,
        "batch": BatchRecipe(seconds=16, buckets=(4.0,), multiple=4),
        "optimizer": OptimizerRecipe(rate=0.03, warmup=2),
        "evaluation": EvaluationRecipe(every=10, patience=None, samples=False),
        "saves": SavesRecipe(every=5),
        "log": LogRecipe(every=5),
    }
    return Recipe(**(values | changes))


def session(folder: Path, toy: Toy | None = None, **changes: Any) -> Session:
    """A session on data in a folder."""
    prepared = data(folder) if not folder.exists() else Prepared.open(folder)
    return open_session(recipe(**changes), toy or Toy(), base(), prepared)
