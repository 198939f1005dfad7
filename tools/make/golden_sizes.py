"""The sizes of the second model set: as unlike the first as schema and reference allow.

What is meant to differ from the first set and from the published model:
    mel             72 bands, lowest at 25 Hz, highest at 8 kHz; the style encoder still reads 80
    style           144 wide instead of 192
    GPT             start code above the stop code, start text above the stop text, head width 6
    conditioning    speaker conformer as wide as the GPT (so its perceiver has no `proj_context`),
                    emotion conformer narrower than its perceiver (so that has one); the emotion
                    clip has fewer frames than the semantic width, the speaker clip more
    w2v-BERT        19 layers, 3 heads, few relative positions, kernel 15, another LayerNorm eps
    codec           odd sizes, 3 layers
    flow            even depth, 3 heads, growing dilations, 3 blocks in the length regulator
    vocoder         four stages, kernels not all twice the rate, other dilations for each kernel
    CAMPPlus        widths that are odd before a transition, so that halving rounds down
"""

from typing import Any

SEED = 20250
SEMANTIC, MELS, STYLE = 36, 72, 144
EMOTION_WIDTH = 28
GPT_LAYER = (20, 12)
CAMPPLUS = {"growth_rate": 3, "bn_size": 5, "init_channels": 22}

CONFIG: dict[str, Any] = {
    "dataset": {
        "bpe_model": "bpe.model",
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
    "gpt": {
        "model_dim": 30,
        "max_mel_tokens": 90,
        "max_text_tokens": 41,
        "heads": 5,
        "use_mel_codes_as_input": True,
        "mel_length_compression": 1024,
        "layers": 4,
        "number_text_tokens": 977,
        "number_mel_codes": 52,
        "start_mel_token": 51,
        "stop_mel_token": 50,
        "start_text_token": 1,
        "stop_text_token": 0,
        "train_solo_embeddings": False,
        "condition_type": "conformer_perceiver",
        "condition_module": {
            "output_size": 30,
            "linear_units": 52,
            "attention_heads": 2,
            "num_blocks": 3,
            "input_layer": "conv2d2",
            "perceiver_mult": 3,
        },
        "emo_condition_module": {
            "output_size": 12,
            "linear_units": 28,
            "attention_heads": 4,
            "num_blocks": 1,
            "input_layer": "conv2d2",
            "perceiver_mult": 1,
        },
    },
    "semantic_codec": {
        "codebook_size": 50,
        "hidden_size": SEMANTIC,
        "codebook_dim": 6,
        "vocos_dim": 20,
        "vocos_intermediate_dim": 44,
        "vocos_num_layers": 3,
    },
    "s2mel": {
        "preprocess_params": {
            "sr": 22050,
            "spect_params": {
                "n_fft": 1024,
                "win_length": 1024,
                "hop_length": 256,
                "n_mels": MELS,
                "fmin": 25,
                "fmax": 8000,
            },
        },
        "dit_type": "DiT",
        "reg_loss_type": "l1",
        "style_encoder": {"dim": STYLE},
        "length_regulator": {
            "channels": 28,
            "is_discrete": False,
            "in_channels": SEMANTIC,
            "content_codebook_size": 11,
            "sampling_ratios": [1, 1, 1],
            "vector_quantize": False,
            "n_codebooks": 1,
            "quantizer_dropout": 0.0,
            "f0_condition": False,
            "n_f0_bins": 512,
        },
        "DiT": {
            "hidden_dim": 36,
            "num_heads": 3,
            "depth": 4,
            "class_dropout_prob": 0.1,
            "block_size": 8192,
            "in_channels": MELS,
            "style_condition": True,
            "final_layer_type": "wavenet",
            "target": "mel",
            "content_dim": 28,
            "content_codebook_size": 13,
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
            "hidden_dim": 36,
            "num_layers": 4,
            "kernel_size": 3,
            "dilation_rate": 2,
            "p_dropout": 0.2,
            "style_condition": True,
        },
    },
    "gpt_checkpoint": "gpt.pth",
    "w2v_stat": "wav2vec2bert_stats.pt",
    "s2mel_checkpoint": "s2mel.pth",
    "emo_matrix": "feat2.pt",
    "spk_matrix": "feat1.pt",
    "emo_num": [1, 4, 2, 1, 3, 2, 2, 5],
    "qwen_emo_path": "qwen0.6bemo4-merge/",
    "vocoder": {"type": "bigvgan", "name": "nvidia/bigvgan_v2_22khz_80band_256x"},
    "version": 2.0,
}

W2V = {
    "hidden_size": SEMANTIC,
    "num_hidden_layers": 19,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "feature_projection_input_dim": 160,
    "left_max_position_embeddings": 20,
    "right_max_position_embeddings": 3,
    "conv_depthwise_kernel_size": 15,
    "layer_norm_eps": 1e-4,
    "layerdrop": 0.0,
    "output_hidden_size": SEMANTIC,
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

BIGVGAN = {
    "resblock": "1",
    "upsample_rates": [8, 4, 4, 2],
    "upsample_kernel_sizes": [16, 12, 6, 4],
    "upsample_initial_channel": 48,
    "resblock_kernel_sizes": [5, 3],
    "resblock_dilation_sizes": [[1, 2], [1, 3, 2]],
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
    "activation": "snakebeta",
    "snake_logscale": True,
    "segment_size": 65536,
    "num_mels": MELS,
    "num_freq": 1025,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 1024,
    "sampling_rate": 22050,
    "fmin": 25,
    "fmax": 8000,
    "fmax_for_loss": None,
}

RECIPE: dict[str, Any] = {
    "seed": 2,
    "text": "My sister paints the old door blue every spring.",
    "second_text": "Five boats.",
    "emotion_weights": [0.1, 0.0, 0.25, 0.05, 0.0, 0.4, 0.0, 0.35],
    "semantic_length": 37,
    "flow_shorter_by": 23,
    "batch_t": [0.15, 0.62],
    "nearest": [64, 110],
    "sampling": {
        "beam3": {
            "num_beams": 2,
            "top_k": 17,
            "top_p": 0.9,
            "temperature": 0.7,
            "repetition_penalty": 3.0,
            "length_penalty": 0.0,
        },
        "single": {
            "num_beams": 1,
            "top_k": 23,
            "top_p": 0.85,
            "temperature": 0.9,
            "repetition_penalty": 6.0,
        },
        "single_typical": {
            "num_beams": 1,
            "top_k": 40,
            "top_p": 0.97,
            "temperature": 1.1,
            "repetition_penalty": 1.5,
            "typical_sampling": True,
            "typical_mass": 0.7,
        },
        "beam3_typical": {
            "num_beams": 3,
            "top_k": 25,
            "top_p": 0.95,
            "temperature": 1.3,
            "repetition_penalty": 2.0,
            "length_penalty": 0.5,
            "typical_sampling": True,
            "typical_mass": 0.9,
        },
    },
}
"""What the values need beside the weights: seed of noise and draws, texts, lengths, settings."""
