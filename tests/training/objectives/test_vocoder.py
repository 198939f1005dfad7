import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from indextts_jax.config import MelConfig, VocoderConfig, bundled_config
from indextts_jax.errors import InputError
from indextts_jax.models.components import structure
from indextts_jax.models.vocoder import Vocoder
from indextts_jax.training.objectives.vocoder import discriminators, mel_loss, weight_norm
from indextts_jax.training.objectives.vocoder import objective as vocoder
from indextts_jax.utils.strict_data import ConfigError

SEGMENT = 48
JUDGES = {"periods": [2], "period_widths": [2, 3], "windows": [16], "window_width": 2}
KEY = jax.random.key(0)


@functools.cache
def config():
    """The mini, with a vocoder of few layers."""
    small = VocoderConfig(
        mels=5,
        channels=8,
        rates=(2, 2),
        kernels=(4, 4),
        block_kernels=(3,),
        block_dilations=((1, 3),),
        outer_kernel=3,
        log_scale=True,
    )
    mel = MelConfig(sample_rate=800, n_fft=16, window=16, hop=4, mels=5, fmin=0, fmax=None)
    whole = bundled_config("mini")
    return dataclasses.replace(
        whole, vocoder=small, mel=mel, dit=dataclasses.replace(whole.dit, mels=5)
    )


def objective(judges=JUDGES):
    return vocoder.build(config(), {"segment": SEGMENT, "discriminators": judges}, ())


class Data:
    """Clips of 5 and 23 frames, whose bands hold the number of the frame."""

    def read(self, row, feature):
        if feature == "samples":
            return (np.arange(4 * row.frames + 3) % 100).astype(np.int16)
        return np.tile(np.arange(row.frames, dtype=np.float16)[:, None], 5)


def rows(*frames):
    return [types.SimpleNamespace(id=str(i), frames=count) for i, count in enumerate(frames)]


@functools.cache
def state():
    made = objective()
    module = Vocoder(config().vocoder, rngs=nnx.Rngs(0))
    params = {"vocoder": nnx.to_pure_dict(nnx.split(module)[1])}
    batch = made.collate(rows(23, 23), Data(), 1.0, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    batch = {
        "mel": rng.standard_normal(batch["mel"].shape, np.float32),
        "samples": 0.1 * rng.standard_normal(batch["samples"].shape, np.float32),
    }
    return made.unfold(params) | made.extra(KEY), batch


@functools.cache
def outcomes():
    """Terms and gradients of both parts, compiled once."""
    params, batch = state()

    @jax.jit
    def run(params):
        found = {}
        for part in objective().parts:

            def loss(params, part=part):
                terms = part.loss(params, batch, KEY).terms
                total = sum(w * terms[n].total / terms[n].count for n, w in part.weights.items())
                return total, terms

            found[part.name] = jax.grad(loss, has_aux=True)(params)
        return found

    return run(params)


def test_segments_of_mel_and_samples_are_aligned():
    batch = objective().collate(rows(23), Data(), 1.0, np.random.default_rng(3))

    first = int(batch["mel"][0, 0, 0])
    assert 0 < first <= 23 - 12
    np.testing.assert_array_equal(batch["mel"][0, :, 2], first + np.arange(12))
    expected = (4 * first + np.arange(SEGMENT)) % 100 / 2**15
    np.testing.assert_allclose(batch["samples"][0], expected.astype(np.float32))


def test_short_clips_are_followed_by_silence():
    batch = objective().collate(rows(5), Data(), 1.0, np.random.default_rng(0))

    np.testing.assert_allclose(batch["mel"][0, 5:], np.log(1e-5), rtol=1e-6)
    np.testing.assert_array_equal(batch["samples"][0, 20:], 0)
    assert batch["samples"][0, 19] == np.float32(19 / 2**15)


def test_samples_that_do_not_reach_are_refused():
    class Cut(Data):
        def read(self, row, feature):
            return super().read(row, feature)[: 4 * row.frames - 1]

    with pytest.raises(InputError, match="clip 0 has 91 samples for 23 frames"):
        objective().collate(rows(23), Cut(), 1.0, np.random.default_rng(0))


@pytest.mark.nightly
def test_terms_are_those_of_the_waveform():
    params, given = state()
    batch = jax.tree.map(jnp.asarray, given)
    plain = weight_norm.fold(params["vocoder"], weight_norm.outputs_or_inputs)
    made = structure("vocoder", config()).bind(plain)(jnp.asarray(batch["mel"]))
    graph, _ = nnx.split(
        discriminators.Discriminators(objective().options.discriminators, rngs=nnx.Rngs(0))
    )
    judge = nnx.merge(graph, weight_norm.fold(params["discriminators"]))
    real, fake = judge(batch["samples"]), judge(made)
    expected = {
        "mel": mel_loss.mel_distances(made, batch["samples"], 800),
        "adversarial": discriminators.real_losses(fake),
        "features": discriminators.feature_distances(real, fake),
        "real": discriminators.real_losses(real),
        "fake": discriminators.fake_losses(fake),
    }

    terms = outcomes()["model"][1] | outcomes()["discriminators"][1]

    assert set(terms) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(terms[name].total, values.sum(), rtol=1e-5, err_msg=name)
        assert terms[name].count == 2


@pytest.mark.nightly
def test_each_part_trains_its_own_leaves_alone():
    for name, mine in (("model", "vocoder"), ("discriminators", "discriminators")):
        gradients = outcomes()[name][0]
        for path, leaf in jax.tree.leaves_with_path(gradients[mine]):
            assert np.abs(leaf).max() > 0, f"{name}: no gradient of {jax.tree_util.keystr(path)}"
    judges = outcomes()["discriminators"][0]["vocoder"]
    assert all(np.abs(leaf).max() == 0 for leaf in jax.tree.leaves(judges))


def test_without_discriminators_there_is_the_mel_loss_alone():
    made = objective(None)

    (part,) = made.parts
    assert part.weights == {"mel": 15}
    assert made.extra(KEY) == {}


@pytest.mark.nightly
def test_evaluation_gives_both_distances():
    params, batch = state()

    terms = jax.eval_shape(objective().evaluate, params, batch, KEY)

    assert set(terms) == {"mel", "mel_l1"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment": 50}, "multiple of 4 samples"),
        ({"segment": 12, "discriminators": None}, "segment must be 32"),
        ({"segment": 48, "discriminators": JUDGES | {"windows": [64]}}, "a window of 64 samples"),
        ({"segment": 48, "inputs": "words"}, "inputs must be one of mel, flow_mel"),
        ({"segment": 48, "discriminators": JUDGES | {"periods": [0]}}, "must be positive"),
        ({"segments": 48}, "unknown key segments"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        vocoder.build(config(), options, ())


@pytest.mark.nightly
def test_blocks_that_are_computed_again_give_the_same_gradients():
    params, batch = state()

    def gradients(remat):
        options = {"segment": SEGMENT, "discriminators": None, "remat": remat}
        made = vocoder.build(config(), options, ())

        def loss(ours):
            return made.loss({**params, "vocoder": ours}, batch, KEY).terms["mel"].total

        return jax.jit(jax.grad(loss))(params["vocoder"])

    plain, again = gradients(False), gradients(True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), plain, again)
