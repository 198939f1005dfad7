"""Finished segments on disk: what is there is not made again, and nothing else is touched."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import golden_copies
import numpy as np
import pytest
import support
from damage import complaint, everything, run_synth
from fuzzing import outputs

from indextts_jax.audio import output
from indextts_jax.engine import recipe, segment_store
from indextts_jax.engine import tts as tts_module
from indextts_jax.engine.faults import Fault
from indextts_jax.engine.pace import Timing
from indextts_jax.engine.parts import Part
from indextts_jax.engine.request import Request
from indextts_jax.engine.segment_store import SegmentStore, folder_of, key_of
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Segment
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.voices.analysis import Voice


def part(number: int) -> Part:
    samples = np.random.default_rng(number).normal(size=100 + number).astype(np.float32)
    faults = (Fault("long", "it is long"),) if number % 2 else ()
    return Part(samples, Segment(5, number, 9, False, 1, faults, 2), {"codes": 0.5})


@pytest.fixture
def store(tmp_path: Path) -> SegmentStore:
    return SegmentStore.open(folder_of(tmp_path / "a.wav"), "key")


def same(ours: Part, theirs: Part) -> bool:
    return np.array_equal(ours.samples, theirs.samples) and (
        (ours.segment, ours.seconds) == (theirs.segment, theirs.seconds)
    )


def test_parts_come_back(store: SegmentStore) -> None:
    for index in (0, 2, 7):
        store.write(index, part(index))
    found = SegmentStore.open(store.folder, "key").parts()
    assert sorted(found) == [0, 2, 7]
    assert all(same(found[index], part(index)) for index in found)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_part_is_made_again(store: SegmentStore, damage: str) -> None:
    store.write(0, part(0))
    store.write(1, part(1))
    path = store.folder / "000001.safetensors"
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    changed = {"cut": data[:-40], "flip": data, "empty": b"", "text": b"words"}
    path.write_bytes(bytes(changed[damage]))
    assert list(store.parts()) == [0]
    assert not path.exists()


def test_parts_of_another_request_are_not_used(store: SegmentStore) -> None:
    store.write(0, part(0))
    other = SegmentStore(store.folder, "other")
    assert not other.belongs()
    assert SegmentStore.open(store.folder, "other").parts() == {}
    assert other.belongs()


def test_removal_leaves_what_is_not_ours(store: SegmentStore) -> None:
    store.write(0, part(0))
    (store.folder / "notes.txt").touch()
    store.remove()
    assert everything(store.folder) == sorted(["notes.txt", segment_store.MARK])
    (store.folder / "notes.txt").unlink()
    store.remove()
    assert not store.folder.exists()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_not_ours_is_refused(tmp_path: Path, kind: str) -> None:
    folder = folder_of(tmp_path / "a.wav")
    if kind == "file":
        folder.touch()
    elif kind == "directory":
        folder.mkdir()
    else:
        ours = SegmentStore.open(tmp_path / "ours", "key")
        folder.symlink_to(ours.folder, target_is_directory=True)
    with pytest.raises(InputError, match="was not made by this program: move it away"):
        SegmentStore.open(folder, "key")


def test_the_key_is_of_all_that_samples_depend_on() -> None:
    made = recipe.from_comment(output.read_comment_of(outputs()[0]), "a")
    same_speech = dataclasses.replace(made, created="2030", samples="")
    assert key_of(same_speech) == key_of(made)
    changes: list[dict[str, Any]] = [
        {"text": "B."},
        {"seed": 2},
        {"dtype": "bfloat16"},
        {"checkpoint": "3"},
        {"speaker_start": 1.0},
        {"device": "GPU"},
        {"versions": ()},
        {"settings": dataclasses.replace(made.settings, steps=3)},
    ]
    keys = {key_of(dataclasses.replace(made, **change)) for change in changes}
    assert len(keys) == len(changes)
    assert key_of(made) not in keys


class Stopped(Exception):
    """What ends a job in its middle."""


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A model of five segments in place of the real one; the list says which were made."""
    made: list[int] = []

    class Job:
        class script:
            segments = range(5)

    def deliver(model: Any, jobs: Any, settings: Any, *more: Any, **options: Any) -> Iterator[Any]:
        indices = [i for i in range(5) if (0, i) not in options["done"]]
        for index in indices if options["in_order"] else indices[::-1]:
            if made.count(-1):
                made.remove(-1)
                raise Stopped
            made.append(index)
            yield 0, index, part(index)

    monkeypatch.setattr(tts_module, "deliver", deliver)
    monkeypatch.setattr(IndexTTS, "_prepare", lambda *arguments: lambda clock: Job)
    monkeypatch.setattr(IndexTTS, "sample_rate", 16000)
    monkeypatch.setattr(IndexTTS, "model", None, raising=False)
    return made


