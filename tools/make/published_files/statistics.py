"""The stored mean and variance of w2v-BERT's features."""

from pathlib import Path

import numpy as np
import torch
import transformers

from indextts_jax.audio.features import semantic_features
from indextts_jax.audio.io import load_audio
from tools.make.published_files import settings

USED = 17  # the hidden state that is used, and layers that it takes
STEP = 2**-10  # that the numbers are rounded to, so that every machine writes the same


@torch.no_grad()
def write(folder: Path, speaker: Path) -> None:
    """Writes mean and variance near those of a clip, so that its features vary and codes differ.

    Random weights give features that are largely constant in time: with other statistics, every
    frame of a prompt would have the same code.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    path = (folder / settings.FILES["w2v_bert"]).parent
    model = transformers.Wav2Vec2BertModel.from_pretrained(path, num_hidden_layers=USED).eval()
    features, mask = semantic_features(load_audio(speaker, 16000, 15.0))
    hidden = model(
        input_features=torch.tensor(np.asarray(features))[None],
        attention_mask=torch.tensor(np.asarray(mask))[None],
        output_hidden_states=True,
    ).hidden_states[USED][0]
    mean, var = hidden.mean(0), hidden.var(0).clamp_min(4 * STEP)
    rounded = {"mean": (mean / STEP).round() * STEP, "var": (var / STEP).round() * STEP}
    torch.save(rounded, folder / settings.FILES["w2v_stat"])
