"""A directory of prepared data: rows, and their features by name.

    with create("prepared", DataSettings()) as writer:
        writer.add(row, {"text": ids, "codes": codes})
    data = Prepared.open("prepared")
    data.read(data.rows[0], "codes")

`settings.json` records how the features were computed, `index.jsonl` has one line per row,
`shards/` holds the arrays, each under a hash of its inputs.
"""

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.training.data.index import (
    INDEX,
    SETTINGS,
    DataSettings,
    Row,
    check_feature,
    read_index,
    read_settings,
    write_index,
)
from indextts_jax.training.data.pairs import Pairs
from indextts_jax.training.data.shards import Shards
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.hashing import digest, hash_arrays
from indextts_jax.utils.strict_data import to_data

SHARDS = "shards"
TOKENIZER = "tokenizer.model"  # the SentencePiece model of the text tokens


@dataclasses.dataclass(frozen=True, eq=False)  # hashed by identity: key of caches
class Prepared:
    """Opened prepared data; safe to share between threads."""

    folder: Path
    settings: DataSettings
    rows: tuple[Row, ...]
    keys: Mapping[str, Mapping[str, str]]  # by row id: feature to array name
    shards: Shards

    @classmethod
    def open(cls, folder: str | Path) -> "Prepared":
        """Opens a directory that `prepare` wrote.

        Raises:
            InputError: if it is missing, damaged, or has another format.
        """
        folder = Path(folder)
        if not (folder / INDEX).is_file() or not (folder / SETTINGS).is_file():
            raise InputError(
                f"{folder} holds no prepared data (expected {SETTINGS} and {INDEX}): make it with "
                "python -m indextts_jax.prepare"
            )
        settings = read_settings(folder)
        rows, keys = read_index(folder)
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
        """SHA-256 of everything that training reads; paths are not included."""
        rows = [
            [{k: v for k, v in to_data(row).items() if k != "audio"}, dict(self.keys[row.id])]
            for row in self.rows
        ]
        return digest([to_data(self.settings), rows])

    def check_model(self, config: ModelConfig, tokenizer: bytes) -> None:
        """Checks that a model's tokenizer and mel are those of the data.

        Raises:
            InputError: if the data was prepared for another tokenizer or another mel.
        """
        ours = hashlib.sha256(tokenizer).hexdigest()
        if self.settings.tokenizer not in ("", ours):
            raise InputError(
                f"{self.folder} was prepared with another tokenizer (SHA-256 "
                f"{self.settings.tokenizer[:12]}, the model's is {ours[:12]}): its text tokens "
                "mean other pieces; prepare it again with this model"
            )
        expected = (config.mel.sample_rate, config.mel.hop)
        if (self.settings.sample_rate, self.settings.hop) != expected:
            raise InputError(
                f"{self.folder} was prepared at {self.settings.sample_rate} Hz with a hop of "
                f"{self.settings.hop} samples, the model has {expected[0]} Hz and {expected[1]}: "
                "prepare it again with this model"
            )

    def has(self, row: Row, feature: str) -> bool:
        """Whether a row has a feature."""
        return feature in self.keys[row.id]

    def read(self, row: Row, feature: str) -> np.ndarray:
        """A feature of a row, as in `FEATURES`: a read-only memory map.

        Raises:
            InputError: if it was not prepared.
        """
        try:
            name = self.keys[row.id][feature]
        except KeyError:
            known = ", ".join(sorted(self.keys.get(row.id, ()))) or "none"
            raise InputError(
                f"{self.folder} has no feature {feature} of clip {row.id} (it has {known}): run "
                f"python -m indextts_jax.prepare again with --for set to the recipe to train"
            ) from None
        return self.shards[name]

    def with_features(self, features: Sequence[str]) -> "Prepared":
        """The data restricted to rows with these features; others were prepared for other recipes.

        Raises:
            InputError: if there is none, naming a missing feature.
        """
        rows = tuple(row for row in self.rows if all(self.has(row, name) for name in features))
        if len(rows) == len(self.rows):
            return self
        if not rows:
            for name in features:
                self.read(self.rows[0], name)  # raises, naming what is missing
            raise InputError(f"{self.folder} has no clips with {', '.join(features)}")
        return dataclasses.replace(self, rows=rows)  # removed rows cannot be prompts

    def prompts(self, row: Row, rng: np.random.Generator) -> Row:
        """Draws prompts: other clips of the speaker, of `PROMPT_SECONDS`, from the same split.

        Raises:
            InputError: if the speaker has none and own prompts are not allowed.
        """
        return self._pairs.draw(row, rng)

    @functools.cached_property
    def _pairs(self) -> Pairs:
        return Pairs(self.rows, own=self.settings.own_prompts)


class Writer:
    """Writes a directory of prepared data; `shards` may be filled before rows are added.

    The directory cannot be opened before `close`. In an existing one, arrays are kept and rows
    replaced.
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
        else:  # the next run resumes from here
            with contextlib.suppress(InputError):
                self.shards.flush()

    def add(self, row: Row, features: Mapping[str, np.ndarray]) -> None:
        """Adds a row with its arrays, each under a hash of its values.

        Raises:
            ValueError: for a repeated id, an unknown feature, or an array whose dtype or rank
                differs from `FEATURES`.
        """
        self.add_stored(row, {name: self.store(name, array) for name, array in features.items()})

    def store(self, feature: str, array: np.ndarray) -> str:
        """Stores an array under a hash of its values; returns its name.

        Raises:
            ValueError: for an unknown feature, or an array of another dtype or rank.
        """
        check_feature(feature, array)
        name = f"{feature}/{hash_arrays({feature: array})[:32]}"
        self.shards.put(name, array)
        return name

    def add_stored(self, row: Row, names: Mapping[str, str]) -> None:
        """Adds a row whose arrays are already in `shards`; `names` are by feature."""
        if row.id in self._keys:
            raise ValueError(f"the row {row.id} was added before")
        if missing := [name for name in names.values() if name not in self.shards]:
            raise ValueError(f"row {row.id}: there is no array {missing[0]}")
        self._rows.append(row)
        self._keys[row.id] = dict(names)

    def close(self) -> Prepared:
        """Writes everything to disk, the index last, and opens the directory.

        Raises:
            InputError: if it cannot be written.
        """
        self.shards.flush()
        if self._tokenizer is not None:
            try:
                write_whole(self.folder / TOKENIZER, self._tokenizer)
            except OSError as error:
                raise InputError(f"{self.folder} cannot be written: {error.strerror}") from error
        write_index(self.folder, self.settings, self._rows, self._keys)
        return Prepared.open(self.folder)


def create(
    folder: str | Path, settings: DataSettings | None = None, tokenizer: bytes | None = None
) -> Writer:
    """A writer of prepared data; see `Writer`."""
    return Writer(folder, settings or DataSettings(), tokenizer)


def extend(data: Prepared, feature: str, arrays: Mapping[str, np.ndarray]) -> Prepared:
    """Adds a feature, with arrays by row id, to a directory, and reopens it.

    For features that need trained parts, such as `alignment` (`kept.py`: `EXTENDED`). A later
    preparation keeps them for rows with unchanged text and codes.
    """
    writer = Writer(data.folder, data.settings)
    for row in data.rows:
        names = dict(data.keys[row.id])
        if row.id in arrays:
            names[feature] = writer.store(feature, arrays[row.id])
        writer.add_stored(row, names)
    return writer.close()
