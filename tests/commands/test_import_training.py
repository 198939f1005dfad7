"""`import --training`: the GPT's text head as a component of its own."""

import numpy as np
import pytest
import support
from command_runs import run_import as run

from importers.formats.tensors import open_tensors
from indextts_jax.checkpoint.reading import open_checkpoint

pytestmark = pytest.mark.usefixtures("offline")


def assert_published(head):
    arrays = open_tensors(support.CHECKPOINTS / "gpt.pth")
    np.testing.assert_array_equal(head["kernel"], arrays["text_head.weight"].read().T)
    np.testing.assert_array_equal(head["bias"], arrays["text_head.bias"].read())


def test_the_text_head_is_kept_beside_the_gpt(tmp_path, capsys):
    options = ("--src", support.CHECKPOINTS, "--dst", tmp_path / "a", "--components", "gpt")
    assert run(*options, "--training") == 0
    saved = open_checkpoint(tmp_path / "a")
    words = [line.split() for line in capsys.readouterr().out.splitlines()]

    assert saved.components == ("gpt", "training_heads")
    assert words[2][:3] == ["gpt", "47", "0"]
    assert_published(saved.load(["training_heads"])["training_heads"]["text_head"])


def test_the_text_head_is_added_to_a_checkpoint(tmp_path):
    options = ("--src", support.CHECKPOINTS, "--dst", tmp_path / "a", "--components")
    assert run(*options, "gpt") == 0
    before = open_checkpoint(tmp_path / "a").provenance.components
    assert run(*options, "training_heads") == 0
    saved = open_checkpoint(tmp_path / "a")

    assert saved.components == ("gpt", "training_heads")
    assert saved.provenance.components[:1] == before
    assert_published(saved.load()["training_heads"]["text_head"])


def test_files_without_a_text_head_are_refused_only_for_training(tmp_path, capsys):
    options = ("--src", support.CHECKPOINTS, "--components", "gpt", "--dst", tmp_path / "a")
    without = ("--ignore", "text_head.weight,text_head.bias", "--dry_run")
    assert run(*options, *without) == 0

    assert run(*options, *without, "--training") == 2
    told = capsys.readouterr().err
    assert "missing: text_head.weight (for training_heads.text_head.kernel)" in told
