"""The comparison at full size: what is read of a recording, and its summary."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import support

from indextts_jax.runtime.model import Model
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.validation.compare import Comparison
from tools.check import full_size, full_size_ours


def test_velocity_and_condition_are_compared_with_recording(tmp_path: Path) -> None:
    flow, regulator = support.golden("cfm"), support.golden("length_regulator")
    prompt = np.zeros_like(flow["noise"])
    prompt[..., : flow["prompt_mel"].shape[-1]] = flow["prompt_mel"]
    given = {name: flow[name] for name in ("noise", "condition", "style")} | {
        "time": np.float32([0.3]),
        "prompt": prompt,
        "sequence": regulator["infer_in"],
        "stretched": regulator["condition"],
        "velocity": flow["estimator_t0_3"],
    }
    np.savez(tmp_path / "velocity.npz", **given)
    names = ("dit", "length_regulator")
    params = jax.tree.map(jnp.asarray, {name: support.tiny_params(name) for name in names})
    model = Model(support.tiny_config(), params, Tokenizer(support.CHECKPOINTS / "bpe.model"))
    rows = list(full_size_ours.over_many_frames(model, tmp_path / "velocity.npz"))
    assert [row.passed for row in rows] == [True, True]
    assert rows[1].name == f"cfm.velocity_{flow['noise'].shape[-1]}"


def test_summary_holds_worst_of_stage() -> None:
    rows = [
        Comparison("gpt.prefix", (3,), 1e-7, 3e-6, 1.0, True),
        Comparison("gpt.step_logits", (3,), 2e-6, 1e-6, 1.0, True),
        Comparison("gpt.greedy_codes", (3,), 0.5, 0.5, 1.0, False, exact=True),
        Comparison("codec.codes", (3,), 0.0, 0.0, 1.0, True, exact=True),
    ]
    summary = json.loads(json.dumps(full_size.by_stage(rows)))
    assert summary["gpt"] == {
        "arrays": 3,
        "rms": 2e-6,
        "largest": 3e-6,
        "equal": False,
        "passed": False,
    }
    assert summary["codec"]["equal"]
