"""Attention that is guided along an alignment, while it counts."""

from fnmatch import fnmatch

import gpt_clips
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from importers.table import flatten, nested_like
from indextts_jax.models.training.gpt import guided_layers
from indextts_jax.training.objectives.base import Term
from indextts_jax.training.objectives.gpt import guidance
from indextts_jax.training.objectives.gpt.objective import build

WHOLE = {"train": ["trunk", "codes", "text", "positions"], "remat": False}


def test_tokens_near_the_voiced_one_are_those_within_reach() -> None:
    alignment = np.array([[0, 1, 3, 6], [2, 2, 0, 0]])
    found = guidance.near(jnp.asarray(alignment), jnp.array([7, 3]), 8, 2)

    expected = np.zeros((2, 4, 8), bool)
    for row, length in enumerate((7, 3)):
        for code in range(4):
            own = alignment[row, code]
            expected[row, code, max(own - 2, 0) : min(own + 3, length)] = True
    np.testing.assert_array_equal(found, expected)


def test_the_value_is_the_formula() -> None:
    """Over codes that are there, of rows that have an alignment."""
    mass = np.random.default_rng(0).random((2, 3, 2, 5), np.float32)  # layer, row, head, code
    lengths, guided = np.array([5, 2, 4]), np.array([True, True, False])

    term = guidance.attention(jnp.asarray(mass), jnp.asarray(lengths), jnp.asarray(guided))

    total = 0.0
    for row in (0, 1):
        for code in range(lengths[row]):
            total += np.mean(
                [-np.log(mass[g, row, e, code] + 1e-6) for g in (0, 1) for e in (0, 1)]
            )
    np.testing.assert_allclose(term.total, total, rtol=1e-5)
    assert term.count == 7


def test_guidance_is_a_function_of_the_share_of_steps_behind() -> None:
    term = Term(jnp.float32(3), jnp.float32(7))
    faded = [guidance.faded(term, jnp.full(2, p), 0.4) for p in (0, 0.1, 0.2, 0.4, 0.9)]

    np.testing.assert_allclose([float(f.total) for f in faded], [3, 2.25, 1.5, 0, 0], rtol=1e-6)
    assert all(f.count == 7 for f in faded)


def test_the_second_third_of_the_layers_is_guided() -> None:
    assert [list(guided_layers(n)) for n in (1, 2, 3, 6)] == [[0], [0], [1], [2, 3]]


def test_unguided_rows_need_no_alignment() -> None:
    made = build(support.tiny_config(), WHOLE | {"guided_weight": 0.2}, gpt_clips.COMPONENTS)
    assert "alignment" in made.needs
    assert made.parts[0].weights["guided"] == 0.2
    plain = build(support.tiny_config(), WHOLE, gpt_clips.COMPONENTS)
    assert "alignment" not in plain.needs
    assert "guided" not in plain.parts[0].weights


def batch(progress: float = 0.0) -> dict[str, np.ndarray]:
    """The second clip has no alignment."""
    given = gpt_clips.batch()
    spread = np.arange(37)[None] * given["text_lengths"][:, None] // 37
    aligned = np.array([True, False])
    spread = np.where(aligned[:, None], spread, 0)
    progress = np.full(2, progress, np.float32)
    return given | {"alignment": spread, "guided": aligned, "progress": progress}


@pytest.mark.nightly
def test_guidance_pulls_on_the_attention_and_changes_nothing_else() -> None:
    made = build(support.tiny_config(), WHOLE | {"guided_weight": 0.2}, gpt_clips.COMPONENTS)
    plain = build(support.tiny_config(), WHOLE, gpt_clips.COMPONENTS)
    none = build(support.tiny_config(), WHOLE | {"guided_weight": 0.0}, gpt_clips.COMPONENTS)
    params = {name: gpt_clips.parameters()[name] for name in made.components}
    (part,) = made.parts
    leaves, key = flatten(params), jax.random.key(0)
    mine = {p: a for p, a in leaves.items() if any(fnmatch(p, each) for each in part.trains)}

    @jax.jit
    def run(mine, batch):
        def loss(mine):
            terms = part.loss(nested_like(params, leaves | mine), batch, key).terms
            return terms["guided"].total, terms

        return jax.grad(loss, has_aux=True)(mine)

    gradients, terms = run(mine, batch())
    _, later = run(mine, batch(0.2))
    gone, last = run(mine, batch(0.4))
    assert terms["guided"].count == terms["attention"].count == batch()["code_lengths"][0]
    np.testing.assert_allclose(later["guided"].total / terms["guided"].total, 0.5, rtol=1e-5)
    assert terms["guided"].total == terms["attention"].total == last["attention"].total
    assert last["guided"].total == 0
    qkv = np.abs(gradients["gpt.blocks.attention.qkv.kernel"]).max(axis=(1, 2))
    assert (qkv[:2] > 1e-9).all()  # the guided layer is the second of three
    assert qkv[2] == 0
    assert all(np.abs(leaf).max() == 0 for leaf in gone.values())

    def value(objective, given):
        return jax.jit(objective.parts[0].loss)(params, given, key).terms

    without = value(plain, gpt_clips.batch())
    jax.tree.map(np.testing.assert_array_equal, without, value(none, batch()))
    for name, term in without.items():
        np.testing.assert_allclose(terms[name].total, term.total, rtol=1e-6, err_msg=name)
    evaluated = jax.jit(made.evaluate)(params, batch(), key)
    np.testing.assert_allclose(evaluated["attention"].total, terms["attention"].total, rtol=1e-6)
    assert "guided" not in evaluated
