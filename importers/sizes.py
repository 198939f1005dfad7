"""The source of each size in our configuration: a published key, or one named tensor.

    SIZES = {
        "width": Setting("gpt.model_dim"),
        "text_positions": Setting("gpt.max_text_tokens", lambda tokens: tokens + 2),
        "feed_forward": Axis("gpt.h.0.mlp.c_fc.weight", 1),
    }

Every tensor is then checked against the sizes so found, by the table.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from importers.bounds import too_large
from importers.table import ImportMismatch, Tensor, nearest


@dataclasses.dataclass(frozen=True)
class Setting:
    """A size from `config.yaml` or from the model's own `config.json`, by its dotted key.

    Several keys are passed to `then` in order.
    """

    key: str | tuple[str, ...]
    then: Callable[..., Any] = lambda value: value


@dataclasses.dataclass(frozen=True)
class Axis:
    """A size that no configuration holds: the length of one axis of one tensor."""

    tensor: str
    axis: int
    then: Callable[[int], Any] = lambda value: value


@dataclasses.dataclass(frozen=True)
class Fixed:
    """A number that is hard-coded in the reference, with its location there."""

    value: Any
    source: str


Size = Setting | Axis | Fixed


def resolve(
    sizes: Mapping[str, Size],
    settings: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    file: str,
) -> dict[str, Any]:
    """Evaluates a table of sizes to plain values; `settings` holds the published keys, nested.

    Raises:
        ImportMismatch: with every setting or tensor that is missing or unusable.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, size in sizes.items():
        match size:
            case Fixed(value, _):
                values[name] = value
            case Setting(key, then):
                keys = (key,) if isinstance(key, str) else key
                try:
                    values[name] = then(*(_lookup(settings, k) for k in keys))
                except (KeyError, TypeError, ValueError, OverflowError):
                    problems.append(f"no usable setting {' and '.join(keys)} (for the size {name})")
            case Axis(tensor, axis, then):
                if tensor not in tensors:
                    problems.append(
                        f"missing: {tensor} (for the size {name}){nearest(tensor, list(tensors))}"
                    )
                elif len(tensors[tensor].shape) <= axis:
                    problems.append(
                        f"shape of {tensor}: {tensors[tensor].shape} has no axis {axis} "
                        f"(for the size {name})"
                    )
                else:
                    values[name] = then(tensors[tensor].shape[axis])
    problems += too_large(values)
    if problems:
        raise ImportMismatch(file, problems)
    return values


def _lookup(settings: Mapping[str, Any], key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = value[part]
    return value
