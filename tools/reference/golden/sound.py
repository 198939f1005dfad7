"""From codes and latents to the waveform."""

import json

import numpy as np
import torch
from torch import Tensor

from tools.reference.golden.recorder import Recorder
from tools.reference.stages import FRAMES_PER_CODE, code_features, flow, padded_prompt, stretch


def length_regulator(recorder: Recorder) -> None:
    """Conditions at frame rate."""
    stage = "length_regulator"
    x = recorder.chosen(stage, "nearest_in", lambda rng: _codec_like(recorder, rng))
    length = recorder.chosen(
        stage, "nearest_length", lambda _: np.int64([recorder.recipe["nearest"][1]])
    )
    recorder.keep(stage, nearest_out=stretch(recorder.ref, x, int(length)))
    prompt = recorder.tensor("codec", "quantized")
    frames = recorder.out["audio"]["ref_mel"].shape[-1]
    recorder.keep(stage, prompt_in=prompt, prompt_condition=stretch(recorder.ref, prompt, frames))
    codes = recorder.tensor("gpt_latent", "codes")
    projected = recorder.ref.gpt_layer(recorder.tensor("gpt_latent", "latent"))
    infer_in = code_features(recorder.ref, codes) + projected
    target = (torch.tensor([codes.shape[-1]]) * FRAMES_PER_CODE).long()
    recorder.keep(stage, gpt_layer_out=projected, infer_in=infer_in, target_length=target)
    recorder.keep(stage, condition=stretch(recorder.ref, infer_in, int(target)))


def _codec_like(recorder: Recorder, rng: np.random.Generator) -> np.ndarray:
    """Rows of the codec's codebook, as features, in random order."""
    size = recorder.ref.config.semantic_codec.codebook_size
    codes = torch.from_numpy(rng.integers(size, size=(1, recorder.recipe["nearest"][0])))
    return code_features(recorder.ref, codes.to(recorder.ref.device)).cpu().numpy()


def cfm(recorder: Recorder) -> None:
    """Velocities, and whole flows."""
    names = ("prompt_condition", "condition")
    condition = torch.cat([recorder.tensor("length_regulator", name) for name in names], 1)
    prompt, style = recorder.tensor("audio", "ref_mel"), recorder.tensor("campplus", "style")
    shape = (1, prompt.shape[1], condition.shape[1])
    noise = recorder.chosen("cfm", "noise", lambda rng: rng.standard_normal(shape, np.float32))
    recorder.keep("cfm", prompt_mel=prompt, condition=condition, style=style)
    padded = padded_prompt(prompt, shape[-1])
    estimator, length = recorder.ref.cfm.estimator, torch.tensor([shape[-1]])
    velocity = estimator(noise, padded, length, torch.tensor([0.3]), style, condition)
    recorder.keep("cfm", estimator_t0_3=velocity)
    lengths = recorder.chosen("cfm", "batch_lengths", lambda _: _batch_lengths(recorder, shape[-1]))
    x = recorder.chosen("cfm", "batch_x", lambda _: _batch_x(recorder, lengths))
    t = recorder.chosen("cfm", "batch_t", lambda _: recorder.recipe["batch_t"])
    both = [array.expand(2, -1, -1) for array in (padded, condition)]
    velocity = estimator(x, both[0], lengths, t.float(), style.expand(2, -1), both[1])
    recorder.keep("cfm", batch_estimator=velocity)
    guidance = recorder.limits.guidance
    for steps, weight in dict.fromkeys(
        ((4, guidance), (recorder.limits.steps, guidance), (4, 0.0))
    ):
        found = flow(recorder.ref, condition, prompt, style, noise, steps=steps, guidance=weight)
        recorder.keep("cfm", **{_euler(steps, weight): found})


def _euler(steps: int, guidance: float) -> str:
    return f"euler{steps}_cfg{guidance:g}".replace(".", "_")


def _batch_lengths(recorder: Recorder, frames: int) -> np.ndarray:
    return np.int64([frames, frames - recorder.recipe["flow_shorter_by"]])


def _batch_x(recorder: Recorder, lengths: Tensor) -> np.ndarray:
    """Noise twice, zero past the second row's length."""
    rows = np.repeat(recorder.out["cfm"]["noise"], 2, axis=0)
    rows[1, :, int(lengths[1]) :] = 0
    return rows


def bigvgan(recorder: Recorder) -> None:
    """A piece of the prompt's mel as a waveform."""
    piece = recorder.tensor("audio", "ref_mel")[..., : recorder.limits.vocoder_frames]
    recorder.keep("bigvgan", mel_in=piece, wav_from_mel=recorder.ref.bigvgan(piece))


def end_to_end(recorder: Recorder) -> None:
    """The generated mel, its waveform, and the inputs that a whole run needs to repeat them."""
    limits = recorder.limits
    whole = recorder.tensor("cfm", _euler(limits.steps, limits.guidance))
    generated = whole[..., recorder.out["audio"]["ref_mel"].shape[-1] :]
    wav = recorder.ref.bigvgan(generated)
    scaled = torch.clamp(32767 * wav, -32767.0, 32767.0)
    recorder.keep(
        "end_to_end",
        text_ids=recorder.tensor("gpt", "text_ids"),
        codes=recorder.tensor("gpt_latent", "codes"),
        noise=recorder.tensor("cfm", "noise"),
        mel=generated,
        wav=wav,
        wav_int16_scale=scaled,
    )
    if limits.margins:
        behind = {"steps": limits.steps, "guidance": limits.guidance}
        recorder.keep("end_to_end", settings=json.dumps(behind))
