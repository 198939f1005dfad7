import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx

from indextts_jax.config import DiTConfig, WaveNetConfig
from indextts_jax.layers.kernels.attention import attend_fused
from indextts_jax.models import dit
from indextts_jax.models.components import structure
from indextts_jax.models.dit import DiT
from indextts_jax.sampling import flow

SMALL = DiTConfig(
    width=30,
    layers=3,
    heads=3,
    feed_forward=37,
    mels=11,
    condition=13,
    style=7,
    frequencies=5,
    wavenet=WaveNetConfig(layers=2, kernel=5, dilation=1),
)


def time_first(array):
    """Time before channels; the golden arrays have channels first."""
    return np.asarray(array).swapaxes(-1, -2)


@functools.cache
def small():
    """A velocity field of odd sizes: its graph, and random parameters."""
    graph, state = nnx.split(nnx.eval_shape(lambda: DiT(SMALL, rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(1)
    return graph, jax.tree.map(
        lambda leaf: 0.25 * rng.standard_normal(leaf.shape, np.float32), nnx.to_pure_dict(state)
    )


@functools.cache
def compiled(graph, loop, **static):
    return jax.jit(lambda params, *given: loop(nnx.merge(graph, params), *given, **static))


def run(loop, *given, **static):
    """A loop over the small module, jitted over its parameters."""
    graph, params = small()
    call = compiled(graph, loop, **static)
    return np.asarray(call(params, *(jnp.asarray(a) for a in given)))


def inputs(rng, rows, frames):
    """Random noise, prompt mel, condition and style."""
    shapes = [(frames, 11), (frames, 11), (frames, 13), (7,)]
    return [rng.standard_normal((rows, *shape), np.float32) for shape in shapes]


def in_prompt(prompt_lengths, frames):
    return (np.arange(frames) < np.asarray(prompt_lengths)[:, None])[..., None]


def plain_euler(dit, noise, prompt, prompt_lengths, condition, style, lengths, guidance, *, steps):
    """Euler steps as the reference takes them: one stacked evaluation after the other."""
    target = (jnp.arange(noise.shape[1]) >= prompt_lengths[:, None])[..., None]
    prompt = jnp.where(target, 0, prompt)
    x, t = jnp.where(target, noise, 0), np.float32(0)
    for step in range(steps):
        dt = np.float32((step + 1) / steps) - t
        both = dit.velocity(
            jnp.concatenate([x, x]),
            jnp.concatenate([prompt, 0 * prompt]),
            jnp.full(2 * len(x), t),
            jnp.concatenate([style, 0 * style]),
            jnp.concatenate([condition, 0 * condition]),
            jnp.concatenate([lengths, lengths]),
        )
        conditional, unconditional = jnp.split(both, 2)
        x = x + dt * ((1 + guidance) * conditional - guidance * unconditional)
        x, t = jnp.where(target, x, 0), t + dt
    return x


def golden_flow(*, fused, steps=4, guidance=0.7):
    """The reference's flow: a call, its arrays, and those of the file."""
    arrays, config = support.golden("cfm"), support.tiny_config()
    noise, mel = time_first(arrays["noise"]), time_first(arrays["prompt_mel"])
    frames, prompted = noise.shape[1], mel.shape[1]
    prompt = np.pad(mel, [(0, 0), (0, frames - prompted), (0, 0)])
    given = (noise, prompt, [prompted], arrays["condition"], arrays["style"], [frames])
    graph = structure("dit", config, fused_attention=fused).graph
    call = compiled(graph, flow.sample, steps=steps, guidance=guidance)
    return call, (support.tiny_params("dit"), *(jnp.asarray(a) for a in given)), arrays


# By the validation's stages too (tests/validation), which the default run checks.
@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "steps", "guidance"),
    [("euler4_cfg0_7", 4, 0.7), ("euler25_cfg0_7", 25, 0.7), ("euler4_cfg0", 4, 0.0)],
)
def test_the_mel_is_the_reference_s(name, steps, guidance):
    call, given, arrays = golden_flow(fused=False, steps=steps, guidance=guidance)

    support.assert_close(time_first(call(*given)), arrays[name], f"cfm.{name}")


def test_the_kernel_for_gpus_gives_the_mel_of_the_reference(monkeypatch):
    def interpreted(q, k, v, lengths, *, fused):
        assert fused
        return attend_fused(q, k, v, lengths, interpret=True)

    monkeypatch.setattr(dit, "attend", interpreted)
    call, given, arrays = golden_flow(fused=True)

    support.assert_close(time_first(call(*given)), arrays["euler4_cfg0_7"], "cfm.euler4_cfg0_7")


@pytest.mark.parametrize("fused", [False, True])
def test_cuda_program_has_the_kernel_in_every_layer(fused):
    call, given, _ = golden_flow(fused=fused, steps=3)  # traced nowhere else

    assert support.kernels(call, *given) == fused * support.tiny_config().dit.layers


@pytest.mark.parametrize("guidance", [0.0, 0.7])
def test_scanned_steps_equal_a_plain_loop_over_whole_evaluations(guidance):
    noise, mel, condition, style = inputs(np.random.default_rng(2), 2, 19)
    given = (noise, mel, [5, 9], condition, style, [19, 19])

    ours = run(flow.sample, *given, steps=3, guidance=guidance)
    plain = run(plain_euler, *given, guidance, steps=3)

    assert support.relative_errors(ours, plain)[1] < 5e-6


def test_neither_padding_nor_neighbours_change_a_row():
    rng = np.random.default_rng(3)
    lengths, frames = rng.integers(10, 23, 3), 23
    prompts = rng.integers(1, 9, 3)
    noise, mel, condition, style = inputs(rng, 3, frames)
    valid = in_prompt(lengths, frames)

    def sampled(scale, others=1.0):
        filled = [
            np.where(keep, a, scale * rng.standard_normal(a.shape, np.float32))
            for keep, a in (
                (valid, noise),
                (in_prompt(prompts, frames), mel),
                (valid, condition),
            )
        ]
        filled = [np.concatenate([a[:1], others * a[1:]]) for a in (*filled, style)]
        given = (filled[0], filled[1], prompts, filled[2], filled[3], lengths)
        return run(flow.sample, *given, steps=2, guidance=0.7)

    ours = sampled(0.0)

    np.testing.assert_array_equal(sampled(1e4), ours)
    np.testing.assert_array_equal(sampled(0.0, others=30.0)[0], ours[0])


def test_a_row_equals_its_unpadded_run_and_is_zero_elsewhere():
    noise, mel, condition, style = inputs(np.random.default_rng(4), 1, 23)
    static = {"steps": 2, "guidance": 0.7}

    padded = run(flow.sample, noise, mel, [6], condition, style, [17], **static)
    cut = [a[:, :17] for a in (noise, mel, condition)]
    alone = run(flow.sample, cut[0], cut[1], [6], cut[2], style, [17], **static)

    assert support.relative_errors(padded[:, :17], alone)[1] < 6e-6
    assert not padded[:, :6].any()
    assert not padded[:, 17:].any()
    assert padded[:, 6:17].all()


def test_noise_of_a_frame_depends_on_its_key_and_position_alone():
    keys = jax.random.split(jax.random.key(0), 3)
    ours = np.asarray(flow.noise(keys, 31, 11))

    np.testing.assert_array_equal(flow.noise(keys, 17, 11), ours[:, :17])
    np.testing.assert_array_equal(flow.noise(keys[1:2], 31, 11)[0], ours[1])
    assert len(np.unique(ours)) == ours.size


def test_noise_is_standard_normal():
    ours = np.asarray(flow.noise(jax.random.split(jax.random.key(1), 2), 500, 80))
    frames = ours.reshape(-1, 80)

    assert abs(ours.mean()) < 0.015
    assert abs(ours.std() - 1) < 0.01
    assert abs(np.mean(ours**4) - 3) < 0.1
    assert abs(np.mean(frames[1:] * frames[:-1])) < 0.015


def test_continuation_equals_the_target_part_of_single_rows():
    rng = np.random.default_rng(5)
    prompts, lengths = [7, 4], [8, 11]
    mel, prompt_condition, condition = (
        1e4 * rng.standard_normal((2, size, width), np.float32)
        for size, width in ((9, 11), (9, 13), (14, 13))
    )
    style = rng.standard_normal((2, 7), np.float32)
    keys = jax.random.split(jax.random.key(2), 2)
    rows = []
    for row, (prompt, length) in enumerate(zip(prompts, lengths, strict=True)):
        _, own_mel, own, _ = inputs(rng, 1, prompt + length)
        mel[row, :prompt] = own_mel[0, :prompt]
        prompt_condition[row, :prompt] = own[0, :prompt]
        condition[row, :length] = own[0, prompt:]
        noise = flow.noise(keys[row : row + 1], prompt + length, 11)
        given = (noise, own_mel, [prompt], own, style[row : row + 1], [prompt + length])
        rows.append(run(flow.sample, *given, steps=2, guidance=0.7)[0, prompt:])

    noise = flow.noise(keys, 21, 11)
    given = (noise, mel, prompt_condition, prompts, condition, lengths, style)
    ours = run(flow.continue_mel, *given, steps=2, guidance=0.7)

    assert ours.shape == (2, 14, 11)
    for row, length, alone in zip(ours, lengths, rows, strict=True):
        assert support.relative_errors(row[:length], alone)[1] < 6e-6
        assert not row[length:].any()


def test_leaving_out_what_only_the_prompt_needs_changes_nothing():
    """A prompt within the margin, one in the middle, and one whose target ends with the array."""
    prompts, targets = np.array([2, 20, 29]), np.array([11, 7, 11])
    noise, mel, condition, style = inputs(np.random.default_rng(6), 3, 40)
    given = (noise, mel, prompts, condition, style, prompts + targets)

    whole = run(flow.sample, *given, steps=2, guidance=0.7)
    ours = run(flow.sample, *given, steps=2, guidance=0.7, longest=11)

    assert whole[0, 2:13].all()
    assert support.relative_errors(ours, whole)[1] < 5e-6


def test_window_covers_target_and_margin():
    window = flow.around(jnp.array([2, 20, 29]), 11, 4, 40)

    assert window.size == 15
    assert window.starts.tolist() == [0, 16, 25]
    assert flow.around(jnp.array([29]), 36, 4, 40) is None
    framed = jnp.arange(1, 41.0).reshape(1, 40, 1)
    one = flow.around(jnp.array([20]), 11, 4, 40)
    assert one.of(framed)[0, :, 0].tolist() == list(range(17, 32))
    assert one.into(one.of(framed), 40)[0, 14:33, 0].tolist() == [0, 0, *range(17, 32), 0, 0]


def test_rows_follow_each_other_at_their_own_lengths():
    first, second = np.arange(1, 7).reshape(2, 3, 1), np.arange(10, 18).reshape(2, 4, 1)

    ours = flow.follow(jnp.float32(first), jnp.array([1, 3]), jnp.float32(second), 6)

    assert ours[0, :5, 0].tolist() == [1, 10, 11, 12, 13]
    assert ours[1, :, 0].tolist() == [4, 5, 6, 14, 15, 16]
    assert flow.after(ours, jnp.array([2, 3]), 2)[..., 0].tolist() == [[11, 12], [14, 15]]
