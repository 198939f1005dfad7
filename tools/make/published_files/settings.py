"""The published settings files for a model of given sizes, with their published keys."""

from typing import Any

from importers.export import settings
from importers.export.settings import EXTRACTOR, bigvgan, w2v_bert
from indextts_jax.config import ModelConfig
from tools.make.published_files.manifest import Nested

__all__ = ["EXTRACTOR", "FILES", "QWEN", "bigvgan", "published", "w2v_bert"]

FILES = {**settings.files("2.0"), "qwen": "qwen0.6bemo4-merge/model.safetensors"}
"""The path of each file below the directory."""


def published(config: ModelConfig, net: Nested) -> dict[str, Any]:
    """`config.yaml`; values that the sizes do not decide are the published ones.

    `net` is the manifest of `s2mel.pth`, for the sizes of arrays that our model does not use.
    """
    regulator, estimator = (
        net["length_regulator"]["embedding.weight"],
        net["cfm"]["estimator.cond_embedder.weight"],
    )
    return settings.published(config, (regulator.shape[0], estimator.shape[0]))


QWEN = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "torch_dtype": "bfloat16",
    "hidden_act": "silu",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "tie_word_embeddings": True,
    "attention_bias": False,
}
"""The text-emotion model's `config.json`."""
