"""Adapters merged on loading: the formula, the base at strength 0, and what is refused."""

import copy
import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from indextts_jax.checkpoint.adapter import Adapter, AdapterRecord, BaseComponent
from indextts_jax.checkpoint.provenance import ComponentRecord, Provenance
from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.config import bundled_config
from indextts_jax.errors import InputError
from indextts_jax.runtime.adapters import AppliedAdapter, check, merge, read_all

RNG = np.random.default_rng(0)


def random(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def adapter(trees, rank=2, alpha=6.0, digest="0" * 64):
    record = AdapterRecord(
        format=1,
        created="",
        base=tuple(BaseComponent(name=name, digest=digest) for name in trees),
        rank=rank,
        alpha=alpha,
        paths=(),
        recipe="",
        licence="",
        versions=(),
        digest="1" * 64,
    )
    return Adapter(Path("anna"), record, trees)


def pair(stack=(), inputs=5, outputs=7, rank=2):
    return {"down": random(*stack, inputs, rank), "up": random(*stack, rank, outputs)}


def params(dtype=jnp.float32):
    return {
        "qkv": {"kernel": jnp.asarray(random(3, 5, 7), dtype), "bias": jnp.ones(7, dtype)},
        "skips": {0: {"kernel": jnp.asarray(random(5, 7), dtype)}},
    }


def changed(before, change, factor):
    product = change["down"].astype(np.float64) @ change["up"].astype(np.float64)
    return np.asarray(before, np.float64) + factor * product


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_kernels_become_the_sum_in_float32(dtype):
    given, change = params(dtype), pair((3,))
    applied = AppliedAdapter(adapter({"gpt": {"qkv": {"kernel": change}}}), 0.5)
    merged = merge("gpt", given, [applied])
    assert merged["qkv"]["kernel"].dtype == jnp.float32
    expected = changed(given["qkv"]["kernel"].astype(jnp.float32), change, 0.5 * 6.0 / 2)
    np.testing.assert_allclose(merged["qkv"]["kernel"], expected, rtol=1e-6, atol=1e-6)
    assert merged["qkv"]["bias"] is given["qkv"]["bias"]
    assert merged["skips"][0]["kernel"] is given["skips"][0]["kernel"]


def test_strength_0_is_the_base_bit_for_bit():
    given = params(jnp.bfloat16)
    applied = AppliedAdapter(adapter({"gpt": {"qkv": {"kernel": pair((3,))}}}), 0.0)
    assert merge("gpt", given, [applied]) is given


def test_other_components_are_left_alone():
    given = params()
    applied = AppliedAdapter(adapter({"gpt": {"qkv": {"kernel": pair()}}}))
    assert merge("dit", given, [applied]) is given


def test_adapters_add_up():
    given, first, second = params(), pair((3,)), pair()
    trees = {"qkv": {"kernel": first}}, {"skips": {0: {"kernel": second}}}
    both = [AppliedAdapter(adapter({"gpt": tree})) for tree in trees]
    merged = merge("gpt", given, [*both, both[0]])
    twice = changed(given["qkv"]["kernel"], first, 2 * 3.0)
    np.testing.assert_allclose(merged["qkv"]["kernel"], twice, rtol=1e-6, atol=1e-5)
    once = changed(given["skips"][0]["kernel"], second, 3.0)
    np.testing.assert_allclose(merged["skips"][0]["kernel"], once, rtol=1e-6, atol=1e-5)


def test_inputs_are_not_modified():
    given = params()
    before = copy.deepcopy(jax.tree.map(np.asarray, given))
    merge("gpt", given, [AppliedAdapter(adapter({"gpt": {"qkv": {"kernel": pair((3,))}}}))])
    jax.tree.map(np.testing.assert_array_equal, given, before)


@pytest.mark.parametrize("strength", [-0.1, 10.1, float("nan")])
def test_strengths_out_of_range_are_refused(strength):
    with pytest.raises(InputError, match="adapter_strength must be from 0 to 10"):
        AppliedAdapter(adapter({}), strength)


def test_strengths_are_one_or_as_many_as_adapters():
    with pytest.raises(InputError, match="expected 1 number, or one for each of 3 adapters, got 2"):
        read_all(["a", "b", "c"], [1.0, 0.5])


TINY = bundled_config("tiny")


def saved(digest="0" * 64, name="gpt"):
    part = ComponentRecord(name=name, parameters=1, bytes=4, files=(), digest=digest)
    provenance = Provenance(
        format=2,
        created="",
        dtype="float32",
        sources=(),
        ignored=(),
        versions=(),
        files=(),
        components=(part,),
    )
    return Checkpoint(Path("base"), TINY, provenance, b"")


def of_gpt(path, outputs=3 * TINY.gpt.width):
    tree = {"kernel": pair((TINY.gpt.layers,), TINY.gpt.width, outputs)}
    for key in reversed(path.split(".")):
        tree = {key: tree}
    return adapter({"gpt": tree})


def test_an_adapter_for_the_checkpoint_is_accepted():
    check([AppliedAdapter(of_gpt("blocks.attention.qkv"))], saved())


def test_another_base_is_refused_naming_both():
    applied = AppliedAdapter(of_gpt("blocks.attention.qkv"))
    message = "anna was made for another base: expected gpt .* 0{12}, base has f{12}"
    with pytest.raises(InputError, match=message):
        check([applied], saved("f" * 64))
    with pytest.raises(InputError, match="base has none"):
        check([applied], saved(name="dit"))


def test_kernels_that_the_model_does_not_have_are_named():
    with pytest.raises(InputError, match=r"gpt\.blocks\.attention\.all\.kernel .* no such kernel"):
        check([AppliedAdapter(of_gpt("blocks.attention.all"))], saved())
    with pytest.raises(InputError, match=r"\(3, 64, 5\), but the model has \(3, 64, 192\)"):
        check([AppliedAdapter(of_gpt("blocks.attention.qkv", outputs=5))], saved())


def test_record_of_an_adapter():
    use = AppliedAdapter(dataclasses.replace(adapter({}), path=Path("/x/anna")), 0.5).use
    assert (use.name, use.digest, use.strength) == ("anna", "1" * 64, 0.5)
