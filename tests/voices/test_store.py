"""Voices saved on disk."""

import dataclasses
from pathlib import Path

import golden_copies
import numpy as np
import pytest
import soundfile
import support

from indextts_jax.config import RunConfig
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError, PromptWarning
from indextts_jax.models import components
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.parameters import Parameters
from indextts_jax.runtime.precision import cast
from indextts_jax.voices import store
from indextts_jax.voices.analysis import Voice

QUICK = Settings(steps=2, max_codes=24)  # as in test_pipeline: compiled once for both


@pytest.fixture(scope="module")
def tts() -> IndexTTS:
    return IndexTTS.load(golden_copies.shared())


@pytest.fixture(scope="module")
def voice(tts: IndexTTS) -> Voice:
    return tts.voice(support.TINY / "speaker.wav")


@pytest.fixture
def kept(tts: IndexTTS, voice: Voice, tmp_path: Path) -> Path:
    path = tmp_path / "anna.safetensors"
    store.save_voice(tts.model, voice, path)
    return path


def other(model: Model) -> Model:
    """The same model, said to have come from other weights."""
    assert model.provenance is not None
    records = tuple(
        dataclasses.replace(record, digest="0" * 64) for record in model.provenance.components
    )
    record = dataclasses.replace(model.provenance, components=records)
    return dataclasses.replace(model, provenance=record)


def test_saved_voice_gives_the_samples_of_its_recording(
    tts: IndexTTS, kept: Path, voice: Voice
) -> None:
    read = store.load_voice(tts.model, kept)
    ours = tts.speak("Hello world.", read, settings=QUICK).samples
    theirs = tts.speak("Hello world.", voice, settings=QUICK).samples
    assert np.array_equal(ours, theirs)
    assert read.source == voice.source


def test_saved_voice_works_without_encoders(tts: IndexTTS, voice: Voice) -> None:
    params = tts.model.params
    assert isinstance(params, Parameters)
    before = tts.speak("Hello world.", voice, settings=QUICK).samples
    assert set(components.ENCODERS) <= set(params.held)
    tts.release_encoders()
    assert not set(components.ENCODERS) & set(params.held)
    assert np.array_equal(tts.speak("Hello world.", voice, settings=QUICK).samples, before)
    again = tts.voice(support.TINY / "speaker.wav")
    assert np.array_equal(again.latents, voice.latents)


def test_excerpt_equals_a_recording_of_it(tts: IndexTTS, tmp_path: Path) -> None:
    wave, rate = soundfile.read(support.TINY / "speaker.wav", dtype="float32")
    soundfile.write(tmp_path / "part.wav", wave[rate:], rate, subtype="FLOAT")
    part = tts.voice(support.TINY / "speaker.wav", excerpt=1.0)
    alone = tts.voice(tmp_path / "part.wav")
    for name in ("latents", "base", "own", "style", "mel", "condition"):
        assert np.array_equal(getattr(part, name), getattr(alone, name)), name
    assert (part.start, alone.start) == (1.0, 0.0)
    record = store.save_voice(tts.model, part, tmp_path / "part.safetensors")
    assert record.start == store.load_voice(tts.model, tmp_path / "part.safetensors").start == 1.0
    assert record.heard == pytest.approx(len(wave) / rate - 1, abs=0.02)


def test_poor_recording_gives_a_warning(tts: IndexTTS, tmp_path: Path) -> None:
    wave, rate = soundfile.read(support.TINY / "speaker.wav", dtype="float32")
    soundfile.write(tmp_path / "faint.wav", wave / np.abs(wave).max() * 0.01, rate)
    with pytest.warns(PromptWarning, match=r"faint\.wav: it is very quiet"):
        tts.voice(tmp_path / "faint.wav")
    with pytest.warns(PromptWarning, match=r"faint\.wav: it is very quiet"):
        tts.emotion(tmp_path / "faint.wav")


