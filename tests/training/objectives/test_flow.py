import functools

import flow_clips
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.models.training import dit as dit_training
from indextts_jax.training.objectives.flow import objective as flow
from indextts_jax.training.objectives.flow.options import FlowLoRA, FlowOptions
from indextts_jax.utils.strict_data import ConfigError


@functools.cache
def compiled():
    """Condition and losses of the rows of a batch with given draws."""
    objective = flow_clips.flow()

    def run(params, batch, draws):
        networks = objective._networks(params)
        condition = flow.condition(networks, batch, remat=False)
        return condition, flow.row_losses(networks.dit, batch, condition, draws)

    return jax.jit(run)


def losses(batch=None, **changes):
    batch = flow_clips.batch() if batch is None else batch
    draws = flow_clips.draws()._replace(**changes)
    return [np.asarray(a) for a in compiled()(flow_clips.params(), batch, draws)]


def on_device(batch):
    return {name: jnp.asarray(array) for name, array in batch.items()}


def mean_loss(objective, params, batch, key):
    term = objective.loss(params, batch, key).terms["flow"]
    return term.total / term.count


# --- the loss ---------------------------------------------------------------------------------


def test_loss_of_each_row_is_the_reference_s():
    _, ours = losses()

    np.testing.assert_allclose(ours, flow_clips.reference()["loss"], rtol=1e-5)


def test_condition_of_each_row_is_the_reference_s():
    ours, _ = losses()

    known = flow_clips.reference()
    for row, reference, frames in zip(ours, known["condition"], known["frames"], strict=True):
        support.assert_close(row[:frames], reference[:frames], "length_regulator.condition")


def test_loss_is_the_formula(monkeypatch):
    """In NumPy, frame by frame, with a field whose value says what it was given."""
    batch, draws = flow_clips.batch(), flow_clips.draws()
    condition = np.random.default_rng(1).standard_normal((*batch["mel"].shape[:2], 3), np.float32)

    def field(dit, x, prompt, times, style, condition, lengths, **_):
        told = jnp.sum(condition, -1) + jnp.sum(style, -1)[:, None] + times[:, None]
        return 2 * x + 3 * prompt + told[..., None]

    monkeypatch.setattr(dit_training, "velocity", field)
    ours = flow.row_losses(None, on_device(batch), condition, draws)

    for n, loss in enumerate(ours):
        t, known = float(draws.times[n]), bool(draws.conditional[n])
        x0, x1 = np.float64(draws.noise[n]), np.float64(batch["mel"][n])
        errors = []
        for frame in range(batch["prompt_frames"][n], batch["frames"][n]):
            state = (1 - (1 - 1e-6) * t) * x0[frame] + t * x1[frame]
            told = known * (condition[n, frame].sum() + batch["style"][n].sum()) + t
            errors.append(np.abs(2 * state + told - (x1[frame] - (1 - 1e-6) * x0[frame])))
        np.testing.assert_allclose(loss, np.mean(errors), rtol=1e-5)


def test_prompt_is_given_as_mel_and_not_as_state(monkeypatch):
    batch, draws = flow_clips.batch(), flow_clips.draws()
    seen = {}

    def field(dit, x, prompt, times, style, condition, lengths, **_):
        seen.update(x=np.asarray(x), prompt=np.asarray(prompt), style=np.asarray(style))
        return jnp.zeros_like(x)

    monkeypatch.setattr(dit_training, "velocity", field)
    condition = jnp.zeros((*batch["mel"].shape[:2], 3))
    flow.row_losses(None, on_device(batch), condition, draws)

    for n, conditional in enumerate(draws.conditional):
        first, end = batch["prompt_frames"][n], batch["frames"][n]
        assert not seen["x"][n, :first].any()
        assert not seen["x"][n, end:].any()
        assert not seen["prompt"][n, first:].any()
        wanted = batch["mel"][n, :first] if conditional else 0
        np.testing.assert_array_equal(seen["prompt"][n, :first], wanted + np.zeros((first, 80)))
        np.testing.assert_array_equal(seen["style"][n], batch["style"][n] * bool(conditional))


