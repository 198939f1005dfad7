"""What a directory was prepared with before, so that another preparation keeps what still holds.

An array's name is a hash of what it was made from. So a feature that is not asked for now is kept
where its name would be the same today, and dropped where the audio, the text, the prompt or the
networks have changed.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.training.data import features
from indextts_jax.training.data.index import (
    FEATURES,
    INDEX,
    SETTINGS,
    DataSettings,
    Row,
    read_index,
    read_settings,
)
from indextts_jax.utils.hashing import digest
from indextts_jax.utils.strict_data import to_data

EXTENDED = {"alignment": ("text", "codes")}  # features of trained parts, and what they belong to


@dataclasses.dataclass(frozen=True)
class Before:
    """The index of a directory as it was."""

    settings: DataSettings
    rows: Mapping[str, Row]  # by id
    names: Mapping[str, Mapping[str, str]]  # by id: feature to name of its array

    @property
    def prints(self) -> dict[str, str]:
        """The hash of each component that made features."""
        return dict(entry.split("=", 1) for entry in self.settings.components)

    @property
    def features(self) -> tuple[str, ...]:
        """The features that any row has."""
        found = {name for names in self.names.values() for name in names}
        return tuple(name for name in FEATURES if name in found)

    def of(self, row_id: str) -> Mapping[str, str]:
        """The names of a row's arrays; none of a row that is new."""
        return self.names.get(row_id, {})

    def spoken(self, row_id: str, text: str) -> str:
        """A text as it was normalised; empty where the row had another text, or none."""
        row = self.rows.get(row_id)
        return row.spoken if row is not None and row.text == text else ""


def read_before(folder: Path, config: ModelConfig) -> Before | None:
    """What a directory holds; none if it is new, damaged, or of a model of other sizes."""
    if not (folder / INDEX).is_file() or not (folder / SETTINGS).is_file():
        return None
    try:
        settings = read_settings(folder)
        rows, names = read_index(folder)
    except InputError:
        return None  # to prepare again is the way out of it
    if settings.config not in ("", digest(to_data(config))):
        return None
    return Before(settings, {row.id: row for row in rows}, names)


def still_true(
    before: Mapping[str, str], now: Mapping[str, str], wanted: Sequence[str]
) -> dict[str, str]:
    """Of a row's arrays (`before`), those of `wanted` whose names would be the same `now`."""
    return {name: now[name] for name in wanted if name in now and before.get(name) == now[name]}


def extended(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Features that were added to a row, where all that they belong to is as it was."""
    return {
        name: before[name]
        for name, sources in EXTENDED.items()
        if name in before
        and all(source in now and before.get(source) == now[source] for source in sources)
    }


def nameable(wanted: Sequence[str], prints: Mapping[str, str]) -> tuple[str, ...]:
    """The features whose names follow from audio and networks, all of which are known."""
    apart = ("text", "latents", *EXTENDED)
    return tuple(
        name
        for name in wanted
        if name not in apart and all(one in prints for one in features.NETWORKS.get(name, ()))
    )
