"""The optional training head of a checkpoint; without it, the base's or zeros are written."""

from importers.export.source import Source
from importers.export.unapply import fills, unapply
from importers.table import Row, Tensor
from importers.transforms import linear

COMPONENT = "training_heads"
ROWS = (
    Row(f"{COMPONENT}.text_head.kernel", "text_head.weight", linear),
    Row(f"{COMPONENT}.text_head.bias", "text_head.bias"),
)


def heads(source: Source, base: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The head's arrays by name in `gpt.pth`; empty if the checkpoint lacks the component."""
    if COMPONENT not in source.components:
        return {}
    params = {COMPONENT: source.load(COMPONENT)}
    return unapply(fills(ROWS, params), params, base)
