import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from indextts_jax.audio.features import centred, filter_bank
from indextts_jax.config import StyleEncoderConfig, bundled_config
from indextts_jax.errors import InputError
from indextts_jax.models.style_encoder import BatchNorm, StyleEncoder, pooled
from indextts_jax.training.objectives.style import objective as style
from indextts_jax.training.objectives.style import rows as style_rows
from indextts_jax.utils.strict_data import ConfigError

KEY = jax.random.key(0)
RATE = 22050


@functools.cache
def config():
    small = StyleEncoderConfig(
        mels=80,
        head_width=2,
        width=4,
        growth=2,
        bottleneck=3,
        mask_width=2,
        layers=(1,),
        dilations=(1,),
        kernel=3,
        segment=7,
        style=5,
    )
    whole = bundled_config("mini")
    return dataclasses.replace(
        whole,
        style_encoder=small,
        dit=dataclasses.replace(whole.dit, style=5),
        emotion_prototypes=dataclasses.replace(whole.emotion_prototypes, style=5),
    )


def objective(**options):
    return style.build(config(), {"speakers": 3, "seconds": 0.3} | options, ())


def row(speaker="anna", split="train"):
    return types.SimpleNamespace(id="x", speaker=speaker, split=split)


@dataclasses.dataclass(frozen=True)
class Data:
    rows: tuple = (row("anna"), row("ben"), row("cleo", "validation"))

    def __hash__(self):
        return len(self.rows)

    def read(self, given, feature):
        rng = np.random.default_rng(0)
        return (2000 * rng.standard_normal(RATE)).astype(np.int16)


@functools.cache
def params():
    module = StyleEncoder(config().style_encoder, rngs=nnx.Rngs(0))
    return {"style_encoder": nnx.to_pure_dict(nnx.split(module)[1])} | objective().extra(KEY)


@functools.cache
def batch():
    made = objective().collate(
        [row("anna"), row("ben"), row("anna")], Data(), 1.0, np.random.default_rng(0)
    )
    return jax.tree.map(jnp.asarray, made)


@functools.cache
def compiled():
    @jax.jit
    def run(params, progress):
        def loss(params):
            given = batch() | {"progress": jnp.full(3, progress)}
            outcome = objective().loss(params, given, KEY)
            return outcome.terms["speaker"].total, outcome

        return jax.grad(loss, has_aux=True)(params)

    return run


@pytest.mark.nightly
def test_every_leaf_that_trains_has_a_gradient():
    gradients, _ = compiled()(params(), 0.5)

    tables = {"mean", "var"}
    for path, leaf in jax.tree.leaves_with_path(gradients):
        assert np.isfinite(leaf).all()
        if not tables & {key.key for key in path}:
            assert np.abs(leaf).max() > 0, f"no gradient of {jax.tree_util.keystr(path)}"


@pytest.mark.nightly
def test_statistics_are_all_tables_and_freeze_at_the_end():
    _, moving = compiled()(params(), 0.5)
    _, frozen = compiled()(params(), 0.95)

    assert "style_encoder.image.norm_in.mean" in moving.statistics
    held = params()["style_encoder"]["image"]["norm_in"]["mean"]
    assert np.abs(moving.statistics["style_encoder.image.norm_in.mean"] - held).max() > 0
    np.testing.assert_array_equal(frozen.statistics["style_encoder.image.norm_in.mean"], held)
    assert set(moving.statistics) == set(frozen.statistics)


