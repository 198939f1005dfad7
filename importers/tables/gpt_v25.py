"""gpt.pth of version 2.5: the components `conditioning` and `gpt`, from one file.

Trunk and emotion conditioning are those of `gpt`; the speaker's conformer and perceiver and the
speed rows are replaced by a projection of the style vector and a table of languages.
"""

from collections.abc import Mapping
from typing import Any

from importers.sizes import Axis, Fixed, Setting, Size
from importers.table import Drop, Row
from importers.tables.gpt import (
    EMOTION_SIZES,
    TEXT_HEAD,
    TRAINING_HEAD,
    TRUNK,
    TRUNK_SIZES,
    check_conditioning,
    emotion_rows,
    linear_rows,
    trunk_rows,
)
from indextts_jax.config import ModelConfig, StyleConditioningConfig

MARK = "spk_emb_proj.weight"  # an array of every file of this version, and of no other
SIZES: dict[str, dict[str, Size]] = {
    "conditioning": {
        "width": Setting("gpt.model_dim"),
        "style": Axis(MARK, 1),
        **EMOTION_SIZES,
    },
    "gpt": {
        **TRUNK_SIZES,
        "languages": Axis("lang_embedding.weight", 0),
        "conditioning_latents": Fixed(1, "UnifiedVoice, the projected style vector"),
    },
}
_GPT = [*TRUNK, Row("gpt.language_embedding.embedding", "lang_embedding.weight")]


def check_settings(settings: Mapping[str, Any]) -> list[str]:
    """Published settings that this program does not support, by key.

    The reference ignores `condition_type` and `condition_module` in this version, and so do we.
    """
    return check_conditioning(settings, {}, ("emo_condition_module",))


def table(config: ModelConfig) -> list[Row | Drop]:
    """The rows and drops of both components; the first key of a target is its component."""
    return [*_spoken(config), *TEXT_HEAD]


def training_table(config: ModelConfig) -> list[Row | Drop]:
    """`table` with the component `training_heads`, which `table` drops."""
    return [*_spoken(config), *TRAINING_HEAD]


def _spoken(config: ModelConfig) -> list[Row | Drop]:
    """Everything except the text head."""
    assert isinstance(config.conditioning, StyleConditioningConfig)
    return [
        *linear_rows("conditioning.speaker_projection", "spk_emb_proj"),
        *emotion_rows(config.conditioning),
        *trunk_rows(config, _GPT),
    ]
