"""The free choices of a golden set (texts, noise, draws, lengths), read back or made new."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from tools.reference.golden.margins import margin


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The chosen arrays: those of the directory `recorded` if given, else new ones.

    `make` functions get a NumPy generator that depends on the seed and the array's name alone.
    """

    recorded: Path | None
    seed: int = 0

    def __call__(self, stage: str, name: str, make: Callable[[np.random.Generator], Any]) -> Any:
        """The array `name` of `<stage>.npz`."""
        if self.recorded is not None:
            with np.load(self.recorded / f"{stage}.npz") as arrays:
                return arrays[name]
        return np.asarray(make(self.generator(stage, name)))

    def generator(self, stage: str, name: str) -> np.random.Generator:
        """Random numbers of one array."""
        return np.random.default_rng([self.seed, *f"{stage}.{name}".encode()])


class Draws:
    """Stands in for `torch.multinomial`: the n largest p / q, q from Exp(1), recorded or drawn.

    They are returned with the most probable first. The original beam loop sorts the drawn
    candidates by score; the loop of the transformers version used here does not, although it also
    lets a beam end only by a stop code among the first `num_beams` candidates.
    """

    def __init__(self, recorded: np.ndarray | None, generator: np.random.Generator):
        self._recorded = recorded
        self._generator = generator
        self.rows: list[np.ndarray] = []
        self.fewest = np.inf
        """The smallest number of candidates to spare, over the steps."""
        self.margins: list[float] = []
        """The gap at each step to the nearest draw not taken, in units of log-probability."""

    def __call__(self, p: Tensor, num_samples: int, *args: Any, **kwargs: Any) -> Tensor:
        if self._recorded is None:
            q = self._generator.standard_exponential(p.shape[-1], dtype=np.float32)
        else:
            q = self._recorded[len(self.rows)]
        self.rows.append(q)
        self.fewest = min(self.fewest, int((p > 0).sum()) - num_samples)
        ranked = p / torch.from_numpy(q).to(p.device)
        drawn = torch.topk(ranked, num_samples, dim=-1).indices
        self.margins.append(float(margin(ranked.log(), num_samples).min()))
        best_first = torch.gather(p, -1, drawn).sort(dim=-1, descending=True).indices
        return torch.gather(drawn, -1, best_first)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Replaces every draw of the reference within the context."""
        with mock.patch.object(torch, "multinomial", self):
            yield
