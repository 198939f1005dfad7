"""gpt.pth: the components `conditioning` and `gpt`, from one file.

The targets begin with the component's name: the expected tree is {"conditioning": ..., "gpt": ...}
of both components, and each array of the file is used once in total.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from importers.rules import inverted_by
from importers.sizes import Axis, Fixed, Setting, Size
from importers.table import Drop, Row
from importers.transforms import conv1d, conv2d, linear, pointwise
from indextts_jax.config import (
    ConditioningConfig,
    ModelConfig,
    PerceiverConfig,
    StyleConditioningConfig,
)


def _code_positions(gpt: Mapping[str, Any]) -> int:
    """Start, stop, and one row for each conditioning input (one by default)."""
    inputs = gpt.get("max_conditioning_inputs")
    return gpt["max_mel_tokens"] + 2 + (1 if inputs is None else inputs)


def _encoder_sizes(settings: str, tensors: str) -> dict[str, Size]:
    return {
        "features": Setting("semantic_codec.hidden_size"),
        "width": Setting(f"{settings}.output_size"),
        "layers": Setting(f"{settings}.num_blocks"),
        "heads": Setting(f"{settings}.attention_heads"),
        "feed_forward": Setting(f"{settings}.linear_units"),
        "kernel": Axis(f"{tensors}.encoders.0.conv_module.depthwise_conv.weight", 2),
        "positions": Axis(f"{tensors}.embed.pos_enc.pe", 1),
    }


def _perceiver_sizes(settings: str, tensors: str) -> dict[str, Size]:
    return {
        "context": Setting(f"{settings}.output_size"),
        "latents": Axis(f"{tensors}.latents", 0),
        "layers": Fixed(2, "PerceiverResampler, depth"),
        "heads": Setting(f"{settings}.attention_heads"),
        "head_width": Fixed(64, "PerceiverResampler, dim_head"),
    }


def prefixed(prefix: str, sizes: Mapping[str, Size]) -> dict[str, Size]:
    return {f"{prefix}.{name}": size for name, size in sizes.items()}


# What every version has, by dotted field of its component's configuration.
EMOTION_SIZES: dict[str, Size] = {
    **prefixed(
        "emotion_encoder",
        _encoder_sizes("gpt.emo_condition_module", "emo_conditioning_encoder"),
    ),
    **prefixed(
        "emotion_perceiver",
        {
            **_perceiver_sizes("gpt.emo_condition_module", "emo_perceiver_encoder"),
            "width": Axis("emo_perceiver_encoder.latents", 1),
            # perceiver_mult times the width above; not itself a setting
            "feed_forward": Axis("emo_perceiver_encoder.layers.0.1.2.weight", 1),
        },
    ),
}
TRUNK_SIZES: dict[str, Size] = {
    "width": Setting("gpt.model_dim"),
    "layers": Setting("gpt.layers"),
    "heads": Setting("gpt.heads"),
    "feed_forward": Setting("gpt.model_dim", lambda width: 4 * width),
    "text_vocabulary": Setting("gpt.number_text_tokens", lambda tokens: tokens + 1),
    "text_positions": Setting("gpt.max_text_tokens", lambda tokens: tokens + 2),
    "code_vocabulary": Setting("gpt.number_mel_codes"),
    "code_positions": Setting("gpt", _code_positions),
    "start_text": Setting("gpt.start_text_token"),
    "stop_text": Setting("gpt.stop_text_token"),
    "start_code": Setting("gpt.start_mel_token"),
    "stop_code": Setting("gpt.stop_mel_token"),
}

# Component -> dotted field of its configuration -> where the number comes from.
SIZES: dict[str, dict[str, Size]] = {
    "conditioning": {
        "width": Setting("gpt.model_dim"),
        **prefixed(
            "speaker_encoder", _encoder_sizes("gpt.condition_module", "conditioning_encoder")
        ),
        **prefixed(
            "speaker_perceiver",
            {
                **_perceiver_sizes("gpt.condition_module", "perceiver_encoder"),
                "width": Setting("gpt.model_dim"),
                "feed_forward": Setting(
                    ("gpt.model_dim", "gpt.condition_module.perceiver_mult"),
                    lambda width, multiplier: int(width * multiplier * 2 / 3),
                ),
            },
        ),
        **EMOTION_SIZES,
    },
    "gpt": {
        **TRUNK_SIZES,
        "conditioning_latents": Axis("perceiver_encoder.latents", 0),
        "speed_rows": Axis("speed_emb.weight", 0),
    },
}


def check_multiplier(settings: Mapping[str, Any], config: PerceiverConfig) -> list[str]:
    """Problems with the emotion perceiver's inner width (width times multiplier)."""
    multiplier = settings["gpt"]["emo_condition_module"]["perceiver_mult"]
    said = int(config.width * multiplier * 2 / 3) if math.isfinite(multiplier) else None
    if said == config.feed_forward:
        return []
    return [
        f"gpt.emo_condition_module.perceiver_mult {multiplier:g} makes {said} of the width "
        f"{config.width}, but the perceiver's inner width is {config.feed_forward}"
    ]


