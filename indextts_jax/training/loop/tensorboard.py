"""TensorBoard events beside `metrics.jsonl`; needs the extra `train`."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from indextts_jax.errors import InputError

FOLDER = "events"
FLUSH = 1  # seconds


def events(run: Path) -> Callable[[Mapping[str, Any]], None]:
    """A log listener that writes numbers as events below `events/`.

    Raises:
        InputError: if the package is missing.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise InputError(
            "tensorboard needs a package: pip install 'indextts-jax[train]'", "tensorboard"
        ) from error
    writers: list[Any] = []

    def write(line: Mapping[str, Any]) -> None:
        if not writers:  # created late, once the run has begun
            # `flush` does not wait for the writing thread, so events reach the disk within these
            # seconds.
            writers.append(SummaryWriter(str(run / FOLDER), flush_secs=FLUSH))
        for name, value in _scalars(line):
            writers[0].add_scalar(f"{line['kind']}/{name}", value, line["step"])

    return write


def _scalars(line: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """The scalars of a line without counts; nested ones have combined names."""
    for name, value in line.items():
        if isinstance(value, float):
            yield before + name, value
        elif isinstance(value, Mapping):
            yield from _scalars(value, f"{before}{name}.")
