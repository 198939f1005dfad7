"""Each stage of the PyTorch reference as one call, shared by all that uses the reference.

Arrays have the reference's order of axes: features (b t d), mels (b m f). A stage computes where
its module and its arguments are.
"""

from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from tools.reference.modules import Reference

HIDDEN = 17
"""The hidden state of the semantic encoder that the reference uses."""
FRAMES_PER_CODE = 1.72


def hidden_states(reference: Reference, features: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    """All hidden states of the semantic encoder."""
    found = reference.w2v(input_features=features, attention_mask=mask, output_hidden_states=True)
    return found.hidden_states


def semantic_features(reference: Reference, hidden: tuple[Tensor, ...]) -> Tensor:
    """The hidden state in use, normalised by its stored statistics."""
    return (hidden[HIDDEN] - reference.mean) / torch.sqrt(reference.var)


def code_features(reference: Reference, codes: Tensor) -> Tensor:
    """Codes (b s) as features of the semantic codec."""
    return reference.codec.quantizer.vq2emb(codes.unsqueeze(1)).transpose(1, 2)


def widths(semantic: Tensor, rows: int = 1) -> Tensor:
    """What the reference passes as lengths of features: their width, so that nothing is masked."""
    return torch.tensor([semantic.shape[-1]] * rows, device=semantic.device)


def speaker_latents(gpt: nn.Module, semantic: Tensor) -> Tensor:
    """The conditioning latents of a speaker prompt."""
    return gpt.get_conditioning(semantic.transpose(1, 2), widths(semantic))


def blended_emotion(gpt: nn.Module, speaker: Tensor, emotion: Tensor, alpha: float) -> Tensor:
    """The emotion vector between that of the speaker prompt and that of the emotion prompt."""
    width = widths(speaker)
    return gpt.merge_emovec(speaker, emotion, width, width, alpha=alpha)


def search(
    gpt: nn.Module,
    speaker: Tensor,
    text: Tensor,
    emotion: Tensor,
    vector: Tensor,
    *,
    max_codes: int,
    **settings: Any,
) -> Any:
    """Codes and speaker latents of the reference's own generation, for each row of `text`."""
    rows = text.shape[0]
    width = widths(speaker, rows)
    return gpt.inference_speech(
        speaker.expand(rows, -1, -1),
        text,
        emotion.expand(rows, -1, -1),
        cond_lengths=width,
        emo_cond_lengths=width,
        emo_vec=vector.expand(rows, -1),
        max_generate_length=max_codes,
        **settings,
    )


def code_latents(
    gpt: nn.Module, latents: Tensor, text: Tensor, codes: Tensor, emotion: Tensor, vector: Tensor
) -> Tensor:
    """The latents of the second pass over finished codes, for one row."""

    def length(ids: Tensor) -> Tensor:
        return torch.tensor([ids.shape[-1]], device=ids.device)

    width = widths(emotion)
    return gpt(
        latents,
        text,
        length(text),
        codes,
        length(codes),
        emotion,
        cond_mel_lengths=width,
        emo_cond_mel_lengths=width,
        emo_vec=vector,
        use_speed=torch.zeros(1, dtype=torch.int64, device=codes.device),
    )


def stretch(reference: Reference, sequence: Tensor, frames: int | Tensor) -> Tensor:
    """A sequence at code rate, stretched to that many mel frames by the length regulator."""
    target = torch.as_tensor(frames, dtype=torch.int64, device=sequence.device).reshape(1)
    return reference.regulator(sequence, ylens=target, n_quantizers=3, f0=None)[0]


def padded_prompt(prompt: Tensor, frames: int) -> Tensor:
    """The prompt's mel padded with zeros to that many frames."""
    padded = prompt.new_zeros((*prompt.shape[:-1], frames))
    padded[..., : prompt.shape[-1]] = prompt
    return padded


def flow(
    reference: Reference,
    condition: Tensor,
    prompt: Tensor,
    style: Tensor,
    noise: Tensor,
    *,
    steps: int,
    guidance: float,
) -> Tensor:
    """The mel that the flow makes of given noise, prompt included."""
    length = torch.tensor([noise.shape[-1]], device=noise.device)
    # The reference draws its noise inside.
    with mock.patch.object(torch, "randn", return_value=noise.clone()):
        return reference.cfm.inference(
            condition, length, prompt, style, None, steps, inference_cfg_rate=guidance
        )