def test_padding_and_unused_latents_change_nothing():
    batch, rng = flow_clips.batch(), np.random.default_rng(2)
    ours = losses()[1]
    garbage = {name: array.copy() for name, array in batch.items()}
    for n in range(len(ours)):
        garbage["mel"][n, batch["frames"][n] :] = 1e3 * rng.standard_normal(80)
        garbage["codes"][n, batch["code_counts"][n] :] = rng.integers(64)
        garbage["prompt_codes"][n, batch["prompt_code_counts"][n] :] = rng.integers(64)
        used = batch["code_counts"][n] if batch["with_latents"][n] else 0
        garbage["latents"][n, used:] = 1e3

    np.testing.assert_array_equal(losses(garbage)[1], ours)


def test_row_without_a_target_does_not_count():
    batch = flow_clips.batch() | {"frames": np.array([47, 0, 30, 42]), "prompt_frames": np.zeros(4)}

    term = flow._term(jnp.array([1.0, 1e9, 2.0, 3.0]), batch)

    assert (float(term.total), float(term.count)) == (6.0, 3.0)


# --- what is drawn ----------------------------------------------------------------------------


def test_draws_of_a_row_depend_on_its_number_alone():
    options = FlowOptions(style_jitter=0.02)
    batch = flow_clips.batch()
    some = {name: array[1:3] for name, array in batch.items()}
    some["mel"] = some["mel"][:, :29]

    whole = flow.draw(jax.random.key(3), on_device(batch), options)
    part = flow.draw(jax.random.key(3), on_device(some), options)

    np.testing.assert_array_equal(part.noise, whole.noise[1:3, :29])
    np.testing.assert_array_equal(part.times, whole.times[1:3])
    np.testing.assert_array_equal(part.style, whole.style[1:3])
    np.testing.assert_array_equal(
        jax.random.key_data(part.dropout), jax.random.key_data(whole.dropout[1:3])
    )


def test_shares_are_those_of_the_settings():
    rows = 4000
    batch = {
        "row": np.arange(rows, dtype=np.int32),
        "mel": np.zeros((rows, 1, 1), np.float32),
        "style": np.zeros((rows, 2), np.float32),
    }

    drawn = flow.draw(
        jax.random.key(0), on_device(batch), FlowOptions(guidance_dropout=0.1, style_jitter=0.02)
    )

    assert np.mean(~np.asarray(drawn.conditional)) == pytest.approx(0.1, abs=0.02)
    assert np.std(drawn.style) == pytest.approx(0.02, abs=0.001)
    assert np.mean(drawn.times) == pytest.approx(0.5, abs=0.02)
    assert np.min(drawn.times) >= 0
    assert np.max(drawn.times) < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"own_prompts": 1.5}, "own_prompts must be 0 to 1, got 1.5"),
        ({"wavenet_dropout": 1.0}, "wavenet_dropout must be 0 to 1, got 1.0"),
        ({"prompt_seconds": 0.0}, "prompt_seconds must be positive, got 0.0"),
        ({"style_jitter": -0.1}, "style_jitter must be 0 or more, got -0.1"),
        ({"train": ("gpt",)}, "train: unknown gpt; there are dit, length_regulator"),
        ({"train": ()}, "nothing trains"),
        ({"evaluation_steps": 0}, "evaluation_steps must be at least 1, got 0"),
    ],
)
def test_bad_setting_is_named(change, message):
    with pytest.raises(ConfigError, match=message):
        FlowOptions(**change)


def test_latents_are_needed_only_where_they_are_added():
    assert flow_clips.flow().needs == ("mel", "codes", "style", "latents")
    assert flow_clips.flow(latents=0.0).needs == ("mel", "codes", "style")


# --- what trains ------------------------------------------------------------------------------


