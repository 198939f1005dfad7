"""A folder of prepared data: rows, and the features of each by name.

    with create("prepared", DataSettings()) as writer:
        writer.add(row, {"text": ids, "codes": codes})
    data = Prepared.open("prepared")
    data.read(data.rows[0], "codes")

`settings.json` says what the features were made with, `index.jsonl` has a line a row, `shards/`
holds the arrays, each under the hash of what it was made from.
"""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import ml_dtypes
import numpy as np

from indextts_jax.errors import InputError
from indextts_jax.training.data.pairs import Pairs
from indextts_jax.training.data.shards import Shards
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.hashing import digest, hash_arrays
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

FORMAT = 1  # of the folder
SETTINGS, INDEX, SHARDS = "settings.json", "index.jsonl", "shards"
SPLITS = ("train", "validation")
TOKENIZER = "tokenizer.model"  # the SentencePiece model that made the text tokens

FEATURES: dict[str, tuple[np.dtype, int]] = {  # dtype and number of axes
    "text": (np.dtype(np.int32), 1),  # text tokens, without start and stop
    "codes": (np.dtype(np.uint16), 1),  # without start and stop
    "style": (np.dtype(np.float32), 1),
    "conditioning": (np.dtype(ml_dtypes.bfloat16), 2),  # latents x width, of the clip itself
    "emotion": (np.dtype(np.float32), 1),  # of the clip itself
    "emotion_prompt": (np.dtype(np.float32), 1),  # of the row's `emotion_audio`, where it has one
    "latents": (np.dtype(ml_dtypes.bfloat16), 2),  # codes x width: of the GPT, from true codes
    "alignment": (np.dtype(np.uint16), 1),  # of each code the text token that it voices
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


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Prepared data that is open. Threads may share it."""

    folder: Path
    settings: DataSettings
    rows: tuple[Row, ...]
    keys: Mapping[str, Mapping[str, str]]  # of each row, by id: feature to name of its array
    shards: Shards

    @classmethod
    def open(cls, folder: str | Path) -> "Prepared":
        """The data in a folder that `prepare` made.

        Raises:
            InputError: if there is none, or it is damaged or of another format.
        """
        folder = Path(folder)
        if not (folder / INDEX).is_file() or not (folder / SETTINGS).is_file():
            raise InputError(
                f"{folder} holds no prepared data (expected {SETTINGS} and {INDEX}): make it with "
                "python -m indextts_jax.prepare"
            )
        settings = _read_settings(folder / SETTINGS)
        rows, keys = _read_index(folder / INDEX)
        shards = Shards(folder / SHARDS)
        missing = [n for by in keys.values() for n in by.values() if n not in shards]
        if missing:
            raise InputError(
                f"{folder} is damaged: {len(missing)} arrays that {INDEX} names are in no file of "
                f"{SHARDS}, the first is {missing[0]}; prepare the data again"
            )
        return cls(folder, settings, rows, keys, shards)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of all that training reads; the place of the folder and of the audio is not."""
        rows = [
            [{k: v for k, v in to_data(row).items() if k != "audio"}, dict(self.keys[row.id])]
            for row in self.rows
        ]
        return digest([to_data(self.settings), rows])

    def has(self, row: Row, feature: str) -> bool:
        """Whether a row has a feature."""
        return feature in self.keys[row.id]

    def read(self, row: Row, feature: str) -> np.ndarray:
        """A feature of a row, as in `FEATURES`: a read-only view of a file.

        Raises:
            InputError: if it was not prepared.
        """
        try:
            name = self.keys[row.id][feature]
        except KeyError:
            known = ", ".join(sorted(self.keys.get(row.id, ()))) or "none"
            raise InputError(
                f"{self.folder} has no feature {feature} of clip {row.id} (it has {known}): run "
                f"python -m indextts_jax.prepare again with --for set to the recipe that is trained"
            ) from None
        return self.shards[name]

    def prompts(self, row: Row, rng: np.random.Generator) -> Row:
        """Another clip of the speaker, of `PROMPT_SECONDS` (`pairs.py`), from the same split.

        Raises:
            InputError: if the speaker has none and own prompts were not allowed.
        """
        return self._pairs.draw(row, rng)

    @functools.cached_property
    def _pairs(self) -> Pairs:
        return Pairs(self.rows, own=self.settings.own_prompts)


class Writer:
    """Writes a folder of prepared data; `shards` may be filled before its rows are known.

    Nothing that can be opened appears before `close`. A folder that was prepared before keeps its
    arrays, and its rows are replaced.
    """

    def __init__(self, folder: str | Path, settings: DataSettings, tokenizer: bytes | None = None):
        self.folder, self.settings, self._tokenizer = Path(folder), settings, tokenizer
        self.shards = Shards(self.folder / SHARDS)
        self._rows: list[Row] = []
        self._keys: dict[str, dict[str, str]] = {}

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:  # the next run goes on from here
            with contextlib.suppress(InputError):
                self.shards.flush()

    def add(self, row: Row, features: Mapping[str, np.ndarray]) -> None:
        """Adds a row with its arrays, each under the hash of its numbers.

        Raises:
            ValueError: for an id that was added before, an unknown feature, or an array of another
                dtype or rank than `FEATURES` has.
        """
        self.add_stored(row, {name: self.store(name, array) for name, array in features.items()})

    def store(self, feature: str, array: np.ndarray) -> str:
        """Keeps an array under the hash of its numbers; gives its name.

        Raises:
            ValueError: for an unknown feature, or an array of another dtype or rank.
        """
        check_feature(feature, array)
        name = f"{feature}/{hash_arrays({feature: array})[:32]}"
        self.shards.put(name, array)
        return name

    def add_stored(self, row: Row, names: Mapping[str, str]) -> None:
        """Adds a row whose arrays are in `shards` already, under these names by feature."""
        if row.id in self._keys:
            raise ValueError(f"the row {row.id} was added before")
        if missing := [name for name in names.values() if name not in self.shards]:
            raise ValueError(f"row {row.id}: there is no array {missing[0]}")
        self._rows.append(row)
        self._keys[row.id] = dict(names)

    def close(self) -> Prepared:
        """Writes what is not yet on disk, the index last, and opens the folder.

        Raises:
            InputError: if it cannot be written.
        """
        self.shards.flush()
        lines = [
            json.dumps({**to_data(row), "arrays": self._keys[row.id]}, ensure_ascii=False)
            for row in self._rows
        ]
        settings = json.dumps(to_data(self.settings), indent=1) + "\n"
        try:
            if self._tokenizer is not None:
                write_whole(self.folder / TOKENIZER, self._tokenizer)
            write_whole(self.folder / SETTINGS, settings.encode())
            write_whole(self.folder / INDEX, "".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written: {error.strerror}") from error
        return Prepared.open(self.folder)


def create(
    folder: str | Path, settings: DataSettings | None = None, tokenizer: bytes | None = None
) -> Writer:
    """A writer of prepared data; see `Writer`."""
    return Writer(folder, settings or DataSettings(), tokenizer)


def extend(data: Prepared, feature: str, arrays: Mapping[str, np.ndarray]) -> Prepared:
    """The data with one more feature, of the rows that `arrays` has by id; the folder is changed.

    For features that are made of trained parts, such as `alignment`. Preparing the folder again
    leaves them out of its index.
    """
    writer = Writer(data.folder, data.settings)
    for row in data.rows:
        names = dict(data.keys[row.id])
        if row.id in arrays:
            names[feature] = writer.store(feature, arrays[row.id])
        writer.add_stored(row, names)
    return writer.close()


def check_feature(name: str, array: np.ndarray) -> None:
    """Raises ValueError for a feature that is unknown, or not as `FEATURES` has it."""
    if name not in FEATURES:
        raise ValueError(f"unknown feature {name}; known are {', '.join(FEATURES)}")
    dtype, rank = FEATURES[name]
    if array.dtype != dtype or array.ndim != rank:
        raise ValueError(
            f"{name}: expected {rank} axes of {dtype}, got {array.ndim} of {array.dtype}"
        )


def _read_settings(path: Path) -> DataSettings:
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


def _read_index(path: Path) -> tuple[tuple[Row, ...], dict[str, dict[str, str]]]:
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
