"""The import command: exit codes, one-line errors, the table, and what is left behind."""

import dataclasses
import shutil
import subprocess
import sys

import jax
import numpy as np
import published_set
import pytest
import support
from command_runs import import_refused as refused
from command_runs import run_import as run

from importers import command
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.config import bundled_config
from indextts_jax.models.components import COMPONENTS

pytestmark = pytest.mark.usefixtures("offline")  # only the download command may download


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    path = tmp_path_factory.mktemp("imported") / "tiny"
    assert run("--src", support.CHECKPOINTS, "--dst", path) == 0
    return path


@pytest.fixture
def src(tmp_path):
    return published_set.linked(tmp_path / "src")


def test_the_tiny_set_becomes_a_checkpoint_of_every_component(imported):
    saved = open_checkpoint(imported)
    assert saved.components == tuple(COMPONENTS)
    assert saved.config == dataclasses.replace(bundled_config("tiny"), text_emotion=None)
    assert saved.tokenizer == (support.CHECKPOINTS / "bpe.model").read_bytes()


def test_text_emotion_model_is_imported_too(tmp_path, capsys):
    src = published_set.linked(tmp_path / "src")
    shutil.copytree(support.DATA / "qwen" / "tiny", src / "qwen0.6bemo4-merge")
    assert run("--src", src, "--dst", tmp_path / "a") == 0
    saved = open_checkpoint(tmp_path / "a")
    assert saved.components == (*COMPONENTS, "text_emotion")
    assert saved.config == bundled_config("tiny")
    assert "qwen0.6bemo4-merge/model.safetensors" in {s.name for s in saved.provenance.sources}
    printed = capsys.readouterr().out
    assert "without" not in printed
    assert "text_emotion           24" in printed


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_checkpoint_holds_what_the_importer_reads(imported, component):
    loaded = open_checkpoint(imported).load([component])[component]
    reference = support.tiny_params(component)
    assert jax.tree.structure(loaded) == jax.tree.structure(reference)
    for ours, theirs in zip(jax.tree.leaves(loaded), jax.tree.leaves(reference), strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)


def test_every_file_is_in_the_provenance(imported):
    sources = {source.name: source for source in open_checkpoint(imported).provenance.sources}
    used = {
        path.relative_to(support.CHECKPOINTS).as_posix(): path.stat().st_size
        for path in support.CHECKPOINTS.rglob("*")
        if path.is_file()
    }
    assert {name: source.size for name, source in sources.items()} == used


def test_report_has_counts_and_destination(capsys, tmp_path):
    assert (
        run("--src", support.CHECKPOINTS, "--dst", tmp_path / "a", "--components", "gpt,dit") == 0
    )
    printed = capsys.readouterr()
    words = [line.split() for line in printed.out.splitlines()]
    assert words[0] == ["component", "read", "dropped", "parameters", "bytes", "seconds"]
    assert words[2][:5] == ["gpt", "47", "2", "234,754", "939,016"]
    assert words[3][:5] == ["dit", "110", "12", "712,016", "2,848,064"]
    assert words[4][:5] == ["total", "157", "14", "946,770", "3,787,080"]
    assert "partial model, without semantic_encoder," in printed.out
    assert printed.out.splitlines()[-1] == f"wrote {tmp_path / 'a'}"
    assert "Importing" in printed.err
    assert max(map(len, printed.out.splitlines())) <= 160


def test_partial_model_reports_missing_components(tmp_path):
    run("--src", support.CHECKPOINTS, "--dst", tmp_path / "a", "--components", "gpt")
    with pytest.raises(ValueError, match=r"has no dit; .*indextts_jax.import --components gpt,dit"):
        open_checkpoint(tmp_path / "a").load(["dit"])


