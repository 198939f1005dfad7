"""The prompts: audio, features, encoders, conditioning."""

from pathlib import Path

import numpy as np
import torch
import torchaudio
from torch import Tensor
from torch.nn.functional import normalize

from tools.reference import stages
from tools.reference.golden.margins import margin
from tools.reference.golden.recorder import Recorder
from tools.reference.modules import load_audio, mel, resample


def audio(recorder: Recorder, speaker: Path, emotion: Path) -> None:
    """The prompts as loaded and resampled, and their features; always on the CPU."""
    spk_22k = load_audio(speaker)
    spk_16k = resample(spk_22k, 22050, 16000)
    emo_16k = load_audio(emotion, 16000)
    recorder.keep("audio", spk_22k=spk_22k, spk_16k=spk_16k, emo_16k=emo_16k)
    for name, audio in (("spk", spk_16k), ("emo", emo_16k)):
        found = recorder.ref.extractor(audio.numpy(), sampling_rate=16000, return_tensors="pt")
        arrays = {f"{name}_features": found["input_features"]}
        recorder.keep("audio", **arrays, **{f"{name}_mask": found["attention_mask"]})
    fbank = torchaudio.compliance.kaldi.fbank(
        spk_16k, num_mel_bins=80, dither=0, sample_frequency=16000
    )
    centered = fbank - fbank.mean(dim=0, keepdim=True)
    recorder.keep("audio", ref_mel=mel(recorder.ref, spk_22k), fbank=fbank, fbank_centered=centered)


def w2v(recorder: Recorder) -> None:
    """Hidden states, normalised features, a batch."""
    for name in ("spk", "emo"):
        features, mask = (recorder.tensor("audio", f"{name}_{x}") for x in ("features", "mask"))
        hidden = stages.hidden_states(recorder.ref, features, mask)
        semantic = stages.semantic_features(recorder.ref, hidden)
        recorder.keep("w2v", **{f"{name}_semantic": semantic})
        if name == "spk":
            recorder.keep("w2v", **{f"hidden_{i}": hidden[i] for i in (0, 1, stages.HIDDEN)})
    features = recorder.chosen("w2v", "batch_features", lambda rng: _batch_features(recorder, rng))
    mask = recorder.chosen("w2v", "batch_mask", lambda rng: _batch_mask(recorder))
    hidden = stages.hidden_states(recorder.ref, features, mask)
    recorder.keep("w2v", batch_hidden_17=hidden[stages.HIDDEN])


def _batch_features(recorder: Recorder, rng: np.random.Generator) -> np.ndarray:
    """The speaker's features twice; in the second row, noise past its length."""
    rows = np.repeat(recorder.out["audio"]["spk_features"], 2, axis=0)
    rest = rows[1, recorder.recipe["semantic_length"] :]
    rest[:] = rng.standard_normal(rest.shape)
    return rows


def _batch_mask(recorder: Recorder) -> np.ndarray:
    rows = np.repeat(recorder.out["audio"]["spk_mask"], 2, axis=0)
    rows[1, recorder.recipe["semantic_length"] :] = 0
    return rows


def codec(recorder: Recorder) -> None:
    """The speaker's codes, and what they stand for."""
    semantic = recorder.tensor("w2v", "spk_semantic")
    codes, quantized = recorder.ref.codec.quantize(semantic)
    encoded = recorder.ref.codec.encoder(semantic.transpose(1, 2))
    if recorder.limits.margins:
        recorder.keep("codec", codes_margins=_codec_margins(recorder, encoded))
    recorder.keep("codec", semantic=semantic, codes=codes, quantized=quantized)
    embedded = stages.code_features(recorder.ref, codes)
    recorder.keep("codec", vq2emb=embedded, encoder_out=encoded)


def _codec_margins(recorder: Recorder, encoded: Tensor) -> np.ndarray:
    """How much nearer the chosen code was than the next, as cosines."""
    (quantizer,) = recorder.ref.codec.quantizer.quantizers
    projected = normalize(quantizer.in_project(encoded.transpose(1, 2)), dim=1)
    return np.float32(margin(projected.transpose(1, 2) @ normalize(quantizer.codebook.weight).T, 1))


def campplus(recorder: Recorder) -> None:
    """The style vector."""
    features = recorder.tensor("audio", "fbank_centered").unsqueeze(0)
    head = recorder.ref.campplus.head(features.permute(0, 2, 1))
    recorder.keep("campplus", style=recorder.ref.campplus(features), head_out=head)


def conditioning(recorder: Recorder) -> None:
    """Conditioning latents and emotion vectors."""
    gpt = recorder.ref.gpt
    spk, emo = (recorder.tensor("w2v", f"{x}_semantic") for x in ("spk", "emo"))
    width = stages.widths(spk)
    blend = stages.blended_emotion(gpt, spk, emo, recorder.limits.alpha)
    recorder.keep(
        "conditioning",
        conformer_out=gpt.conditioning_encoder(spk, width)[0],
        speaker_latents=stages.speaker_latents(gpt, spk),
        emo_conformer_out=gpt.emo_conditioning_encoder(emo, width)[0],
        emo_perceiver_out=gpt.get_emo_conditioning(emo.transpose(1, 2), width),
        emovec_speaker=gpt.get_emovec(spk, width),
        emovec_emotion=gpt.get_emovec(emo, width),
        **{blended(recorder): blend},
    )


def blended(recorder: Recorder) -> str:
    """The name of the emotion vector that the codes are made with."""
    return f"emovec_alpha_{str(recorder.limits.alpha).replace('.', '_')}"


def emotion_vector(recorder: Recorder) -> None:
    """The eight-weight path through the matrices."""
    style = recorder.tensor("campplus", "style")
    weights = recorder.chosen(
        "emotion_vector", "weights", lambda _: np.float32(recorder.recipe["emotion_weights"])
    )
    near = [torch.cosine_similarity(style, group) for group in recorder.ref.speaker_matrix]
    rows = torch.stack([similarity.argmax() for similarity in near])
    margins = np.concatenate([margin(similarity.unsqueeze(0), 1) for similarity in near])
    recorder.notes.append(f"emotion rows: least gap {margins.min():.3g}")
    if recorder.limits.margins:
        recorder.keep("emotion_vector", rows_margins=np.float32(margins))
    picked = [group[row] for group, row in zip(recorder.ref.emotion_matrix, rows, strict=True)]
    matrix = (weights.unsqueeze(1) * torch.stack(picked)).sum(0, keepdim=True)
    base = recorder.tensor("conditioning", "emovec_speaker")
    emovec = matrix + (1 - weights.sum()) * base
    recorder.keep("emotion_vector", rows=rows, matrix_part=matrix, emovec=emovec)