def check_settings(settings: Mapping[str, Any]) -> list[str]:
    """Published settings that this program does not support, by key."""
    kind = settings["gpt"]["condition_type"]
    wanted = {"gpt.condition_type": (kind, "conformer_perceiver")}
    return check_conditioning(settings, wanted, ("condition_module", "emo_condition_module"))


def check_conditioning(
    settings: Mapping[str, Any], wanted: Mapping[str, tuple[Any, Any]], modules: Sequence[str]
) -> list[str]:
    """As `check_settings`, for the conditioning modules of a version and what it wants besides."""
    gpt = settings["gpt"]
    wanted = {
        **wanted,
        "gpt.use_mel_codes_as_input": (gpt["use_mel_codes_as_input"], True),
        "gpt.train_solo_embeddings": (gpt["train_solo_embeddings"], False),
    }
    whole = [("gpt.model_dim", gpt["model_dim"], "gpt.heads", gpt["heads"])]
    for name in modules:
        module, path = gpt[name], f"gpt.{name}"
        wanted[f"{path}.input_layer"] = (module["input_layer"], "conv2d2")
        sizes = (module["output_size"], f"{path}.attention_heads", module["attention_heads"])
        whole.append((f"{path}.output_size", *sizes))
    return [
        f"{key} is {value!r}; only {supported!r} is supported"
        for key, (value, supported) in wanted.items()
        if value != supported
    ] + [
        f"{key} {size} is not a multiple of {part} {count}"
        for key, size, part, count in whole
        if count < 1 or size % count
    ]


def _input_projection_back(kernel: Any) -> Any:
    width = kernel.shape[1]
    return kernel.reshape(-1, width, width).transpose(2, 1, 0).reshape(width, -1)


@inverted_by(_input_projection_back)
def input_projection(weight: Any) -> Any:
    """(out, channels * features) to (features * channels, out), with as many channels as outputs.

    The reference flattens with the feature as fastest axis, we with the channel.
    """
    width = weight.shape[0]
    return weight.reshape(width, width, -1).transpose(2, 1, 0).reshape(-1, width)


@inverted_by(lambda table: table[None])
def unbatched(table: Any) -> Any:
    """Removes a table's leading axis of size one."""
    return table.reshape(table.shape[1:])


def linear_rows(target: str, source: str) -> list[Row]:
    return [
        Row(f"{target}.kernel", f"{source}.weight", linear),
        Row(f"{target}.bias", f"{source}.bias"),
    ]


def _pointwise(target: str, source: str) -> list[Row]:
    return [
        Row(f"{target}.kernel", f"{source}.weight", pointwise),
        Row(f"{target}.bias", f"{source}.bias"),
    ]


def _stored(target: str, source: str) -> list[Row]:
    """GPT-2 stores kernels as (in, out), as we do."""
    return [
        Row(f"{target}.kernel", f"{source}.weight"),
        Row(f"{target}.bias", f"{source}.bias"),
    ]


def _norm(target: str, source: str) -> list[Row]:
    return [
        Row(f"{target}.scale", f"{source}.weight"),
        Row(f"{target}.bias", f"{source}.bias"),
    ]


