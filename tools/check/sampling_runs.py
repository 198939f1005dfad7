"""Sampling runs that two programs can reproduce: settings, text and draws follow from a seed.

It needs only NumPy, so that both sides can import it.
"""

import dataclasses
import hashlib
from typing import Any

import numpy as np

MAX_CODES = 40
"""Codes a run has at most."""

GROUPS = {
    "single": (False, False),
    "single typical": (False, True),
    "beams": (True, False),
    "beams typical": (True, True),
}
"""Whether a group of runs has beams, and typical sampling."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One text spoken with one model set; `settings` are those of `SamplingConfig`, by name."""

    set: str
    group: str
    seed: int
    stop_bias: float  # added to the bias of the stop code's logit: how soon sequences end
    settings: dict[str, Any]

    @property
    def beams(self) -> int:
        """Beams, or 1."""
        return self.settings["beams"]


def plan(names: list[str], count: int, first_seed: int) -> list[Run]:
    """`count` runs of each group for each model set."""
    return [
        _run(name, group, seed)
        for name in names
        for group in GROUPS
        for seed in range(first_seed, first_seed + count)
    ]


def _run(name: str, group: str, seed: int) -> Run:
    random = _generator(name, group, seed, "settings")
    has_beams, typical = GROUPS[group]

    def one_of(*values: Any) -> Any:
        return values[random.integers(len(values))]

    settings = {
        "beams": 2 + seed % 3 if has_beams else 1,
        "temperature": one_of(0.7, 0.8, 1.0, 1.3),
        "top_k": one_of(0, 12, 20, 30),
        "top_p": one_of(0.7, 0.8, 0.9, 0.95, 1.0),
        "repetition_penalty": one_of(1.0, 1.5, 3.0, 10.0),
        "length_penalty": one_of(0.0, 0.0, 0.5, 1.0, -1.0) if has_beams else 0.0,
        "typical_sampling": typical,
        "typical_mass": one_of(0.7, 0.8, 0.9, 0.95) if typical else 0.9,
    }
    bias = one_of(-2.0, 0.0, 0.5, 1.0)
    return Run(set=name, group=group, seed=seed, stop_bias=bias, settings=settings)


def text(run: Run, tokens: int, longest: int) -> np.ndarray:
    """Text ids (1 t) of a run: any but those of start and stop, which are 0 and 1."""
    random = _generator(run.set, run.group, run.seed, "text")
    return random.integers(2, tokens, size=(1, random.integers(3, longest + 1)), dtype=np.int32)


def draws(run: Run, codes: int) -> np.ndarray:
    """Exp(1) noise of a run: a row for each step, over beams and a vocabulary of `codes`."""
    random = _generator(run.set, run.group, run.seed, "draws")
    return random.standard_exponential((MAX_CODES, run.beams * codes), dtype=np.float32)


def checksum(*arrays: np.ndarray) -> str:
    """A hash that shows whether arrays are equal: another NumPy may draw other numbers."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _generator(*parts: Any) -> np.random.Generator:
    return np.random.default_rng(list("/".join(map(str, parts)).encode()))
