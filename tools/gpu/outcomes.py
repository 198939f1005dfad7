"""How a part ends that is not simply done."""

from typing import Any


class DoesNotApply(Exception):
    """A part that cannot run here, which is not a failure: fused attention on a CPU, for instance."""


class Wrong(Exception):
    """A part that ran to its end and found numbers that are not right; they are kept."""

    def __init__(self, message: str, result: dict[str, Any]):
        super().__init__(message)
        self.result = result
