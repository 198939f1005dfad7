"""The velocity field in training: layers scanned and rematerialised, dropout in the WaveNet.

The arithmetic is that of `DiT.velocity`; the loops differ, because gradients increase compile time
and memory.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from indextts_jax.layers.attention import together
from indextts_jax.layers.linear import Linear
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.stack import layer_at, part_of, scan
from indextts_jax.layers.wavenet import Drop, keep
from indextts_jax.models.dit import Block, DiT


def velocity(
    dit: DiT,
    x: Float[Array, "b f m"],
    prompt: Float[Array, "b f m"],
    times: Float[Array, " b"],
    style: Float[Array, "b s"],
    condition: Float[Array, "b f c"],
    lengths: Int[Array, " b"],
    *,
    drop: Drop = keep,
    remat: bool = False,
) -> Float[Array, "b f m"]:
    """The velocity of the state `x`, each row at a time of its own; see `DiT.velocity`.

    A row with zero prompt, style and condition is unconditional: `DiT.prepare` then equals
    `DiT.prepare_unconditional`. The layers must be stacked. `drop` is the WaveNet's dropout; with
    `remat` the backward pass recomputes layers.
    """
    base = dit.prepare(prompt, style, condition)
    t = dit.time(times)
    blocks = jax.vmap(lambda block: block.modulation(t))(dit.blocks)  # layers b 4 d
    modulation = dit.modulation(times, t, jnp.moveaxis(blocks, 0, 1))
    h = dit.merge_x(x).astype(jnp.float32) + base
    h = zero_padding(h, valid(lengths, x.shape[1]))
    h = _transform(dit, h, blocks, lengths, remat)
    wavenet = functools.partial(dit.wavenet.trained, drop=drop, remat=remat)
    return dit.read_out(h, x, modulation, lengths, wavenet)


def _transform(
    dit: DiT,
    x: Float[Array, "b f d"],
    modulation: Float[Array, "layers b 4 d"],
    lengths: Int[Array, " b"],
    remat: bool,
) -> Float[Array, "b f d"]:
    """The transformer in two scans, one on each side of the middle layer."""

    def run(x: Array, block: Block, modulation: Array) -> Array:
        # The same form on all devices: the gradient of `platform_dependent` would store the
        # intermediates of every branch.
        return block(x, modulation, lengths, form=together)

    def hand_on(x: Array, inputs: tuple[Block, Array]) -> tuple[Array, Array]:
        x = run(x, *inputs)
        return x, x

    def receive(x: Array, inputs: tuple[Block, Array, Linear, Array]) -> tuple[Array, None]:
        block, modulation, skip, held = inputs
        x = skip(jnp.concatenate([x, held], axis=-1)).astype(jnp.float32)
        return run(x, block, modulation), None

    middle = dit.layers // 2
    held = x[None, :0]
    if middle:
        x, held = scan(
            hand_on, x, (part_of(dit.blocks, 0, middle), modulation[:middle]), remat=remat
        )
    run_middle = jax.checkpoint(run) if remat else run
    x = run_middle(x, layer_at(dit.blocks, middle), modulation[middle])
    if dit.skips is not None:
        last = part_of(dit.blocks, middle + 1, dit.layers)
        held = held[::-1][: dit.receivers]
        x, _ = scan(receive, x, (last, modulation[middle + 1 :], dit.skips, held), remat=remat)
    return x