def test_weights_are_stored_in_the_dtype_asked_for(tmp_path):
    options = ("--components", "gpt,emotion_prototypes", "--dtype", "bfloat16")
    assert run("--src", support.CHECKPOINTS, "--dst", tmp_path / "a", *options) == 0
    params = open_checkpoint(tmp_path / "a").load()
    assert params["gpt"]["code_head"]["kernel"].dtype == "bfloat16"
    assert params["emotion_prototypes"]["speaker"].dtype == "float32"


def test_default_destination_is_in_the_source(src):
    assert run("--src", src, "--components", "emotion_prototypes") == 0
    assert open_checkpoint(src / "indextts_jax").components == ("emotion_prototypes",)


def test_a_dry_run_writes_nothing(capsys, tmp_path):
    assert run("--src", support.CHECKPOINTS, "--dst", tmp_path / "a", "--dry_run") == 0
    printed = capsys.readouterr().out
    assert "2,324" in printed
    assert "nothing was written" in printed
    assert list(tmp_path.iterdir()) == []


def test_ignored_names_are_printed_and_stored(capsys, src, tmp_path):
    published_set.rewrite(src, "gpt.pth", lambda a: a.update({"lora.a": np.ones(2, np.float32)}))
    options = ("--components", "gpt", "--dst", tmp_path / "a")
    assert "unexpected: lora.a (2,)" in refused(capsys, "--src", src, *options)
    assert run("--src", src, *options, "--ignore", "lora.a") == 0
    assert "ignored (--ignore): lora.a" in capsys.readouterr().out
    assert open_checkpoint(tmp_path / "a").provenance.ignored == ("lora.a",)


def test_auxiliary_model_path_by_flag(src, tmp_path):
    (src / "bigvgan").rename(tmp_path / "elsewhere")
    options = ("--components", "vocoder", "--dst", tmp_path / "a")
    assert run("--src", src, *options, "--bigvgan", tmp_path / "elsewhere") == 0


def test_force_replaces_and_nothing_else_does(capsys, tmp_path):
    options = ("--src", support.CHECKPOINTS, "--dst", tmp_path / "a", "--components")
    assert run(*options, "gpt") == 0
    assert "exists already; --force replaces it" in refused(capsys, *options[:4])
    assert "has gpt already; --force replaces them" in refused(capsys, *options, "gpt,dit")
    assert run(*options, "gpt,dit", "--force") == 0
    assert open_checkpoint(tmp_path / "a").components == ("gpt", "dit")


def test_help_names_every_common_flag(capsys):
    assert run("--help") == 0
    printed = capsys.readouterr().out
    assert all(f"--{flag}" in printed or f"--[no]{flag}" in printed for flag in command.COMMON)
    assert "by default indextts_jax in --src" in " ".join(printed.split())


# Bad input: exit code 2, one line, nothing left.


def test_bad_flags_are_reported(capsys, tmp_path):
    assert "give --src DIR" in refused(capsys)
    assert "does not exist" in refused(capsys, "--src", tmp_path / "none")
    assert run("--src", tmp_path) == 2
    assert "no config.yaml" in capsys.readouterr().err
    options = ("--src", support.CHECKPOINTS)
    assert "unknown bpe; expected some of semantic_encoder" in refused(
        capsys, *options, "--components", "bpe"
    )
    assert "--components is empty" in refused(capsys, *options, "--components", "")
    assert "--dtype" in refused(capsys, *options, "--dtype", "int8").replace("flag ", "")
    assert refused(capsys, *options, "--nosuch", "1")
    assert "--ignore x: no key" in refused(
        capsys, *options, "--ignore", "x", "--dst", tmp_path / "a"
    )


def test_the_published_files_are_not_replaced_by_the_checkpoint(capsys, imported, src):
    for target in (src, src.parent):
        told = refused(capsys, "--src", src, "--dst", target, "--force")
        assert f"--src {src} is inside {target}" in told
    assert (src / "gpt.pth").exists()


def test_the_module_runs_as_a_program(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "indextts_jax.import", "--src", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1
    assert process.stderr.startswith(f"error: --src {tmp_path / 'none'} does not exist")
