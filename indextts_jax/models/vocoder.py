"""From mel to waveform: BigVGAN v2."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from indextts_jax.config import VocoderConfig
from indextts_jax.layers.conv import Conv1d
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.snake import REACH, AntiAliasedSnake
from indextts_jax.layers.upsample import ConvTranspose1d


class Block(nnx.Module):
    """Pairs of convolutions with residuals; the first of each pair is dilated.

    Activation 2i is applied before the first convolution of pair i, 2i + 1 before the second.

    Source: `AMPBlock1` of the PyTorch release.
    """

    def __init__(
        self,
        channels: int,
        kernel: int,
        dilations: tuple[int, ...],
        log_scale: bool,
        rngs: nnx.Rngs,
    ):
        self.first = nnx.List(
            [Conv1d(channels, channels, kernel, dilation=d, rngs=rngs) for d in dilations]
        )
        self.second = nnx.List([Conv1d(channels, channels, kernel, rngs=rngs) for _ in dilations])
        self.activations = nnx.List(
            [
                AntiAliasedSnake(channels, log_scale=log_scale, rngs=rngs)
                for _ in range(2 * len(dilations))
            ]
        )

    def __call__(
        self, x: Float32[Array, "b n c"], lengths: Int[Array, " b"] | None = None
    ) -> Float32[Array, "b n c"]:
        for i, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            y = self.activations[2 * i](x, lengths)
            y = first(_within(y, lengths))
            y = self.activations[2 * i + 1](y, lengths)
            y = second(_within(y, lengths))
            x = x + y.astype(jnp.float32)
        return x


class Vocoder(nnx.Module):
    """Log-mel frames to samples in [-1, 1]; samples past a row's end are zero.

    Every layer treats a row's true end as the end of the signal: zeros follow it in convolutions,
    and its last sample is repeated in activations. So padding does not change a row. Without
    lengths every row is as long as the array, which is faster in training, where segments are full.
    With `remat` the backward pass recomputes each block, whose intermediates are many times its
    input.

    Source: `BigVGAN` of the PyTorch release.
    """

    def __init__(self, cfg: VocoderConfig, *, rngs: nnx.Rngs):
        self.rates = cfg.rates
        self.mixed = len(cfg.block_kernels)  # blocks of a stage, to average
        self.conv_pre = Conv1d(cfg.mels, cfg.channels, cfg.outer_kernel, rngs=rngs)
        ups, blocks, channels = [], [], cfg.channels
        for rate, kernel in zip(cfg.rates, cfg.kernels, strict=True):
            ups.append(ConvTranspose1d(channels, channels // 2, kernel, rate, rngs=rngs))
            channels //= 2
            for size, dilations in zip(cfg.block_kernels, cfg.block_dilations, strict=True):
                blocks.append(Block(channels, size, dilations, cfg.log_scale, rngs))
        self.ups, self.blocks = nnx.List(ups), nnx.List(blocks)
        self.activation_post = AntiAliasedSnake(channels, log_scale=cfg.log_scale, rngs=rngs)
        self.conv_post = Conv1d(channels, 1, cfg.outer_kernel, bias=False, rngs=rngs)

    def __call__(
        self,
        mel: Float[Array, "b f m"],
        lengths: Int[Array, " b"] | None = None,
        *,
        remat: bool = False,
    ) -> Float32[Array, "b n"]:
        run = jax.checkpoint(Block.__call__) if remat else Block.__call__
        x = self.conv_pre(_within(mel, lengths))
        for stage, rate in enumerate(self.rates):
            x = self.ups[stage](_within(x, lengths))
            lengths = None if lengths is None else lengths * rate
            x = x.astype(jnp.float32)
            blocks = self.blocks[stage * self.mixed : (stage + 1) * self.mixed]
            x = (
                sum((run(block, x, lengths) for block in blocks), jnp.zeros((), x.dtype))
                / self.mixed
            )
        x = self.conv_post(_within(self.activation_post(x, lengths), lengths))
        x = jnp.clip(x.astype(jnp.float32), -1, 1)
        return _within(x, lengths)[..., 0]


def reach(cfg: VocoderConfig) -> int:
    """Frames to either side that the samples of a frame depend on: 38 in the published model."""
    first, last = 0, cfg.hop - 1  # the samples of frame 0, and what they are made from
    widest = max(
        sum((kernel // 2) * (dilation + 1) for dilation in dilations) + 2 * len(dilations) * REACH
        for kernel, dilations in zip(cfg.block_kernels, cfg.block_dilations, strict=True)
    )
    more = cfg.outer_kernel // 2 + REACH
    for rate, kernel in zip(reversed(cfg.rates), reversed(cfg.kernels), strict=True):
        more += widest
        padding = (kernel - rate) // 2
        first = -((kernel - 1 - padding - (first - more)) // rate)
        last = (last + more + padding) // rate
        more = 0
    return max(-first, last) + cfg.outer_kernel // 2


def _within(x: Float[Array, "b t c"], lengths: Int[Array, " b"] | None) -> Float[Array, "b t c"]:
    return x if lengths is None else zero_padding(x, valid(lengths, x.shape[1]))
