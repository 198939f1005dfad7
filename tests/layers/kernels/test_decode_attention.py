"""The kernel for a decoding step on NVIDIA GPUs, run as plain JAX; and its lowering."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.layers.kernels.decode_attention import BLOCK, SHARES, Entries, attend_filled
from indextts_jax.layers.split_attention import KeyBlock, attend

HEADS, ROWS = 2, 3


def inputs(beams, room, steps, width=16, dtype="float32", rows=ROWS):
    """The beams' queries, keys and values; a prefix and codes with such room; who owns which."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(rng.standard_normal((rows, HEADS, *shape), np.float32), dtype)

    tokens = [normal(beams, width) for _ in range(3)]
    prefix = normal(width, room), normal(room, width)
    codes = normal(width, steps * beams), normal(steps * beams, width)
    owner = rng.integers(0, beams, (rows, beams, steps, 1))
    return tokens, prefix, codes, jnp.asarray(owner == np.arange(beams)).reshape(rows, beams, -1)


def kernel(tokens, prefix, codes, inherited, known, steps):
    """The kernel with so many rows of the prefix, and steps of the codes."""
    filled = jnp.asarray(steps) * tokens[0].shape[2]
    given = Entries(*prefix, jnp.asarray(known)), Entries(*codes, filled)
    return attend_filled(*tokens, *given, inherited, interpret=True)


def plain(tokens, prefix, codes, inherited, known, steps):
    query, key, value = tokens
    beams = query.shape[2]
    first = jnp.arange(prefix[0].shape[3]) < jnp.asarray(known)[:, None]
    written = jnp.arange(inherited.shape[2]) < beams * jnp.asarray(steps)[:, None]
    parts = [
        KeyBlock(*prefix, first[:, None]),
        KeyBlock(*codes, inherited & written[:, None]),
        KeyBlock(jnp.swapaxes(key, 2, 3), value, jnp.eye(beams, dtype=bool)),
    ]
    return attend(query, parts)


FILLED = [  # one block for all, less than one for each, and several for each; whole and broken ones
    (3, 48, 64, 16, [1, 48, 17], [0, 64, 21]),
    (1, BLOCK, 2 * BLOCK, 64, [BLOCK, 5, 1], [2 * BLOCK, BLOCK, 0]),
    (5, 3 * SHARES * BLOCK + 16, 400, 32, [3000, 3 * SHARES * BLOCK + 9, 64], [400, 3, 333]),
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

    ours = kernel(*given, known, filled)

    assert ours.dtype == jnp.float32
    np.testing.assert_allclose(ours, plain(*given, known, filled), rtol=0, atol=apart)


def test_unfilled_entries_have_no_effect():
    """Not even where it is no number. (How much is read shows in the machine code alone.)"""
    known, steps = [3, 100, 64], [0, 150, 22]
    tokens, prefix, codes, inherited = inputs(3, 112, 160)

    def spoilt(entries, filled):
        beyond = jnp.arange(entries[0].shape[3]) >= jnp.asarray(filled)[:, None]
        keys = jnp.where(beyond[:, None, None], jnp.nan, entries[0])
        return keys, jnp.where(beyond[:, None, :, None], jnp.nan, entries[1])

    others = spoilt(prefix, known), spoilt(codes, 3 * np.array(steps))

    np.testing.assert_array_equal(
        kernel(tokens, *others, inherited, known, steps),
        kernel(tokens, prefix, codes, inherited, known, steps),
    )


def test_entries_of_other_beams_have_no_effect():
    tokens, prefix, codes, inherited = inputs(3, 16, 80)
    mine = inherited[:, 1]
    others = (
        jnp.where(mine[:, None, None], codes[0], 1e30),
        jnp.where(mine[:, None, :, None], codes[1], 1e30),
    )
    given = [inherited, [10] * ROWS, [70, 50, 3]]

    np.testing.assert_array_equal(
        kernel(tokens, prefix, others, *given)[:, :, 1],
        kernel(tokens, prefix, codes, *given)[:, :, 1],
    )


def test_row_is_bitwise_independent_of_longer_rows():
    tokens, prefix, codes, inherited = inputs(3, 512, 304)
    known, steps = [33, 500, 64], [21, 304, 129]
    together = kernel(tokens, prefix, codes, inherited, known, steps)
    cut = slice(0, 1)
    alone = kernel(
        [token[cut] for token in tokens],
        (prefix[0][cut, ..., :48], prefix[1][cut, :, :48]),
        (codes[0][cut, ..., :96], codes[1][cut, :, :96]),
        inherited[cut, :, :96],
        known[cut],
        steps[cut],
    )

    np.testing.assert_array_equal(together[cut], alone)


def test_a_beam_with_nothing_behind_it_gathers_its_own_value():
    given = inputs(3, 16, 16)

    ours = kernel(*given, [0] * ROWS, [0] * ROWS)

    np.testing.assert_array_equal(ours, given[0][2])


def test_the_kernel_is_for_cuda():
    tokens, prefix, codes, inherited = inputs(3, 112, 48, 64, "bfloat16")
    filled = jnp.zeros(ROWS, int)
    given = *tokens, Entries(*prefix, filled), Entries(*codes, filled), inherited
    call = jax.jit(attend_filled)

    assert support.kernels(call, *given) == 1
    with pytest.raises(ValueError, match="interpret mode"):
        support.kernels(call, *given, platform="cpu")
