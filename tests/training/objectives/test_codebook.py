import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.training.objectives.tokens import codebook
from indextts_jax.training.objectives.tokens.codebook import Codebook

KEY = jax.random.key(0)


def frames(count, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((count, 2), np.float32))


def follow(book, seen, codes, counting=None, idle_steps=100, decay=0.9):
    counting = jnp.ones(len(seen), bool) if counting is None else jnp.asarray(counting)
    given = (book, seen, jnp.asarray(codes), counting, KEY)
    return codebook.follow(*given, decay=decay, idle_steps=idle_steps)


def known(rows):
    rows = jnp.asarray(rows)
    return Codebook(rows, rows, jnp.ones(len(rows)), jnp.zeros(len(rows)))


def test_rows_are_moving_averages_of_their_frames():
    seen = frames(5)

    book = follow(known([[1.0, 2.0], [3.0, 4.0]]), seen, [0, 1, 0, 0, 1])

    for row, mine in enumerate(([0, 2, 3], [1, 4])):
        sums = 0.9 * np.array([[1.0, 2.0], [3.0, 4.0]])[row] + 0.1 * seen[np.array(mine)].sum(0)
        np.testing.assert_allclose(book.rows[row], sums / (0.9 + 0.1 * len(mine)), rtol=1e-5)


def test_rows_settle_on_the_mean_of_their_frames():
    seen, book = frames(6), known([[9.0, 9.0], [9.0, 9.0]])

    for _ in range(80):
        book = follow(book, seen, [0, 0, 0, 1, 1, 1], decay=0.8)

    np.testing.assert_allclose(book.rows[0], seen[:3].mean(axis=0), atol=1e-4)


def test_idle_rows_become_frames_that_count():
    seen, counting = frames(5), [True, True, False, True, False]
    book = known(frames(4, seed=1))._replace(idle=jnp.array([0.0, 0, 1, 2]))

    book = follow(book, seen, [0, 0, 0, 1, 1], counting, idle_steps=2)

    moved = np.asarray(book.rows[2:])
    for row in moved:
        assert np.abs(np.asarray(seen)[[0, 1, 3]] - row).sum(axis=1).min() < 1e-5
    np.testing.assert_array_equal(book.idle, 0)


def test_frames_that_do_not_count_have_no_effect():
    seen, book = frames(5), known(frames(2, seed=1))
    other = seen.at[3:].set(1e6)
    counting = [True, True, True, False, False]

    ours, expected = (follow(book, x, [0, 1, 0, 1, 1], counting) for x in (other, seen))

    jax.tree.map(np.testing.assert_array_equal, ours, expected)


def test_perplexity_is_the_number_of_equally_frequent_codes():
    codes, counting = jnp.array([[0, 1, 2, 3], [0, 1, 2, 2]]), jnp.array([[1, 1, 1, 0]] * 2, bool)

    counts = codebook.tally(codes, counting, 5)

    np.testing.assert_array_equal(counts, [2, 2, 2, 0, 0])
    found = codebook.usage(np.asarray(counts))
    np.testing.assert_allclose(found["perplexity"], 3, rtol=1e-6)
    assert found["codes_used"] == 0.6
    uneven = codebook.usage(np.array([3.0, 1, 0]))
    np.testing.assert_allclose(uneven["perplexity"], 4 / 3**0.75, rtol=1e-6)
