"""Rows spoken by a model: the tiny set."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dataset_runs
import golden_copies
import numpy as np
import pytest
import soundfile
import support
from dataset_runs import speak_here, write_table

from indextts_jax.engine.recipe import NOT_SPEAKING
from indextts_jax.engine.settings import Settings
from indextts_jax.errors import InputError
from indextts_jax.jobs.output import AUDIO, Output
from indextts_jax.jobs.plan import About, make_plan, read_packs, read_plan
from indextts_jax.jobs.recordings import finder
from indextts_jax.jobs.results import Outcome, read_audio
from indextts_jax.jobs.rows import Common
from indextts_jax.jobs.speaking import ModelSpeaker
from indextts_jax.jobs.tables import sources
from indextts_jax.jobs.verify import verify
from indextts_jax.jobs.work import Broken
from indextts_jax.models.components import COMPONENTS
from indextts_jax.runtime import cache_folder
from indextts_jax.runtime.model import load_model
from indextts_jax.utils.strict_data import to_data
from indextts_jax.voices import store

pytest.importorskip("pyarrow")
VOICE = str(support.TINY / "speaker.wav")
ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "Hello world."},
    {"id": "b", "text": "A dog barks.", "seed": 1},
    {"id": "c", "text": "Hello world.", "language": "zh"},  # version 2 takes none
    {"id": "d", "text": "Hello world.", "seed": 0},
    {"id": "e", "text": "Hello world.", "emotion_alpha": 0.5},  # of no emotion
]


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)


def model_plan(output: Path, rows: list[dict[str, Any]], **options: Any) -> None:
    checkpoint = golden_copies.shared()
    model = load_model(checkpoint, lazy=True)
    assert model.provenance is not None
    names = [name for name in COMPONENTS if name not in NOT_SPEAKING]
    about = About(
        checkpoint=str(checkpoint),
        fingerprint=model.provenance.fingerprint(names),
        settings=to_data(Settings(steps=2, max_codes=24)),
    )
    make_plan(
        Output(output),
        sources([str(write_table(output.parent / "rows.jsonl", rows))], output / "texts.jsonl"),
        Common(voice=VOICE),
        about,
        finder(store.fingerprint(model), {}),
        **{"pack_seconds": 1000.0, **options},
    )


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("spoken") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
        model_plan(output, ROWS)
        speak_here(output, speaker=ModelSpeaker(read_plan(Output(output))))
    return output


def test_rows_are_spoken(spoken: Path) -> None:
    found = dataset_runs.rows(spoken)
    assert [row["status"] for row in found[2:]] == ["refused", "same", "refused"]
    for row in found[:2]:  # random weights do not always know where a text ends
        assert row["status"] == ("faulty" if row["faults"] else "ok")
        assert row["seconds"] > 0.2
    assert len({row["codes_hash"] for row in found[:2]}) == 2
    assert "language" in found[2]["reasons"][0]
    assert found[4]["reasons"] == ["emotion: alpha would have no effect"]
    assert verify(Output(spoken)).clean


def test_a_row_alone_has_the_same_samples(spoken: Path, tmp_path: Path) -> None:
    output = Output(spoken)
    plan = read_plan(output)
    ((row, key), *_) = plan.rows_of(read_packs(output)[0])
    made = ModelSpeaker(plan).alone(row, key, tmp_path)
    (about, flac), *_ = read_audio(output.file(output.marker(0).file(AUDIO)))
    assert about["key"] == key
    assert made.flac == flac
    assert made.codes_hash == dataset_runs.rows(spoken)[0]["codes_hash"]
    assert [path.name for path in tmp_path.iterdir()] == [key]  # its segments
    assert ModelSpeaker(plan).alone(row, key, tmp_path).flac == flac


def test_another_checkpoint_is_refused(spoken: Path) -> None:
    plan = read_plan(Output(spoken))
    other = dataclasses.replace(plan.about, fingerprint="1" * 64)
    with pytest.raises(InputError, match="has changed since the plan was made"):
        ModelSpeaker(dataclasses.replace(plan, about=other))


def test_a_voice_that_changed_ends_the_run(spoken: Path) -> None:
    plan = read_plan(Output(spoken))
    (name, recording) = next(iter(plan.recordings.items()))
    changed = {name: dataclasses.replace(recording, digest="0" * 64)}
    speaker = ModelSpeaker(dataclasses.replace(plan, recordings=changed))
    ((row, _), *_) = plan.rows_of(read_packs(Output(spoken))[0])
    with pytest.raises(InputError, match=r"speaker\.wav has changed since the plan was made"):
        list(speaker.speak([row]))


class _Tts:
    """A model that fails for some texts, and for all if several are spoken at once."""

    def __init__(self, fails: set[str]):
        self.fails = fails

    def stream_many(self, requests: list[Any]) -> Iterator[Any]:
        yield 0, requests[0]
        raise RuntimeError("out of memory")

    def speak(self, request: Any, store: Any = None) -> Any:
        if request in self.fails:
            raise RuntimeError("it fails")
        return request


def outcomes(monkeypatch: pytest.MonkeyPatch, rows: str, fails: str) -> list[str]:
    from indextts_jax.jobs import speaking

    monkeypatch.setattr(speaking, "outcome_of", lambda speech: Outcome(status="ok"))
    speaker = object.__new__(ModelSpeaker)
    speaker.tts, speaker.device = _Tts(set(fails)), None  # type: ignore[assignment]
    together: Any = speaker._together
    found = dict(together(dict(enumerate(rows))))
    return [found[number].status for number in range(len(rows))]


def test_rows_that_fail_together_are_spoken_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcomes(monkeypatch, "abcde", "c") == ["ok", "ok", "failed", "ok", "ok"]


def test_a_device_that_fails_is_not_a_fault_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Broken, match="RuntimeError: it fails"):
        outcomes(monkeypatch, "abcdef", "cde")


SENTENCES = ["A dog barks.", "A cat sat on a wall.", "Why?", "It saw a dog.", "A cat.", "Go on."]


@pytest.mark.nightly
def test_codes_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "text": text, "seed": n} for n, text in enumerate(SENTENCES)]
    found, sounds = [], []
    for batch in (1, 4):
        output = tmp_path / str(batch) / "out"
        output.parent.mkdir()
        model_plan(output, rows)
        speaker = ModelSpeaker(read_plan(Output(output)), batch=batch)
        speak_here(output, speaker=speaker)
        found.append([(r["key"], r["codes_hash"]) for r in dataset_runs.rows(output)])
        place = Output(output)
        recordings = read_audio(place.file(place.marker(0).file(AUDIO)))
        sounds.append(
            {
                about["id"]: soundfile.read(io.BytesIO(f), dtype="int16")[0]
                for about, f in recordings
            }
        )
    assert found[0] == found[1]
    for name, samples in sounds[0].items():
        assert np.abs(samples.astype(int) - sounds[1][name]).max() <= 1, name
