"""Margins of the reference's discrete choices: how close each was to a different one."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor


def margin(scores: Tensor, choices: int) -> np.ndarray:
    """The smallest gap between neighbours among the best `choices` and the next, by row."""
    count = min(choices + 1, scores.shape[-1])
    best = torch.topk(scores.detach().float(), count, dim=-1).values.cpu().numpy()
    with np.errstate(invalid="ignore"):  # between excluded ones, which are minus infinity
        gaps = best[..., :-1] - best[..., 1:]
    return np.nan_to_num(gaps, nan=np.inf, posinf=np.inf).min(-1, initial=np.inf)


class Margins:
    """Records the scores from which the reference chooses codes: of a row, or of all beams."""

    def __init__(self, vocabulary: int, choices: int):
        self._vocabulary, self._choices = vocabulary, choices
        self._steps: list[np.ndarray] = []

    def array(self) -> np.ndarray:
        """The margins of each row's steps, in units of the scores that were compared."""
        return np.stack(self._steps, axis=-1).astype(np.float32)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Records every choice within the context."""
        argmax, topk = torch.argmax, torch.topk
        busy = False

        def record(scores: Tensor) -> None:
            nonlocal busy
            if not busy and scores.ndim == 2 and scores.shape[-1] % self._vocabulary == 0:
                busy = True
                self._steps.append(margin(scores, self._choices))
                busy = False

        def best(scores: Tensor, *args: Any, **options: Any) -> Tensor:
            record(scores)
            return argmax(scores, *args, **options)

        def several(scores: Tensor, *args: Any, **options: Any) -> Any:
            record(scores)
            return topk(scores, *args, **options)

        with mock.patch.object(torch, "argmax", best), mock.patch.object(torch, "topk", several):
            yield
