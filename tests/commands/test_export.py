"""The command `export`: what it refuses, and what it writes of a checkpoint with an adapter."""

import functools
from pathlib import Path
from typing import Any

import damage
import golden_copies
import jax
import numpy as np
import pytest
import support
from command_runs import SPOKEN, run_synth

from importers.export.library import RECORD
from importers.export.peft import CONFIG, WEIGHTS
from importers.speech import Importer
from indextts_jax import export, replay
from indextts_jax.checkpoint.adapter import write_adapter
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import runner
from indextts_jax.runtime.model import load_model

RANK = 2


run_export = functools.partial(damage.run, export)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--dst=a"], "give --to"),
        (["--to=checkpoint"], "give --dst"),
        (["--to=checkpoint", "--dst=a"], "give --run DIR (a training run) or --checkpoint DIR"),
        (["--to=checkpoint", "--dst=a", "--run=b", "--checkpoint=c"], "give --run DIR"),
        (
            ["--to=checkpoint", "--dst=a", "--base=b", "--checkpoint=c"],
            "--base requires to=published, got checkpoint",
        ),
        (
            ["--to=published", "--dst=a", "--format=peft", "--checkpoint=c"],
            "--format applies only to an adapter",
        ),
        (
            ["--to=published", "--dst=a", "--bigvgan=b", "--checkpoint=c"],
            "--bigvgan: only valid with a base",
        ),
        (["--to=published", "--dst=a", "--run=b", "--adapter=c"], "a run has its own"),
        (["--to=published", "--dst=a", "--checkpoint=b", "--step=3"], "--step needs --run"),
        (["--to=published", "--dst=a", "--checkpoint=b"], "b does not exist"),
        (
            ["--to=published", "--dst=a", "--checkpoint=b", "--adapter_strength=0.5"],
            "--adapter_strength needs --adapter",
        ),
        (
            ["--to=published", "--dst=a", "--checkpoint=b", "--adapter=c"],
            "c does not exist: expected a directory with adapter.json",
        ),
    ],
)
def test_conflicting_flags_give_one_line(
    argv: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_export(*argv) == runner.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not list(tmp_path.iterdir())


def adapter(folder: Path, seed: int = 0, size: float = 0.1) -> Path:
    """An adapter of the tiny set's GPT and flow, of random numbers."""
    random, config = np.random.default_rng(seed), support.tiny_config()

    def pair(layers: int, inputs: int, outputs: int) -> dict[str, Any]:
        shapes = {"down": (layers, inputs, RANK), "up": (layers, RANK, outputs)}
        return {n: size * random.normal(size=s).astype(np.float32) for n, s in shapes.items()}

    gpt, dit = config.gpt, config.dit
    trees = {
        "gpt": {"blocks": {"attention": {"qkv": {"kernel": pair(gpt.layers, 64, 192)}}}},
        "dit": {"blocks": {"attention": {"qkv": {"kernel": pair(dit.layers, 64, 192)}}}},
    }
    base = open_checkpoint(golden_copies.shared()).provenance
    write_adapter(folder, trees, alpha=2.0 * RANK, base=base)
    return folder


@pytest.fixture(scope="module")
def anna(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapter(tmp_path_factory.mktemp("adapter") / "anna")


@pytest.mark.nightly
def test_a_merged_checkpoint_holds_what_the_adapter_gives(anna: Path, tmp_path: Path) -> None:
    checkpoint = golden_copies.shared()
    argv = ["--checkpoint", checkpoint, "--adapter", anna, "--adapter_strength=0.5"]
    assert run_export(*argv, "--to=checkpoint", "--dst", tmp_path / "merged") == 0
    from indextts_jax.cli.adapter_flags import read_all

    applied = read_all([anna], [0.5])
    with_adapter = load_model(checkpoint, components=("gpt", "dit"), adapters=applied)
    merged = load_model(tmp_path / "merged", components=("gpt", "dit"))
    for name in ("gpt", "dit"):
        jax.tree.map(np.testing.assert_array_equal, with_adapter.params[name], merged.params[name])
    before, after = (open_checkpoint(path) for path in (checkpoint, tmp_path / "merged"))
    digests = [{p.name: p.digest for p in one.provenance.components} for one in (before, after)]
    differing = {name for name in digests[0] if digests[0][name] != digests[1][name]}
    assert differing == {"gpt", "dit"}


@pytest.mark.nightly
def test_published_files_with_an_adapter_import_as_the_merged_model(
    anna: Path, tmp_path: Path
) -> None:
    argv = ["--checkpoint", golden_copies.shared(), "--adapter", anna]
    assert run_export(*argv, "--to=checkpoint", "--dst", tmp_path / "merged") == 0
    published = ["--to=published", "--base", support.CHECKPOINTS, "--dst", tmp_path / "out"]
    assert run_export(*argv, *published) == 0
    assert (tmp_path / "out" / RECORD).is_file()
    importer = Importer.open(tmp_path / "out")
    for name in ("gpt", "dit", "vocoder"):
        ours = open_checkpoint(tmp_path / "merged").load([name])[name]
        jax.tree.map(np.testing.assert_array_equal, importer.read(name), ours)


@pytest.mark.nightly
def test_adapter_in_peft_format(tmp_path: Path) -> None:
    one = adapter(tmp_path / "both")
    argv = ["--checkpoint", golden_copies.shared(), "--adapter", one, "--to=adapter"]
    assert run_export(*argv, "--format=peft", "--dst", tmp_path / "peft") == runner.BAD_INPUT
    assert not (tmp_path / "peft").exists()
    (tmp_path / "gpt").mkdir()
    from indextts_jax.checkpoint.adapter import read_adapter

    trees = {"gpt": read_adapter(one).trees["gpt"]}
    base = open_checkpoint(golden_copies.shared()).provenance
    write_adapter(tmp_path / "gpt/a", trees, alpha=4.0, base=base)
    argv[3] = tmp_path / "gpt/a"
    assert run_export(*argv, "--format=peft", "--dst", tmp_path / "peft") == 0
    names = {path.name for path in (tmp_path / "peft").iterdir()}
    assert names == {CONFIG, WEIGHTS, RECORD}


def speak(output: Path, *more: object) -> int:
    return run_synth(
        f"--checkpoint={golden_copies.shared()}",
        f"--speaker={support.TINY / 'speaker.wav'}",
        "--text=Hello.",
        "--max_codes=6",
        "--beams=1",
        "--steps=2",
        f"--output={output}",
        *map(str, more),
    )


def run_replay(*argv: object) -> int:
    return runner.execute(
        replay.main,
        replay.define,
        name="replay",
        summary="",
        common=replay.COMMON,
        positional=replay.POSITIONAL,
        argv=[str(word) for word in argv],
    )


@pytest.mark.nightly
def test_speech_with_an_adapter_is_replayed_with_that_adapter_alone(
    anna: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, zero, one = (tmp_path / f"{name}.wav" for name in ("plain", "zero", "one"))
    assert speak(plain) in SPOKEN
    assert speak(zero, "--adapter", anna, "--adapter_strength=0") in SPOKEN
    assert speak(one, "--adapter", anna, "--adapter_strength=0.8") in SPOKEN
    samples = [path.read_bytes()[44:2000] for path in (plain, zero, one)]
    assert samples[0] == samples[1]
    assert samples[0] != samples[2]
    again = [one, "--checkpoint", golden_copies.shared()]
    again += ["--speaker", support.TINY / "speaker.wav"]
    capsys.readouterr()
    assert run_replay(*again) == runner.BAD_INPUT
    assert "was made with 1 adapters: anna" in capsys.readouterr().err
    other = adapter(tmp_path / "other", seed=1)
    assert run_replay(*again, "--adapter", other) == runner.BAD_INPUT
    assert "is not the adapter that" in capsys.readouterr().err
    assert run_replay(*again, "--adapter", anna) == 0
    assert run_replay(one, "--show") == 0
    assert "adapter     anna (" in capsys.readouterr().out
