"""From noise to mel: Euler steps along the velocity field, with classifier-free guidance."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Key

from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.models.dit import DiT, Modulation, Window


def noise(
    keys: Key[Array, " b"], frames: int, mels: int, starts: Int[Array, " b"] | None = None
) -> Float[Array, "b {frames} {mels}"]:
    """Standard normal noise; each frame depends only on its row's key and its position.

    So the same key gives the same noise at every padded length. Positions count from 0, or from
    each row's own start.
    """

    def frame(key: Key[Array, ""], position: Int[Array, ""]) -> Float[Array, " m"]:
        return jax.random.normal(jax.random.fold_in(key, position), (mels,))

    row = jax.vmap(frame, in_axes=(None, 0))
    if starts is None:
        return jax.vmap(row, in_axes=(0, None))(keys, jnp.arange(frames))
    return jax.vmap(row)(keys, starts[:, None] + jnp.arange(frames))


def sample(
    dit: DiT,
    noise: Float[Array, "b f m"],
    prompt_mel: Float[Array, "b f m"],
    prompt_lengths: Int[Array, " b"],
    condition: Float[Array, "b f c"],
    style: Float[Array, "b s"],
    lengths: Int[Array, " b"],
    *,
    steps: int,
    guidance: float | Float[Array, ""],
    longest: int | None = None,
) -> Float[Array, "b f m"]:
    """The target's mel, with zeros in the prompt's frames and past each row's length.

    `lengths` counts prompt and target together, like the frames of `condition` and `noise`.
    `guidance` 0 runs only the conditional rows; as an array it can change without recompiling, but
    must not be 0. No target may have more than `longest` frames; this allows skipping most of the
    prompt's velocity, which is not used.

    Source: `BASECFM.solve_euler` of the PyTorch release.
    """
    frames = noise.shape[1]
    in_prompt = valid(prompt_lengths, frames)
    target = valid(lengths, frames) & ~in_prompt
    base = dit.prepare(zero_padding(prompt_mel, in_prompt), style, condition)
    window = None if longest is None else around(prompt_lengths, longest, dit.margin, frames)
    rows, guided = window, isinstance(guidance, jax.Array) or guidance > 0
    if guided:  # conditional rows first, then unconditional ones
        base = jnp.concatenate([base, jnp.broadcast_to(dit.prepare_unconditional(), base.shape)])
        lengths = jnp.concatenate([lengths, lengths])
        if window is not None:
            rows = Window(jnp.concatenate([window.starts, window.starts]), window.size)

    def step(
        x: Float[Array, "b f m"], inputs: tuple[Modulation, Float[Array, ""]]
    ) -> tuple[Float[Array, "b f m"], None]:
        modulation, dt = inputs
        modulation = jax.tree.map(lambda table: table[None], modulation)  # r = 1
        if guided:
            both = dit.evaluate(jnp.concatenate([x, x]), base, modulation, lengths, rows)
            conditional, unconditional = jnp.split(both, 2)
            velocity = (1.0 + guidance) * conditional - guidance * unconditional
        else:
            velocity = dit.evaluate(x, base, modulation, lengths, rows)
        if window is not None:
            velocity = window.into(velocity, frames)
        return zero_padding(x + dt * velocity, target), None

    times = np.linspace(0.0, 1.0, steps + 1, dtype=np.float32)
    inputs = (dit.tables(jnp.asarray(times[:-1])), jnp.asarray(np.diff(times)))
    return lax.scan(step, zero_padding(noise.astype(jnp.float32), target), inputs)[0]


def around(starts: Int[Array, " b"], longest: int, margin: int, frames: int) -> Window | None:
    """Windows that contain the targets and the margin before them; None if they would save nothing.

    Windows are shifted to stay inside the array, so that a margin may be longer, or begin with the
    row.
    """
    size = longest + margin
    if size >= frames:
        return None
    return Window(jnp.clip(starts - margin, 0, frames - size), size)


def follow(
    first: Float[Array, "b p c"],
    first_lengths: Int[Array, " b"],
    second: Float[Array, "b t c"],
    size: int,
) -> Float[Array, "b {size} c"]:
    """Concatenates the valid frames of `first` and `second` in each row; the rest is undefined."""
    positions = jnp.arange(size)
    lengths = first_lengths[:, None]
    indices = jnp.where(positions < lengths, positions, positions - lengths + first.shape[1])
    joined = jnp.concatenate([first, second.astype(first.dtype)], axis=1)
    indices = jnp.minimum(indices, joined.shape[1] - 1)
    return jnp.take_along_axis(joined, indices[..., None], axis=1)


def after(
    x: Float[Array, "b f c"], starts: Int[Array, " b"], size: int
) -> Float[Array, "b {size} c"]:
    """`size` frames of each row from its own start; undefined past the end."""
    indices = jnp.minimum(starts[:, None] + jnp.arange(size), x.shape[1] - 1)
    return jnp.take_along_axis(x, indices[..., None], axis=1)


def continue_mel(
    dit: DiT,
    noise: Float[Array, "b f m"],
    prompt_mel: Float[Array, "b p m"],
    prompt_condition: Float[Array, "b p c"],
    prompt_lengths: Int[Array, " b"],
    condition: Float[Array, "b t c"],
    lengths: Int[Array, " b"],
    style: Float[Array, "b s"],
    *,
    steps: int,
    guidance: float | Float[Array, ""],
) -> Float[Array, "b t m"]:
    """The mel of the target only, zero past each row's length.

    `lengths` counts the frames of the target. `noise` has the padded number of frames of the flow,
    at least prompt plus target in every row.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    size = noise.shape[1]
    mel = sample(
        dit,
        noise,
        follow(prompt_mel, prompt_lengths, jnp.zeros_like(prompt_mel), size),
        prompt_lengths,
        follow(prompt_condition, prompt_lengths, condition, size),
        style,
        prompt_lengths + lengths,
        steps=steps,
        guidance=guidance,
        longest=condition.shape[1],
    )
    frames = condition.shape[1]
    return zero_padding(after(mel, prompt_lengths, frames), valid(lengths, frames))
