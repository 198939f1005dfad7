"""The whole way of the flow: prepared clips, a run, an export, and what it then says."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import support
from command_runs import SPOKEN, run_import, run_synth
from damage import run

from indextts_jax import export, train
from indextts_jax.training.data.prepared import DataSettings, Row, create
from indextts_jax.training.loop import log

CLIPS, CODES, FRAMES = 12, 50, 86

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint, prepared clips of random numbers, and a run of each recipe."""
    folder, cfg = tmp_path_factory.mktemp("flow"), support.tiny_config()
    sources = ("--src", support.CHECKPOINTS, "--dst", folder / "tiny")
    assert run_import(*sources) == 0
    rng = np.random.default_rng(0)
    with create(folder / "data", DataSettings(features=("mel", "codes", "style"))) as writer:
        for number in range(CLIPS):
            row = Row(
                id=f"r{number}",
                audio=f"r{number}.wav",
                text=f"text {number}",
                speaker=f"s{number % 2}",
                seconds=CODES / 50,
                split="validation" if number < 2 else "train",
                codes=CODES,
                frames=FRAMES,
            )
            features = {
                "mel": rng.normal(-5, 2, (FRAMES, cfg.mel.mels)).astype(np.float16),
                "codes": rng.integers(cfg.semantic_codec.codes, size=CODES).astype(np.uint16),
                "style": rng.standard_normal(cfg.dit.style).astype(np.float32),
            }
            writer.add(row, features)
    for recipe in ("flow_lora", "flow_full"):
        changes = {
            "steps": 3,
            "compute": "float32",
            "options.latents": 0,
            "options.own_prompts": 1.0,
            "options.evaluation_steps": 2,
            "batch.buckets": "[1.5]",
            "batch.seconds": 3,
            "optimizer.warmup": 0,
            "optimizer.rate": 1e-2,
            "evaluation.samples": "false",
            "evaluation.every": 3,
        }
        flags = [f"--set={path}={value}" for path, value in changes.items()]
        paths = (f"--data={folder / 'data'}", f"--checkpoint={folder / 'tiny'}")
        assert run(train, f"--recipe={recipe}", *paths, f"--dst={folder / recipe}", *flags) == 0
    return folder


def say(folder: Path, name: str, *argv: str) -> np.ndarray:
    """What the synth command writes."""
    out = folder / f"{name}.wav"
    fixed = (f"--output={out}", "--text=Hello world.", "--seed=1", "--steps=2", "--max_codes=24")
    voice = f"--speaker={support.TINY / 'speaker.wav'}"
    assert run_synth(voice, *fixed, *argv) in SPOKEN
    return soundfile.read(out)[0]


def test_adapter_changes_speech_and_without_strength_nothing(made: Path) -> None:
    adapter = made / "adapter"
    exported = (f"--run={made / 'flow_lora'}", "--step=3", "--to=adapter", f"--dst={adapter}")
    assert run(export, *exported) == 0

    base = say(made, "base", f"--checkpoint={made / 'tiny'}")
    use = (f"--checkpoint={made / 'tiny'}", f"--adapter={adapter}")
    off, on = (say(made, f"at{s}", *use, f"--adapter_strength={s}") for s in (0, 1))

    np.testing.assert_array_equal(off, base)
    assert len(on) == len(base)  # the codes are the same, and so are the frames
    assert not np.array_equal(on, base)


def test_trained_flow_speaks_as_a_checkpoint(made: Path) -> None:
    model = made / "model"
    exported = (f"--run={made / 'flow_full'}", "--step=3", "--to=checkpoint", f"--dst={model}")
    assert run(export, *exported) == 0

    base = say(made, "first", f"--checkpoint={made / 'tiny'}")
    trained = say(made, "trained", f"--checkpoint={model}")

    assert len(trained) == len(base)
    assert not np.array_equal(trained, base)


def test_run_logs_the_loss_and_the_error_of_the_mel(made: Path) -> None:
    kinds = {line["kind"]: line for line in log.read(made / "flow_full")}

    assert kinds["evaluation"].keys() >= {"flow", "mel"}
    assert all(np.isfinite(kinds["evaluation"][name]) for name in ("flow", "mel"))
