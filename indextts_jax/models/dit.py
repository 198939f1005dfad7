"""Velocity field of the flow: a transformer with long skip connections, then a WaveNet."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

from indextts_jax.config import DiTConfig
from indextts_jax.layers.attention import attend
from indextts_jax.layers.feed_forward import SwiGLU
from indextts_jax.layers.linear import Linear
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.norms import LayerNorm
from indextts_jax.layers.parameters import Table
from indextts_jax.layers.rotary import rotary_tables, rotate
from indextts_jax.layers.stack import layer_at
from indextts_jax.layers.wavenet import WaveNet

TIME_SCALE = 1000.0
TIME_BASE = 10_000.0
RMS_EPS = 1e-5
FINAL_EPS = 1e-6

Attend = Callable[[Array, Array, Array, Array], Array]  # queries, keys, values, lengths


class Modulation(NamedTuple):
    """Everything that depends only on the time of a step: one row for each time.

    Stacked over a solver's steps, it is the input of the scan.
    """

    blocks: Float[Array, "r layers 4 d"]  # attention scale, bias; feed-forward scale, bias
    norm: Float[Array, "r 2 d"]  # scale, bias
    wavenet: Float[Array, "r j e"]
    final: Float[Array, "r 2 d"]  # shift, scale


class Window(NamedTuple):
    """A range of frames of each row: `size` frames from the row's own start."""

    starts: Int[Array, " b"]
    size: int

    def of(self, x: Float[Array, "b f c"]) -> Float[Array, "b w c"]:
        """The window of `x`; it must be within the frames."""
        return jax.vmap(lambda row, start: lax.dynamic_slice_in_dim(row, start, self.size))(
            x, self.starts
        )

    def into(self, x: Float[Array, "b w c"], frames: int) -> Float[Array, "b f c"]:
        """The inverse of `of`: the window's frames at their positions, zeros elsewhere."""
        zeros = jnp.zeros((x.shape[0], frames, x.shape[2]), x.dtype)
        return jax.vmap(
            lambda row, part, start: lax.dynamic_update_slice_in_dim(row, part, start, 0)
        )(zeros, x, self.starts)


def _halves(x: Float[Array, "r e"]) -> Float[Array, "r 2 d"]:
    return x.reshape(x.shape[0], 2, -1).astype(jnp.float32)


class TimeEmbedding(nnx.Module):
    """Sinusoidal embedding of a time in 0 .. 1, and an MLP.

    The frequencies are read from the published file: angles reach 1000 rad, so that rounding
    differences of recomputed frequencies would be visible.

    Source: `TimestepEmbedder` of the PyTorch release.
    """

    def __init__(self, cfg: DiTConfig, *, rngs: nnx.Rngs):
        exponents = jnp.arange(cfg.frequencies) / cfg.frequencies
        self.freqs = Table(TIME_BASE**-exponents)
        self.fc_in = Linear(2 * cfg.frequencies, cfg.width, rngs=rngs)
        self.fc_out = Linear(cfg.width, cfg.width, rngs=rngs)

    def __call__(self, times: Float[Array, " r"]) -> Float[Array, "r d"]:
        angles = (TIME_SCALE * times)[:, None] * self.freqs[...]
        waves = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)
        return self.fc_out(jax.nn.silu(self.fc_in(waves)))


class AdaptiveRMSNorm(nnx.Module):
    """RMS normalisation, with scale and bias projected from the time embedding.

    Source: `AdaptiveLayerNorm` of the PyTorch release.
    """

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.scale = nnx.Param(jnp.ones(width))
        self.projection = Linear(width, 2 * width, rngs=rngs)

    def modulation(self, t: Float[Array, "r d"]) -> Float[Array, "r 2 d"]:
        """Scale (multiplied by the stored one) and bias."""
        scale, bias = jnp.moveaxis(_halves(self.projection(t)), 1, 0)
        return jnp.stack([scale * self.scale[...].astype(jnp.float32), bias], axis=1)

    @staticmethod
    def apply(x: Float[Array, "b f d"], modulation: Float[Array, "r 2 d"]) -> Float[Array, "b f d"]:
        """Normalises and modulates `x`; `r` is `b` or 1."""
        x = x * lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + RMS_EPS)
        return x * modulation[:, :1] + modulation[:, 1:]