def test_batch_norm_in_training_is_that_of_torch():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.BatchNorm2d(3)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 5, 4, 3)).astype(np.float32) + 1
    expected = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2))).detach().numpy()

    norm = BatchNorm(3)
    norm.frozen = nnx.Cache(jnp.float32(0))
    ours = norm(jnp.asarray(x))

    np.testing.assert_allclose(ours, expected.transpose(0, 2, 3, 1), atol=1e-5)
    np.testing.assert_allclose(norm.mean[...], theirs.running_mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(norm.var[...], theirs.running_var.numpy(), atol=1e-6)


def test_pooling_silent_channels_has_a_finite_gradient():
    x, lengths = jnp.zeros((1, 5, 2)), jnp.array([5])

    gradient = jax.grad(lambda x: pooled(x, lengths).sum())(x)

    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(pooled(x, lengths), 0)


def test_margin_adds_an_angle_to_the_true_class():
    angles = np.array([[0.3, 2.0], [1.2, 3.1]], np.float32)
    classes, margin = jnp.array([0, 1]), jnp.float32(0.2)

    logits = style.margin_logits(jnp.cos(angles), classes, margin, 32.0)

    np.testing.assert_allclose(logits[0, 0], 32 * np.cos(0.5), rtol=1e-5)
    np.testing.assert_allclose(logits[0, 1], 32 * np.cos(2.0), rtol=1e-5)
    np.testing.assert_allclose(logits[1, 0], 32 * np.cos(1.2), rtol=1e-5)
    past = np.cos(3.1) - np.sin(0.2) * 0.2  # with the margin more than half a turn
    np.testing.assert_allclose(logits[1, 1], 32 * past, rtol=1e-5)


def test_without_margin_the_loss_is_the_cross_entropy_of_cosines():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    styles = rng.standard_normal((3, 5)).astype(np.float32)
    kernel = np.asarray(params()["style_classes"]["kernel"])
    classes = np.array([0, 4, -1])

    terms = objective()._terms(params(), styles, jnp.asarray(classes), jnp.float32(0))

    normal = torch.nn.functional.normalize
    cosines = normal(torch.from_numpy(styles)) @ normal(torch.from_numpy(kernel.copy()), dim=0)
    expected = torch.nn.functional.cross_entropy(
        32 * cosines[:2], torch.from_numpy(classes[:2]), reduction="sum"
    )
    np.testing.assert_allclose(terms["speaker"].total, expected.item(), rtol=1e-5)
    assert terms["speaker"].count == 2


def test_validation_rows_are_plain_crops():
    made = objective().collate([row("cleo", "validation")], Data(), 1.0, np.random.default_rng(5))

    assert made["classes"][0] == -1
    assert made["banks"].shape == (1, 28, 80)
    np.testing.assert_allclose(made["banks"][0].mean(axis=0), 0, atol=1e-5)


def test_speeds_make_further_classes():
    made = objective(speeds=(1.0, 0.9)).collate(
        [row("ben")] * 20, Data(), 1.0, np.random.default_rng(0)
    )

    assert set(made["classes"]) == {1, 4}


def test_noise_is_as_far_below_as_asked():
    x = filtered = np.sin(np.arange(4000) / 7).astype(np.float32)

    noisy = style_rows.noisy(x, np.random.default_rng(0))

    below = 10 * np.log10(np.mean(filtered**2) / np.mean((noisy - x) ** 2))
    assert 5 <= below <= 25
    assert np.isfinite(centred(filter_bank(noisy))).all()


def test_too_many_speakers_are_refused():
    data = Data((row("a"), row("b"), row("c"), row("d")))

    with pytest.raises(InputError, match="the data have 4 speakers, the recipe's options 3"):
        objective().collate([row("a")], data, 1.0, np.random.default_rng(0))


def test_equal_error_rate_of_perfect_and_random_scores():
    names = ["a", "a", "b", "b"]
    apart = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    random = np.random.default_rng(0).standard_normal((200, 8))

    assert style_rows.equal_error_rate(apart, names) == 0
    assert abs(style_rows.equal_error_rate(random, ["a", "b"] * 100) - 0.5) < 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speakers": 1}, "speakers must be 2"),
        ({"margin_from": 0.5}, "is after margin_to"),
        ({"seconds": 0.0}, "seconds must be 0.1 to 30"),
        ({"noise": 2.0}, "noise must be 0 to 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        objective(**options)