def _encoder(target: str, source: str) -> list[Row]:
    block, layer = f"{target}.blocks", f"{source}.encoders.{{layer}}"
    conv = f"{layer}.conv_module"
    return [
        Row(f"{target}.subsample.kernel", f"{source}.embed.conv.0.weight", conv2d),
        Row(f"{target}.subsample.bias", f"{source}.embed.conv.0.bias"),
        Row(f"{target}.subsample.project.kernel", f"{source}.embed.out.0.weight", input_projection),
        Row(f"{target}.subsample.project.bias", f"{source}.embed.out.0.bias"),
        Row(f"{target}.positions", f"{source}.embed.pos_enc.pe", unbatched),
        *_norm(f"{block}.norm_attention", f"{layer}.norm_mha"),
        *linear_rows(f"{block}.attention.query", f"{layer}.self_attn.linear_q"),
        *linear_rows(f"{block}.attention.key", f"{layer}.self_attn.linear_k"),
        *linear_rows(f"{block}.attention.value", f"{layer}.self_attn.linear_v"),
        Row(f"{block}.attention.position.kernel", f"{layer}.self_attn.linear_pos.weight", linear),
        *linear_rows(f"{block}.attention.out", f"{layer}.self_attn.linear_out"),
        Row(f"{block}.attention.content_bias", f"{layer}.self_attn.pos_bias_u"),
        Row(f"{block}.attention.position_bias", f"{layer}.self_attn.pos_bias_v"),
        *_norm(f"{block}.norm_convolution", f"{layer}.norm_conv"),
        *_pointwise(f"{block}.convolution.value_gate", f"{conv}.pointwise_conv1"),
        Row(f"{block}.convolution.depthwise.kernel", f"{conv}.depthwise_conv.weight", conv1d),
        Row(f"{block}.convolution.depthwise.bias", f"{conv}.depthwise_conv.bias"),
        *_norm(f"{block}.convolution.norm_depthwise", f"{conv}.norm"),
        *_pointwise(f"{block}.convolution.out", f"{conv}.pointwise_conv2"),
        *_norm(f"{block}.norm_feed_forward", f"{layer}.norm_ff"),
        *linear_rows(f"{block}.feed_forward.fc_in", f"{layer}.feed_forward.w_1"),
        *linear_rows(f"{block}.feed_forward.fc_out", f"{layer}.feed_forward.w_2"),
        *_norm(f"{block}.norm_out", f"{layer}.norm_final"),
        *_norm(f"{target}.norm", f"{source}.after_norm"),
    ]


def _perceiver(target: str, source: str, cfg: PerceiverConfig) -> list[Row]:
    block, layer = f"{target}.blocks", f"{source}.layers.{{layer}}"
    return [
        Row(f"{target}.latents", f"{source}.latents"),
        # equal widths need no projection: neither the model nor the file has one
        *(
            linear_rows(f"{target}.context", f"{source}.proj_context")
            if cfg.context != cfg.width
            else []
        ),
        Row(f"{block}.attention.query.kernel", f"{layer}.0.to_q.weight", linear),
        Row(f"{block}.attention.key_value.kernel", f"{layer}.0.to_kv.weight", linear),
        Row(f"{block}.attention.out.kernel", f"{layer}.0.to_out.weight", linear),
        *linear_rows(f"{block}.feed_forward.fc_in", f"{layer}.1.0"),
        *linear_rows(f"{block}.feed_forward.fc_out", f"{layer}.1.2"),
        Row(f"{target}.norm.scale", f"{source}.norm.gamma"),
    ]


def _conditioning(cfg: ConditioningConfig) -> list[Row]:
    return [
        *_encoder("conditioning.speaker_encoder", "conditioning_encoder"),
        *_perceiver("conditioning.speaker_perceiver", "perceiver_encoder", cfg.speaker_perceiver),
        *emotion_rows(cfg),
    ]


def emotion_rows(cfg: ConditioningConfig | StyleConditioningConfig) -> list[Row]:
    """The emotion's part of the conditioning, the same in every version."""
    return [
        *_encoder("conditioning.emotion_encoder", "emo_conditioning_encoder"),
        *_perceiver(
            "conditioning.emotion_perceiver", "emo_perceiver_encoder", cfg.emotion_perceiver
        ),
        *linear_rows("conditioning.emovec_layer", "emovec_layer"),
        *linear_rows("conditioning.emo_layer", "emo_layer"),
    ]