class Attention(nnx.Module):
    """Self-attention over all valid frames, with rotary positions.

    Source: `Attention` of the PyTorch release's `gpt_fast`, which rotates pairs of neighbouring
        dimensions; the importer permutes the heads' dimensions so that the two halves rotate.
    """

    def __init__(self, cfg: DiTConfig, *, fused_attention: bool = False, rngs: nnx.Rngs):
        self.heads = cfg.heads
        self.fused = fused_attention
        self.qkv = Linear(cfg.width, 3 * cfg.width, bias=False, rngs=rngs)
        self.out = Linear(cfg.width, cfg.width, bias=False, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b f d"],
        lengths: Int[Array, " b"],
        window: Window | None = None,
        form: Attend | None = None,
    ) -> Float[Array, "b w d"]:
        """Attention for every frame, or for those in a window.

        `form` is the attention function; default: the fastest one on the device.
        """
        frames, width = x.shape[1:]
        shape = (self.heads, width // self.heads)
        tables = rotary_tables(frames, shape[1])

        def heads(y: Float[Array, "b t d"]) -> Float[Array, "b t h k"]:
            return y.reshape(*y.shape[:2], *shape)

        q, k, v = (heads(y) for y in jnp.split(self.qkv(x), 3, axis=-1))
        q, k = rotate(q, tables), rotate(k, tables)
        if window is not None:
            q = heads(window.of(q.reshape(x.shape)))
        y = (form or functools.partial(attend, fused=self.fused))(q, k, v, lengths)
        return self.out(y.reshape(*y.shape[:2], width))


class Block(nnx.Module):
    """One layer of the transformer; its residual stream is float32."""

    def __init__(self, cfg: DiTConfig, *, fused_attention: bool = False, rngs: nnx.Rngs):
        self.norm_attention = AdaptiveRMSNorm(cfg.width, rngs=rngs)
        self.attention = Attention(cfg, fused_attention=fused_attention, rngs=rngs)
        self.norm_feed_forward = AdaptiveRMSNorm(cfg.width, rngs=rngs)
        self.feed_forward = SwiGLU(cfg.width, cfg.feed_forward, rngs=rngs)

    def modulation(self, t: Float[Array, "r d"]) -> Float[Array, "r 4 d"]:
        norms = (self.norm_attention, self.norm_feed_forward)
        return jnp.concatenate([norm.modulation(t) for norm in norms], axis=1)

    def __call__(
        self,
        x: Float[Array, "b f d"],
        modulation: Float[Array, "r 4 d"],
        lengths: Int[Array, " b"],
        window: Window | None = None,
        form: Attend | None = None,
    ) -> Float[Array, "b w d"]:
        """The block's output for every frame, or for those in a window."""
        y = self.norm_attention.apply(x, modulation[:, :2])
        y = self.attention(y, lengths, window, form)
        x = (x if window is None else window.of(x)) + y.astype(jnp.float32)
        y = self.norm_feed_forward.apply(x, modulation[:, 2:])
        return x + self.feed_forward(y).astype(jnp.float32)


class DiT(nnx.Module):
    """Velocity of the flow at every mel frame.

    U-Net skips: the outputs of the first half of the layers feed the second half, last to first.
    With an even number of layers the output of layer 0 is not used.

    A call is split into `prepare` (depends on the utterance), `tables` (on the times) and
    `evaluate` (on the state), so that a solver computes the first two once; `velocity` does all
    three.

    Source: `DiT.forward` of the PyTorch release.
    """

    def __init__(self, cfg: DiTConfig, *, fused_attention: bool = False, rngs: nnx.Rngs):
        width = cfg.width
        self.time = TimeEmbedding(cfg, rngs=rngs)
        self.wavenet_time = TimeEmbedding(cfg, rngs=rngs)
        self.condition = Linear(cfg.condition, width, rngs=rngs)
        # one matrix over concatenated inputs in the reference, split into four
        self.merge_x = Linear(cfg.mels, width, bias=False, rngs=rngs)
        self.merge_prompt = Linear(cfg.mels, width, bias=False, rngs=rngs)
        self.merge_condition = Linear(width, width, rngs=rngs)
        self.merge_style = Linear(cfg.style, width, bias=False, rngs=rngs)
        block = functools.partial(Block, cfg, fused_attention=fused_attention)
        self.blocks = nnx.vmap(lambda r: block(rngs=r))(rngs.split(cfg.layers))
        self.layers = cfg.layers
        self.receivers = (cfg.layers - 1) // 2
        skips = nnx.vmap(lambda r: Linear(2 * width, width, rngs=r))
        self.skips = skips(rngs.split(self.receivers)) if self.receivers else None
        self.norm = AdaptiveRMSNorm(width, rngs=rngs)
        self.long_skip = Linear(width + cfg.mels, width, rngs=rngs)
        self.wavenet_in = Linear(width, width, rngs=rngs)
        self.wavenet = WaveNet(width, cfg.wavenet, rngs=rngs)
        self.residual = Linear(width, width, rngs=rngs)
        self.final_norm = LayerNorm(width, eps=FINAL_EPS, affine=False, rngs=rngs)
        self.final_modulation = Linear(width, 2 * width, rngs=rngs)
        self.final = Linear(width, width, rngs=rngs)
        self.out = Linear(width, cfg.mels, rngs=rngs)

    def prepare(
        self,
        prompt: Float[Array, "b f m"],
        style: Float[Array, "b s"],
        condition: Float[Array, "b f c"],
    ) -> Float[Array, "b f d"]:
        """The utterance's contribution to the transformer's input, constant over the steps."""
        merged = self.merge_condition(self.condition(condition)).astype(jnp.float32)
        return merged + self.merge_prompt(prompt) + self.merge_style(style)[:, None]

    def prepare_unconditional(self) -> Float[Array, " d"]:
        """The same without prompt, style and condition: one vector for all frames.

        As in the reference, the condition is zeroed before its projection, whose bias therefore
        remains.
        """
        zeros = jnp.zeros((1, self.condition.kernel.shape[0]))
        return self.merge_condition(self.condition(zeros))[0].astype(jnp.float32)

    def tables(self, times: Float[Array, " r"]) -> Modulation:
        """Everything that depends only on the times."""
        t = self.time(times)
        blocks = [layer_at(self.blocks, i).modulation(t) for i in range(self.layers)]
        return self.modulation(times, t, jnp.stack(blocks, 1))

    def modulation(
        self,
        times: Float[Array, " r"],
        t: Float[Array, "r d"],
        blocks: Float[Array, "r layers 4 d"],
    ) -> Modulation:
        """The modulation from that of the blocks and the embedding of the times."""
        return Modulation(
            blocks=blocks,
            norm=self.norm.modulation(t),
            wavenet=self.wavenet.modulation(self.wavenet_time(times)),
            final=_halves(self.final_modulation(jax.nn.silu(t))),
        )

    def evaluate(
        self,
        x: Float[Array, "b f m"],
        base: Float[Array, "b f d"],
        modulation: Modulation,
        lengths: Int[Array, " b"],
        window: Window | None = None,
    ) -> Float[Array, "b w m"]:
        """The velocity from what `prepare` and `tables` give; `r` is `b`, or 1 for a common time.

        Frames past a row's length have no effect, and their velocity is undefined. With a window
        only its frames are computed in the last layer and the WaveNet, which saves work: other
        frames are needed only for keys and values. The WaveNet also mixes neighbouring frames, so
        if a window does not start with its row, the velocity of its first `margin` frames is
        undefined too.
        """
        mask = valid(lengths, x.shape[1])
        h = zero_padding(self.merge_x(x).astype(jnp.float32) + base, mask)
        h = self._transform(h, modulation.blocks, lengths, window)
        if window is not None:
            x, lengths = window.of(x), lengths - window.starts
        return self.read_out(h, x, modulation, lengths, self.wavenet)

    def read_out(
        self,
        h: Float[Array, "b f d"],
        x: Float[Array, "b f m"],
        modulation: Modulation,
        lengths: Int[Array, " b"],
        wavenet: Callable[[Array, Array, Array], Array],
    ) -> Float[Array, "b f m"]:
        """The velocity from the output of the transformer's last layer."""
        h = self.norm.apply(h, modulation.norm)
        h = self.long_skip(jnp.concatenate([h, x], axis=-1))
        y = wavenet(self.wavenet_in(h), modulation.wavenet, lengths)
        y = self.final_norm(y + self.residual(h).astype(jnp.float32))
        shift, scale = modulation.final[:, :1], modulation.final[:, 1:]
        return self.out(self.final(y * (1.0 + scale) + shift)).astype(jnp.float32)

    @property
    def margin(self) -> int:
        """Frames to either side that the WaveNet reads."""
        return self.wavenet.margin

    def _transform(
        self,
        x: Float[Array, "b f d"],
        modulation: Float[Array, "r layers 4 d"],
        lengths: Int[Array, " b"],
        window: Window | None,
    ) -> Float[Array, "b w d"]:
        """The transformer: layers that store skips, the middle layer, layers that receive skips."""

        def run(x: Array, i: int, window: Window | None = None) -> Array:
            return layer_at(self.blocks, i)(x, modulation[:, i], lengths, window)

        middle, last = self.layers // 2, self.layers - 1
        held: list[Array] = []
        for i in range(middle):
            x = run(x, i)
            held.append(x)
        x = run(x, middle, window if middle == last else None)
        for i in range(middle + 1, self.layers):
            assert self.skips is not None
            joined = jnp.concatenate([x, held.pop()], axis=-1)
            x = layer_at(self.skips, i - middle - 1)(joined).astype(jnp.float32)
            x = run(x, i, window if i == last else None)
        return x

    def velocity(
        self,
        x: Float[Array, "b f m"],
        prompt: Float[Array, "b f m"],
        times: Float[Array, " b"],
        style: Float[Array, "b s"],
        condition: Float[Array, "b f c"],
        lengths: Int[Array, " b"],
    ) -> Float[Array, "b f m"]:
        """The velocity of the state `x` at a time for each row.

        `prompt` is the prompt's mel followed by zeros; frames past a row's length are undefined.
        """
        base = self.prepare(prompt, style, condition)
        return self.evaluate(x, base, self.tables(times), lengths)
