"""The speaker and the emotion matrix, into the component `emotion_prototypes`.

Each of the two published files is a single unnamed tensor. Their rows correspond, and are grouped
by emotion, with the group sizes of `emo_num` in `config.yaml`.
"""

from collections.abc import Sequence

from importers.formats.tensors import BARE
from importers.sizes import Setting, Size
from importers.table import Drop, Row, Tensor

# Keys of `config.yaml`.
SIZES: dict[str, Size] = {
    "groups": Setting("emo_num", tuple),
    "style": Setting("s2mel.style_encoder.dim"),
    "width": Setting("gpt.model_dim"),
}

SPEAKER: list[Row | Drop] = [Row("speaker", BARE)]
EMOTION: list[Row | Drop] = [Row("emotion", BARE)]


def check_rows(groups: Sequence[int], speaker: Tensor, emotion: Tensor) -> list[str]:
    """Which of the two matrices does not have the number of rows that `emo_num` states."""
    rows = sum(groups)
    return [
        f"emo_num sums to {rows} rows, but the {name} matrix is {tuple(matrix.shape)}"
        for name, matrix in (("speaker", speaker), ("emotion", emotion))
        if len(matrix.shape) != 2 or matrix.shape[0] != rows
    ]
