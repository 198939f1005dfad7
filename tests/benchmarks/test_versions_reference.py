"""IndexTTS-2.5 beside the reference: both sides are given the same work."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from models_under_test import model

from benchmarks import versions_reference
from indextts_jax.engine.tts import IndexTTS

ARGUMENTS = ["--sources=there", "--reference_python=python", "--seconds=0.4", "--repeats=2"]


class FakeWorker:
    """A reference that remembers what it was asked."""

    asked: ClassVar[list[dict[str, Any]]] = []
    about: ClassVar[dict[str, Any]] = {"torch": "0"}

    def __init__(self, command: list[str], environment: dict[str, str], **made: Any):
        self.asked.append({"command": command, "path": environment["PYTHONPATH"], **made})

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        self.asked.append({"do": do, **more})
        return {"seconds": 2.0}

    def close(self) -> None:
        self.asked.append({"do": "close"})


def test_the_reference_decodes_as_many_codes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    args = versions_reference.arguments(ARGUMENTS)
    FakeWorker.asked.clear()
    monkeypatch.setattr(versions_reference, "Worker", FakeWorker)
    monkeypatch.setattr(
        versions_reference.models, "random_model", lambda *_, **__: model("second25")
    )
    found = versions_reference.measured("codec", args, tmp_path / "config.yaml")
    begun, opened, *runs, closed = FakeWorker.asked
    assert begun["path"].startswith("there")
    assert opened["work"] == {"codes": 10, "tokens": 0, "beams": 3} == found["work"] | {"beams": 3}
    assert [one["do"] for one in runs] == ["run"] * 3  # a first one, and the timed ones
    assert closed == {"do": "close"}
    assert found["theirs"]["median"] == 2.0
    assert found["ratio"] == pytest.approx(found["ours"]["median"] / 2.0)


def test_codes_are_those_of_the_seconds() -> None:
    args = versions_reference.arguments(ARGUMENTS)
    _, work = versions_reference.codec(IndexTTS(model("second25")), args)
    assert work["codes"] == 10  # 25 a second
