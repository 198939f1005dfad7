"""Writing waveforms."""

import io
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile

from indextts_jax.audio import output
from indextts_jax.audio.output import check_output, write_audio
from indextts_jax.errors import Failure, InputError

RATE = 22050
KINDS = [
    (ending, subtype) for ending, kind in output.ENCODINGS.items() for subtype in kind.subtypes
]


def noise(length: int = 4001) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, length).astype(np.float32)


@pytest.mark.parametrize(("ending", "subtype"), KINDS)
@pytest.mark.parametrize("size", [0, 1, 10, 300_001])
def test_a_comment_of_any_length_comes_back_and_the_audio_is_whole(
    tmp_path: Path, ending: str, subtype: str, size: int
) -> None:
    comment = ("comment " * (size // 8 + 1))[:size]
    container, chosen = output.encoding(f"a{ending}", subtype)
    data = output.encode(noise(), RATE, container, chosen, comment)
    path = tmp_path / f"a{ending}"
    path.write_bytes(data)
    assert output.read_comment(path) == comment
    samples, rate = soundfile.read(path)
    assert rate == RATE
    assert len(samples) == 4001
    assert soundfile.info(path).subtype == subtype


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_16", 1 / 32767), ("PCM_24", 1 / (2**23 - 1)), ("FLOAT", 0.0)]
)
def test_samples_are_kept_to_half_a_step(subtype: str, step: float) -> None:
    wave = np.append(noise(), [1.0, -1.0, 2.0, -2.0, 0.0]).astype(np.float32)
    data = output.encode(wave, RATE, "WAV", subtype)
    kept = soundfile.read(io.BytesIO(data), dtype="int32" if step else "float32")[0]
    if step:
        kept = kept / 2.0**31 * (2.0**15 * step if subtype == "PCM_16" else 2.0**23 * step)
    assert (
        np.abs(kept - np.clip(wave, -1, 1)).max() <= step * 0.51 + 1e-12
    )  # products are float32, as the reference's


def test_raw_samples_are_those_of_the_16_bit_file() -> None:
    wave = noise()
    data = output.encode(wave, RATE, "WAV", "PCM_16")
    assert output.raw(wave) == soundfile.read(io.BytesIO(data), dtype="int16")[0].tobytes()


@pytest.mark.parametrize(
    ("name", "subtype", "message"),
    [
        ("a.aac", None, "'.aac'"),
        ("a", None, "ends in ''"),
        ("a.ogg", "FLOAT", "OGG files cannot hold FLOAT samples; use VORBIS"),
        ("a.flac", "FLOAT", "PCM_16, PCM_24"),
    ],
)
def test_another_kind_of_file_is_refused(name: str, subtype: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        output.encoding(name, subtype)


def test_a_file_without_a_comment_has_an_empty_one(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(), RATE)
    assert output.read_comment(tmp_path / "a.wav") == ""


def test_non_audio_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"no audio at all")
    with pytest.raises(InputError, match=r"a\.flac is not audio"):
        output.read_comment(tmp_path / "a.flac")
    with pytest.raises(InputError, match=r"none\.flac cannot be read"):
        output.read_comment(tmp_path / "none.flac")


def test_nonfinite_samples_give_no_file() -> None:
    with pytest.raises(ValueError, match="not finite"):
        output.encode(np.array([0.0, np.nan], np.float32), RATE, "WAV", "PCM_16")


def test_sixteen_bits_scale_by_32767(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    write_audio(path, np.array([0, 1, -1, 0.5, -0.5, 2, -2, 1e-5], np.float32), 22050)
    stored, rate = soundfile.read(path, dtype="int16")

    assert rate == 22050
    assert soundfile.info(path).subtype == "PCM_16"
    np.testing.assert_array_equal(
        stored, [0, 32767, -32767, 16384, -16384, 32767, -32767, 0]
    )  # a half is rounded to even


def test_float_samples_are_kept(tmp_path: Path) -> None:
    path, samples = tmp_path / "out.wav", noise(997)
    write_audio(path, samples, 22050, "FLOAT")
    stored, _ = soundfile.read(path, dtype="float32")

    assert soundfile.info(path).subtype == "FLOAT"
    np.testing.assert_array_equal(stored, samples)


def test_the_samples_given_stay_as_they_are(tmp_path: Path) -> None:
    samples = np.array([3.0, -3.0], np.float32)
    write_audio(tmp_path / "out.wav", samples, 22050)

    np.testing.assert_array_equal(samples, [3, -3])


def test_missing_directories_are_created_and_files_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "out.wav"
    for length in (7, 5):
        write_audio(path, np.zeros(length, np.float32), 22050)

    assert soundfile.info(path).frames == 5
    assert [p.name for p in path.parent.iterdir()] == ["out.wav"]


def test_the_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_audio(tmp_path / "out.wav", np.zeros(5, np.float32), 22050)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.wav").symlink_to(tmp_path / "target.wav")
    write_audio(tmp_path / "link.wav", np.zeros(5, np.float32), 22050)

    assert (tmp_path / "link.wav").is_symlink()
    assert soundfile.info(tmp_path / "target.wav").frames == 5


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(28, "No space left on device"), Failure),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, raised: type
) -> None:
    path = tmp_path / "out.wav"
    write_audio(path, np.zeros(7, np.float32), 22050)

    def fail(number: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(raised):
        write_audio(path, np.zeros(9, np.float32), 22050)

    assert soundfile.info(path).frames == 7
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_that_cannot_be_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.wav").mkdir()
    for name, message in [
        ("speech.aac", "expected one of .wav, .flac, .ogg, .mp3"),
        ("folder.wav", "is not a file"),
        ("file/out.wav", "is not a directory"),
    ]:
        with pytest.raises(InputError, match=message):
            check_output(tmp_path / name)


def test_output_in_a_new_directory_is_accepted(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "out.WAV")

    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_of_samples_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot hold PCM_99 samples; use PCM_16"):
        write_audio(tmp_path / "out.wav", np.zeros(5, np.float32), 22050, "PCM_99")


def test_nonfinite_samples_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not finite"):
        write_audio(tmp_path / "out.wav", np.array([0, np.nan], np.float32), 22050)

    assert list(tmp_path.iterdir()) == []
