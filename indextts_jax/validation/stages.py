"""The stages of validation: how the arrays of each golden file are computed.

A stage starts from its golden inputs and returns arrays in the reference's axis order.
"""

import dataclasses
from collections.abc import Callable

from indextts_jax.runtime.model import Model
from indextts_jax.validation import acoustic, encoders, gpt
from indextts_jax.validation.golden import Arrays, Golden


@dataclasses.dataclass(frozen=True)
class Stage:
    """One file of a golden directory: its component, its arrays, and which of them are inputs."""

    file: str
    component: str  # as in `--component`; also `audio` and `end_to_end`
    needs: tuple[str, ...]  # components to load
    run: Callable[[Model, Golden], Arrays]
    inputs: tuple[str, ...] = ()  # names, or patterns, of the stage's inputs
    after: tuple[str, ...] = ()  # other files that it reads arrays from


MARGINS = r"\w+_margins"  # names of the margins of the reference's choices
STAGES = (
    Stage("audio", "audio", (), encoders.audio),
    Stage(
        "w2v",
        "semantic_encoder",
        ("semantic_encoder",),
        encoders.semantic_encoder,
        ("batch_features", "batch_mask"),
        ("audio",),
    ),
    Stage(
        "codec",
        "semantic_codec",
        ("semantic_codec",),
        encoders.semantic_codec,
        ("semantic", MARGINS),
    ),
    Stage(
        "campplus", "style_encoder", ("style_encoder",), encoders.style_encoder, after=("audio",)
    ),
    Stage("conditioning", "conditioning", ("conditioning",), encoders.conditioning, after=("w2v",)),
    Stage(
        "emotion_vector",
        "emotion_prototypes",
        ("emotion_prototypes",),
        encoders.emotion_prototypes,
        ("weights", MARGINS),
        ("campplus", "conditioning"),
    ),
    Stage(
        "gpt",
        "gpt",
        ("gpt",),
        gpt.single,
        ("text_ids", "emovec", "speaker_latents", "settings", MARGINS),
    ),
    Stage("gpt_batch", "gpt", ("gpt",), gpt.batch, ("text_ids", MARGINS), ("gpt",)),
    Stage(
        "gpt_sampling",
        "gpt",
        ("gpt",),
        gpt.sampling,
        (r"\w+_exponential", r"\w+_settings", MARGINS),
        ("gpt",),
    ),
    Stage("gpt_latent", "gpt", ("gpt",), gpt.latents, ("codes",), ("gpt",)),
    Stage(
        "length_regulator",
        "length_regulator",
        ("length_regulator", "semantic_codec"),
        acoustic.length_regulator,
        ("nearest_in", "nearest_length", "prompt_in"),
        ("audio", "gpt_latent"),
    ),
    Stage(
        "cfm",
        "dit",
        ("dit",),
        acoustic.flow,
        ("noise", "prompt_mel", "condition", "style", "batch_x", "batch_t", "batch_lengths"),
    ),
    Stage("bigvgan", "vocoder", ("vocoder",), acoustic.vocoder, ("mel_in",)),
)
