"""Semantic features of a prompt to conditioning latents and to an emotion vector."""

from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from indextts_jax.config import ConditioningConfig, StyleConditioningConfig
from indextts_jax.layers.conformer import Conformer
from indextts_jax.layers.linear import Linear
from indextts_jax.layers.perceiver import Perceiver


class EmotionConditioning(nnx.Module):
    """A prompt's emotion as one vector; what every version has.

    `semantic` are normalised semantic features, `lengths` the frames of each row (at least 3).
    """

    def __init__(self, cfg: ConditioningConfig | StyleConditioningConfig, *, rngs: nnx.Rngs):
        self.emotion_encoder = Conformer(cfg.emotion_encoder, rngs=rngs)
        self.emotion_perceiver = Perceiver(cfg.emotion_perceiver, rngs=rngs)
        self.emovec_layer = Linear(cfg.emotion_perceiver.width, cfg.width, rngs=rngs)
        self.emo_layer = Linear(cfg.width, cfg.width, rngs=rngs)

    def encode_emotion(
        self, semantic: Float[Array, "b t c"], lengths: Int[Array, " b"]
    ) -> tuple[Float[Array, "b u d"], Bool[Array, "b u"]]:
        """The emotion conformer's frames and their mask."""
        return self.emotion_encoder(semantic, lengths)

    def emotion_summary(
        self, semantic: Float[Array, "b t c"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b d"]:
        """The emotion perceiver's single latent.

        Source: `UnifiedVoice.get_emo_conditioning` of the PyTorch release.
        """
        return self.emotion_perceiver(*self.encode_emotion(semantic, lengths))[:, 0]

    def emotion_vector(
        self, semantic: Float[Array, "b t c"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b d"]:
        """The emotion vector of a prompt, in the width of the GPT.

        Source: `UnifiedVoice.get_emovec` of the PyTorch release.
        """
        return self.emo_layer(self.emovec_layer(self.emotion_summary(semantic, lengths)))


class Conditioning(EmotionConditioning):
    """The conditioning of the GPT in version 2.0: the voice as latents, the emotion as one vector.

    Arguments as in `EmotionConditioning`.
    """

    def __init__(self, cfg: ConditioningConfig, *, rngs: nnx.Rngs):
        self.speaker_encoder = Conformer(cfg.speaker_encoder, rngs=rngs)
        self.speaker_perceiver = Perceiver(cfg.speaker_perceiver, rngs=rngs)
        super().__init__(cfg, rngs=rngs)

    def encode_speaker(
        self, semantic: Float[Array, "b t c"], lengths: Int[Array, " b"]
    ) -> tuple[Float[Array, "b u d"], Bool[Array, "b u"]]:
        """The speaker conformer's frames and their mask."""
        return self.speaker_encoder(semantic, lengths)

    def speaker_latents(
        self, semantic: Float[Array, "b t c"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b l d"]:
        """Conditioning latents of the speaker prompt, without the emotion vector.

        Source: `UnifiedVoice.get_conditioning` of the PyTorch release.
        """
        return self.speaker_perceiver(*self.encode_speaker(semantic, lengths))


class StyleConditioning(EmotionConditioning):
    """The conditioning of the GPT in version 2.5: the voice as one row, the emotion as one vector.

    The row is the projected style vector, which is not normalised before.
    """

    def __init__(self, cfg: StyleConditioningConfig, *, rngs: nnx.Rngs):
        self.speaker_projection = Linear(cfg.style, cfg.width, rngs=rngs)
        super().__init__(cfg, rngs=rngs)

    def style_latents(self, style: Float[Array, "b c"]) -> Float[Array, "b 1 d"]:
        """The conditioning row of a style vector, without the emotion vector.

        Source: `UnifiedVoice.inference_speech` of the PyTorch release.
        """
        return self.speaker_projection(style)[:, None]
