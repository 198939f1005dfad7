"""The sizes of the second model set of version 2.5: odd ones, and unlike the first set's.

What is meant to differ from the first set and from the published model:
    mel             56 bands, lowest at 40 Hz, highest at 8 kHz
    style           96 wide
    GPT             start code above the stop code, 2 heads of 9, 2 layers
    emotion         3 heads of 2, one block; the emotion clip has fewer frames than the semantic
                    width, the speaker clip more
    w2v-BERT        17 layers: the last one is the one that is read; 2 heads of 13
    codec           odd sizes throughout, 4 layers
    flow            depth 5, 2 heads of 10; dilations 1, 3, 9
    vocoder         rates in another order; 36 channels, so that the last stages have 9, 4 and 2
    CAMPPlus        widths that are odd before each transition, so that halving rounds down
"""

import copy
from typing import Any

from indextts_jax.text.v25.special_tokens import SPECIAL_TOKENS
from tools.make import golden_sizes

RANKS = 300  # the first ones of the other small set: each merge needs earlier ones alone
SEMANTIC, MELS, STYLE, EMOTION_WIDTH = 26, 56, 96, 22
GPT_LAYER = (10, 6)  # of a network that the published file holds and nothing uses
WIDTH, CHANNELS, CODES, ROWS = 20, 18, 61, [2, 1, 3, 1, 1, 4, 2, 3]
CAMPPLUS = {"growth_rate": 2, "bn_size": 5, "init_channels": 14}


def _config() -> dict[str, Any]:
    data = copy.deepcopy(golden_sizes.CONFIG)
    data["gpt"] |= {
        "model_dim": 18,
        "heads": 2,
        "layers": 2,
        "max_mel_tokens": 37,
        "max_text_tokens": 29,
        "number_text_tokens": RANKS + len(SPECIAL_TOKENS),
        "number_mel_codes": CODES + 2,
        "start_mel_token": CODES + 1,
        "stop_mel_token": CODES,
        "start_text_token": 0,
        "stop_text_token": 1,
    }
    data["gpt"]["emo_condition_module"] |= {
        "output_size": 6,
        "linear_units": 14,
        "attention_heads": 3,
        "num_blocks": 1,
        "perceiver_mult": 1,
    }
    data["semantic_codec"] = {
        "codebook_size": CODES,
        "hidden_size": SEMANTIC,
        "codebook_dim": 5,
        "vocos_dim": 17,
        "vocos_intermediate_dim": 31,
        "vocos_num_layers": 4,
    }
    s2mel = data["s2mel"]
    s2mel["preprocess_params"]["spect_params"] |= {"n_mels": MELS, "fmin": 40, "fmax": 8000}
    s2mel["style_encoder"]["dim"] = STYLE
    s2mel["length_regulator"] |= {
        "channels": CHANNELS,
        "in_channels": SEMANTIC,
        "content_codebook_size": 9,
        "sampling_ratios": [1, 1],
    }
    s2mel["DiT"] |= {
        "hidden_dim": WIDTH,
        "num_heads": 2,
        "depth": 5,
        "in_channels": MELS,
        "content_dim": CHANNELS,
        "content_codebook_size": 7,
    }
    s2mel["wavenet"] |= {
        "hidden_dim": WIDTH,
        "num_layers": 3,
        "kernel_size": 3,
        "dilation_rate": 3,
    }
    data["emo_num"] = ROWS
    # As early copies of the published one: paths of another machine, and the other version.
    data["gpt_checkpoint"] = "/cluster/run7/checkpoint_5000.pth"
    data["s2mel_checkpoint"] = "/cluster/run7/DiT_gptlatent_10000.pth"
    data["spk_matrix"], data["emo_matrix"] = "/cluster/feat1.pt", "/cluster/feat2.pt"
    data["w2v_stat"] = "/cluster/wav2vec2bert_stats.pt"
    return data


CONFIG = _config()
W2V = golden_sizes.W2V | {
    "hidden_size": SEMANTIC,
    "num_hidden_layers": 17,
    "num_attention_heads": 2,
    "intermediate_size": 14,
    "left_max_position_embeddings": 11,
    "right_max_position_embeddings": 5,
    "conv_depthwise_kernel_size": 7,
    "layer_norm_eps": 1e-5,
    "output_hidden_size": SEMANTIC,
}
BIGVGAN = golden_sizes.BIGVGAN | {
    "upsample_rates": [4, 8, 2, 4],
    "upsample_kernel_sizes": [8, 14, 4, 8],
    "upsample_initial_channel": 36,
    "resblock_kernel_sizes": [3, 7],
    "resblock_dilation_sizes": [[1, 3], [1, 2]],
    "num_mels": MELS,
    "fmin": 40,
    "fmax": 8000,
}
EXTRACTOR, RECIPE = golden_sizes.EXTRACTOR, golden_sizes.RECIPE
