"""Sampling settings, split into static ones and arguments of the compiled program."""

import dataclasses
import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int

from indextts_jax.errors import InputError


class Numbers(NamedTuple):
    """The settings that are arguments of the compiled program: changing them does not recompile."""

    temperature: Float32[Array, ""]
    top_k: Int[Array, ""]  # 0: off
    cut: Float32[Array, ""]  # the probability that top-p may remove; 0: off
    repetition_penalty: Float32[Array, ""]
    length_penalty: Float32[Array, ""]
    typical_mass: Float32[Array, ""]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Strategy:
    """The static settings, for each of which a program is compiled."""

    beams: int
    sample: bool
    typical: bool
    start_code: bool
    max_codes: int

    @property
    def keep(self) -> int:
        """Codes that the filters keep in each row at least."""
        return 1 if self.beams == 1 else 2


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SamplingConfig:
    """How codes are chosen; the defaults are the reference's.

    One beam: sampling (or, without `sample`, greedy decoding); more: beam sampling (or beam
    search). Temperature, top-k and top-p only apply to sampling.
    """

    beams: int = 3
    sample: bool = True
    temperature: float = 0.8
    top_k: int = 30  # 0: off
    top_p: float = 0.8  # 1: off
    repetition_penalty: float = 10.0  # 1: off
    length_penalty: float = 0.0  # the score of a sequence is divided by its length to this power
    typical_sampling: bool = False
    typical_mass: float = 0.9
    start_code: bool = True  # whether it may be sampled, as in the reference; it has no sound
    max_codes: int = 1500  # of a segment

    def __post_init__(self) -> None:
        def must(holds: bool, name: str, what: str) -> None:
            if not holds:
                raise InputError(f"{name} must be {what}, got {getattr(self, name)}")

        must(self.beams >= 1, "beams", "at least 1")
        must(1e-30 < self.temperature < 1e30, "temperature", "above 0")
        must(self.top_k >= 0, "top_k", "0 (off) or more")
        must(0 <= self.top_p <= 1, "top_p", "from 0 to 1 (off)")
        must(1e-30 < self.repetition_penalty < 1e30, "repetition_penalty", "above 0")
        must(math.isfinite(self.length_penalty), "length_penalty", "a finite number")
        must(0 < self.typical_mass < 1, "typical_mass", "between 0 and 1")
        must(self.max_codes >= 1, "max_codes", "at least 1")

    @property
    def strategy(self) -> Strategy:
        """The static settings."""
        return Strategy(
            beams=self.beams,
            sample=self.sample,
            typical=self.typical_sampling,
            start_code=self.start_code,
            max_codes=self.max_codes,
        )

    @property
    def numbers(self) -> Numbers:
        """The other settings as arrays; 1 - top_p is rounded once, as in the reference."""
        return Numbers(
            temperature=jnp.asarray(self.temperature, jnp.float32),
            top_k=jnp.asarray(min(self.top_k, np.iinfo(np.int32).max), jnp.int32),
            cut=jnp.asarray(1 - self.top_p, jnp.float32),
            repetition_penalty=jnp.asarray(self.repetition_penalty, jnp.float32),
            length_penalty=jnp.asarray(self.length_penalty, jnp.float32),
            typical_mass=jnp.asarray(self.typical_mass, jnp.float32),
        )
