"""Mel to waveform: BigVGAN v2."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from indextts_jax.config import VocoderConfig
from indextts_jax.layers.conv import Conv1d
from indextts_jax.layers.masks import valid, zero_padding
from indextts_jax.layers.snake import AntiAliasedSnake
from indextts_jax.layers.upsample import ConvTranspose1d


class Block(nnx.Module):
    """Pairs of convolutions around a residual stream, the first of each pair dilated.

    Activation 2i stands before the first convolution of pair i, 2i + 1 before the second.

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
        self, x: Float32[Array, "b n c"], lengths: Int[Array, " b"]
    ) -> Float32[Array, "b n c"]:
        mask = valid(lengths, x.shape[1])
        for i, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            y = self.activations[2 * i](x, lengths)
            y = first(zero_padding(y, mask))
            y = self.activations[2 * i + 1](y, lengths)
            y = second(zero_padding(y, mask))
            x = x + y.astype(jnp.float32)
        return x


class Vocoder(nnx.Module):
    """Log-mel frames to samples in [-1, 1]; a row's samples past its end are zero.

    The end of a row is its true end, wherever the array ends: zeros follow it before every
    convolution, and its last sample is repeated in every activation. So a padded row gives what it
    gives alone.

    Source: `BigVGAN` of the PyTorch release.
    """

    def __init__(self, cfg: VocoderConfig, *, rngs: nnx.Rngs):
        self.rates = cfg.rates
        self.mixed = len(cfg.block_kernels)  # blocks of one stage, whose results are averaged
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
        self, mel: Float[Array, "b f m"], lengths: Int[Array, " b"]
    ) -> Float32[Array, "b n"]:
        x = self.conv_pre(zero_padding(mel, valid(lengths, mel.shape[1])))
        for stage, rate in enumerate(self.rates):
            x = self.ups[stage](zero_padding(x, valid(lengths, x.shape[1])))
            lengths = lengths * rate
            x = x.astype(jnp.float32)
            blocks = self.blocks[stage * self.mixed : (stage + 1) * self.mixed]
            x = sum((block(x, lengths) for block in blocks), jnp.zeros((), x.dtype)) / self.mixed
        mask = valid(lengths, x.shape[1])
        x = self.conv_post(zero_padding(self.activation_post(x, lengths), mask))
        x = jnp.clip(x.astype(jnp.float32), -1, 1)
        return zero_padding(x, mask)[..., 0]
