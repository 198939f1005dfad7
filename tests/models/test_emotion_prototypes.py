import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx

from indextts_jax.config import EmotionPrototypesConfig
from indextts_jax.models.components import structure
from indextts_jax.models.emotion_prototypes import EmotionPrototypes

SMALL = EmotionPrototypesConfig(groups=(3, 1, 5, 2), style=7, width=5)


def model_of(speaker, emotion=None, groups=SMALL.groups):
    """A model of given matrices."""
    emotion = np.zeros((len(speaker), SMALL.width)) if emotion is None else emotion
    cfg = EmotionPrototypesConfig(
        groups=groups, style=np.shape(speaker)[1], width=np.shape(emotion)[1]
    )
    graph, _ = nnx.split(nnx.eval_shape(lambda: EmotionPrototypes(cfg, rngs=nnx.Rngs(0))))
    matrices = {"speaker": speaker, "emotion": emotion}
    return nnx.merge(graph, {k: jnp.asarray(m, jnp.float32) for k, m in matrices.items()})


def random_matrices(seed):
    random = np.random.default_rng(seed)
    rows = sum(SMALL.groups)
    return random.normal(size=(rows, SMALL.style)), random.normal(size=(rows, SMALL.width))


def call(method, *given):
    """A method of the tiny model, jitted over its parameters."""
    prototypes = structure("emotion_prototypes", support.tiny_config())
    run = jax.jit(lambda params, *given: getattr(prototypes.bind(params), method)(*given))
    return run(support.tiny_params("emotion_prototypes"), *map(jnp.asarray, given))


def test_rows_are_those_of_the_reference():
    rows = call("rows", support.golden("campplus")["style"])

    np.testing.assert_array_equal(rows[0], support.golden("emotion_vector")["rows"])


def test_the_weighted_sum_is_that_of_the_reference():
    emotion = support.golden("emotion_vector")
    weighted = call("__call__", support.golden("campplus")["style"], emotion["weights"][None])

    support.assert_close(weighted, emotion["matrix_part"], "emotion_vector.matrix_part")


def test_given_rows_are_mixed_as_chosen_ones_are():
    emotion = support.golden("emotion_vector")
    weighted = call("mix", emotion["weights"][None], emotion["rows"][None].astype(np.int32))

    support.assert_close(weighted, emotion["matrix_part"], "emotion_vector.matrix_part")


def test_rows_are_the_largest_cosine_in_each_group():
    speaker, _ = random_matrices(0)
    style = np.random.default_rng(1).normal(size=(11, SMALL.style)).astype(np.float32)

    cosine = style @ speaker.T / np.linalg.norm(speaker, axis=1)
    cosine /= np.linalg.norm(style, axis=1, keepdims=True)
    expected, start = [], 0
    for rows in SMALL.groups:
        expected.append(cosine[:, start : start + rows].argmax(axis=1))
        start += rows
    np.testing.assert_array_equal(
        model_of(speaker).rows(jnp.asarray(style)), np.stack(expected, axis=1)
    )


def test_ties_take_the_first_row_and_zero_rows_have_cosine_zero():
    speaker = [[0, 0], [3, 0], [9, 0], [-1, 0], [0, 0], [0, 0]]
    model = model_of(speaker, groups=(3, 3))

    np.testing.assert_array_equal(model.rows(jnp.array([[2.0, 0], [0, 0]])), [[1, 1], [0, 0]])


def test_mix_counts_rows_from_the_start_of_their_group():
    speaker, emotion = random_matrices(0)
    model = model_of(speaker, emotion)
    weights = np.array([[0.5, -1, 2, 0], [0, 0, 0, 1.5]], np.float32)
    rows = np.array([[2, 0, 4, 1], [0, 0, 0, 0]])

    expected = np.stack(
        [
            0.5 * emotion[2] - emotion[3] + 2 * emotion[3 + 1 + 4],
            1.5 * emotion[3 + 1 + 5],
        ]
    )
    np.testing.assert_allclose(
        model.mix(jnp.asarray(weights), jnp.asarray(rows)), expected, rtol=0, atol=1e-6
    )


def test_neighbours_change_nothing():
    model = model_of(*random_matrices(0))
    random = np.random.default_rng(2)
    style, weights = random.normal(size=(2, 7)), random.normal(size=(2, 4))
    other_style, other_weights = style.copy(), weights.copy()
    other_style[1] *= -1e4
    other_weights[1] *= 1e4

    np.testing.assert_array_equal(
        model(jnp.asarray(style), jnp.asarray(weights))[0],
        model(jnp.asarray(other_style), jnp.asarray(other_weights))[0],
    )


def test_the_matrices_stay_float32_whatever_the_dtype_of_weights():
    expected = structure("emotion_prototypes", support.tiny_config(), "bfloat16").expected

    assert {leaf.dtype.name for leaf in jax.tree.leaves(expected)} == {"float32"}


@pytest.mark.parametrize("seed", range(3))
def test_rows_agree_with_the_cosine_similarity_of_torch(seed):
    torch = pytest.importorskip("torch")
    speaker, _ = random_matrices(seed)
    style = np.random.default_rng(100 + seed).normal(size=(1, SMALL.style)).astype(np.float32)

    groups = torch.from_numpy(speaker.astype(np.float32)).split(SMALL.groups)
    expected = [
        int(torch.nn.functional.cosine_similarity(torch.from_numpy(style), group, dim=1).argmax())
        for group in groups
    ]
    np.testing.assert_array_equal(model_of(speaker).rows(jnp.asarray(style))[0], expected)
