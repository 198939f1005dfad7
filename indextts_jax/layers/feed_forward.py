"""Position-wise feed-forward layers of transformer blocks: plain and gated."""

from collections.abc import Callable

import jax
from flax import nnx
from jaxtyping import Array, Float

from indextts_jax.layers.linear import Linear

Activation = Callable[[Array], Array]


class FeedForward(nnx.Module):
    """Two affine maps with an activation between them.

    Source: `PositionwiseFeedForward` of the PyTorch release, `GPT2MLP` of transformers.
    """

    def __init__(self, width: int, hidden: int, activation: Activation, *, rngs: nnx.Rngs):
        self.activation = activation
        self.fc_in = Linear(width, hidden, rngs=rngs)
        self.fc_out = Linear(hidden, width, rngs=rngs)

    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        return self.fc_out(self.activation(self.fc_in(x)))


class SwiGLU(nnx.Module):
    """Gated feed-forward: SiLU of one linear map times another, projected back; no biases.

    Source: `FeedForward` of the PyTorch release's `gpt_fast`, `Qwen3MLP` of transformers.
    """

    def __init__(self, width: int, hidden: int, *, rngs: nnx.Rngs):
        self.gate = Linear(width, hidden, bias=False, rngs=rngs)
        self.up = Linear(width, hidden, bias=False, rngs=rngs)
        self.down = Linear(hidden, width, bias=False, rngs=rngs)

    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        return self.down(jax.nn.silu(self.gate(x)) * self.up(x))
