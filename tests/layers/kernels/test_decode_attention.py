"""The kernel for a decoding step on NVIDIA GPUs, run as plain JAX; and its lowering."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.layers.kernels.decode_attention import BLOCK, SHARES, Filled, attend_filled
from indextts_jax.layers.split_attention import KeyBlock, attend

HEADS, ROWS = 2, 3


def inputs(beams, room, steps, width=16, dtype="float32", rows=ROWS):
    """Tokens of all beams; caches with room for a prefix and for codes; who inherits which."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(rng.standard_normal(shape, np.float32), dtype)

    tokens = normal(rows * beams, 3, HEADS, width)
    caches = [normal(rows, HEADS, room + steps * beams, width) for _ in range(2)]
    owner = rng.integers(0, beams, (rows, beams, steps, 1))
    return tokens, caches, jnp.asarray(owner == np.arange(beams)).reshape(rows, beams, -1)


def kernel(tokens, caches, inherited, known, steps):
    """The kernel with so many rows of the prefix, and steps of the codes; and the caches."""
    filled = Filled(jnp.asarray(known), jnp.asarray(steps) * inherited.shape[1])
    return attend_filled(tokens, *caches, filled, inherited, interpret=True)


def plain(tokens, caches, inherited, known, steps):
    rows, beams, codes = inherited.shape
    query, key, value = jnp.moveaxis(tokens.reshape(rows, beams, *tokens.shape[1:]), (2, 3), (0, 2))
    room = caches[0].shape[2] - codes
    first = jnp.arange(room) < jnp.asarray(known)[:, None]
    written = jnp.arange(codes) < beams * jnp.asarray(steps)[:, None]
    keys, values = jnp.swapaxes(caches[0], 2, 3), caches[1]
    parts = [
        KeyBlock(keys[..., :room], values[:, :, :room], first[:, None]),
        KeyBlock(keys[..., room:], values[:, :, room:], inherited & written[:, None]),
        KeyBlock(jnp.swapaxes(key, 2, 3), value, jnp.eye(beams, dtype=bool)),
    ]
    return jnp.moveaxis(attend(query, parts), 2, 1).reshape(-1, *tokens.shape[2:])


FILLED = [  # one block for all, less than one for each, and several for each; whole and broken ones
    (3, 48, 64, 16, [1, 48, 17], [0, 63, 21]),
    (1, BLOCK, 2 * BLOCK, 64, [BLOCK, 5, 1], [2 * BLOCK - 1, BLOCK, 0]),
    (5, 3 * SHARES * BLOCK + 16, 400, 32, [3000, 3 * SHARES * BLOCK + 9, 64], [399, 3, 333]),
    (17, 32, 32, 16, [20, 3, 32], [30, 1, 0]),
]


@pytest.mark.parametrize(
    ("sizes", "dtype", "apart"),
    [
        *((sizes, "float32", 1e-6) for sizes in FILLED[1:3]),
        *(pytest.param(s, "float32", 1e-6, marks=pytest.mark.nightly) for s in FILLED[::3]),
        (FILLED[2], "float16", 3e-4),
        (FILLED[2], "bfloat16", 3e-3),
    ],
)
def test_the_kernel_is_the_plain_computation(sizes, dtype, apart):
    beams, room, steps, width, known, filled = sizes
    given = inputs(beams, room, steps, width, dtype)

    ours, *_ = kernel(*given, known, filled)

    assert ours.dtype == jnp.float32
    np.testing.assert_allclose(ours, plain(*given, known, filled), rtol=0, atol=apart)


def spoilt(cache, known, steps, room, beams=3):
    """A cache with NaN in every entry that is not filled."""
    position = jnp.arange(cache.shape[2])
    code = (position >= room) & (position < room + beams * jnp.asarray(steps)[:, None])
    filled = (position < jnp.asarray(known)[:, None]) | code
    return jnp.where(filled[:, None, :, None], cache, jnp.nan)


def test_unfilled_entries_have_no_effect():
    """Not even where it is no number. (How much is read shows in the machine code alone.)"""
    given = [3, 100, 64], [0, 150, 22]
    tokens, caches, inherited = inputs(3, 112, 160)
    others = [spoilt(cache, *given, 112) for cache in caches]

    np.testing.assert_array_equal(
        kernel(tokens, others, inherited, *given)[0], kernel(tokens, caches, inherited, *given)[0]
    )


def test_own_entries_are_written_behind_the_filled_ones():
    tokens, caches, inherited = inputs(3, 16, 80)
    steps = [70, 0, 79]

    _, *written = kernel(tokens, caches, inherited, [10] * ROWS, steps)

    for which, (before, after) in enumerate(zip(caches, written, strict=True)):
        expected = np.array(before)
        for row, step in enumerate(steps):
            own = np.asarray(tokens[3 * row : 3 * row + 3, 1 + which])  # r h k
            expected[row, :, 16 + 3 * step : 19 + 3 * step] = own.swapaxes(0, 1)
        np.testing.assert_array_equal(after, expected)


def test_entries_of_other_beams_have_no_effect():
    tokens, caches, inherited = inputs(3, 16, 80)
    mine = jnp.pad(inherited[:, 1], ((0, 0), (16, 0)), constant_values=True)
    others = [jnp.where(mine[:, None, :, None], cache, 1e30) for cache in caches]
    given = [inherited, [10] * ROWS, [70, 50, 3]]

    np.testing.assert_array_equal(
        kernel(tokens, others, *given)[0][1::3], kernel(tokens, caches, *given)[0][1::3]
    )


def test_row_is_bitwise_independent_of_other_rows_and_padding():
    tokens, caches, inherited = inputs(3, 48, 304)
    known, steps = [33, 48, 17], [21, 303, 129]
    together, *_ = kernel(jnp.pad(tokens, ((0, 7), *[(0, 0)] * 3)), caches, inherited, known, steps)
    cut = slice(0, 1)
    alone, *_ = kernel(
        tokens[:3],
        [cache[cut, :, : 48 + 96] for cache in caches],
        inherited[cut, :, :96],
        known[cut],
        steps[cut],
    )

    np.testing.assert_array_equal(together[:3], alone)


def test_a_beam_with_nothing_behind_it_gathers_its_own_value():
    given = inputs(3, 16, 16)

    ours, *_ = kernel(*given, [0] * ROWS, [0] * ROWS)

    np.testing.assert_array_equal(ours, given[0][:, 2])


def test_the_kernel_is_for_cuda():
    tokens, caches, inherited = inputs(3, 112, 48, 64, "bfloat16")
    given = tokens, *caches, Filled(jnp.zeros(ROWS, int), jnp.zeros(ROWS, int)), inherited
    call = jax.jit(attend_filled)

    assert support.kernels(call, *given) == 1
    with pytest.raises(ValueError, match="interpret mode"):
        support.kernels(call, *given, platform="cpu")
