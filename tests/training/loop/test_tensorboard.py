"""TensorBoard events: what is written is read back, record by record."""

import builtins
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indextts_jax.errors import InputError
from indextts_jax.training.loop import tensorboard
from indextts_jax.training.loop.log import Log


def records(path: Path) -> Iterator[bytes]:
    """A file of events: a length, its checksum, the event, its checksum, and so on."""
    data = path.read_bytes()
    while len(data) > 12:
        (size,) = struct.unpack("<Q", data[:8])
        if len(data) < size + 16:
            return  # it is being written
        yield data[12 : 12 + size]
        data = data[16 + size :]


def scalars(path: Path) -> dict[tuple[str, int], float]:
    """Numbers by name and step."""
    from tensorboardX.proto.event_pb2 import Event

    events = map(Event.FromString, records(path))
    return {
        (value.tag, event.step): value.simple_value
        for event in events
        for value in event.summary.value
    }


def test_scalars_are_written_and_read_back(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="needs the extra train")
    listener = tensorboard.events(tmp_path)
    assert not (tmp_path / tensorboard.FOLDER).exists()  # the run has not begun
    log = Log(tmp_path, 0, (listener,))
    log.add("train", 10, {"model.loss": 2.5, "rows": 4, "words": "none"})
    log.add("evaluation", 20, {"loss": 1.25, "judges": {"wer": 0.5}, "speakers": {"a": 1.0}})
    (path,) = (tmp_path / tensorboard.FOLDER).iterdir()
    found, end = scalars(path), time.monotonic() + 60
    while len(found) < 4 and time.monotonic() < end:
        time.sleep(0.1)
        found = scalars(path)
    assert found == {
        ("train/model.loss", 10): 2.5,
        ("evaluation/loss", 20): 1.25,
        ("evaluation/judges.wer", 20): 0.5,
        ("evaluation/speakers.a", 20): 1.0,
    }


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "tensorboardX":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"pip install 'indextts-jax\[train\]'"):
        tensorboard.events(tmp_path)
