"""A run as the model that it has made, and what export writes of it."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import damage
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax import export
from indextts_jax.checkpoint import writing
from indextts_jax.checkpoint.adapter import read_adapter
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.errors import InputError
from indextts_jax.training.loop import folder as folders
from indextts_jax.training.loop.folder import RunRecord
from indextts_jax.training.loop.saves import Saves
from indextts_jax.training.loop.state import State
from indextts_jax.training.parameters import Source
from indextts_jax.training.recipe import load_recipe
from indextts_jax.training.trained import open_run

WIDTH, LAYERS, RANK = support.tiny_config().gpt.width, support.tiny_config().gpt.layers, 2
QKV = "blocks.attention.qkv.kernel"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GPT of the tiny set alone, as a checkpoint."""
    path = tmp_path_factory.mktemp("base") / "model"
    writing.save(
        path,
        config=support.tiny_config(),
        tokenizer=(support.CHECKPOINTS / "bpe.model").read_bytes(),
        components=[("gpt", support.tiny_params("gpt"))],
    )
    return path


def run_of(folder: Path, checkpoint: Path, leaves: dict[str, Any], **changes: str) -> Path:
    """The folder of a run that has done one step, to these leaves."""
    changes = {"options.lora.rank": str(RANK), **changes}
    recipe = load_recipe("gpt_lora", changes)
    base = Source(recipe, checkpoint).base(("gpt",))
    record = RunRecord(
        created="",
        checkpoint=str(checkpoint),
        base=base.digest,
        data=str(folder),
        digest="",
        versions=(),
        devices=(),
    )
    folders.begin(folder, recipe, record)
    saves = Saves(folder, recipe.saves)
    masters = {path: jnp.asarray(leaf) for path, leaf in leaves.items()}
    saves.save(State(jnp.int32(1), masters, {}, {}, {}), 1)
    saves.wait()
    return folder


def factors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {"down": (LAYERS, WIDTH, RANK), "up": (LAYERS, RANK, 3 * WIDTH)}
    return {
        f"adapters.gpt.{QKV}.{name}": random.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }


run_export = functools.partial(damage.run, export)


def test_a_low_rank_run_is_an_adapter_or_a_merged_checkpoint(
    checkpoint: Path, tmp_path: Path
) -> None:
    leaves = factors()
    run = run_of(tmp_path / "run", checkpoint, leaves)
    assert run_export("--run", run, "--to=adapter", "--dst", tmp_path / "anna") == 0
    adapter = read_adapter(tmp_path / "anna")
    assert (adapter.record.rank, adapter.record.alpha) == (RANK, 32.0)
    pair = adapter.trees["gpt"]["blocks"]["attention"]["qkv"]["kernel"]
    np.testing.assert_array_equal(pair["up"], leaves[f"adapters.gpt.{QKV}.up"])
    assert run_export("--run", run, "--to=checkpoint", "--dst", tmp_path / "merged") == 0
    before, after = (
        open_checkpoint(path).load(["gpt"])["gpt"] for path in (checkpoint, tmp_path / "merged")
    )
    ours = after["blocks"]["attention"]["qkv"]["kernel"]
    change = 32.0 / RANK * (pair["down"].astype(np.float64) @ pair["up"])
    expected = before["blocks"]["attention"]["qkv"]["kernel"] + change
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(after["code_head"]["kernel"], before["code_head"]["kernel"])


def test_a_full_run_gives_whole_components(checkpoint: Path, tmp_path: Path) -> None:
    scale = np.arange(WIDTH, dtype=np.float32)
    run = run_of(tmp_path / "run", checkpoint, {"gpt.final_norm.scale": scale})
    model = open_run(run)
    assert model.adapters == ()
    np.testing.assert_array_equal(model.components["gpt"]["final_norm"]["scale"], scale)
    held = support.tiny_params("gpt")["code_head"]["kernel"]
    np.testing.assert_array_equal(model.components["gpt"]["code_head"]["kernel"], held)
    assert f"step 1 of {run}" in model.notes


def test_what_only_training_has_is_left_out_and_named(checkpoint: Path, tmp_path: Path) -> None:
    leaves = {"discriminators.a.kernel": np.ones(3, np.float32), **factors()}
    model = open_run(run_of(tmp_path / "run", checkpoint, leaves))
    assert model.components == {}
    assert "left out, for training alone: discriminators" in model.notes


def test_a_base_that_has_changed_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", checkpoint, factors())
    record = dataclasses.replace(folders.read_record(run), base="f" * 64)
    (run / folders.PROVENANCE).unlink()
    (run / folders.RECIPE).rename(tmp_path / "recipe.yaml")
    recipe = load_recipe(str(tmp_path / "recipe.yaml"))
    folders.begin(tmp_path / "other", recipe, record)
    (run / "steps").rename(tmp_path / "other/steps")
    with pytest.raises(InputError, match=r"expected the hash f{12}, got "):
        open_run(tmp_path / "other")
