"""A step: pieces equal the whole, devices equal one, the rate, the optimizer in NumPy."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_objective
from toy_objective import Toy, session

from indextts_jax.errors import InputError
from indextts_jax.training.loop.batches import collate
from indextts_jax.training.loop.optimizer import learning_rate
from indextts_jax.training.loop.session import Session, open_session
from indextts_jax.training.loop.state import State
from indextts_jax.training.recipe import BatchRecipe, OptimizerRecipe


def after(opened: Session, steps: int = 3) -> tuple[State, dict[str, Any]]:
    setup, recipe = opened.setup, opened.recipe
    step, state, metrics = jax.jit(setup.stepper), setup.state, {}
    for number in range(steps):
        chosen = opened.batches.at(number)
        arrays = collate(setup.objective, opened.data, chosen, recipe, number)
        state, metrics = step(state, setup.frozen, setup.placement.put_batch(arrays))
    return state, {name: float(value) for name, value in metrics.items()}


def test_micro_batches_equal_the_whole_batch(tmp_path: Path) -> None:
    whole, one = after(session(tmp_path / "data"))
    batch = BatchRecipe(seconds=16, buckets=(4.0,), multiple=4, pieces=2)
    pieces, two = after(session(tmp_path / "data", batch=batch))
    for path, leaf in whole.params.items():
        np.testing.assert_allclose(
            np.asarray(pieces.params[path]), np.asarray(leaf), rtol=0, atol=1e-6, err_msg=path
        )
    assert two["model.loss"] == pytest.approx(one["model.loss"], abs=1e-6)
    assert two["model.error"] == pytest.approx(one["model.error"], abs=1e-6)


def test_only_what_should_train_does(tmp_path: Path) -> None:
    opened = session(tmp_path / "data")
    state, _ = after(opened, 1)
    assert set(state.params) == {"toy.blocks.kernel", "toy.blocks.bias", "toy.out.kernel"}
    assert set(state.statistics) == {"toy.norm.mean"}
    assert set(opened.setup.frozen) == {"toy.table.positions", "head.scale"}
    before = opened.setup.state
    for path, leaf in state.params.items():
        assert not np.array_equal(leaf, before.params[path]), path
    assert state.statistics["toy.norm.mean"] != before.statistics["toy.norm.mean"]
    assert int(state.step) == 1


def test_a_pattern_that_matches_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'toy.typo.\*' matches no trainable parameter"):
        session(tmp_path / "data", Toy(trains=("toy.typo.*",)))


def test_a_table_trains_where_its_name_is_given(tmp_path: Path) -> None:
    trains = ("toy.blocks.*", "toy.table.positions")
    opened = session(tmp_path / "data", Toy(trains=trains))
    assert "toy.table.positions" in opened.setup.state.params


def test_the_rate_warms_up_and_falls() -> None:
    recipe = OptimizerRecipe(rate=2.0, warmup=4, end=0.1)
    found = [float(learning_rate(recipe, step, 11)) for step in range(11)]
    assert found[:4] == pytest.approx([0.5, 1, 1.5, 2])
    assert found[4] == pytest.approx(2)
    assert found[10] == pytest.approx(0.2)
    assert found[7] == pytest.approx(0.2 + 1.8 / 2)  # half of the way
    slow = OptimizerRecipe(rate=2.0, schedule="exponential", factor=0.5)
    assert float(learning_rate(slow, 3, 11)) == pytest.approx(0.25)


@pytest.mark.nightly
def test_updates_are_those_of_adamw(tmp_path: Path) -> None:
    """Three steps in NumPy, with the gradients that JAX gives for the same loss."""
    options = OptimizerRecipe(rate=0.1, schedule="constant", clip=0.05, decay=0.3)
    opened = session(tmp_path / "data", optimizer=options, average=None)
    setup, toy = opened.setup, Toy()
    params = {k: np.asarray(v, np.float64) for k, v in setup.state.params.items()}
    mean = setup.state.statistics
    m = {k: np.zeros_like(v) for k, v in params.items()}
    v = {k: np.zeros_like(x) for k, x in params.items()}
    for n in range(3):
        arrays = collate(toy, opened.data, opened.batches.at(n), opened.recipe, n)
        batch = {k: a[0] for k, a in arrays.items()}
        key = jax.random.fold_in(jax.random.key(0), n)

        def loss(leaves: Any, batch: Any = batch, key: Any = key, mean: Any = mean) -> Any:
            found = toy.loss(setup.layout.tree(setup.frozen, leaves, mean), batch, key)
            terms = {k: t.total / t.count for k, t in found.terms.items()}
            return terms["error"] + 0.01 * terms["size"], found.statistics

        leaves = {k: jnp.asarray(x, jnp.float32) for k, x in params.items()}
        gradients, mean = jax.grad(loss, has_aux=True)(leaves)
        norm = np.sqrt(sum(float((g**2).sum()) for g in gradients.values()))
        for k, gradient in gradients.items():
            g = np.asarray(gradient, np.float64) * min(1, 0.05 / norm)
            m[k] = 0.9 * m[k] + 0.1 * g
            v[k] = 0.98 * v[k] + 0.02 * g**2
            update = m[k] / (1 - 0.9 ** (n + 1)) / (np.sqrt(v[k] / (1 - 0.98 ** (n + 1))) + 1e-8)
            if k.endswith("kernel"):
                update = update + 0.3 * params[k]
            params[k] = params[k] - 0.1 * update
    state, _ = after(opened, 3)
    for k, x in params.items():
        np.testing.assert_allclose(np.asarray(state.params[k]), x, atol=2e-5, err_msg=k)


@pytest.mark.nightly
def test_a_part_may_wait_before_it_trains(tmp_path: Path) -> None:
    options = OptimizerRecipe(rate=0.1, frozen_steps=2)
    opened = session(tmp_path / "data", optimizer=options)
    before = opened.setup.state.params["toy.out.kernel"]
    np.testing.assert_array_equal(after(opened, 2)[0].params["toy.out.kernel"], before)
    assert not np.array_equal(after(opened, 3)[0].params["toy.out.kernel"], before)


@pytest.mark.nightly
def test_bfloat16_computes_and_masters_stay_float32(tmp_path: Path) -> None:
    opened = session(tmp_path / "data", compute="bfloat16")
    assert opened.setup.frozen["head.scale"].dtype == jnp.bfloat16
    assert opened.setup.frozen["toy.table.positions"].dtype == jnp.float32
    state, metrics = after(opened, 1)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype(jnp.float32)}
    _, exact = after(session(tmp_path / "data"), 1)
    assert metrics["model.loss"] == pytest.approx(exact["model.loss"], rel=0.02)
    assert metrics["model.loss"] != exact["model.loss"]


@pytest.mark.nightly
@pytest.mark.parametrize("sharded", [False, True])
def test_four_devices_equal_one(tmp_path: Path, sharded: bool) -> None:
    alone, metrics = after(session(tmp_path / "data"))
    found = tmp_path / "found.npz"
    subprocess.run(
        [sys.executable, __file__, tmp_path / "data", found, str(int(sharded))],
        check=True,
        env=os.environ
        | {
            "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    with np.load(found) as arrays:
        assert arrays["devices"] == 4
        for path, leaf in alone.params.items():
            np.testing.assert_allclose(
                arrays[path], np.asarray(leaf), rtol=0, atol=1e-6, err_msg=path
            )
        assert arrays["loss"] == pytest.approx(metrics["model.loss"], abs=1e-6)
        assert bool(arrays["sharded"]) == sharded


def main(data: Path, file: str, sharded: bool) -> None:
    """Three steps on all devices of this process."""
    jax.config.update("jax_default_matmul_precision", "highest")
    opened = open_session(
        dataclasses.replace(toy_objective.recipe(), shard=sharded),
        Toy(),
        toy_objective.base(),
        toy_objective.Prepared.open(data),
        jax.devices(),
    )
    state, metrics = after(opened)
    parts = {s.data.shape for s in state.params["toy.blocks.kernel"].addressable_shards}
    np.savez(
        file,
        devices=len(jax.devices()),
        loss=metrics["model.loss"],
        sharded=parts == {(1, 5, 2)},
        **{path: np.asarray(leaf) for path, leaf in state.params.items()},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "1")
