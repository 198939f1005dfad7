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
