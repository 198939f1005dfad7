"""The directory of the text-to-emotion model (Qwen3): sizes, settings and import table."""

from collections.abc import Mapping
from typing import Any

from importers.sizes import Setting, Size
from importers.table import Drop, Row, Tensor, identity, matching
from importers.transforms import linear


def _listed(ids: Any) -> list[Any]:
    """A list of one id or several."""
    if ids is None:
        raise ValueError("no id")
    return ids if isinstance(ids, list) else [ids]


# Keys of the model's own `config.json`; `stops` comes from `generation_config.json`.
SIZES: dict[str, Size] = {
    "vocabulary": Setting("vocab_size"),
    "width": Setting("hidden_size"),
    "layers": Setting("num_hidden_layers"),
    "heads": Setting("num_attention_heads"),
    "key_heads": Setting("num_key_value_heads"),
    "head_width": Setting("head_dim"),
    "feed_forward": Setting("intermediate_size"),
    "positions": Setting("max_position_embeddings"),
    "norm_eps": Setting("rms_norm_eps", float),
    "rotary_base": Setting("rope_theta", float),
    "stops": Setting("eos_token_id", _listed),
}

# Stated in no file. The reference allows replies of 32,768 tokens; a valid one has about 77 (the
# eight numbers as JSON), so anything much longer is not a valid reply.
REPLY_TOKENS = 512
BUCKETS = (64, 128, 256, 512, 1024, 2048, 4096)

# Types of the sizes.
LEAST = {
    "vocab_size": 1,
    "hidden_size": 1,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "head_dim": 2,
    "intermediate_size": 1,
    "max_position_embeddings": 2,
    "rms_norm_eps": 0.0,
    "rope_theta": 1.0,
}

# Other keys of `config.json` that change the result, besides those checked by functions below: the
# one supported value, which is also the default of transformers. Any other key is ignored: newer
# versions of transformers add keys without effect.
IMPLEMENTED: dict[str, tuple[Any, ...]] = {
    "model_type": ("qwen3",),
    "hidden_act": ("silu", "swish"),  # two names of one function
    "attention_bias": (False,),
    "use_sliding_window": (False,),
    "sliding_window": (None,),
    "rope_scaling": (None,),
    "quantization_config": (None,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "is_decoder": (False,),
}

# Keys of `generation_config.json` that could change a greedy reply, and their neutral values. Keys
# for sampling and beams (`temperature`, `length_penalty`) have no effect when these are off.
GREEDY: dict[str, tuple[Any, ...]] = {
    "do_sample": (False, None),
    "num_beams": (1, None),
    "num_beam_groups": (1, None),
    "penalty_alpha": (None,),
    "repetition_penalty": (1.0, None),
    "encoder_repetition_penalty": (1.0, None),
    "no_repeat_ngram_size": (0, None),
    "encoder_no_repeat_ngram_size": (0, None),
    "min_length": (0, None),
    "min_new_tokens": (0, None),
    "guidance_scale": (1.0, None),
    "bad_words_ids": (None,),
    "force_words_ids": (None,),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "suppress_tokens": (None,),
    "begin_suppress_tokens": (None,),
    "sequence_bias": (None,),
    "exponential_decay_length_penalty": (None,),
    "stop_strings": (None,),
    "watermarking_config": (None,),
    "dola_layers": (None,),
    "constraints": (None,),
    "forced_decoder_ids": (None,),
    "token_healing": (False, None),
    "cache_implementation": (None, "dynamic", "static"),  # a quantized one is inexact
}


def completed(settings: Mapping[str, Any], generation: Mapping[str, Any]) -> dict[str, Any]:
    """`config.json` with the rotary base under the key that we read, and the stop tokens."""
    own = dict(settings)
    rotary = own.get("rope_parameters")
    if isinstance(rotary, Mapping) and "rope_theta" in rotary:
        own.setdefault("rope_theta", rotary["rope_theta"])
    if generation.get("eos_token_id") is not None:
        own["eos_token_id"] = generation["eos_token_id"]
    return own


def check_settings(settings: Mapping[str, Any]) -> list[str]:
    """Problems of `config.json`: missing keys and unsupported values."""
    problems = []
    for key, least in LEAST.items():
        value: Any = settings.get(key)
        if type(value) is not int and not (type(value) is float and type(least) is float):
            problems.append(f"{key} is {value!r}: expected a number")
        elif value < least:
            problems.append(f"{key} is {value!r}: expected {least} or more")
    for key, values in IMPLEMENTED.items():
        if (value := settings.get(key, values[0])) not in values:
            known = " or ".join(map(repr, values))
            problems.append(f"{key} is {value!r}: only {known} is supported")
    rotary = settings.get("rope_parameters")
    if rotary is not None and (
        not isinstance(rotary, Mapping)
        or not rotary.keys() <= {"rope_theta", "rope_type"}
        or rotary.get("rope_type", "default") != "default"
    ):
        problems.append(f"rope_parameters is {rotary!r}: only plain rotary is supported")
    elif rotary is not None and rotary.get("rope_theta") not in (None, settings.get("rope_theta")):
        problems.append(
            f"rope_theta is {settings.get('rope_theta')!r}, but {rotary['rope_theta']!r} in "
            "rope_parameters"
        )
    layers = settings.get("layer_types")
    if layers is not None and set(layers) != {"full_attention"}:
        problems.append("layer_types: only full_attention is supported")
    return problems


def check_generation(generation: Mapping[str, Any]) -> list[str]:
    """Keys of `generation_config.json` that request anything other than greedy decoding."""
    return [
        f"{key} is {generation[key]!r}: only greedy decoding is supported ({values[0]!r})"
        for key, values in GREEDY.items()
        if generation.get(key, values[0]) not in values
    ]


def check_head(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> list[str]:
    """Problems with weight tying: the head may be missing only if it is tied to the embedding."""
    if settings.get("tie_word_embeddings", False) or HEAD in tensors:
        return []
    return [f"tie_word_embeddings is not true, and there is no {HEAD}"]


def check_layers(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> list[str]:
    """Problems with the number of layers in the file."""
    held = len(matching("model.layers.{layer}.input_layernorm.weight", list(tensors)))
    said = settings.get("num_hidden_layers")
    if held == said:
        return []
    return [f"num_hidden_layers is {said}, but the file holds {held} layers"]


HEAD = "lm_head.weight"

TABLE: list[Row | Drop] = [
    Row("embedding.embedding", "model.embed_tokens.weight"),
    *(
        Row(f"blocks.{target}", f"model.layers.{{layer}}.{source}.weight", transform)
        for target, source, transform in (
            ("norm_attention.scale", "input_layernorm", identity),
            ("attention.query.kernel", "self_attn.q_proj", linear),
            ("attention.key.kernel", "self_attn.k_proj", linear),
            ("attention.value.kernel", "self_attn.v_proj", linear),
            ("attention.norm_query.scale", "self_attn.q_norm", identity),
            ("attention.norm_key.scale", "self_attn.k_norm", identity),
            ("attention.out.kernel", "self_attn.o_proj", linear),
            ("norm_feed_forward.scale", "post_attention_layernorm", identity),
            ("feed_forward.gate.kernel", "mlp.gate_proj", linear),
            ("feed_forward.up.kernel", "mlp.up_proj", linear),
            ("feed_forward.down.kernel", "mlp.down_proj", linear),
        )
    ),
    Row("norm.scale", "model.norm.weight"),
    Drop(HEAD, "the embedding is also the head", same_as="model.embed_tokens.weight"),
]
