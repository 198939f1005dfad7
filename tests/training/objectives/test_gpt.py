import functools
from fnmatch import fnmatch

import gpt_clips
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import support

from importers.table import flatten, nested_like
from indextts_jax.models.components import structure
from indextts_jax.sampling.generate import generate
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.training.objectives.gpt.objective import build
from indextts_jax.utils.strict_data import ConfigError

WHOLE = {"train": ["trunk", "codes", "text", "positions"], "remat": False}
LORA = {"lora": {"rank": 3, "alpha": 6.0}, "text_weight": 0.0, "remat": False}
SCRATCH = {
    "train": ["trunk", "codes", "text", "positions", "conditioning"],
    "dropout": 0.1,
    "code_noise": 0.08,
    "text_dropout": 0.05,
    "shift_codes": 0.5,
}


def objective(options, components=gpt_clips.COMPONENTS):
    return build(support.tiny_config(), options, components)


@functools.cache
def evaluation():
    made = objective(WHOLE)
    return jax.jit(lambda params, batch: made.evaluate(params, batch, jax.random.key(0)))


def paths_that_train(made, params):
    (part,) = made.parts
    return [path for path in flatten(params) if any(fnmatch(path, p) for p in part.trains)]


def gradient_of(made, params):
    """A jitted function of the leaves that train, the batch and the key: loss and gradients."""
    (part,) = made.parts
    leaves = flatten(params)

    def loss(mine, batch, key):
        outcome = part.loss(nested_like(params, leaves | mine), batch, key)
        terms = {name: outcome.terms[name] for name in part.weights}
        return sum(part.weights[name] * term.total / term.count for name, term in terms.items())

    mine = {path: leaves[path] for path in paths_that_train(made, params)}
    return mine, jax.jit(jax.value_and_grad(loss))


def assert_every_layer_has_a_gradient(gradients):
    """Of stacked arrays each layer; and nothing that is not finite anywhere."""
    for path, gradient in gradients.items():
        assert np.isfinite(gradient).all(), path
        layers = gradient if ".blocks." in path else gradient[None]
        sizes = np.abs(layers).reshape(len(layers), -1).max(axis=1)
        if not path.endswith("attention.key.bias"):  # shifts all scores of a query alike
            assert (sizes > 1e-9).all(), path


def test_losses_equal_those_of_the_reference():
    found = evaluation()(gpt_clips.parameters(), gpt_clips.batch())
    for name in ("text", "code"):
        losses = np.concatenate(gpt_clips.of_both(f"{name}_loss"))

        assert found[name].count == len(losses)
        np.testing.assert_allclose(found[name].total, losses.sum(), rtol=1e-5)


def test_stop_is_one_target_a_clip_and_deciles_share_the_others():
    found = evaluation()(gpt_clips.parameters(), gpt_clips.batch())
    losses = gpt_clips.of_both("code_loss")
    deciles = [found[f"code_decile_{n}"] for n in range(10)]

    assert found["stop"].count == len(losses)
    np.testing.assert_allclose(found["stop"].total, sum(each[-1] for each in losses), rtol=1e-5)
    assert sum(term.count for term in deciles) == found["code"].count
    np.testing.assert_allclose(sum(t.total for t in deciles), found["code"].total, rtol=1e-5)
    first = sum(each[np.arange(len(each)) * 10 < len(each)].sum() for each in losses)
    np.testing.assert_allclose(deciles[0].total, first, rtol=1e-5)


def test_padding_is_neither_target_nor_input():
    stop = support.tiny_config().gpt.stop_code  # what the reference pads with
    clean, filled = (
        evaluation()(gpt_clips.parameters(), gpt_clips.batch(filler)) for filler in (0, stop)
    )

    jax.tree.map(np.testing.assert_array_equal, clean, filled)


def test_divergence_from_another_model():
    """Heads without kernels guess the same everywhere, and so the KL is known."""
    made, params = objective(WHOLE), gpt_clips.parameters()
    head = params["gpt"]["code_head"]
    biases = np.random.default_rng(0).normal(size=(2, *head["bias"].shape)).astype(np.float32)
    kernel = np.zeros_like(head["kernel"])
    ours, base = (
        params | {"gpt": params["gpt"] | {"code_head": {"kernel": kernel, "bias": bias}}}
        for bias in biases
    )
    divergence = jax.jit(made.divergence)
    found = divergence(ours, base, gpt_clips.batch())["kl"]
    q, p = (np.exp(bias) / np.exp(bias).sum() for bias in biases.astype(np.float64))

    assert found.count == sum(len(codes) + 1 for codes in gpt_clips.of_both("codes"))
    np.testing.assert_allclose(found.total / found.count, np.sum(p * np.log(p / q)), rtol=1e-5)
    assert divergence(params, params, gpt_clips.batch())["kl"].total == 0
    assert divergence(ours, params, gpt_clips.batch())["kl"].total > 0


@functools.cache
def whole():
    made = objective(WHOLE | {"shift_codes": 0.5})
    params = {name: gpt_clips.parameters()[name] for name in made.components}
    return params, *gradient_of(made, params)


def test_every_leaf_of_the_gpt_has_a_gradient():
    params, mine, gradient = whole()
    _, gradients = gradient(mine, gpt_clips.batch(), jax.random.key(0))

    assert mine.keys() == flatten(params).keys()
    assert_every_layer_has_a_gradient(gradients)