@pytest.mark.parametrize("batch", [1, 4])
def test_a_job_that_was_stopped_continues(
    store: SegmentStore, spoken: list[int], batch: int
) -> None:
    tts = object.__new__(IndexTTS)
    settings = Settings(batch=batch)
    request = Request(text="a", voice=object.__new__(Voice), settings=settings)
    whole = tts.speak(request)
    spoken.clear()
    speaking = tts._stream(request, None, None, in_order=batch == 1, store=store)
    if batch == 1:
        next(speaking)
        next(speaking)
        spoken.append(-1)
        with pytest.raises(Stopped):
            next(speaking)
    else:
        store.write(4, part(4))
        store.write(3, part(3))
    before = sorted(store.parts())
    spoken.clear()
    again = tts.speak(request, store=store)
    assert len(before) == 2
    assert sorted(spoken) == sorted(set(range(5)) - set(before))
    assert np.array_equal(again.samples, whole.samples)
    assert again.segments == whole.segments


def test_a_duration_cannot_be_resumed(store: SegmentStore, spoken: list[int]) -> None:
    settings = Settings(timing=Timing(duration=9.0))
    request = Request(text="a", voice=object.__new__(Voice), settings=settings)
    with pytest.raises(InputError, match="a duration needs all segments at once"):
        object.__new__(IndexTTS).speak(request, store=store)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--demo", "--resume"], "--resume needs --checkpoint"),
        (["--checkpoint=x", "--output=-"], "--resume needs --output FILE"),
        (["--checkpoint=x", "--duration=5"], "--resume and --duration are mutually exclusive"),
        (["--checkpoint=x", "--seed=random"], "--resume needs a --seed that stays the same"),
        (["--checkpoint=x", "--seed=-1"], "--resume needs a --seed that stays the same"),
    ],
)
def test_resuming_what_cannot_be_resumed_is_refused(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_synth("--resume", "--text=a", f"--speaker={__file__}", *words) == 2
    assert line in complaint(capsys)


@pytest.mark.nightly
@pytest.mark.parametrize("batch", [1, 2])
def test_a_real_job_that_was_stopped_gives_the_same_samples(tmp_path: Path, batch: int) -> None:
    """With one segment at a time bit for bit, with several up to rounding."""
    tts = IndexTTS.load(golden_copies.shared())
    voice = tts.voice(support.TINY / "speaker.wav")
    settings = Settings(steps=2, max_codes=24, batch=batch)
    text = "A dog barks. A cat sat on a wall. Why? It saw a dog."
    settings = dataclasses.replace(settings, segment_tokens=12)
    request = Request(text=text, voice=voice, settings=settings, seed=3)
    whole = tts.speak(request)
    assert len(whole.segments) > 2
    store = SegmentStore.open(tmp_path / "segments", "key")

    def stop(done: int, count: int) -> None:
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        tts.speak(request, store=store, progress=stop)
    kept = len(store.parts())
    assert 0 < kept < len(whole.segments)
    counts: list[tuple[int, int]] = []
    again = tts.speak(request, store=store, progress=lambda *given: counts.append(given))
    assert counts[-1] == (len(whole.segments) - kept,) * 2
    assert again.segments == whole.segments
    if batch == 1:
        assert np.array_equal(again.samples, whole.samples)
    else:
        np.testing.assert_allclose(again.samples, whole.samples, atol=1e-4)
