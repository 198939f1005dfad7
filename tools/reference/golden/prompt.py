"""The prompts: audio, features, encoders, conditioning."""

from pathlib import Path

import numpy as np
import torch
import torchaudio
from golden.margins import margin
from golden.reference import load_audio, mel, resample
from golden.run import Run
from torch import Tensor
from torch.nn.functional import normalize

HIDDEN = 17


def audio(run: Run, speaker: Path, emotion: Path) -> None:
    """The prompts as loaded and resampled, and their features; always on the CPU."""
    spk_22k = load_audio(speaker)
    spk_16k = resample(spk_22k, 22050, 16000)
    emo_16k = load_audio(emotion, 16000)
    run.keep("audio", spk_22k=spk_22k, spk_16k=spk_16k, emo_16k=emo_16k)
    for name, audio in (("spk", spk_16k), ("emo", emo_16k)):
        found = run.ref.extractor(audio.numpy(), sampling_rate=16000, return_tensors="pt")
        arrays = {f"{name}_features": found["input_features"]}
        run.keep("audio", **arrays, **{f"{name}_mask": found["attention_mask"]})
    fbank = torchaudio.compliance.kaldi.fbank(
        spk_16k, num_mel_bins=80, dither=0, sample_frequency=16000
    )
    centered = fbank - fbank.mean(dim=0, keepdim=True)
    run.keep("audio", ref_mel=mel(run.ref, spk_22k), fbank=fbank, fbank_centered=centered)


def _hidden(run: Run, features: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    return run.ref.w2v(
        input_features=features, attention_mask=mask, output_hidden_states=True
    ).hidden_states


def w2v(run: Run) -> None:
    """Hidden states, normalised features, a batch."""
    for name in ("spk", "emo"):
        features, mask = (run.tensor("audio", f"{name}_{x}") for x in ("features", "mask"))
        hidden = _hidden(run, features, mask)
        semantic = (hidden[HIDDEN] - run.ref.mean) / torch.sqrt(run.ref.var)
        run.keep("w2v", **{f"{name}_semantic": semantic})
        if name == "spk":
            run.keep("w2v", **{f"hidden_{i}": hidden[i] for i in (0, 1, HIDDEN)})
    features = run.chosen("w2v", "batch_features", lambda rng: _batch_features(run, rng))
    mask = run.chosen("w2v", "batch_mask", lambda rng: _batch_mask(run))
    run.keep("w2v", batch_hidden_17=_hidden(run, features, mask)[HIDDEN])


def _batch_features(run: Run, rng: np.random.Generator) -> np.ndarray:
    """The speaker's features twice; in the second row, noise past its length."""
    rows = np.repeat(run.out["audio"]["spk_features"], 2, axis=0)
    rest = rows[1, run.recipe["semantic_length"] :]
    rest[:] = rng.standard_normal(rest.shape)
    return rows


def _batch_mask(run: Run) -> np.ndarray:
    rows = np.repeat(run.out["audio"]["spk_mask"], 2, axis=0)
    rows[1, run.recipe["semantic_length"] :] = 0
    return rows


def codec(run: Run) -> None:
    """The speaker's codes, and what they stand for."""
    semantic = run.tensor("w2v", "spk_semantic")
    codes, quantized = run.ref.codec.quantize(semantic)
    encoded = run.ref.codec.encoder(semantic.transpose(1, 2))
    if run.limits.margins:
        run.keep("codec", codes_margins=_codec_margins(run, encoded))
    run.keep("codec", semantic=semantic, codes=codes, quantized=quantized)
    run.keep("codec", vq2emb=embedded(run, codes), encoder_out=encoded)


def _codec_margins(run: Run, encoded: Tensor) -> np.ndarray:
    """How much nearer the chosen code was than the next, as cosines."""
    (quantizer,) = run.ref.codec.quantizer.quantizers
    projected = normalize(quantizer.in_project(encoded.transpose(1, 2)), dim=1)
    return np.float32(margin(projected.transpose(1, 2) @ normalize(quantizer.codebook.weight).T, 1))


def embedded(run: Run, codes: Tensor) -> Tensor:
    """Codes as features."""
    return run.ref.codec.quantizer.vq2emb(codes.unsqueeze(1)).transpose(1, 2)


def campplus(run: Run) -> None:
    """The style vector."""
    features = run.tensor("audio", "fbank_centered").unsqueeze(0)
    head = run.ref.campplus.head(features.permute(0, 2, 1))
    run.keep("campplus", style=run.ref.campplus(features), head_out=head)


def conditioning(run: Run) -> None:
    """Conditioning latents and emotion vectors."""
    gpt = run.ref.gpt
    spk, emo = (run.tensor("w2v", f"{x}_semantic") for x in ("spk", "emo"))
    width = torch.tensor([spk.shape[-1]])  # The reference's lengths: the features' width.
    run.keep(
        "conditioning",
        conformer_out=gpt.conditioning_encoder(spk, width)[0],
        speaker_latents=gpt.get_conditioning(spk.transpose(1, 2), width),
        emo_conformer_out=gpt.emo_conditioning_encoder(emo, width)[0],
        emo_perceiver_out=gpt.get_emo_conditioning(emo.transpose(1, 2), width),
        emovec_speaker=gpt.get_emovec(spk, width),
        emovec_emotion=gpt.get_emovec(emo, width),
        **{blended(run): gpt.merge_emovec(spk, emo, width, width, alpha=run.limits.alpha)},
    )


def blended(run: Run) -> str:
    """The name of the emotion vector that the codes are made with."""
    return f"emovec_alpha_{str(run.limits.alpha).replace('.', '_')}"


def emotion_vector(run: Run) -> None:
    """The eight-weight path through the matrices."""
    style = run.tensor("campplus", "style")
    weights = run.chosen(
        "emotion_vector", "weights", lambda _: np.float32(run.recipe["emotion_weights"])
    )
    near = [torch.cosine_similarity(style, group) for group in run.ref.speaker_matrix]
    rows = torch.stack([similarity.argmax() for similarity in near])
    margins = np.concatenate([margin(similarity.unsqueeze(0), 1) for similarity in near])
    run.notes.append(f"emotion rows: least gap {margins.min():.3g}")
    if run.limits.margins:
        run.keep("emotion_vector", rows_margins=np.float32(margins))
    picked = [group[row] for group, row in zip(run.ref.emotion_matrix, rows, strict=True)]
    matrix = (weights.unsqueeze(1) * torch.stack(picked)).sum(0, keepdim=True)
    base = run.tensor("conditioning", "emovec_speaker")
    emovec = matrix + (1 - weights.sum()) * base
    run.keep("emotion_vector", rows=rows, matrix_part=matrix, emovec=emovec)