@pytest.mark.nightly
def test_two_clips_are_learned_until_greedy_codes_are_theirs():
    """The codes' positions are those of the latent pass and of generation, in turn."""
    params, mine, gradient = whole()
    adam = optax.adam(3e-3)
    moments, update = adam.init(mine), jax.jit(adam.update)
    batch = gpt_clips.batch()
    for step in range(60):
        loss, gradients = gradient(mine, batch, jax.random.key(step))
        changes, moments = update(gradients, moments)
        mine = optax.apply_updates(mine, changes)
    learned = nested_like(params, flatten(params) | mine)["gpt"]
    bind = structure("gpt", support.tiny_config()).bind
    greedy = SamplingConfig(beams=1, sample=False, repetition_penalty=1.0, max_codes=60)

    @jax.jit
    def speak(params, *given):
        return generate(bind(params), *given, greedy.numbers, strategy=greedy.strategy)

    heard = [batch[name] for name in ("conditioning", "emotion", "text", "text_lengths")]
    spoken = speak(learned, *heard, jax.random.split(jax.random.key(0), 2))

    assert loss < 0.1
    assert not spoken.truncated.any()
    for ours, length, clip in zip(
        spoken.codes, spoken.lengths, gpt_clips.of_both("codes"), strict=True
    ):
        assert ours[:length].tolist() == clip.tolist()


@pytest.mark.nightly
def test_a_new_adapter_changes_nothing():
    made = objective(LORA)
    params = gpt_clips.parameters() | made.extra(jax.random.key(1))
    ours = jax.jit(lambda params, batch: made.evaluate(params, batch, jax.random.key(0)))
    found = ours(params, gpt_clips.batch())
    base = evaluation()(gpt_clips.parameters(), gpt_clips.batch())

    np.testing.assert_allclose(found["code"].total, base["code"].total, rtol=1e-6)
    assert "text" not in found


@pytest.mark.nightly
def test_adapters_alone_have_gradients():
    made = objective(LORA)
    params = {"gpt": gpt_clips.parameters()["gpt"]} | made.extra(jax.random.key(1))
    leaves, random = flatten(params), np.random.default_rng(0)
    leaves |= {
        path: jnp.asarray(random.normal(size=leaf.shape), jnp.float32) * 0.1
        for path, leaf in leaves.items()
        if path.endswith(".up")  # zero at first, and then nothing reaches what is before it
    }
    mine, gradient = gradient_of(made, nested_like(params, leaves))
    _, gradients = gradient(mine, gpt_clips.batch(), jax.random.key(0))

    assert len(mine) == 2 * 4
    assert all(path.startswith("adapters.gpt.blocks.") for path in mine)
    assert_every_layer_has_a_gradient(gradients)


def semantic_batch():
    semantic = support.golden("w2v")
    batch = gpt_clips.batch()
    del batch["conditioning"], batch["emotion"]
    for name, clip in (("prompt", "spk"), ("mood", "emo")):
        rows = np.repeat(semantic[f"{clip}_semantic"][:, :40], 2, axis=0).astype(np.float16)
        batch |= {name: rows, f"{name}_lengths": np.array([40, 23], np.int32)}
    return batch


@pytest.mark.nightly
def test_every_leaf_has_a_gradient_from_scratch():
    """With all disturbances, conditioning networks and recomputation."""
    made = objective(SCRATCH)
    params = gpt_clips.parameters()
    mine, gradient = gradient_of(made, params)
    tables = [path for path in mine if path.endswith("encoder.positions")]
    _, gradients = gradient(mine, semantic_batch(), jax.random.key(0))

    assert mine.keys() == flatten(params).keys()
    assert len(tables) == 2  # stored numbers, which the loop leaves out
    assert_every_layer_has_a_gradient({p: g for p, g in gradients.items() if p not in tables})


@pytest.mark.nightly
def test_batch_equals_sum_of_rows_with_and_without_remat():
    """Draws are a row's own: noise and dropout are the same alone and beside another row."""
    (part,) = objective(SCRATCH | {"remat": False}).parts
    (again,) = objective(SCRATCH).parts
    params, batch, key = gpt_clips.parameters(), semantic_batch(), jax.random.key(7)
    both = jax.jit(part.loss)(params, batch, key).terms
    recomputed = jax.jit(again.loss)(params, batch, key).terms
    alone = jax.jit(part.loss)
    rows = [
        alone(params, jax.tree.map(lambda a, n=n: a[n : n + 1], batch), key).terms for n in (0, 1)
    ]
    for name, term in both.items():
        np.testing.assert_allclose(term.total, sum(r[name].total for r in rows), rtol=1e-5)
        np.testing.assert_allclose(term.total, recomputed[name].total, rtol=1e-6)


def test_trained_leaves_in_fine_tuning():
    params = gpt_clips.parameters()
    made = objective({"train": ["trunk", "codes", "text"]})
    trained = set(paths_that_train(made, {name: params[name] for name in made.components}))
    held = {path for path in flatten(params) if path.split(".")[0] != "conditioning"}
    kept = {f"gpt.{name}.embedding" for name in ("text_positions", "code_positions")}

    assert trained == held - kept - {"gpt.speed_embedding.embedding"}


def test_missing_text_head_gives_no_text_loss_and_a_note():
    made = objective(WHOLE, components=("gpt",))

    assert made.components == ("gpt",)
    assert made.parts[0].weights == {"code": 0.8}
    assert "--training" in made.notes[0]
    assert objective(WHOLE).notes == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing trains"),
        ({"train": ["trunk", "head"]}, "train: unknown head"),
        ({"train": ["trunk"], "code_noise": 1.5}, "code_noise: expected a probability, got 1.5"),
        ({"lora": {"rank": 0, "alpha": 2.0}}, "lora.rank"),
        ({"train": ["trunk"], "drop": 0.1}, "unknown key drop"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        objective(options)
