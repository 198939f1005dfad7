"""TensorBoard events beside `metrics.jsonl`; needs the extra `train`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from indextts_jax.errors import InputError

FOLDER = "events"


def events(run: Path) -> Callable[[Mapping[str, Any]], None]:
    """A listener of the log that writes its numbers as events below `events/`.

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
        if not writers:  # not before the run is known to begin
            writers.append(SummaryWriter(str(run / FOLDER)))
        for name, value in line.items():
            if name != "step" and isinstance(value, float):
                writers[0].add_scalar(f"{line['kind']}/{name}", value, line["step"])
        writers[0].flush()

    return write
