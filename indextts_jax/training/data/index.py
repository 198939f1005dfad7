"""What a directory of prepared data holds besides arrays: its settings, and a line for each row."""

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

FEATURES: dict[str, tuple[np.dtype, int]] = {  # dtype and number of axes
    "text": (np.dtype(np.int32), 1),  # text tokens, without start and stop
    "codes": (np.dtype(np.uint16), 1),  # without start and stop
    "style": (np.dtype(np.float32), 1),
    "conditioning": (np.dtype(ml_dtypes.bfloat16), 2),  # latents x width, of the clip itself
    "emotion": (np.dtype(np.float32), 1),  # of the clip itself
    "emotion_prompt": (np.dtype(np.float32), 1),  # of the row's `emotion_audio`, where it has one
    "latents": (np.dtype(ml_dtypes.bfloat16), 2),  # codes x width: of the GPT, from true codes
    "alignment": (np.dtype(np.uint16), 1),  # of each code the text token that it voices, or empty
    "mel": (np.dtype(np.float16), 2),  # frames x bands, log
    "semantic": (np.dtype(np.float16), 2),  # semantic features x width
    "samples": (np.dtype(np.int16), 1),  # at the rate of the mel
    "encoder_input": (np.dtype(np.float16), 2),  # pairs of frames x 160, for the semantic encoder
    "encoder_mask": (np.dtype(np.uint8), 1),  # of the pairs: 0 where half of one is padding
    "banks": (np.dtype(np.float16), 2),  # frames x 80, centred, for the style encoder
}
"""Every feature that can be prepared; lengths differ from row to row."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One clip: what is known of it besides its features."""

    id: str
    audio: str  # as the manifest names it; for people
    text: str  # as the manifest has it
    speaker: str
    seconds: float  # after silence at its ends was trimmed
    split: str  # one of SPLITS
    language: str | None = None
    tokens: int = 0  # text tokens
    codes: int = 0
    frames: int = 0  # mel frames
    weight: float = 1.0  # of its manifest: 0.15 takes part in 15 % of the epochs
    spoken: str = ""  # the text as the front end normalised it

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ConfigError(f"split: expected {' or '.join(SPLITS)}, got {self.split!r:.40}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DataSettings:
    """What features were made with; training refuses data of another tokenizer or model."""

    format: int = FORMAT
    features: tuple[str, ...] = ()  # those that every row has
    tokenizer: str = ""  # SHA-256 of the tokenizer's model
    text_compat: bool = False  # texts were read as the PyTorch release reads them
    glossary: str = ""  # SHA-256 of the glossary's entries, empty without one
    config: str = ""  # hash of the model's configuration
    components: tuple[str, ...] = ()  # `name=fingerprint` of those that made features
    sample_rate: int = 22050  # Hz, of `samples` and of the mel
    hop: int = 256  # samples of a mel frame
    own_prompts: bool = False  # clips may be their own prompt, where a speaker has no other


def check_feature(name: str, array: np.ndarray) -> None:
    """Raises ValueError for a feature that is unknown, or not as `FEATURES` has it."""
    if name not in FEATURES:
        raise ValueError(f"unknown feature {name}; known are {', '.join(FEATURES)}")
    dtype, rank = FEATURES[name]
    if array.dtype != dtype or array.ndim != rank:
        raise ValueError(
            f"{name}: expected {rank} axes of {dtype}, got {array.ndim} of {array.dtype}"
        )


def read_settings(folder: Path) -> DataSettings:
    """The settings of a directory.

    Raises:
        InputError: if they are damaged, or of another format.
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
    """The rows of a directory, and for each id the names of its arrays by feature.

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
    """Writes settings and index, the index last: without it, a directory holds no prepared data.

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
