"""A run as the model that it has made, and what export writes of it."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import damage
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax import export
from indextts_jax.checkpoint import writing
from indextts_jax.checkpoint.adapter import read_adapter
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.errors import InputError
from indextts_jax.models.components import structure
from indextts_jax.runtime.model import load_model
from indextts_jax.training.loop import folder as folders
from indextts_jax.training.loop.folder import RunRecord
from indextts_jax.training.loop.saves import Saves
from indextts_jax.training.loop.session import Base
from indextts_jax.training.loop.state import State, leaves_of
from indextts_jax.training.objectives import registry
from indextts_jax.training.parameters import Source
from indextts_jax.training.recipe import load_recipe
from indextts_jax.training.result import read_result
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


def record_of(base: Base, checkpoint: Path | None, data: Path) -> RunRecord:
    return RunRecord(
        created="",
        checkpoint=None if checkpoint is None else str(checkpoint),
        base=base.digest,
        data=str(data),
        digest="",
        versions=(),
        devices=(),
    )


def run_of(folder: Path, checkpoint: Path, leaves: dict[str, Any], **changes: str) -> Path:
    """The folder of a run that has done one step, to these leaves."""
    changes = {"options.lora.rank": str(RANK), **changes}
    recipe = load_recipe("gpt_lora", changes)
    base = Source(recipe, checkpoint).base(("gpt",))
    folders.begin(folder, recipe, record_of(base, checkpoint, folder))
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


def test_training_only_components_are_omitted_and_named(checkpoint: Path, tmp_path: Path) -> None:
    leaves = {"discriminators.a.kernel": np.ones(3, np.float32), **factors()}
    model = open_run(run_of(tmp_path / "run", checkpoint, leaves))
    assert model.components == {}
    assert "omitted, used only in training: discriminators" in model.notes


@pytest.fixture
def tokens_run(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A run that trains the semantic encoder and its codec from scratch, and its heads."""
    recipe = load_recipe("mini/tokens", {"options.speakers": "3"})
    folder, source = tmp_path / "run", Source(recipe, None)
    made = registry.build(recipe.objective, source.config, recipe.options, source.components)
    base = source.base(made.components)
    folders.begin(folder, recipe, record_of(base, None, folder))
    (folder / "tokenizer.model").write_bytes((support.CHECKPOINTS / "bpe.model").read_bytes())
    extra, _ = leaves_of(made.extra(jax.random.key(1)))
    saves = Saves(folder, recipe.saves)
    saves.save(State(jnp.int32(1), extra, {}, {}, {}), 1)
    saves.wait()
    return folder, {path: np.asarray(leaf) for path, leaf in extra.items()}


@pytest.mark.nightly
def test_the_head_that_aligns_outlives_its_run(
    tokens_run: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    run, leaves = tokens_run
    assert run_export("--run", run, "--to=checkpoint", "--dst", tmp_path / "model") == 0
    saved = open_checkpoint(tmp_path / "model")
    assert saved.components == ("semantic_encoder", "semantic_codec", "ctc_head")
    model = load_model(tmp_path / "model", components=["ctc_head"])
    for path, leaf in leaves_of(model.params["ctc_head"])[0].items():
        np.testing.assert_array_equal(leaf, leaves[f"tokens_heads.{path}"], err_msg=path)
    notes = open_run(run).notes
    assert "kept for training: ctc_head, a part of tokens_heads" in notes
    assert "omitted, used only in training: tokens_codebook, tokens_heads" in notes
    with pytest.raises(InputError, match="has no gpt; import again"):
        saved.require(["gpt"])


def test_a_checkpoint_without_the_head_says_what_makes_it(checkpoint: Path) -> None:
    with pytest.raises(
        InputError, match=r"has no ctc_head: .*train it, then write it with .*export"
    ):
        load_model(checkpoint, components=["ctc_head"])


def test_a_part_of_what_only_training_has_is_taken_whole(checkpoint: Path, tmp_path: Path) -> None:
    expected = structure("ctc_head", support.tiny_config()).expected
    leaves = {
        f"tokens_heads.{path}": np.full(leaf.shape, number, np.float32)
        for number, (path, leaf) in enumerate(leaves_of(expected)[0].items())
    }
    more = {"tokens_heads.decoder.a": np.ones(2, np.float32), **factors()}
    result = read_result(run_of(tmp_path / "run", checkpoint, leaves | more))
    found = leaves_of(result.part("tokens_heads", expected))[0]
    assert found.keys() == leaves_of(expected)[0].keys()
    for path, leaf in found.items():
        np.testing.assert_array_equal(leaf, leaves[f"tokens_heads.{path}"])
    less = {path: leaf for path, leaf in result.leaves.items() if "codes_out.bias" not in path}
    with pytest.raises(InputError, match=r"expected tokens_heads.codes_out.bias of .*found none"):
        dataclasses.replace(result, leaves=less).part("tokens_heads", expected)


def test_a_base_that_has_changed_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", checkpoint, factors())
    record = dataclasses.replace(folders.read_record(run), base="f" * 64)
    (run / folders.PROVENANCE).unlink()
    (run / folders.RECIPE).rename(tmp_path / "recipe.yaml")
    recipe = load_recipe(str(tmp_path / "recipe.yaml"))
    folders.begin(tmp_path / "other", recipe, record)
    (run / "steps").rename(tmp_path / "other/steps")
    with pytest.raises(InputError, match=r"expected f{12}, got "):
        open_run(tmp_path / "other")
