"""The state that the stages of a golden set share: reference, inputs, limits, results so far."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tools.reference.golden.inputs import Draws, Inputs
from tools.reference.golden.margins import Margins
from tools.reference.modules import Reference

Arrays = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is computed and recorded."""

    codes: int = 48
    sampled: int = 32
    logits: int | None = 21
    """Steps whose logits are recorded; None for all."""
    steps: int = 25
    guidance: float = 0.7
    alpha: float = 0.6
    vocoder_frames: int = 40
    margins: bool = False
    """Whether to record the margins of discrete choices, and all settings."""


class Recorder:
    """Collects the arrays of one golden set."""

    def __init__(
        self,
        reference: Reference,
        inputs: Inputs,
        recipe: Mapping[str, Any],
        limits: Limits | None = None,
    ):
        self.ref, self.inputs, self.recipe = reference, inputs, recipe
        self.limits = limits or Limits()
        self.out: dict[str, Arrays] = {}
        self.notes: list[str] = []

    def chosen(self, stage: str, name: str, make: Any) -> Tensor:
        """A chosen array, also recorded."""
        array = self.inputs(stage, name, make)
        self.keep(stage, **{name: array})
        return torch.from_numpy(array).to(self.ref.device)

    def keep(self, stage: str, **arrays: Any) -> None:
        """Adds results; tensors become arrays of their own."""
        stage_arrays = self.out.setdefault(stage, {})
        for name, array in arrays.items():
            is_tensor = isinstance(array, Tensor)
            stage_arrays[name] = array.cpu().numpy().copy() if is_tensor else np.asarray(array)

    def tensor(self, stage: str, name: str) -> Tensor:
        """An earlier result."""
        return torch.from_numpy(self.out[stage][name]).to(self.ref.device)

    @contextlib.contextmanager
    def deciding(self, stage: str, name: str, *, choices: int) -> Iterator[None]:
        """Records the margins of the reference's choices within the context, as `<name>_margins`.

        `choices` is the number of the best that count at each step.
        """
        margins = Margins(self.ref.gpt.number_mel_codes, choices)
        with margins.installed() if self.limits.margins else contextlib.nullcontext():
            yield
        if self.limits.margins:
            self.keep(stage, **{f"{name}_margins": margins.array()})

    @contextlib.contextmanager
    def drawing(self, stage: str, name: str) -> Iterator[Draws]:
        """Makes the reference draw in the context with `<name>_exponential`, recorded or new."""
        key = f"{name}_exponential"
        recorded = self.inputs.recorded and self.inputs(stage, key, None)
        draws = Draws(recorded, self.inputs.generator(stage, key))
        with draws.installed():
            yield draws
        self.keep(stage, **{key: np.stack(draws.rows)})
        if self.limits.margins:
            self.keep(stage, **{f"{name}_codes_margins": np.float32([draws.margins])})
