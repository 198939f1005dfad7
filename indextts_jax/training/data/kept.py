"""The earlier state of a directory, so that a new preparation keeps features that are still valid.

An array's name is a hash of its inputs. So a feature that is not requested now is kept if its name
would still be the same, and dropped if audio, text, prompt or networks have changed.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.training.data.index import (
    FEATURES,
    INDEX,
    SETTINGS,
    DataSettings,
    Row,
    read_index,
    read_settings,
)
from indextts_jax.training.versions.interface import kind_named
from indextts_jax.utils.hashing import digest
from indextts_jax.utils.strict_data import to_data

EXTENDED = {"alignment": ("text", "codes")}  # features from trained parts, and their inputs


@dataclasses.dataclass(frozen=True)
class Before:
    """The earlier index of a directory."""

    settings: DataSettings
    rows: Mapping[str, Row]  # by id
    names: Mapping[str, Mapping[str, str]]  # by id: feature to array name

    @property
    def prints(self) -> dict[str, str]:
        """Hashes of the components that computed features."""
        return dict(entry.split("=", 1) for entry in self.settings.components)

    @property
    def features(self) -> tuple[str, ...]:
        """Features that at least one row has."""
        found = {name for names in self.names.values() for name in names}
        return tuple(name for name in FEATURES if name in found)

    def of(self, row_id: str) -> Mapping[str, str]:
        """Array names of a row; empty for a new row."""
        return self.names.get(row_id, {})

    def spoken(self, row_id: str, text: str) -> str:
        """The earlier normalised text; empty if the row's text has changed or is missing."""
        row = self.rows.get(row_id)
        return row.spoken if row is not None and row.text == text else ""


def read_before(folder: Path, config: ModelConfig) -> Before | None:
    """Reads the earlier state; None if new, damaged, or for a model of other sizes."""
    if not (folder / INDEX).is_file() or not (folder / SETTINGS).is_file():
        return None
    try:
        settings = read_settings(folder)
        rows, names = read_index(folder)
    except InputError:
        return None  # a new preparation repairs it
    if settings.config not in ("", digest(to_data(config))):
        return None
    return Before(settings, {row.id: row for row in rows}, names)


def still_true(
    before: Mapping[str, str], now: Mapping[str, str], wanted: Sequence[str]
) -> dict[str, str]:
    """The `wanted` features in `before` whose array names are unchanged `now`."""
    return {name: now[name] for name in wanted if name in now and before.get(name) == now[name]}


def extended(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Added features of a row whose inputs are unchanged."""
    return {
        name: before[name]
        for name, sources in EXTENDED.items()
        if name in before
        and all(source in now and before.get(source) == now[source] for source in sources)
    }


def nameable(wanted: Sequence[str], prints: Mapping[str, str], version: str) -> tuple[str, ...]:
    """Features whose names can be computed because audio and networks are known."""
    kind = kind_named(version)
    apart = {"text", *kind.INPUTS}
    return tuple(
        name
        for name in wanted
        if name not in apart and all(one in prints for one in kind.NETWORKS.get(name, ()))
    )
