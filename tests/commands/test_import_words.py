"""The text-to-emotion model in an import: with all the others, and put into a checkpoint."""

import json
import os
import shutil

import jax
import numpy as np
import published_set
import pytest
import support
from command_runs import import_refused as refused
from command_runs import run_import as run

from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.config import bundled_config
from indextts_jax.emotion.reader import EmotionReader

TINY, SECOND = (support.DATA / "qwen" / name for name in ("tiny", "second"))
WORDS = ("--components", "text_emotion")


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A checkpoint of two small components."""
    path = tmp_path_factory.mktemp("small") / "model"
    options = ("--components", "length_regulator,emotion_prototypes")
    assert run("--src", support.CHECKPOINTS, "--dst", path, *options) == 0
    return path


@pytest.fixture
def existing(small, tmp_path):
    return shutil.copytree(small, tmp_path / "model")


def test_import_without_text_emotion_explains_how_to_add_it(tmp_path, capsys):
    assert run("--src", support.CHECKPOINTS, "--dst", tmp_path / "a", "--dry_run") == 0
    printed = capsys.readouterr().out
    assert "without text_emotion (emotion from text): directory" in printed
    assert f"--components text_emotion --src DIR --dst {tmp_path / 'a'}" in printed


def test_adding_text_emotion_keeps_other_components(existing, small, tmp_path, capsys):
    assert run(*WORDS, "--src", TINY, "--dst", existing) == 0
    assert "kept unchanged: emotion_prototypes, length_regulator" in capsys.readouterr().out
    saved = open_checkpoint(existing)
    assert saved.components == ("emotion_prototypes", "length_regulator", "text_emotion")
    before = open_checkpoint(small)
    assert {s.name for s in before.provenance.sources} < {s.name for s in saved.provenance.sources}
    ours, theirs = saved.load(), before.load()
    for name in before.components:
        assert jax.tree.structure(ours[name]) == jax.tree.structure(theirs[name])
        for left, right in zip(*map(jax.tree.leaves, (ours[name], theirs[name])), strict=True):
            np.testing.assert_array_equal(left, right)
    reading = EmotionReader.load(existing).read("The train leaves at nine.")
    assert reading.weights == (0, 0, 0, 0, 0, 0, 0, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_kept_components_are_not_copied(existing, tmp_path):
    kept = next((existing / "length_regulator").rglob("*")).parent
    (file,) = [path for path in kept.rglob("*") if path.is_file()][:1]
    inode = file.stat().st_ino
    assert run(*WORDS, "--src", TINY, "--dst", existing) == 0
    assert file.stat().st_ino == inode
    assert file.stat().st_nlink == 1


def test_where_files_have_one_name_only_they_are_copied(existing, monkeypatch):
    def refuse(old, new, **options):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert run(*WORDS, "--src", TINY, "--dst", existing) == 0
    open_checkpoint(existing).verify()


def test_a_part_of_a_model_grows_by_any_component(existing):
    assert run("--components", "gpt", "--src", support.CHECKPOINTS, "--dst", existing) == 0
    saved = open_checkpoint(existing)
    assert saved.components == ("emotion_prototypes", "gpt", "length_regulator")
    saved.load()


def test_existing_component_needs_force(existing, capsys):
    assert run(*WORDS, "--src", TINY, "--dst", existing) == 0
    assert "has text_emotion already; --force replaces them" in refused(
        capsys, *WORDS, "--src", SECOND, "--dst", existing
    )
    assert run(*WORDS, "--src", SECOND, "--dst", existing, "--force") == 0
    saved = open_checkpoint(existing)
    assert saved.config.text_emotion.layers == 3
    assert saved.components == ("emotion_prototypes", "length_regulator", "text_emotion")


def test_the_tokenizer_is_kept_when_others_are_added(existing):
    assert run(*WORDS, "--src", TINY, "--dst", existing) == 0
    assert run("--components", "gpt", "--src", support.CHECKPOINTS, "--dst", existing) == 0
    saved = open_checkpoint(existing)
    assert saved.emotion_tokenizer == (TINY / "tokenizer.json").read_bytes()
    assert saved.config.text_emotion == bundled_config("tiny").text_emotion


def test_a_failed_addition_leaves_the_checkpoint_as_it_was(existing, tmp_path, capsys):
    before = files(existing)
    broken = shutil.copytree(TINY, tmp_path / "broken")
    data = bytearray((broken / "model.safetensors").read_bytes())
    data[-2:] = b"\xc0\x7f"  # NaN in bfloat16
    (broken / "model.safetensors").write_bytes(data)
    assert "not finite" in refused(capsys, *WORDS, "--src", broken, "--dst", existing)
    assert files(existing) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "model"]


def test_a_damaged_checkpoint_is_not_added_to(existing, capsys):
    file = max(existing.rglob("d/*"), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert "damaged" in refused(capsys, *WORDS, "--src", TINY, "--dst", existing)


def test_components_of_another_model_are_not_added(existing, tmp_path, capsys):
    src = published_set.linked(tmp_path / "src")

    def change(data):
        data["s2mel"]["preprocess_params"]["spect_params"]["fmax"] = 8000

    published_set.reconfigure(src, change)
    told = refused(capsys, "--components", "dit", "--src", src, "--dst", existing)
    assert told.endswith("mel differs from the checkpoint's")


def test_another_dtype_is_not_mixed_in(existing, capsys):
    told = refused(capsys, *WORDS, "--src", TINY, "--dst", existing, "--dtype", "bfloat16")
    assert "holds float32" in told


def test_the_dtype_is_that_of_the_checkpoint(tmp_path):
    half = tmp_path / "half"
    options = ("--components", "length_regulator", "--dtype", "bfloat16")
    assert run("--src", support.CHECKPOINTS, "--dst", half, *options) == 0
    assert run(*WORDS, "--src", TINY, "--dst", half) == 0
    params = open_checkpoint(half).load(["text_emotion"])
    assert params["text_emotion"]["embedding"]["embedding"].dtype == "bfloat16"


def test_alone_it_needs_a_checkpoint(tmp_path, capsys):
    told = refused(capsys, *WORDS, "--src", TINY, "--dst", tmp_path / "none")
    assert "adds to a checkpoint" in told
    assert not (tmp_path / "none").exists()


def test_missing_directory_is_reported(existing, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    told = refused(capsys, *WORDS, "--src", tmp_path / "empty", "--dst", existing)
    assert "has no directory qwen0.6bemo4-merge" in told


def test_text_emotion_path_by_flag(existing, tmp_path):
    (tmp_path / "empty").mkdir()
    options = ("--src", tmp_path / "empty", "--text_emotion", TINY)
    assert run(*WORDS, *options, "--dst", existing) == 0


def test_a_key_of_its_settings_may_be_passed_over(existing, tmp_path, capsys):
    folder = shutil.copytree(TINY, tmp_path / "src")
    data = json.loads((folder / "config.json").read_text()) | {"sliding_window": 4096}
    (folder / "config.json").write_text(json.dumps(data))
    options = (*WORDS, "--src", folder, "--dst", existing)
    assert "sliding_window is 4096" in refused(capsys, *options)
    assert run(*options, "--ignore", "text_emotion.sliding_window") == 0
    assert open_checkpoint(existing).provenance.ignored == ("text_emotion.sliding_window",)


def test_a_dry_run_changes_nothing(existing, capsys):
    before = files(existing)
    assert run(*WORDS, "--src", TINY, "--dst", existing, "--dry_run") == 0
    assert "nothing was written" in capsys.readouterr().out
    assert files(existing) == before
