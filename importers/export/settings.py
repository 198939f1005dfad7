"""The published settings files for a model of given sizes, with the keys of the published files."""

from collections.abc import Callable, Mapping
from typing import Any

from importers.release.locate import AUXILIARY, LAYOUTS, STANDARD
from indextts_jax.config import ConditioningConfig, ConformerConfig, ModelConfig, PerceiverConfig

BPE = "bpe.model"  # the tokenizer of version 2.0
CONTENT = 16  # rows of the two tables of discrete content, which are never read


def files(version: str) -> dict[str, str]:
    """Where each file of arrays, and the tokenizer, is, relative to the directory."""
    layout = LAYOUTS[version]
    others = {name: AUXILIARY[name].places[0] for name in layout.auxiliary}
    return {"tokenizer": BPE, **STANDARD, **others, **layout.fixed}


def published(config: ModelConfig, content: tuple[int, int] = (CONTENT, CONTENT)) -> dict[str, Any]:
    """`config.yaml`; values that do not follow from the model's sizes are as published.

    `content` has the rows of the tables of discrete content in length regulator and DiT.
    """
    return _SETTINGS[config.version](config, content)


def _published_20(config: ModelConfig, content: tuple[int, int]) -> dict[str, Any]:
    assert isinstance(config.conditioning, ConditioningConfig)
    speaker = _conditioner(
        config.conditioning.speaker_encoder, config.conditioning.speaker_perceiver
    )
    return {
        "dataset": {
            "bpe_model": BPE,
            "sample_rate": 24000,
            "squeeze": False,
            "mel": {
                "sample_rate": 24000,
                "n_fft": 1024,
                "hop_length": 256,
                "win_length": 1024,
                "n_mels": 100,
                "mel_fmin": 0,
                "normalize": False,
            },
        },
        **_common(config, content, speaker),
        "vocoder": {"type": "bigvgan", "name": "nvidia/bigvgan_v2_22khz_80band_256x"},
        "version": 2.0,
    }


def _published_25(config: ModelConfig, content: tuple[int, int]) -> dict[str, Any]:
    """The settings as the release's own repository has them, without a section `dataset`."""
    return {
        # No version 2.5 has a conformer for the speaker; its settings are there and not read.
        **_common(config, content, _UNUSED_CONDITIONER),
        "vocoder": {"name": "bigvgan_generator.pt"},
        "version": 2.5,
    }


_SETTINGS: Mapping[str, Callable[[ModelConfig, tuple[int, int]], dict[str, Any]]] = {
    "2.0": _published_20,
    "2.5": _published_25,
}


def _common(
    config: ModelConfig, content: tuple[int, int], speaker: Mapping[str, Any]
) -> dict[str, Any]:
    """What the settings of all versions have; `speaker` is `gpt.condition_module`."""
    gpt, conditioning = config.gpt, config.conditioning
    return {
        "gpt": {
            "model_dim": gpt.width,
            "max_mel_tokens": gpt.code_positions - 3,
            "max_text_tokens": gpt.text_positions - 2,
            "heads": gpt.heads,
            "use_mel_codes_as_input": True,
            "mel_length_compression": 1024,
            "layers": gpt.layers,
            "number_text_tokens": gpt.text_vocabulary - 1,
            "number_mel_codes": gpt.code_vocabulary,
            "start_mel_token": gpt.start_code,
            "stop_mel_token": gpt.stop_code,
            "start_text_token": gpt.start_text,
            "stop_text_token": gpt.stop_text,
            "train_solo_embeddings": False,
            "condition_type": "conformer_perceiver",
            "condition_module": dict(speaker),
            "emo_condition_module": _conditioner(
                conditioning.emotion_encoder, conditioning.emotion_perceiver
            ),
        },
        "semantic_codec": {
            "codebook_size": config.semantic_codec.codes,
            "hidden_size": config.semantic_codec.width,
            "codebook_dim": config.semantic_codec.code_width,
            "vocos_dim": config.semantic_codec.hidden,
            "vocos_intermediate_dim": config.semantic_codec.feed_forward,
            "vocos_num_layers": config.semantic_codec.layers,
        },
        "s2mel": _s2mel(config, content),
        "gpt_checkpoint": STANDARD["gpt"],
        "w2v_stat": STANDARD["w2v_stat"],
        "s2mel_checkpoint": STANDARD["s2mel"],
        "emo_matrix": STANDARD["emo_matrix"],
        "spk_matrix": STANDARD["spk_matrix"],
        "emo_num": list(config.emotion_prototypes.groups),
        "qwen_emo_path": "qwen0.6bemo4-merge/",
    }


_UNUSED_CONDITIONER = {
    "output_size": 512,
    "linear_units": 2048,
    "attention_heads": 8,
    "num_blocks": 6,
    "input_layer": "conv2d2",
    "perceiver_mult": 2,
}


def _conditioner(encoder: ConformerConfig, perceiver: PerceiverConfig) -> dict[str, Any]:
    return {
        "output_size": encoder.width,
        "linear_units": encoder.feed_forward,
        "attention_heads": encoder.heads,
        "num_blocks": encoder.layers,
        "input_layer": "conv2d2",
        "perceiver_mult": _multiplier(perceiver),
    }


