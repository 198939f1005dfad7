"""How a part ends that is not simply done."""

from typing import Any


class DoesNotApply(Exception):
    """A part that does not apply here, such as fused attention on a CPU; not a failure."""


class Wrong(Exception):
    """A part that finished and found wrong numbers, which it carries."""

    def __init__(self, message: str, result: dict[str, Any]):
        super().__init__(message)
        self.result = result