TRUNK = [  # of every version
    Row("gpt.text_embedding.embedding", "text_embedding.weight"),
    Row("gpt.text_positions.embedding", "text_pos_embedding.emb.weight"),
    Row("gpt.code_embedding.embedding", "mel_embedding.weight"),
    Row("gpt.code_positions.embedding", "mel_pos_embedding.emb.weight"),
    *_norm("gpt.blocks.norm_attention", "gpt.h.{layer}.ln_1"),
    *_stored("gpt.blocks.attention.qkv", "gpt.h.{layer}.attn.c_attn"),
    *_stored("gpt.blocks.attention.out", "gpt.h.{layer}.attn.c_proj"),
    *_norm("gpt.blocks.norm_feed_forward", "gpt.h.{layer}.ln_2"),
    *_stored("gpt.blocks.feed_forward.fc_in", "gpt.h.{layer}.mlp.c_fc"),
    *_stored("gpt.blocks.feed_forward.fc_out", "gpt.h.{layer}.mlp.c_proj"),
    *_norm("gpt.trunk_norm", "gpt.ln_f"),
    *_norm("gpt.final_norm", "final_norm"),
    *linear_rows("gpt.code_head", "mel_head"),
]

_GPT = [*TRUNK, Row("gpt.speed_embedding.embedding", "speed_emb.weight")]

# The reference's generation wrapper holds the same modules under other names, so files saved with
# it contain them twice. Quirk: its `text_pos_embedding` is the position table of the codes.
_ALIASES = {
    "gpt.wte.": "mel_embedding.",
    "inference_model.transformer.wte.": "mel_embedding.",
    "inference_model.transformer.": "gpt.",
    "inference_model.embeddings.": "mel_embedding.",
    "inference_model.text_pos_embedding.": "mel_pos_embedding.",
    "inference_model.final_norm.": "final_norm.",
    "inference_model.lm_head.0.": "final_norm.",
    "inference_model.lm_head.1.": "mel_head.",
}


def _copies(rows: Sequence[Row | Drop]) -> list[Drop]:
    """One drop for each kind of array that the wrapper holds a second time."""
    return [
        Drop(alias + source.removeprefix(own), f"the generation wrapper's copy of {source}", source)
        for alias, own in _ALIASES.items()
        for source in (row.source for row in rows)
        if isinstance(source, str) and source.startswith(own)
    ]


def _masks(layers: int) -> list[Drop]:
    """The trunk's attention buffers, present in files saved with old versions."""
    return [
        Drop(f"gpt.h.{layer}.attn.{name}", reason)
        for layer in range(layers)
        for name, reason in (
            ("bias", "the causal mask; the model builds its own"),
            ("masked_bias", "the score of masked positions; the model has its own"),
        )
    ]


TEXT_HEAD = [
    Drop("text_head.weight", "logits over text tokens, for training"),
    Drop("text_head.bias", "logits over text tokens, for training"),
]
TRAINING_HEAD = linear_rows("training_heads.text_head", "text_head")


def table(config: ModelConfig) -> list[Row | Drop]:
    """The rows and drops of both components; the first key of a target is its component."""
    return [*_spoken(config), *TEXT_HEAD]


def training_table(config: ModelConfig) -> list[Row | Drop]:
    """`table` with the component `training_heads`, which `table` drops."""
    return [*_spoken(config), *TRAINING_HEAD]


def _spoken(config: ModelConfig) -> list[Row | Drop]:
    """Everything except the text head."""
    assert isinstance(config.conditioning, ConditioningConfig)
    return [*_conditioning(config.conditioning), *trunk_rows(config, _GPT)]


def trunk_rows(config: ModelConfig, rows: Sequence[Row]) -> list[Row | Drop]:
    """The rows of the component `gpt`, and what a file may hold besides."""
    buffers = _masks(config.gpt.layers)
    return [
        *rows,
        Drop("gpt.wpe.weight", "GPT-2's position table, which the reference replaces by zeros"),
        *buffers,
        *_copies([*rows, *buffers]),
    ]
