"""The settings and the index of a directory of prepared data."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from indextts_jax.errors import InputError
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

FORMAT = 1  # of the directory
SETTINGS, INDEX = "settings.json", "index.jsonl"
SPLITS = ("train", "validation")

FEATURES: dict[str, tuple[np.dtype, int]] = {  # dtype and rank
    "text": (np.dtype(np.int32), 1),  # text tokens, without start and stop
    "codes": (np.dtype(np.uint16), 1),  # without start and stop
    "style": (np.dtype(np.float32), 1),
    "conditioning": (np.dtype(ml_dtypes.bfloat16), 2),  # latents x width, of the clip itself
    "emotion": (np.dtype(np.float32), 1),  # of the clip itself
    "emotion_prompt": (np.dtype(np.float32), 1),  # of the row's `emotion_audio`, where it has one
    "latents": (np.dtype(ml_dtypes.bfloat16), 2),  # codes x width: of the GPT, from true codes
    "alignment": (np.dtype(np.uint16), 1),  # the text token that each code voices, or empty
    "mel": (np.dtype(np.float16), 2),  # frames x bands, log
    "flow_mel": (np.dtype(np.float16), 2),  # the same as the flow makes it, from true codes
    "semantic": (np.dtype(np.float16), 2),  # semantic features x width
    "samples": (np.dtype(np.int16), 1),  # at the rate of the mel
    "encoder_input": (np.dtype(np.float16), 2),  # pairs of frames x 160, for the semantic encoder
    "encoder_mask": (np.dtype(np.uint8), 1),  # of the pairs: 0 if half of one is padding
    "banks": (np.dtype(np.float16), 2),  # frames x 80, centred, for the style encoder
}
"""Every feature that can be prepared; lengths differ from row to row."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Metadata of one clip."""

    id: str
    audio: str  # path as in the manifest; informational
    text: str  # as in the manifest
    speaker: str
    seconds: float  # after trimming silence at its ends
    split: str  # one of SPLITS
    language: str | None = None
    tokens: int = 0  # text tokens
    codes: int = 0
    frames: int = 0  # mel frames
    weight: float = 1.0  # of its manifest: 0.15 is used in 15 % of the epochs
    spoken: str = ""  # the normalised text

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ConfigError(f"split: expected {' or '.join(SPLITS)}, got {self.split!r:.40}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DataSettings:
    """How features were computed; training rejects data of another tokenizer or model."""

    format: int = FORMAT
    features: tuple[str, ...] = ()  # features that every row has
    tokenizer: str = ""  # SHA-256 of the tokenizer's model
    text_compat: bool = False  # texts were normalised as in the PyTorch release
    glossary: str = ""  # SHA-256 of the glossary's entries, empty without one
    config: str = ""  # hash of the model's configuration
    components: tuple[str, ...] = ()  # `name=fingerprint` of components that computed features
    sample_rate: int = 22050  # Hz, of `samples` and of the mel
    hop: int = 256  # samples of a mel frame
    own_prompts: bool = False  # a clip may be its own prompt if its speaker has no other


def check_feature(name: str, array: np.ndarray) -> None:
    """Raises ValueError for an unknown feature, or a dtype or rank other than in `FEATURES`."""
    if name not in FEATURES:
        raise ValueError(f"unknown feature {name}; known are {', '.join(FEATURES)}")
    dtype, rank = FEATURES[name]
    if array.dtype != dtype or array.ndim != rank:
        raise ValueError(
            f"{name}: expected {rank} axes of {dtype}, got {array.ndim} of {array.dtype}"
        )


def read_settings(folder: Path) -> DataSettings:
    """Reads the settings of a directory.

    Raises:
        InputError: if they are damaged or have another format.
    """
    path = folder / SETTINGS
    data = _parsed(path, path.read_text(encoding="utf-8"))
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise InputError(
            f"{path}: expected prepared data of format {FORMAT}, found {found!r:.20}: prepare it "
            "again"
        )
    try:
        return from_data(DataSettings, data)
    except ConfigError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def read_index(folder: Path) -> tuple[tuple[Row, ...], dict[str, dict[str, str]]]:
    """Reads the rows of a directory, and for each id the array names by feature.

    Raises:
        InputError: naming the line that is damaged.
    """
    path = folder / INDEX
    rows, keys = [], {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        data = _parsed(path, line)
        try:
            names = data.pop("arrays")
            row = from_data(Row, data)
            keys[row.id] = {str(feature): str(name) for feature, name in names.items()}
        except (ConfigError, KeyError, AttributeError, TypeError) as error:
            raise InputError(f"{path} is damaged in line {number}: {error}") from error
        rows.append(row)
    return tuple(rows), keys


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error!s:.120}") from error


def write_index(
    folder: Path,
    settings: DataSettings,
    rows: Iterable[Row],
    names: Mapping[str, Mapping[str, str]],
) -> None:
    """Writes settings and index, the index last: a directory without it is incomplete.

    Raises:
        InputError: if they cannot be written.
    """
    lines = [
        json.dumps({**to_data(row), "arrays": dict(names[row.id])}, ensure_ascii=False) + "\n"
        for row in rows
    ]
    try:
        write_whole(folder / SETTINGS, (json.dumps(to_data(settings), indent=1) + "\n").encode())
        write_whole(folder / INDEX, "".join(lines).encode())
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error
