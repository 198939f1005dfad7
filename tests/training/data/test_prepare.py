"""From a manifest to prepared data, without networks: what is made, and what is not made again."""

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import speech_sets
import support

from indextts_jax.audio import features as audio_features
from indextts_jax.audio.io import load_audio, resample
from indextts_jax.errors import InputError
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.training.data import features, prepare
from indextts_jax.training.data.job import Job
from indextts_jax.training.data.prepared import Prepared, extend
from indextts_jax.training.data.rows import recording, texts
from indextts_jax.training.data.rows.checks import Limits
from indextts_jax.training.data.rows.manifest import Reading, Source, read_manifests
from indextts_jax.training.data.rows.survey import Survey, survey

CONFIG = support.tiny_config()
TOKENIZER = Tokenizer(support.CHECKPOINTS / "bpe.model")
LIMITS = Limits(min_clips=2, min_minutes=0)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    speech_sets.write_set(folder, 6, seconds=1.2)
    return folder


@pytest.fixture
def manifest(recordings: Path, tmp_path: Path) -> Path:
    shutil.copytree(recordings, tmp_path / "set")
    return tmp_path / "set/clips.jsonl"


def look(manifest: Path, dst: Path, **job: Any) -> tuple[Survey, Job]:
    given: dict[str, Any] = {"recipes": ("tokens", "style"), "limits": LIMITS, "workers": 1}
    made = Job(version="2.0", dst=dst, **{**given, **job})
    clips = read_manifests([Source(manifest)], Reading())
    return survey(clips, made, CONFIG, TOKENIZER), made


def run(manifest: Path, dst: Path, **job: Any) -> tuple[Prepared, dict[str, int]]:
    found, made = look(manifest, dst, **job)
    data, counts = prepare.write(found, made, CONFIG, TOKENIZER)
    return data, dict(counts)


