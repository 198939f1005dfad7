"""Validation from codes and latents to the waveform."""

import jax
import jax.numpy as jnp
import numpy as np

from indextts_jax.models.length_regulator import target_length
from indextts_jax.runtime import inner_stages, stages
from indextts_jax.runtime.buckets import bucket, pad
from indextts_jax.runtime.model import Model
from indextts_jax.validation.golden import Arrays, Golden, named, number


def turned(array: object) -> np.ndarray:
    """Transposes time and channels: the reference has channels first."""
    return np.asarray(array).swapaxes(-1, -2)


def regulated(model: Model, sequence: np.ndarray | jax.Array, frames: int) -> jax.Array:
    """The condition of `frames` frames for one sequence at code rate."""
    lengths = jnp.asarray([sequence.shape[1]], jnp.int32)
    targets = jnp.asarray([frames], jnp.int32)
    return stages.regulate(model, sequence, lengths, targets, size=frames)


def length_regulator(model: Model, golden: Golden) -> Arrays:
    """`length_regulator.npz`."""

    def given(name: str) -> np.ndarray:
        return golden["length_regulator", name]

    codes = golden["gpt_latent", "codes"].astype(np.int32)
    projected = stages.project_latents(model, golden["gpt_latent", "latent"])
    target = target_length(codes.shape[1], model.config.frames_per_code)
    sequence = stages.embed_codes(model, codes) + projected
    return {
        "nearest_out": regulated(model, given("nearest_in"), int(given("nearest_length")[0])),
        "prompt_condition": regulated(
            model, given("prompt_in"), golden["audio", "ref_mel"].shape[-1]
        ),
        "gpt_layer_out": projected,
        "infer_in": sequence,
        "target_length": np.asarray([target]),
        "condition": regulated(model, sequence, target),
    }


def _prompted(prompt: np.ndarray, frames: int) -> np.ndarray:
    """The prompt mel, time first, padded with zeros to `frames` frames."""
    turned_prompt = turned(prompt)
    return np.pad(turned_prompt, [(0, 0), (0, frames - turned_prompt.shape[1]), (0, 0)])


def single_flow(model: Model, golden: Golden) -> Arrays:
    """`cfm.npz` without its batch."""
    arrays = golden.arrays("cfm")

    def given(name: str) -> np.ndarray:
        return golden["cfm", name]

    noise, condition, style = turned(given("noise")), given("condition"), given("style")
    frames = noise.shape[1]
    prompt = _prompted(given("prompt_mel"), frames)
    length = jnp.asarray([frames], jnp.int32)
    made: Arrays = {}
    for name, match in named(r"estimator_t([\d_]+)", arrays).items():
        time = jnp.asarray([number(match.group(1))], jnp.float32)
        made[name] = turned(
            inner_stages.velocity(model, noise, prompt, time, style, condition, length)
        )
    for name, match in named(r"euler(\d+)_cfg([\d_]+)", arrays).items():
        mel = inner_stages.sample_mel(
            model,
            noise,
            prompt,
            jnp.asarray([given("prompt_mel").shape[-1]], jnp.int32),
            condition,
            style,
            length,
            steps=int(match.group(1)),
            guidance=number(match.group(2)),
        )
        made[name] = turned(mel)
    return made


def flow(model: Model, golden: Golden) -> Arrays:
    """`cfm.npz`."""
    return single_flow(model, golden) | {"batch_estimator": _batch(model, golden)}


def _batch(model: Model, golden: Golden) -> np.ndarray:
    """Rows of different length at different times, with a common prompt, style and condition."""
    x, times = turned(golden["cfm", "batch_x"]), golden["cfm", "batch_t"]
    rows, frames = x.shape[:2]

    def repeated(array: np.ndarray) -> np.ndarray:
        return np.repeat(array, rows, axis=0)

    velocity = inner_stages.velocity(
        model,
        x,
        repeated(_prompted(golden["cfm", "prompt_mel"], frames)),
        jnp.asarray(times, jnp.float32),
        repeated(golden["cfm", "style"]),
        repeated(golden["cfm", "condition"]),
        jnp.asarray(golden["cfm", "batch_lengths"], jnp.int32),
    )
    return turned(velocity)


def reach(model: Model) -> int:
    """Frames before a row's end that depend on padding in the reference.

    Quirk of the reference: every WaveNet layer reflects at the end of the padded batch, not of the
    row.
    """
    wavenet = model.config.dit.wavenet
    dilations = [wavenet.dilation**layer for layer in range(wavenet.layers)]
    return (wavenet.kernel - 1) // 2 * sum(dilations)


def batch_comparisons(
    model: Model, golden: Golden, ours: np.ndarray
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """The comparable parts of `batch_estimator`: name, ours, reference.

    Rows of full length are compared completely; of a shorter row the frames that do not depend on
    padding in the reference, and its last frames with our own run of that row alone.
    """
    reference = golden["cfm", "batch_estimator"]
    rows = []
    for row, length in enumerate(golden["cfm", "batch_lengths"].tolist()):
        label = f"batch_estimator[{row}]"
        if length == reference.shape[-1]:
            rows.append((label, ours[row], reference[row]))
            continue
        safe = max(length - reach(model), 0)
        rows.append((f"{label}[:{safe}]", ours[row, :, :safe], reference[row, :, :safe]))
        alone = inner_stages.velocity(
            model,
            turned(golden["cfm", "batch_x"][row : row + 1, :, :length]),
            _prompted(golden["cfm", "prompt_mel"], reference.shape[-1])[:, :length],
            jnp.asarray(golden["cfm", "batch_t"][row : row + 1], jnp.float32),
            golden["cfm", "style"],
            golden["cfm", "condition"][:, :length],
            jnp.asarray([length], jnp.int32),
        )
        rows.append(
            (
                f"{label}[{safe}:{length}] (unpadded, ours)",
                ours[row, :, safe:length],
                turned(alone)[0, :, safe:],
            )
        )
    return rows


def vocoder(model: Model, golden: Golden) -> Arrays:
    """`bigvgan.npz`."""
    mel = turned(golden["bigvgan", "mel_in"])
    count = mel.shape[1]
    # Padded as in synthesis, to reuse the cached program: compiling takes longer than everything
    # else here.
    padded = pad(mel, bucket(count, model.buckets.frames))
    wave = stages.vocode(model, padded, jnp.asarray([count], jnp.int32))
    return {"wav_from_mel": wave[:, None, : count * model.config.mel.hop]}
