"""From semantic features at code rate to the condition at frame rate; the projection of latents."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

from indextts_jax.config import FeatureRegulatorConfig, LengthRegulatorConfig
from indextts_jax.layers.conv import Conv1d
from indextts_jax.layers.linear import Linear
from indextts_jax.layers.masks import valid, zero_padding

EPS = 1e-5  # epsilon of the group norms


def target_length(codes: int, frames_per_code: float) -> int:
    """Frames for a number of codes: truncated, in float32 arithmetic as in the reference.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """
    return int(np.float32(codes) * np.float32(frames_per_code))


def stretched_length(codes: int, frames_per_code: float, factor: float = 1.0) -> int:
    """Frames for a number of codes in version 2.5: truncated, in double precision.

    `factor` stretches them: above 1 is slower.

    Source: `IndexTTS2.infer_generator` of the PyTorch release, version 2.5.
    """
    return int((codes * frames_per_code) * factor)


def nearest_indices(length: int, target: int) -> np.ndarray:
    """Nearest-neighbour indices of `target` frames in `length` frames, on the host.

    The ratio and the products are rounded to float32 as in PyTorch; exact integers (`i * length //
    target`) would occasionally differ.

    Source: `torch.nn.functional.interpolate`, mode `nearest`.
    """
    ratio = np.float32(length) / np.float32(target)
    indices = np.floor(np.arange(target, dtype=np.float32) * ratio).astype(np.int32)
    return np.minimum(indices, length - 1)


def rounded_ratio(
    numerators: Int[Array, " b"], denominators: Int[Array, " b"], guesses: Float[Array, " b"]
) -> Float[Array, " b"]:
    """Correctly rounded float32 quotients on any device, from estimates a few ulp off.

    Accelerators divide approximately, and an error of one ulp can change an index. The remainder of
    an estimate `m * 2**-k` is small, so 32-bit integers represent it exactly even with wrap-around;
    it gives the error in ulp. Both numbers must be in 1 .. 32767, where no quotient is a rounding
    tie.
    """
    fraction, exponents = jnp.frexp(guesses)
    mantissas = (fraction * 2.0**24).astype(jnp.int32)
    shifts = 24 - exponents
    shifted = jnp.where(shifts < 32, numerators << jnp.minimum(shifts, 31), 0)
    remainders = shifted - mantissas * denominators
    mantissas = mantissas + (2 * remainders + denominators) // (2 * denominators)
    return jnp.ldexp(mantissas.astype(jnp.float32), -shifts)


def batch_nearest_indices(
    lengths: Int[Array, " b"], targets: Int[Array, " b"], size: int
) -> Int[Array, "b {size}"]:
    """`nearest_indices` of each row on the device; past a row's target, the last index."""
    lengths, targets = jnp.maximum(lengths, 1), jnp.maximum(targets, 1)
    guesses = lengths.astype(jnp.float32) / targets.astype(jnp.float32)
    ratios = rounded_ratio(lengths, targets, guesses)
    indices = jnp.floor(jnp.arange(size, dtype=jnp.float32) * ratios[:, None]).astype(jnp.int32)
    return jnp.minimum(indices, lengths[:, None] - 1)


class GroupNorm(nnx.Module):
    """Group normalisation with one group over the valid frames and all channels of a row."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))

    def __call__(
        self, x: Float[Array, "b f c"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b f c"]:
        mask = valid(lengths, x.shape[1])
        counts = jnp.maximum(lengths, 1).astype(jnp.float32)

        def mean(values: Float[Array, "b f c"]) -> Float[Array, "b 1 1"]:
            # channels first, then frames: nested sums lose less precision
            frames = jnp.where(mask, jnp.mean(values, axis=-1), 0.0)
            return (jnp.sum(frames, axis=-1) / counts)[:, None, None]

        wide = x.astype(jnp.float32)
        centred = wide - mean(wide)
        y = centred * lax.rsqrt(mean(centred * centred) + EPS)
        y = y * self.scale[...].astype(jnp.float32) + self.bias[...].astype(jnp.float32)
        return y.astype(x.dtype)


class Layer(nnx.Module):
    """Convolution, normalisation and Mish at frame rate; the output's padding is not zero."""

    def __init__(self, cfg: LengthRegulatorConfig | FeatureRegulatorConfig, *, rngs: nnx.Rngs):
        self.conv = Conv1d(cfg.width, cfg.width, cfg.kernel, rngs=rngs)
        self.norm = GroupNorm(cfg.width, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b f c"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b f c"]:
        x = self.conv(zero_padding(x, valid(lengths, x.shape[1])))
        return jax.nn.mish(self.norm(x, lengths))


class FeatureRegulator(nnx.Module):
    """Stretches semantic features to mel frames.

    Prompt and target must be regulated separately, because the norms run over whole sequences.
    Source: `InterpolateRegulator` of the PyTorch release.
    """

    def __init__(self, cfg: LengthRegulatorConfig | FeatureRegulatorConfig, *, rngs: nnx.Rngs):
        self.input = Linear(cfg.features, cfg.width, rngs=rngs)
        self.layers = nnx.vmap(lambda r: Layer(cfg, rngs=r))(rngs.split(cfg.layers))
        self.output = Linear(cfg.width, cfg.width, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b s features"],
        lengths: Int[Array, " b"],
        target_lengths: Int[Array, " b"],
        size: int,
    ) -> Float[Array, "b {size} c"]:
        """The condition: `size` frames, zero past each row's target length.

        Lengths must be below 32768. Resampling indices are exact on any device, see
        `rounded_ratio`.
        """
        indices = batch_nearest_indices(lengths, target_lengths, size)
        return self._regulated(x, indices, target_lengths, size)

    def at_ratio(
        self,
        x: Float[Array, "b s features"],
        lengths: Int[Array, " b"],
        target_lengths: Int[Array, " b"],
        ratios: Float[Array, " b"],
        size: int,
    ) -> Float[Array, "b {size} c"]:
        """The condition of a sequence that is not finished: each frame has its own place already.

        `ratios` are the rows of `x` for a frame, rounded to float32; where they are those of the
        lengths, this is the same as a call.
        """
        indices = jnp.floor(jnp.arange(size, dtype=jnp.float32) * ratios[:, None])
        indices = jnp.minimum(indices.astype(jnp.int32), lengths[:, None] - 1)
        return self._regulated(x, indices, target_lengths, size)

    def _regulated(
        self,
        x: Float[Array, "b s features"],
        indices: Int[Array, "b {size}"],
        target_lengths: Int[Array, " b"],
        size: int,
    ) -> Float[Array, "b {size} c"]:
        y = jnp.take_along_axis(self.input(x), indices[..., None], axis=1)
        y = lax.scan(lambda y, layer: (layer(y, target_lengths), None), y, self.layers)[0]
        return zero_padding(self.output(y), valid(target_lengths, size))


class LengthRegulator(FeatureRegulator):
    """The regulator of version 2.0, which also projects latents to semantic features.

    Source: `InterpolateRegulator` and `gpt_layer` of the PyTorch release.
    """

    def __init__(self, cfg: LengthRegulatorConfig, *, rngs: nnx.Rngs):
        widths = (cfg.latents, *cfg.projection, cfg.features)
        self.latent_projection = nnx.List(
            [Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(widths)]
        )
        super().__init__(cfg, rngs=rngs)

    def project(self, latents: Float[Array, "b s d"]) -> Float[Array, "b s features"]:
        """The latents at the width of the semantic features, to be added to them."""
        for linear in self.latent_projection:
            latents = linear(latents)
        return latents
