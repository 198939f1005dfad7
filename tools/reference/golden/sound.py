"""From codes and latents to the waveform."""

import json
from unittest import mock

import numpy as np
import torch
from golden.prompt import embedded
from golden.run import Run
from torch import Tensor

FRAMES_PER_CODE = 1.72


def regulate(run: Run, x: Tensor, length: int) -> Tensor:
    """A sequence at code rate, at frame rate."""
    return run.ref.regulator(x, ylens=torch.tensor([length]), n_quantizers=3, f0=None)[0]


def length_regulator(run: Run) -> None:
    """Conditions at frame rate."""
    stage = "length_regulator"
    x = run.chosen(stage, "nearest_in", lambda rng: _codec_like(run, rng))
    length = run.chosen(stage, "nearest_length", lambda _: np.int64([run.recipe["nearest"][1]]))
    run.keep(stage, nearest_out=regulate(run, x, int(length)))
    prompt = run.tensor("codec", "quantized")
    frames = run.out["audio"]["ref_mel"].shape[-1]
    run.keep(stage, prompt_in=prompt, prompt_condition=regulate(run, prompt, frames))
    codes = run.tensor("gpt_latent", "codes")
    projected = run.ref.gpt_layer(run.tensor("gpt_latent", "latent"))
    infer_in = embedded(run, codes) + projected
    target = (torch.tensor([codes.shape[-1]]) * FRAMES_PER_CODE).long()
    run.keep(stage, gpt_layer_out=projected, infer_in=infer_in, target_length=target)
    run.keep(stage, condition=regulate(run, infer_in, int(target)))


def _codec_like(run: Run, rng: np.random.Generator) -> np.ndarray:
    """Rows of the codec's codebook, as features, in random order."""
    size = run.ref.config.semantic_codec.codebook_size
    codes = torch.from_numpy(rng.integers(size, size=(1, run.recipe["nearest"][0])))
    return embedded(run, codes.to(run.ref.device)).cpu().numpy()


def cfm(run: Run) -> None:
    """Velocities, and whole flows."""
    names = ("prompt_condition", "condition")
    condition = torch.cat([run.tensor("length_regulator", name) for name in names], 1)
    prompt, style = run.tensor("audio", "ref_mel"), run.tensor("campplus", "style")
    shape = (1, prompt.shape[1], condition.shape[1])
    noise = run.chosen("cfm", "noise", lambda rng: rng.standard_normal(shape, np.float32))
    run.keep("cfm", prompt_mel=prompt, condition=condition, style=style)
    padded = torch.zeros(shape)
    padded[..., : prompt.shape[-1]] = prompt
    estimator, length = run.ref.cfm.estimator, torch.tensor([shape[-1]])
    velocity = estimator(noise, padded, length, torch.tensor([0.3]), style, condition)
    run.keep("cfm", estimator_t0_3=velocity)
    lengths = run.chosen("cfm", "batch_lengths", lambda _: _batch_lengths(run, shape[-1]))
    x = run.chosen("cfm", "batch_x", lambda _: _batch_x(run, lengths))
    t = run.chosen("cfm", "batch_t", lambda _: run.recipe["batch_t"])
    both = [array.expand(2, -1, -1) for array in (padded, condition)]
    velocity = estimator(x, both[0], lengths, t.float(), style.expand(2, -1), both[1])
    run.keep("cfm", batch_estimator=velocity)
    guidance = run.limits.guidance
    for steps, weight in dict.fromkeys(((4, guidance), (run.limits.steps, guidance), (4, 0.0))):
        with mock.patch.object(torch, "randn", return_value=noise.clone()):
            flow = run.ref.cfm.inference(
                condition, length, prompt, style, None, steps, inference_cfg_rate=weight
            )
        run.keep("cfm", **{_euler(steps, weight): flow})


def _euler(steps: int, guidance: float) -> str:
    return f"euler{steps}_cfg{guidance:g}".replace(".", "_")


def _batch_lengths(run: Run, frames: int) -> np.ndarray:
    return np.int64([frames, frames - run.recipe["flow_shorter_by"]])


def _batch_x(run: Run, lengths: Tensor) -> np.ndarray:
    """Noise twice, zero past the second row's length."""
    rows = np.repeat(run.out["cfm"]["noise"], 2, axis=0)
    rows[1, :, int(lengths[1]) :] = 0
    return rows


def bigvgan(run: Run) -> None:
    """A piece of the prompt's mel as a waveform."""
    piece = run.tensor("audio", "ref_mel")[..., : run.limits.vocoder_frames]
    run.keep("bigvgan", mel_in=piece, wav_from_mel=run.ref.bigvgan(piece))


def end_to_end(run: Run) -> None:
    """The generated mel, its waveform, and what one run from the audio files needs to give them."""
    limits = run.limits
    flow = run.tensor("cfm", _euler(limits.steps, limits.guidance))
    generated = flow[..., run.out["audio"]["ref_mel"].shape[-1] :]
    wav = run.ref.bigvgan(generated)
    scaled = torch.clamp(32767 * wav, -32767.0, 32767.0)
    run.keep(
        "end_to_end",
        text_ids=run.tensor("gpt", "text_ids"),
        codes=run.tensor("gpt_latent", "codes"),
        noise=run.tensor("cfm", "noise"),
        mel=generated,
        wav=wav,
        wav_int16_scale=scaled,
    )
    if limits.margins:
        behind = {"steps": limits.steps, "guidance": limits.guidance}
        run.keep("end_to_end", settings=json.dumps(behind))
