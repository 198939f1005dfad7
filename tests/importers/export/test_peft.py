"""Adapters under the reference's names change its weights as ours change our kernels."""

import json
from pathlib import Path

import numpy as np
import pytest

from importers.export.peft import CONFIG, PREFIX, WEIGHTS, write_peft
from importers.formats.tensors import open_tensors
from importers.tables.s2mel import halved_rotary
from importers.transforms import linear
from indextts_jax.checkpoint.adapter import Adapter, AdapterRecord
from indextts_jax.config import bundled_config
from indextts_jax.errors import InputError

TINY = bundled_config("tiny")
RNG = np.random.default_rng(0)
RANK = 2


def adapter(**kernels):
    trees, paths = {}, []
    for path, (inputs, outputs, layers) in kernels.items():
        component, *keys = path.split("__")
        place = trees.setdefault(component, {})
        for key in keys:
            place = place.setdefault(key, {})
        shapes = {"down": (layers, inputs, RANK), "up": (layers, RANK, outputs)}
        place["kernel"] = {n: RNG.normal(size=s).astype(np.float32) for n, s in shapes.items()}
        paths.append(".".join([component, *keys, "kernel"]))
    record = AdapterRecord(
        format=1,
        created="",
        base=(),
        rank=RANK,
        alpha=6.0,
        paths=tuple(paths),
        recipe="",
        licence="",
        versions=(),
        digest="",
    )
    return Adapter(Path("anna"), record, trees)


def change_of(tensors, module):
    """What PEFT adds to a weight (out, in), without the scale."""
    first, second = (
        tensors[f"{PREFIX}{module}.{name}.weight"].read() for name in ("lora_A", "lora_B")
    )
    return second @ first


def test_modules_of_the_gpt_have_the_change_that_ours_have(tmp_path):
    width, layers = TINY.gpt.width, TINY.gpt.layers
    given = adapter(
        gpt__blocks__attention__qkv=(width, 3 * width, layers),
        gpt__blocks__feed_forward__fc_out=(4 * width, width, layers),
    )
    write_peft(tmp_path, given, TINY)
    tensors = open_tensors(tmp_path / WEIGHTS)
    blocks = given.trees["gpt"]["blocks"]
    for layer in range(layers):
        for name, pair in (
            ("attn.c_attn", blocks["attention"]["qkv"]["kernel"]),
            ("mlp.c_proj", blocks["feed_forward"]["fc_out"]["kernel"]),
        ):
            ours = pair["down"][layer] @ pair["up"][layer]  # (in, out), as the reference stores it
            theirs = change_of(tensors, f"gpt.h.{layer}.{name}").T
            np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)
    settings = json.loads((tmp_path / CONFIG).read_text())
    assert settings["fan_in_fan_out"] is True
    assert (settings["r"], settings["lora_alpha"]) == (RANK, 6.0)
    modules = {name.removeprefix(PREFIX).split(".lora")[0] for name in tensors}
    assert set(settings["target_modules"]) == modules


def test_rotary_rows_of_the_flow_are_in_the_order_of_the_reference(tmp_path):
    """The published weight and its change go through the table: our kernel and our change."""
    cfg = TINY.dit
    given = adapter(
        dit__blocks__attention__qkv=(cfg.width, 3 * cfg.width, cfg.layers),
        dit__blocks__attention__out=(cfg.width, cfg.width, cfg.layers),
    )
    write_peft(tmp_path, given, TINY)
    tensors = open_tensors(tmp_path / WEIGHTS)
    attention = given.trees["dit"]["blocks"]["attention"]
    for name, kernel, rule in (
        ("wqkv", attention["qkv"]["kernel"], halved_rotary(cfg.heads)),
        ("wo", attention["out"]["kernel"], linear),
    ):
        theirs = change_of(tensors, f"estimator.transformer.layers.1.attention.{name}")
        ours = kernel["down"][1] @ kernel["up"][1]
        np.testing.assert_allclose(rule(theirs), ours, rtol=1e-5, atol=1e-6)
    assert json.loads((tmp_path / CONFIG).read_text())["fan_in_fan_out"] is False


def test_two_networks_are_refused(tmp_path):
    cfg = TINY.dit
    given = adapter(
        dit__blocks__attention__out=(cfg.width, cfg.width, cfg.layers),
        gpt__blocks__attention__out=(TINY.gpt.width, TINY.gpt.width, TINY.gpt.layers),
    )
    with pytest.raises(InputError, match="changes dit and gpt"):
        write_peft(tmp_path, given, TINY)
