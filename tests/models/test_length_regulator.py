import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx

from indextts_jax.config import LengthRegulatorConfig
from indextts_jax.models.components import structure
from indextts_jax.models.length_regulator import (
    GroupNorm,
    LengthRegulator,
    batch_nearest_indices,
    nearest_indices,
    rounded_ratio,
    target_length,
)

SMALL = LengthRegulatorConfig(
    latents=7, projection=(5, 3), features=11, width=13, layers=3, kernel=5
)


def regulate(x, lengths, targets, size, dtype="float32"):
    """The tiny model's condition, jitted over its parameters."""
    regulator = structure("length_regulator", support.tiny_config(), dtype)
    params = jax.tree.map(
        lambda leaf, want: jnp.asarray(leaf, want.dtype),
        support.tiny_params("length_regulator"),
        regulator.expected,
    )
    run = jax.jit(lambda params, *given: regulator.bind(params)(*given, size))
    return np.asarray(run(params, jnp.asarray(x), jnp.asarray(lengths), jnp.asarray(targets)))


def small():
    """A regulator of odd sizes: its graph, and random parameters, scales and biases too."""
    graph, state = nnx.split(nnx.eval_shape(lambda: LengthRegulator(SMALL, rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(1)
    return graph, jax.tree.map(
        lambda leaf: 0.3 * rng.standard_normal(leaf.shape, np.float32), nnx.to_pure_dict(state)
    )


def plain(params, x, target):
    """The condition of one sequence, in float64 NumPy, layer after layer."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    y = x @ params["input"]["kernel"] + params["input"]["bias"]
    y = y[nearest_indices(len(x), target)]
    for i in range(SMALL.layers):
        conv, norm = (
            jax.tree.map(lambda leaf, i=i: leaf[i], params["layers"][name])
            for name in ("conv", "norm")
        )
        padded = np.pad(y, [(SMALL.kernel // 2, SMALL.kernel // 2), (0, 0)])
        y = conv["bias"] + sum(
            padded[k : k + target] @ conv["kernel"][k] for k in range(SMALL.kernel)
        )
        y = (y - y.mean()) / np.sqrt(y.var() + 1e-5) * norm["scale"] + norm["bias"]
        y = y * np.tanh(np.logaddexp(y, 0))
    return y @ params["output"]["kernel"] + params["output"]["bias"]


def test_the_condition_of_the_prompt_is_the_reference_s():
    arrays = support.golden("length_regulator")
    reference = arrays["prompt_condition"]
    size = reference.shape[1]

    ours = regulate(arrays["prompt_in"], [arrays["prompt_in"].shape[1]], [size], size)

    support.assert_close(ours, reference, "length_regulator.prompt_condition")


def test_the_condition_of_the_target_is_the_reference_s():
    arrays = support.golden("length_regulator")
    size = int(arrays["target_length"][0])

    ours = regulate(arrays["infer_in"], [arrays["infer_in"].shape[1]], [size], size)

    support.assert_close(ours, arrays["condition"], "length_regulator.condition")


def test_indices_are_rounded_as_the_reference_rounds_them():
    arrays = support.golden("length_regulator")
    size = int(arrays["nearest_length"][0])

    ours = regulate(arrays["nearest_in"], [arrays["nearest_in"].shape[1]], [size], size)

    support.assert_close(ours, arrays["nearest_out"], "length_regulator.nearest_out")


def test_the_projection_of_latents_is_the_reference_s():
    regulator = structure("length_regulator", support.tiny_config())
    project = jax.jit(lambda params, x: regulator.bind(params).project(x))

    ours = project(
        support.tiny_params("length_regulator"), jnp.asarray(support.golden("gpt_latent")["latent"])
    )

    reference = support.golden("length_regulator")["gpt_layer_out"]
    support.assert_close(ours, reference, "length_regulator.gpt_layer_out")


def test_the_target_length_is_the_reference_s():
    arrays = support.golden("length_regulator")

    assert target_length(arrays["infer_in"].shape[1], 1.72) == int(arrays["target_length"][0])
    assert [target_length(n, 1.72) for n in range(1900)] == [172 * n // 100 for n in range(1900)]


def test_padded_batch_matches_the_reference():
    arrays = support.golden("length_regulator")
    rng = np.random.default_rng(2)
    sequences = [arrays["prompt_in"][0], arrays["infer_in"][0]]
    references = [arrays["prompt_condition"][0], arrays["condition"][0]]
    x = 1e4 * rng.standard_normal((2, 163, sequences[0].shape[1])).astype(np.float32)
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence

    ours = regulate(x, [len(s) for s in sequences], [len(r) for r in references], 271)

    for row, reference in zip(ours, references, strict=True):
        support.assert_close(row[: len(reference)], reference, "length_regulator.condition")
        assert not row[len(reference) :].any()


def test_index_that_integer_arithmetic_would_miss():
    assert nearest_indices(26, 44)[22] == 12
    assert 22 * 26 // 44 == 13


def pairs():
    """Code counts with their own targets, and random pairs, as arrays of (length, target)."""
    rng = np.random.default_rng(3)
    own = [(n, target_length(n, 1.72)) for n in range(1, 900)]
    return np.array(own + rng.integers(1, 1600, (600, 2)).tolist(), np.int32)


def test_indices_in_the_graph_equal_those_of_the_host():
    lengths, targets = pairs().T
    found = jax.jit(batch_nearest_indices, static_argnums=2)(lengths, targets, 1600)

    for row, length, target in zip(
        np.asarray(found), lengths.tolist(), targets.tolist(), strict=True
    ):
        np.testing.assert_array_equal(row[:target], nearest_indices(length, target))
        assert row[target:].max(initial=0) < length


@pytest.mark.parametrize("off", [-3, -1, 0, 2])
def test_the_ratio_is_rounded_correctly_from_a_guess_that_is_off(off):
    rng = np.random.default_rng(4)
    corners = [(1, 32767), (32767, 1), (1, 1), (2, 1), (1, 2), (32767, 32766), (32766, 32767)]
    n, d = np.concatenate([pairs(), rng.integers(1, 32768, (10_000, 2)), corners]).T
    exact = n.astype(np.float32) / d.astype(np.float32)
    guesses = (exact.view(np.int32) + off).view(np.float32)

    ours = jax.jit(rounded_ratio)(n.astype(np.int32), d.astype(np.int32), guesses)

    np.testing.assert_array_equal(ours, exact)


def test_indices_are_those_of_torch():
    torch = pytest.importorskip("torch")
    for length, target in pairs()[::7].tolist():
        frames = torch.arange(length, dtype=torch.float32)[None, None]
        theirs = torch.nn.functional.interpolate(frames, size=target, mode="nearest")
        np.testing.assert_array_equal(nearest_indices(length, target), theirs[0, 0].numpy())


def test_scanned_layers_equal_a_loop():
    graph, params = small()
    x = np.random.default_rng(5).standard_normal((1, 17, 11)).astype(np.float32)

    ours = jax.jit(lambda p, x: nnx.merge(graph, p)(x, jnp.array([17]), jnp.array([29]), 29))(
        params, x
    )

    rms, largest = support.relative_errors(ours[0], plain(params, x[0].astype(np.float64), 29))
    assert rms < 2e-6
    assert largest < 1e-5


def test_neither_padding_nor_neighbours_change_a_row():
    graph, params = small()
    run = jax.jit(lambda p, *given: nnx.merge(graph, p)(*given, 37))
    rng = np.random.default_rng(6)
    lengths, targets = rng.integers(2, 19, 3), rng.integers(2, 37, 3)
    x = rng.standard_normal((3, 19, 11)).astype(np.float32)
    past = np.arange(19)[None] >= lengths[:, None]
    ours = run(params, np.where(past[..., None], 0, x), lengths, targets)

    garbage = 1e4 * rng.standard_normal(x.shape).astype(np.float32)
    np.testing.assert_array_equal(
        run(params, np.where(past[..., None], garbage, x), lengths, targets), ours
    )
    others = x.copy()
    others[1:] = garbage[1:]
    elsewhere = run(params, others, np.array([lengths[0], 19, 1]), np.array([targets[0], 1, 37]))
    np.testing.assert_array_equal(elsewhere[0], ours[0])


def test_a_row_equals_its_unpadded_run():
    graph, params = small()
    x = np.random.default_rng(7).standard_normal((1, 19, 11)).astype(np.float32)
    run = jax.jit(
        lambda p, x, size: nnx.merge(graph, p)(x, jnp.array([13]), jnp.array([23]), size),
        static_argnums=2,
    )

    padded, alone = run(params, x, 37), run(params, x[:, :13], 23)

    assert support.relative_errors(padded[:, :23], alone)[1] < 3e-6


def test_the_norm_takes_one_mean_and_variance_over_the_valid_frames():
    rng = np.random.default_rng(8)
    x = (3 + rng.standard_normal((2, 11, 7))).astype(np.float32)
    norm = GroupNorm(7, rngs=nnx.Rngs(0))
    ours = norm(jnp.asarray(x), jnp.array([5, 11]))

    for row, given, length in zip(np.asarray(ours), x, (5, 11), strict=True):
        kept = given[:length].astype(np.float64)
        plainly = (kept - kept.mean()) / np.sqrt(kept.var() + 1e-5)
        np.testing.assert_allclose(row[:length], plainly, atol=2e-6)


def test_the_norm_of_a_long_row_is_exact():
    """As many numbers as a prompt of 15 s holds at the published width, around a large mean."""
    x = (50 + np.random.default_rng(9).standard_normal((1, 1291, 512))).astype(np.float32)
    ours = jax.jit(lambda x: GroupNorm(512, rngs=nnx.Rngs(0))(x, jnp.array([1291])))(x)

    wide = x.astype(np.float64)
    plainly = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5)
    assert support.relative_errors(ours, plainly)[0] < 2e-6


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 2e-2), ("float16", 3e-3)])
def test_half_precision_stays_close(dtype, tolerance):
    arrays = support.golden("length_regulator")
    ours = regulate(arrays["infer_in"], [35], [60], 60, dtype)

    assert ours.dtype == jnp.dtype(dtype)
    assert support.relative_errors(ours, arrays["condition"])[0] < tolerance
