"""How a part ends that is not simply done."""

from typing import Any


class DoesNotApply(Exception):
    """A part that does not apply here, such as fused attention on a CPU; not a failure."""


class Wrong(Exception):
    """A part that ran to its end and found numbers that are not right; they are kept."""

    def __init__(self, message: str, result: dict[str, Any]):
        super().__init__(message)
        self.result = result
