import jax
import jax.numpy as jnp
import numpy as np
import pytest

from indextts_jax.training.objectives.tokens import ctc

FRAMES, COUNTS = np.array([11, 9, 5, 3]), np.array([4, 0, 3, 3])
LABELS = np.array([[1, 1, 4, 2], [3, 3, 3, 3], [2, 4, 2, 1], [1, 1, 1, 4]])


def logits(seed=0):
    return np.random.default_rng(seed).standard_normal((4, 11, 5), np.float32)


def test_loss_and_gradient_are_those_of_torch():
    torch = pytest.importorskip("torch")
    given = torch.from_numpy(logits()).requires_grad_()
    losses = torch.nn.functional.ctc_loss(
        given.log_softmax(-1).swapaxes(0, 1),
        torch.from_numpy(LABELS),
        torch.from_numpy(FRAMES),
        torch.from_numpy(COUNTS),
        reduction="none",
        zero_infinity=True,
    )
    losses.sum().backward()

    @jax.jit
    def ours(logits):
        def loss(logits):
            found = ctc.ctc_losses(logits, FRAMES, jnp.asarray(LABELS), COUNTS)
            return found.sum(), found

        return jax.grad(loss, has_aux=True)(logits)

    gradient, found = ours(logits())
    np.testing.assert_allclose(found, losses.detach().numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, given.grad.numpy(), atol=1e-5)


def test_labels_that_do_not_fit_are_found():
    fits = ctc.feasible(FRAMES, LABELS, COUNTS)

    np.testing.assert_array_equal(fits, [True, True, True, False])  # three ones need five frames


def distance(heard, labels):
    """Edit distance, by its definition."""
    table = np.add.outer(np.arange(len(heard) + 1), np.arange(len(labels) + 1))
    for i, letter in enumerate(heard, 1):
        for j, label in enumerate(labels, 1):
            ways = table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (letter != label)
            table[i, j] = min(ways)
    return table[-1, -1]


def test_edits_are_those_of_what_greedy_reading_hears():
    given = np.concatenate([logits(seed) for seed in range(6)])
    frames, labels, counts = (
        np.tile(each, (6, *[1] * (each.ndim - 1))) for each in (FRAMES, LABELS, COUNTS)
    )

    found = jax.jit(ctc.edits)(given, frames, labels, counts)

    expected = [
        distance(ctc.greedy(row[:length]), letters[:count])
        for row, length, letters, count in zip(given, frames, labels, counts, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)
    assert len(set(expected)) > 3