def test_a_voice_may_be_used_in_another_dtype_than_it_was_made_in(
    tts: IndexTTS, kept: Path
) -> None:
    model = tts.model
    regulator = cast("length_regulator", model.params["length_regulator"], model.config, "bfloat16")
    params = dict(model.params) | {"length_regulator": regulator}
    half = IndexTTS(dataclasses.replace(model, run=RunConfig(dtype="bfloat16"), params=params))
    recorded = half.voice(support.TINY / "speaker.wav").condition
    assert np.array_equal(store.load_voice(half.model, kept).condition, recorded)
    assert not np.array_equal(store.load_voice(model, kept).condition, recorded)


def test_the_file_is_small_and_holds_no_padding(kept: Path, voice: Voice) -> None:
    numbers = sum(
        np.asarray(getattr(voice, name)).size for name in ("latents", "base", "own", "style")
    )
    numbers += voice.frames * voice.mel.shape[2] + voice.codes * voice.quantized.shape[2]
    assert kept.stat().st_size < 4 * numbers + 4000


def test_a_voice_of_another_checkpoint_is_refused_by_name(tts: IndexTTS, kept: Path) -> None:
    with pytest.raises(InputError, match=r"anna\.safetensors was made with another checkpoint"):
        store.load_voice(other(tts.model), kept)


def test_weights_from_no_checkpoint_keep_no_voices(tts: IndexTTS, kept: Path) -> None:
    with pytest.raises(InputError, match="imported checkpoints only"):
        store.load_voice(dataclasses.replace(tts.model, provenance=None), kept)


def test_a_voice_from_no_recording_is_not_kept(tts: IndexTTS, voice: Voice, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not come from a recording"):
        store.save_voice(tts.model, dataclasses.replace(voice, source=None), tmp_path / "a")
    assert not any(tmp_path.iterdir())


def damage(data: bytes, how: str) -> bytes:
    match how:
        case "cut":
            return data[:-9]
        case "flipped":
            return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
        case "newer":
            return data.replace(rb"\"format\": 3", rb"\"format\": 9")
        case "older":
            return data.replace(rb"\"format\": 3", rb"\"format\": 1")
        case "other":
            return data.replace(b"indextts_jax_voice", b"indextts_jax_vojce")
        case "typo":
            return data.replace(rb"\"heard\"", rb"\"haerd\"")
        case _:
            return b"no safetensors file"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "is damaged"),
        ("flipped", "the SHA-256 of its content is not the recorded one"),
        ("newer", "format 9, from a newer program"),
        ("older", r"format 1, .*: python -m indextts_jax.voice create \S+ --checkpoint DIR --sp"),
        ("other", "is not a voice file of this program"),
        ("typo", "haerd"),
        ("text", "is damaged"),
    ],
)
def test_a_damaged_file_is_named(tts: IndexTTS, kept: Path, how: str, message: str) -> None:
    kept.write_bytes(damage(kept.read_bytes(), how))
    with pytest.raises(InputError, match=message) as caught:
        store.load_voice(tts.model, kept)
    assert "anna.safetensors" in str(caught.value)


def test_older_voice_format_explains_how_to_recreate(
    tts: IndexTTS, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.FOLDER, str(tmp_path))
    path = store.voice_path("Anna B")
    path.write_bytes(damage(kept.read_bytes(), "older"))
    with pytest.raises(InputError) as caught:
        store.load_voice(tts.model, path)
    assert str(caught.value) == (
        f"{path} is a voice of format 1, from an older program; make it again: python -m "
        "indextts_jax.voice create 'Anna B' --checkpoint DIR --speaker FILE --force"
    )


def test_voices_go_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.FOLDER, str(tmp_path))
    assert store.names() == []
    store.voice_path("b").touch()
    store.voice_path("安娜 2").touch()
    assert store.names() == ["b", "安娜 2"]
    assert store.voice_path("some/where.safetensors") == Path("some/where.safetensors")


@pytest.mark.parametrize(
    "name", ["", "../a", "a/b", "a\\b", ".a", "a.", " a", "a\n", "con:", "x" * 101]
)
def test_a_name_that_is_no_file_s_everywhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not a valid voice name"):
        store.voice_path(name)


def test_a_missing_voice_lists_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.FOLDER, str(tmp_path))
    store.voice_path("anna").touch()
    with pytest.raises(InputError, match=r"voice .*bob.* does not exist; saved voices: anna"):
        store.read_record(store.voice_path("bob"))