def test_features_are_those_of_the_signal(manifest: Path, tmp_path: Path) -> None:
    data, made = run(manifest, tmp_path / "out")
    assert set(made) == {"text", "samples", "mel", "encoder_input", "encoder_mask", "banks"}
    assert set(made.values()) == {6}
    row = data.rows[3]
    wide = load_audio(manifest.parent / row.audio, CONFIG.mel.sample_rate)
    narrow = resample(wide, CONFIG.mel.sample_rate, 16000)
    pairs, mask = audio_features.semantic_features(narrow)
    expected = {
        "text": np.asarray(TOKENIZER.encode(row.text)),
        "samples": np.rint(wide * 32767),
        "mel": audio_features.log_mel(wide, CONFIG.mel),
        "encoder_input": pairs,
        "encoder_mask": mask,
        "banks": audio_features.centred(audio_features.filter_bank(narrow)),
    }
    for name, array in expected.items():
        found = data.read(row, name)
        np.testing.assert_array_equal(found, array.astype(found.dtype), err_msg=name)
    assert row.frames == len(expected["mel"])
    assert row.codes == len(pairs)
    assert row.tokens == len(expected["text"])
    assert row.seconds == len(wide) / CONFIG.mel.sample_rate


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what takes time."""
    counts: Counter[str] = Counter()

    def counted(owner: Any, name: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def wrapped(*arguments: Any, **more: Any) -> Any:
            counts[name] += 1
            return call(*arguments, **more)

        monkeypatch.setattr(owner, name, wrapped)

    counted(recording, "measure")
    counted(texts.Reader, "read")
    counted(features, "host_features")
    return counts


def test_a_second_run_computes_nothing(manifest: Path, tmp_path: Path, work: Counter[str]) -> None:
    first, _ = run(manifest, tmp_path / "out")
    assert work == {"measure": 6, "read": 6, "host_features": 6}
    work.clear()
    second, made = run(manifest, tmp_path / "out")
    assert work == {}
    assert made == {}
    assert second.digest == first.digest


def test_only_what_changed_is_made_again(
    manifest: Path, tmp_path: Path, work: Counter[str]
) -> None:
    first, _ = run(manifest, tmp_path / "out")
    lines = manifest.read_text().splitlines()
    entry = json.loads(lines[0])
    manifest.write_text("\n".join([json.dumps({**entry, "text": "Another text."}), *lines[1:]]))
    shutil.copy(manifest.parent / "clip02.wav", manifest.parent / "clip01.wav")
    work.clear()
    data, made = run(manifest, tmp_path / "out")
    assert work == {"read": 1}  # clip01 is now what clip02 was
    assert made == {"text": 1}
    assert data.digest != first.digest
    np.testing.assert_array_equal(data.read(data.rows[1], "mel"), data.read(data.rows[2], "mel"))


def test_more_recipes_add_what_they_need(manifest: Path, tmp_path: Path) -> None:
    run(manifest, tmp_path / "out", recipes=("vocoder",))
    _, made = run(manifest, tmp_path / "out", recipes=("vocoder", "style"))
    assert made == {"banks": 6}


def test_another_preparation_keeps_what_is_there(
    manifest: Path, tmp_path: Path, work: Counter[str]
) -> None:
    first, _ = run(manifest, tmp_path / "out", recipes=("tokens",))
    codes = {row.id: np.arange(row.codes, dtype=np.uint16) for row in first.rows}
    extend(extend(first, "codes", codes), "alignment", {"clip00": codes["clip00"]})
    work.clear()
    data, made = run(manifest, tmp_path / "out", recipes=("vocoder", "style"))
    assert made == {"banks": 6}
    assert work["read"] == 0
    for old, new in zip(first.rows, data.rows, strict=True):
        assert old == new  # also its tokens and its side of the split
        for name in ("text", "encoder_input", "mel"):
            assert data.keys[new.id][name] == first.keys[old.id][name]
    assert data.settings.tokenizer == first.settings.tokenizer
    assert set(data.settings.features) >= {"text", "samples", "mel", "encoder_input", "banks"}
    again, made = run(manifest, tmp_path / "out", recipes=("tokens",))
    assert made == {}
    assert again.has(again.rows[0], "banks")


def test_another_preparation_drops_what_no_longer_holds(manifest: Path, tmp_path: Path) -> None:
    first, _ = run(manifest, tmp_path / "out", recipes=("tokens",))
    text, sound = "clip00", "clip01"
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    lines[0]["text"] = "Another text."
    manifest.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    shutil.copy(manifest.parent / "clip02.wav", manifest.parent / "clip01.wav")
    data, _ = run(manifest, tmp_path / "out", recipes=("vocoder",))
    assert len(first.rows) == len(data.rows)
    rows = {row.id: row for row in data.rows}
    assert not data.has(rows[text], "text")
    assert data.has(rows[text], "encoder_input")
    assert data.has(rows[sound], "text")
    assert not data.has(rows[sound], "encoder_input")
    assert set(data.settings.features) == {"samples", "mel"}


def test_another_trim_makes_audio_features_again(manifest: Path, tmp_path: Path) -> None:
    run(manifest, tmp_path / "out", recipes=("vocoder",))
    trim = recording.Trim(longest=0.0, kept=0.0)
    _, made = run(manifest, tmp_path / "out", recipes=("vocoder",), trim=trim)
    assert set(made) <= {"samples", "mel"}


def test_a_run_that_dies_keeps_what_it_wrote(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, done = features.host_features, []

    def dies(*arguments: Any) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return call(*arguments)

    monkeypatch.setattr(features, "host_features", dies)
    with pytest.raises(KeyboardInterrupt):
        run(manifest, tmp_path / "out", recipes=("vocoder",), batch_seconds=0.0)
    assert not (tmp_path / "out/index.jsonl").exists()
    monkeypatch.setattr(features, "host_features", call)
    _, made = run(manifest, tmp_path / "out", recipes=("vocoder",))
    assert made == {"mel": 3, "samples": 3}


def test_bad_rows_are_reported_and_left_out(manifest: Path, tmp_path: Path) -> None:
    (manifest.parent / "clip01.wav").write_text("no audio")
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    lines[2]["text"] = "..."
    lines[3]["audio"] = "gone.wav"
    lines[4]["text"] = "The 語 is unknown."
    manifest.write_text("\n".join(map(json.dumps, lines)))
    data, _ = run(manifest, tmp_path / "out", recipes=("tokens",))
    assert [row.id for row in data.rows] == ["clip00", "clip05"]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert (report["rows"], report["kept"], report["rejected"]) == (6, 2, 4)
    kinds = {
        entry["id"]: [f["kind"] for f in entry["findings"] if f["rejects"]]
        for entry in report["details"]
        if entry["rejected"]
    }
    assert kinds == {
        "clip01": ["audio: unreadable"],
        "clip02": ["text: letters"],
        "gone": ["audio: unreadable"],
        "clip04": ["text: unknown"],
    }


def test_support_of_a_smaller_weight_leaves_out_what_is_validated(
    manifest: Path, tmp_path: Path
) -> None:
    again = manifest.with_name("support.jsonl")
    again.write_text(manifest.read_text().replace("clip0", "more0"))
    for path in sorted(manifest.parent.glob("clip0*.wav")):
        shutil.copy(path, path.with_name(path.name.replace("clip0", "more0")))
    clips = read_manifests([Source(manifest), Source(again, 0.5)], Reading())
    job = Job(version="2.0", dst=tmp_path / "out", recipes=("tokens",), limits=LIMITS, workers=1)
    found = survey(clips, dataclasses.replace(job, validation=2), CONFIG, TOKENIZER)
    split = {row.id: row.split for row in found.rows}
    held = [name for name, side in split.items() if side == "validation"]
    assert len(held) == 2
    unused = {row.id for row in found.report.rows if row.split is None}
    assert unused == {name.replace("clip", "more") for name in held}
    assert len(split) == 10


def test_speakers_with_one_clip_need_own_prompts(manifest: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    lines[0]["speaker"] = "lone"
    manifest.write_text("\n".join(map(json.dumps, lines)))
    for row in lines[1:]:
        speech_sets.soundfile.write(
            manifest.parent / row["audio"],
            speech_sets.speech(2.1, int(row["audio"][4:6])),
            speech_sets.RATE,
        )
    found, _ = look(manifest, tmp_path / "out", recipes=("gpt",), validation=0)
    assert "clip00" not in {row.id for row in found.rows}
    assert len(found.rows) == 5
    own, _ = look(manifest, tmp_path / "out", recipes=("gpt",), validation=0, own_prompts=True)
    assert len(own.rows) == 6
    other, _ = look(manifest, tmp_path / "out", recipes=("vocoder",), validation=0)
    assert len(other.rows) == 6


def test_network_features_need_a_checkpoint(manifest: Path, tmp_path: Path) -> None:
    found, job = look(manifest, tmp_path / "out", recipes=("gpt",), own_prompts=True)
    with pytest.raises(InputError, match=r"networks are needed .semantic_encoder, semantic_codec"):
        prepare.write(found, job, CONFIG, TOKENIZER)
    assert not (tmp_path / "out/index.jsonl").exists()


def test_a_tokenizer_larger_than_the_model_is_refused(manifest: Path, tmp_path: Path) -> None:
    small = dataclasses.replace(
        CONFIG, gpt=dataclasses.replace(CONFIG.gpt, text_vocabulary=TOKENIZER.size - 1)
    )
    clips = read_manifests([Source(manifest)], Reading())
    with pytest.raises(InputError, match=rf"{TOKENIZER.size} pieces, the model embeds"):
        survey(clips, Job(version="2.0", dst=tmp_path / "out"), small, TOKENIZER)


def test_the_settings_say_what_features_were_made_with(manifest: Path, tmp_path: Path) -> None:
    data, _ = run(manifest, tmp_path / "out", recipes=("tokens",))
    assert data.settings.tokenizer == TOKENIZER.sha256
    assert data.settings.features == ("text", "mel", "samples", "encoder_input", "encoder_mask")
    assert (tmp_path / "out/tokenizer.model").read_bytes() == TOKENIZER.model
    assert (data.settings.sample_rate, data.settings.hop) == (22050, 256)