@pytest.mark.nightly
def test_trained_leaves_have_gradients_that_remat_preserves():
    params, batch, key = flow_clips.params(), on_device(flow_clips.batch()), jax.random.key(1)
    found = {}
    for remat in (False, True):
        objective = flow_clips.flow(wavenet_dropout=0.2, guidance_dropout=0.5, remat=remat)
        gradient = jax.jit(jax.grad(functools.partial(mean_loss, objective)))
        found[remat] = gradient(params, batch, key)

    for path, leaf in jax.tree_util.tree_leaves_with_path(found[True]):
        name = ".".join(str(key.key) for key in path)
        assert np.isfinite(leaf).all(), name
        if name.split(".")[0] in ("dit", "length_regulator"):
            assert np.abs(leaf).max() > 0, name
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        found[True],
        found[False],
    )


def test_adapter_trains_alone_unless_more_is_named():
    lora = FlowLoRA(rank=2, alpha=4)

    assert flow_clips.flow().parts[0].trains == ("dit.*", "length_regulator.*")
    assert flow_clips.flow(lora=lora).parts[0].trains == ("adapters.*",)
    both = flow_clips.flow(lora=lora, train=("length_regulator",))
    assert both.parts[0].trains == ("length_regulator.*", "adapters.*")


def test_kernel_that_is_not_there_is_named():
    lora = {"rank": 2, "alpha": 4, "kernels": ["blocks.attention.query.kernel"]}
    with pytest.raises(ConfigError, match=r"lora.kernels: .*blocks.attention.query.kernel"):
        flow.build(support.tiny_config(), {"lora": lora}, ())


def test_adapter_covers_attention_feed_forward_and_skips():
    made = flow_clips.flow(lora=FlowLoRA(rank=2, alpha=4)).extra(jax.random.key(0))["adapters"]

    paths = {
        ".".join(key.key for key in path[:-1])
        for path, _ in jax.tree_util.tree_leaves_with_path(made["dit"])
    }
    attention = {f"blocks.attention.{name}.kernel" for name in ("qkv", "out")}
    gated = {f"blocks.feed_forward.{name}.kernel" for name in ("gate", "up", "down")}
    assert paths == attention | gated | {"skips.kernel"}


@pytest.mark.nightly
def test_new_adapter_is_neutral_with_a_gradient():
    params, batch, key = flow_clips.params(), on_device(flow_clips.batch()), jax.random.key(1)
    objective = flow_clips.flow(lora=FlowLoRA(rank=2, alpha=4))

    def loss(adapters, params, batch, key):
        return mean_loss(objective, params | adapters, batch, key)

    # All are arguments: XLA computes with constants beforehand, which rounds in another way.
    given = objective.extra(key), params, batch, key
    value, gradient = jax.jit(loss)(*given), jax.jit(jax.grad(loss))(*given)

    base = functools.partial(mean_loss, flow_clips.flow())
    assert value == jax.jit(base)(params, batch, key)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert (np.abs(leaf).max() > 0) == (path[-1].key == "up"), path


@pytest.mark.nightly
def test_validation_has_loss_at_fixed_times_and_mel_error():
    params, batch, key = flow_clips.params(), on_device(flow_clips.batch()), jax.random.key(1)
    objective = flow_clips.flow(guidance_dropout=0.5, style_jitter=0.5)
    found = jax.jit(objective.evaluate)(params, batch, key)
    assert found["flow"].count == found["mel"].count == 4
    drawn = flow.draw(key, batch, FlowOptions(guidance_dropout=0.0))._replace(
        style=jnp.zeros_like(batch["style"])
    )

    at = [losses(**drawn._replace(times=jnp.full(4, t))._asdict())[1] for t in flow.TIMES]

    np.testing.assert_allclose(found["flow"].total, np.sum(np.mean(at, axis=0)), rtol=1e-5)
    again = jax.jit(objective.evaluate)(params, batch, key)
    np.testing.assert_array_equal(again["mel"].total, found["mel"].total)
