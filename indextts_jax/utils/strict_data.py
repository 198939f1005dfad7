"""Strict conversion between dataclasses and plain data; every problem names its path."""

import contextlib
import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from indextts_jax.errors import InputError

T = TypeVar("T")


class ConfigError(InputError):
    """A configuration that cannot be used; the message names the key's path."""


def from_data(kind: type[T], data: Any, path: str = "") -> T:
    """The dataclass `kind` filled from plain data.

    Raises:
        ConfigError: naming the path of every unknown, missing or ill-typed key.
    """
    where = path or kind.__name__
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: expected a mapping, got {_shown(data)}")
    hints = typing.get_type_hints(kind)
    if (chosen := getattr(kind, "field_types", None)) is not None:
        hints |= chosen(data)  # where the data says which type of several a field has
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    problems = [f"unknown key {_join(path, key)}" for key in data if key not in fields]
    values = {}
    for name, field in fields.items():
        if name in data:
            try:
                values[name] = _convert(hints[name], data[name], _join(path, name))
            except ConfigError as error:
                problems.append(str(error))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            problems.append(f"missing key {_join(path, name)}")
    if problems:
        raise ConfigError("; ".join(problems))
    return kind(**values)


def _join(path: str, key: Any) -> str:
    return f"{path}.{key!s:.80}" if path else f"{key!s:.80}"


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.80}"


def _convert(kind: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return from_data(kind, value, path)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        *others, last = (a for a in arguments if a is not type(None))
        for kind in others:
            with contextlib.suppress(ConfigError):
                return _convert(kind, value, path)
        return _convert(last, value, path)
    if origin in (tuple, Sequence):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{path}: expected a list, got {_shown(value)}")
        return tuple(_convert(arguments[0], v, f"{path}[{i}]") for i, v in enumerate(value))
    if kind is float and type(value) in (int, float):
        try:
            number = float(value)
        except OverflowError as error:
            raise ConfigError(f"{path}: a number too large, {_shown(value)}") from error
        if not math.isfinite(number):
            raise ConfigError(f"{path}: expected a finite number, got {value}")
        return number
    if kind is Any or type(value) is kind:
        return value
    raise ConfigError(f"{path}: expected {kind.__name__}, got {_shown(value)}")


def to_data(config: Any) -> dict[str, Any]:
    """Plain data of a config: dicts, lists, numbers and strings, as YAML and JSON write them."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(v) for key, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    return plain(dataclasses.asdict(config))
