"""Kernels with a low-rank change (LoRA): `W + scale * A B`.

    adapter = draw(key, {"blocks": {"attention": {"qkv": {"kernel": kernel}}}}, rank=16)
    params = attach(params, adapter, scale=2.0)

An adapter is a nested dict like the parameters that it changes, with `{"down": A, "up": B}` in
place of a kernel. Stacked kernels have stacked A and B.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Key

from indextts_jax.layers.training.dropout import dropout, fold

Tree = dict[Any, Any]
DOWN, UP = "down", "up"


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Adapted:
    """A kernel and its low-rank change; `layers.matmul.product` accepts it as a kernel."""

    base: Any  # (i o), an array or an abstract one
    down: Any  # (i r)
    up: Any  # (r o)
    keys: Any = None  # one for each row (b), with dropout only
    scale: float = dataclasses.field(default=1.0, metadata={"static": True})
    rate: float = dataclasses.field(default=0.0, metadata={"static": True})
    """Dropout rate before `down`; active only with keys."""

    @property
    def dtype(self) -> jnp.dtype:
        """Dtype of the weights, in which products are computed."""
        return self.base.dtype

    def change(self, x: Float[Array, "*b i"]) -> Float32[Array, "*b o"]:
        """The change's part of the product, in the dtype of A and B, with float32 accumulation."""
        if self.keys is not None and self.rate > 0:
            x = dropout(x, self.keys, self.rate)
        for factor in (self.down, self.up):
            x = jnp.matmul(x.astype(factor.dtype), factor, preferred_element_type=jnp.float32)
        return self.scale * x


def with_keys(tree: Any, keys: Key[Array, " b"] | None) -> Any:
    """A module or tree whose adapted kernels use dropout, each with its own keys."""
    if keys is None:
        return tree
    number = itertools.count()

    def give(leaf: Any) -> Any:
        if not isinstance(leaf, Adapted):
            return leaf
        return dataclasses.replace(leaf, keys=fold(keys, next(number)))

    return jax.tree.map(give, tree, is_leaf=_is_adapted)


def select(params: Mapping[Any, Any], patterns: tuple[str, ...], prefix: str = "") -> Tree:
    """The part of a nested dict whose dotted paths match one of the patterns (`fnmatch`).

    Raises:
        ValueError: for a pattern that matches nothing.
    """
    used: set[str] = set()

    def walk(node: Mapping[Any, Any], prefix: str) -> Tree:
        found: Tree = {}
        for name, held in node.items():
            path = f"{prefix}{name}"
            if isinstance(held, Mapping):
                if below := walk(held, f"{path}."):
                    found[name] = below
            elif fitting := [pattern for pattern in patterns if fnmatch(path, pattern)]:
                used.update(fitting)
                found[name] = held
        return found

    selected = walk(params, prefix)
    if unused := [pattern for pattern in patterns if pattern not in used]:
        raise ValueError(f"no parameter matches {', '.join(unused)}")
    return selected


def draw(key: Key[Array, ""], kernels: Mapping[Any, Any], rank: int) -> Tree:
    """A new float32 adapter of kernels (arrays or shapes): A is N(0, 1 / rank), B is zero."""
    flat, structure = jax.tree.flatten(dict(kernels))

    def pair(key: Array, kernel: Any) -> Tree:
        *stack, inputs, outputs = kernel.shape
        down = jax.random.normal(key, (*stack, inputs, rank), jnp.float32) * rank**-0.5
        return {DOWN: down, UP: jnp.zeros((*stack, rank, outputs), jnp.float32)}

    keys = jax.random.split(key, len(flat))
    return jax.tree.unflatten(structure, [pair(*each) for each in zip(keys, flat, strict=True)])


def attach(
    params: Mapping[Any, Any], adapter: Mapping[Any, Any], *, scale: float, rate: float = 0.0
) -> Tree:
    """Parameters with adapted kernels; other leaves are unchanged.

    `scale` is alpha / rank times a strength; `rate` is the dropout rate.

    Raises:
        KeyError: for a kernel that the parameters do not have.
    """
    made = dict(params)
    for name, change in adapter.items():
        if change.keys() == {DOWN, UP}:
            made[name] = Adapted(params[name], change[DOWN], change[UP], scale=scale, rate=rate)
        else:
            made[name] = attach(params[name], change, scale=scale, rate=rate)
    return made


def _is_adapted(node: Any) -> bool:
    return isinstance(node, Adapted)