def _multiplier(perceiver: PerceiverConfig) -> int | float:
    """The number that the reference makes the inner width of: `int(width * multiplier * 2 / 3)`."""
    exact = perceiver.feed_forward * 3 / 2 / perceiver.width
    for multiplier in (round(exact), exact, exact * (1 + 1e-9)):
        if int(perceiver.width * multiplier * 2 / 3) == perceiver.feed_forward:
            return multiplier
    return exact  # no multiplier gives this width: the check of the written files reports it


def _s2mel(config: ModelConfig, content: tuple[int, int]) -> dict[str, Any]:
    mel, dit, wavenet = config.mel, config.dit, config.dit.wavenet
    return {
        "preprocess_params": {
            "sr": mel.sample_rate,
            "spect_params": {
                "n_fft": mel.n_fft,
                "win_length": mel.window,
                "hop_length": mel.hop,
                "n_mels": mel.mels,
                "fmin": mel.fmin,
                "fmax": "None" if mel.fmax is None else mel.fmax,  # a string, not null
            },
        },
        "dit_type": "DiT",
        "reg_loss_type": "l1",
        "style_encoder": {"dim": dit.style},
        "length_regulator": {
            "channels": config.length_regulator.width,
            "is_discrete": False,
            "in_channels": config.length_regulator.features,
            "content_codebook_size": content[0],
            "sampling_ratios": [1] * config.length_regulator.layers,
            "vector_quantize": False,
            "n_codebooks": 1,
            "quantizer_dropout": 0.0,
            "f0_condition": False,
            "n_f0_bins": 512,
        },
        "DiT": {
            "hidden_dim": dit.width,
            "num_heads": dit.heads,
            "depth": dit.layers,
            "class_dropout_prob": 0.1,
            "block_size": 8192,
            "in_channels": dit.mels,
            "style_condition": True,
            "final_layer_type": "wavenet",
            "target": "mel",
            "content_dim": dit.condition,
            "content_codebook_size": content[1],
            "content_type": "discrete",
            "f0_condition": False,
            "n_f0_bins": 512,
            "content_codebooks": 1,
            "is_causal": False,
            "long_skip_connection": True,
            "zero_prompt_speech_token": False,
            "time_as_token": False,
            "style_as_token": False,
            "uvit_skip_connection": True,
            "add_resblock_in_transformer": False,
        },
        "wavenet": {
            "hidden_dim": dit.width,
            "num_layers": wavenet.layers,
            "kernel_size": wavenet.kernel,
            "dilation_rate": wavenet.dilation,
            "p_dropout": 0.2,
            "style_condition": True,
        },
    }


def w2v_bert(config: ModelConfig, layers: int) -> dict[str, Any]:
    """w2v-BERT's `config.json`, for a file with this number of layers; 17 are used."""
    sizes = config.semantic_encoder
    return {
        "architectures": ["Wav2Vec2BertModel"],
        "model_type": "wav2vec2-bert",
        "torch_dtype": "float32",
        "hidden_act": "swish",
        "position_embeddings_type": "relative_key",
        "add_adapter": False,
        "use_intermediate_ffn_before_adapter": False,
        "layerdrop": 0.0,
        "feature_projection_input_dim": sizes.features,
        "hidden_size": sizes.width,
        "output_hidden_size": sizes.width,
        "num_hidden_layers": layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.feed_forward,
        "left_max_position_embeddings": sizes.left,
        "right_max_position_embeddings": sizes.right,
        "conv_depthwise_kernel_size": sizes.kernel,
        "layer_norm_eps": sizes.norm_eps,
    }


EXTRACTOR = {
    "feature_extractor_type": "SeamlessM4TFeatureExtractor",
    "feature_size": 80,
    "num_mel_bins": 80,
    "padding_side": "right",
    "padding_value": 1,
    "return_attention_mask": True,
    "sampling_rate": 16000,
    "stride": 2,
}
"""w2v-BERT's `preprocessor_config.json`."""


def bigvgan(config: ModelConfig) -> dict[str, Any]:
    """BigVGAN's `config.json`."""
    sizes, mel = config.vocoder, config.mel
    return {
        "resblock": "1",
        "upsample_rates": list(sizes.rates),
        "upsample_kernel_sizes": list(sizes.kernels),
        "upsample_initial_channel": sizes.channels,
        "resblock_kernel_sizes": list(sizes.block_kernels),
        "resblock_dilation_sizes": [list(row) for row in sizes.block_dilations],
        "use_tanh_at_final": False,
        "use_bias_at_final": False,
        "activation": "snakebeta",
        "snake_logscale": sizes.log_scale,
        "num_mels": mel.mels,
        "n_fft": mel.n_fft,
        "num_freq": mel.n_fft + 1,
        "hop_size": mel.hop,
        "win_size": mel.window,
        "sampling_rate": mel.sample_rate,
        "fmin": mel.fmin,
        "fmax": mel.fmax,
        "fmax_for_loss": None,
    }
