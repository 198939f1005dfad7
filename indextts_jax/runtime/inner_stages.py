"""Intermediate results of the stages, compiled for validation only."""

from jaxtyping import Array, Bool, Float, Float32, Int

from indextts_jax.runtime.model import Model
from indextts_jax.runtime.stages import AnyArray
from indextts_jax.sampling import flow as flow_loop
from indextts_jax.sampling.generate import replay


def hidden_states(
    model: Model, features: Float[AnyArray, "b t c"], mask: Bool[AnyArray, "b t"]
) -> Float[Array, "states b t d"]:
    """The hidden states of the semantic encoder before its first layer and after each layer."""
    return model.run_stage("semantic_encoder", "hidden_states", features, mask)


def encode_semantic(
    model: Model, semantic: Float[AnyArray, "b t d"], lengths: Int[AnyArray, " b"]
) -> Float[Array, "b s d"]:
    """Semantic features out of the codec's encoder, before they are quantised."""
    return model.run_stage("semantic_codec", "encode", semantic, lengths)


def downsample(
    model: Model, semantic: Float[AnyArray, "b t d"], lengths: Int[AnyArray, " b"]
) -> Float[Array, "b s d"]:
    """Semantic features at the rate of the codes (2.5), before they are encoded."""
    return model.run_stage("semantic_codec", "downsample", semantic, lengths)


def project_semantic(
    model: Model, semantic: Float[AnyArray, "b t d"], lengths: Int[AnyArray, " b"]
) -> Float[Array, "b s c"]:
    """Encoded features in the space of the codebook (2.5)."""
    return model.run_stage("semantic_codec", "project", semantic, lengths)


def decode_at_code_rate(
    model: Model, codes: Int[AnyArray, "b s"], lengths: Int[AnyArray, " b"]
) -> Float[Array, "b s d"]:
    """The output of the codec's decoder (2.5), a row for each code."""
    return model.run_stage("semantic_codec", "decode_at_code_rate", codes, lengths)


def style_head(
    model: Model, banks: Float[AnyArray, "b t m"], lengths: Int[AnyArray, " b"]
) -> Float[Array, "b t c"]:
    """The output of the two-dimensional head of the style encoder."""
    return model.run_stage("style_encoder", "head", banks, lengths)


def encode_speaker(
    model: Model, semantic: Float[AnyArray, "b t d"], lengths: Int[AnyArray, " b"]
) -> tuple[Float[Array, "b u c"], Bool[Array, "b u"]]:
    """Frames of the speaker conformer, and the mask of the valid ones."""
    return model.run_stage("conditioning", "encode_speaker", semantic, lengths)


def encode_emotion(
    model: Model, semantic: Float[AnyArray, "b t d"], lengths: Int[AnyArray, " b"]
) -> tuple[Float[Array, "b u c"], Bool[Array, "b u"]]:
    """Frames of the emotion conformer, and the mask of the valid ones."""
    return model.run_stage("conditioning", "encode_emotion", semantic, lengths)


def emotion_summary(
    model: Model, semantic: Float[AnyArray, "b t d"], lengths: Int[AnyArray, " b"]
) -> Float[Array, "b c"]:
    """The single latent of the emotion perceiver."""
    return model.run_stage("conditioning", "emotion_summary", semantic, lengths)


def prototype_rows(model: Model, style: Float[AnyArray, "b s"]) -> Int[Array, "b g"]:
    """For each emotion, the row of the stored voice nearest to a style vector."""
    return model.run_stage("emotion_prototypes", "rows", style)


def conditioning_rows(
    model: Model, latents: Float[AnyArray, "b l w"], emotion: Float[AnyArray, "b w"]
) -> Float32[Array, "b p w"]:
    """The rows of the GPT before the text."""
    return model.run_stage("gpt", "conditioning", latents, emotion)


def without_special(
    model: Model, text: Int[AnyArray, "b t"], lengths: Int[AnyArray, " b"]
) -> tuple[Int[Array, "b t"], Int[Array, " b"]]:
    """The text tokens without start and stop, moved together, and their counts."""
    return model.run_stage("gpt", "without_special", text, lengths)


def prefix(
    model: Model,
    latents: Float[AnyArray, "b l w"],
    emotion: Float[AnyArray, "b w"],
    text: Int[AnyArray, "b t"],
    text_lengths: Int[AnyArray, " b"],
    *own: Int[AnyArray, " b"],
) -> tuple[Float32[Array, "b p w"], Int[Array, " b"]]:
    """The GPT's input before the codes (conditioning and text), and the number of valid rows.

    `own` is what only the model's version has: the languages of the rows (2.5).
    """
    return model.run_stage("gpt", "prefix", latents, emotion, text, text_lengths, *own)


def replay_logits(
    model: Model,
    latents: Float[AnyArray, "b l w"],
    emotion: Float[AnyArray, "b w"],
    text: Int[AnyArray, "b t"],
    text_lengths: Int[AnyArray, " b"],
    codes: Int[AnyArray, "b s"],
    *own: Int[AnyArray, " b"],
) -> Float32[Array, "b s v"]:
    """The logits at each code, with given codes (teacher forcing); `own` as in `prefix`."""
    return model.run_stage("gpt", replay, latents, emotion, text, text_lengths, codes, *own)


def velocity(
    model: Model,
    x: Float[AnyArray, "b f m"],
    prompt: Float[AnyArray, "b f m"],
    times: Float[AnyArray, " b"],
    style: Float[AnyArray, "b s"],
    condition: Float[AnyArray, "b f c"],
    lengths: Int[AnyArray, " b"],
) -> Float[Array, "b f m"]:
    """The velocity of the flow's state `x`, at one time per row."""
    return model.run_stage("dit", "velocity", x, prompt, times, style, condition, lengths)


def sample_mel(
    model: Model,
    noise: Float[AnyArray, "b f m"],
    prompt_mel: Float[AnyArray, "b f m"],
    prompt_lengths: Int[AnyArray, " b"],
    condition: Float[AnyArray, "b f c"],
    style: Float[AnyArray, "b s"],
    lengths: Int[AnyArray, " b"],
    *,
    steps: int,
    guidance: float,
) -> Float[Array, "b f m"]:
    """The mel of prompt and target together, with zeros in the prompt's frames."""
    arrays = (noise, prompt_mel, prompt_lengths, condition, style, lengths)
    return model.run_stage("dit", flow_loop.sample, *arrays, steps=steps, guidance=guidance)
