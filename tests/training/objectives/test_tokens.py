import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from indextts_jax.config import SemanticCodecConfig, SemanticEncoderConfig, bundled_config
from indextts_jax.models.components import structure
from indextts_jax.models.semantic_codec import SemanticCodec
from indextts_jax.models.semantic_encoder import SemanticEncoder
from indextts_jax.training.objectives.tokens import ctc
from indextts_jax.training.objectives.tokens import heads as tokens_heads
from indextts_jax.training.objectives.tokens import objective as tokens
from indextts_jax.training.objectives.tokens import rows as tokens_rows
from indextts_jax.training.objectives.tokens.options import TokensOptions
from indextts_jax.utils.strict_data import ConfigError

KEY = jax.random.key(0)
SECONDS = 0.4
FRAMES = (11, 19)


@functools.cache
def config():
    whole = bundled_config("mini")
    conditioning = {
        name: dataclasses.replace(getattr(whole.conditioning, name), features=8)
        for name in ("speaker_encoder", "emotion_encoder")
    }
    return dataclasses.replace(
        whole,
        conditioning=dataclasses.replace(whole.conditioning, **conditioning),
        length_regulator=dataclasses.replace(whole.length_regulator, features=8),
        gpt=dataclasses.replace(whole.gpt, code_vocabulary=9, start_code=7, stop_code=8),
        semantic_encoder=SemanticEncoderConfig(
            features=160,
            width=8,
            layers=1,
            heads=2,
            feed_forward=8,
            kernel=3,
            left=4,
            right=2,
            norm_eps=1e-5,
        ),
        semantic_codec=SemanticCodecConfig(
            width=8, hidden=6, feed_forward=6, layers=1, kernel=3, codes=7, code_width=3
        ),
    )


def objective(**options):
    return tokens.build(config(), {"speakers": 3} | options, ())


class Data:
    """Clips of random features; the last pair of each is half padding."""

    def read(self, row, feature):
        rng = np.random.default_rng(row.frames)
        if feature == "encoder_mask":
            return np.append(np.ones(row.frames, np.uint8), 0)
        if feature == "mel":
            return rng.standard_normal((2 * row.frames, 80)).astype(np.float16)
        return rng.standard_normal((row.frames + 1, 160)).astype(np.float16)


def row(frames, spoken="IT'S A-B", split="train"):
    return types.SimpleNamespace(
        id="x", frames=frames, spoken=spoken, text="", split=split, speaker="anna"
    )


@functools.cache
def batch():
    given = [row(count, "ABBA", "validation") for count in FRAMES]
    made = objective().collate(given, Data(), SECONDS, np.random.default_rng(0))
    return jax.tree.map(jnp.asarray, made)


@functools.cache
def params():
    cfg = config()
    modules = {
        "semantic_encoder": SemanticEncoder(cfg.semantic_encoder, rngs=nnx.Rngs(0)),
        "semantic_codec": SemanticCodec(cfg.semantic_codec, rngs=nnx.Rngs(1)),
    }
    drawn = {name: nnx.to_pure_dict(nnx.split(module)[1]) for name, module in modules.items()}
    return drawn | objective().extra(KEY)


@functools.cache
def compiled():
    made = objective()

    @jax.jit
    def run(params, batch):
        def loss(params):
            outcome = made.loss(params, batch, KEY)
            weights = made.parts[0].weights
            shares = {n: t.total / t.count for n, t in outcome.terms.items()}
            return sum(weights[name] * share for name, share in shares.items()), outcome

        return jax.grad(loss, has_aux=True)(params)

    return run


def run(progress=1.0, given=None):
    given = given or batch()
    return compiled()(params(), given | {"progress": jnp.full(len(FRAMES), progress)})


@pytest.mark.nightly
def test_every_leaf_that_trains_has_a_gradient():
    gradients, _ = run()

    rows = {"codebook", "mean", "var", "sums", "counts", "idle"}
    for path, leaf in jax.tree.leaves_with_path(gradients):
        names = {key.key for key in path}
        if names & rows:
            assert np.abs(leaf).max() == 0 or "mean" in names or "var" in names
        else:
            assert np.abs(leaf).max() > 0, f"no gradient of {jax.tree_util.keystr(path)}"


@pytest.mark.nightly
def test_padding_changes_nothing():
    lengths = np.asarray(batch()["lengths"])
    padded = dict(batch())
    for name in ("features", "prosody"):
        noise = 100 * np.random.default_rng(1).standard_normal(padded[name].shape, np.float32)
        inside = (np.arange(noise.shape[1]) < lengths[:, None])[..., None]
        padded[name] = jnp.where(inside, padded[name], noise)

    (_, ours), (_, expected) = run(given=padded), run()

    for name, term in expected.terms.items():
        np.testing.assert_allclose(ours.terms[name].total, term.total, rtol=1e-5, err_msg=name)


@pytest.mark.nightly
def test_terms_are_the_formulas():
    cfg, given = config(), params()
    _, outcome = run()
    encoder = SemanticEncoder(cfg.semantic_encoder, rngs=nnx.Rngs(0))
    codec = SemanticCodec(cfg.semantic_codec, rngs=nnx.Rngs(1))
    heads = nnx.merge(
        nnx.split(tokens_heads.Heads(cfg.semantic_codec, 3, rngs=nnx.Rngs(0)))[0],
        given["tokens_heads"],
    )
    lengths = batch()["lengths"]
    mask = np.arange(batch()["features"].shape[1]) < np.asarray(lengths)[:, None]

    features = encoder(batch()["features"], jnp.asarray(mask))
    codes, embedded = codec.quantize(features, lengths)
    seen = codec.quantiser.project_in(codec.encode(features, lengths))
    rows = codec.quantiser.codebook(codes)
    spoken = heads.prosody(embedded, lengths, batch()["speakers"])
    labels, counts = batch()["labels"], batch()["label_counts"]
    expected = {
        "ctc_features": ctc.ctc_losses(heads.features(features), lengths, labels, counts).sum(),
        "ctc_codes": ctc.ctc_losses(heads.spell(embedded, lengths), lengths, labels, counts).sum(),
        "reconstruction": np.abs(heads.decoder(embedded, lengths) - features).mean(-1)[mask].sum(),
        "commitment": np.square(seen - rows).mean(-1)[mask].sum(),
        "prosody": np.abs(spoken - batch()["prosody"]).mean(-1)[mask].sum(),
    }

    assert set(outcome.terms) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(outcome.terms[name].total, value, rtol=2e-4, err_msg=name)
        count = counts.sum() if name.startswith("ctc") else lengths.sum()
        assert outcome.terms[name].count == count


def wrong_letters(logits, lengths):
    """Of the batch's words, by hand: no letter is inserted or lost without a price of one."""
    total = 0
    for n, length in enumerate(np.asarray(lengths)):
        heard, label = ctc.greedy(np.asarray(logits)[n, :length]), np.asarray(batch()["labels"])[n]
        row = list(range(len(label[: batch()["label_counts"][n]]) + 1))
        for i, letter in enumerate(heard, 1):
            before, row = row, [i]
            for j in range(1, len(before)):
                swap = before[j - 1] + (letter != label[j - 1])
                row.append(min(before[j] + 1, row[j - 1] + 1, swap))
        total += row[-1]
    return total


@pytest.mark.nightly
def test_validation_tells_wrong_letters_and_what_codes_are_used():
    given, made, lengths = params(), objective(), batch()["lengths"]
    found = jax.jit(made.evaluate)(given, batch(), KEY)
    cfg = config()
    codec = structure("semantic_codec", cfg).bind(given["semantic_codec"])
    encoder = structure("semantic_encoder", cfg).bind(given["semantic_encoder"])
    graph = nnx.split(tokens_heads.Heads(cfg.semantic_codec, 3, rngs=nnx.Rngs(0)))[0]
    heads = nnx.merge(graph, given["tokens_heads"])
    mask = np.arange(batch()["features"].shape[1]) < np.asarray(lengths)[:, None]
    features = encoder(batch()["features"], jnp.asarray(mask))
    codes, embedded = codec.quantize(features, lengths)

    logits = {"features": heads.features(features), "codes": heads.spell(embedded, lengths)}
    for name, each in logits.items():
        assert found[f"cer_{name}"].total == wrong_letters(each, lengths)
        assert found[f"cer_{name}"].count == batch()["label_counts"].sum() == 8
    counts = np.bincount(np.asarray(codes)[mask], minlength=7)
    np.testing.assert_array_equal(found[tokens.TALLY].total, counts)
    shares = counts[counts > 0] / counts.sum()
    told = made.summary({tokens.TALLY: counts})
    assert told["codes_used"] == np.mean(counts > 0)
    np.testing.assert_allclose(told["perplexity"], np.exp(-(shares * np.log(shares)).sum()))


@pytest.mark.nightly
def test_nothing_is_quantised_at_first():
    (_, free), (_, quantised) = run(0.05), run(0.5)

    assert free.terms["commitment"].total == 0
    assert quantised.terms["commitment"].total > 0
    assert free.terms["ctc_codes"].total != quantised.terms["ctc_codes"].total


@pytest.mark.nightly
def test_the_codebook_is_a_statistic():
    _, outcome = run()

    paths = {tokens.ROWS, *(f"tokens_codebook.{name}" for name in ("sums", "counts", "idle"))}
    assert set(outcome.statistics) == paths
    assert np.isfinite(outcome.statistics[tokens.ROWS]).all()
    assert not any("codebook" in pattern for pattern in objective().parts[0].trains)


def test_validation_rows_are_not_varied():
    def made(split, seed):
        rng = np.random.default_rng(seed)
        return objective().collate([row(15, split=split)], Data(), SECONDS, rng)["features"]

    np.testing.assert_array_equal(made("validation", 0), made("validation", 1))
    assert not np.array_equal(made("train", 0), made("train", 1))


def test_speed_changes_the_length():
    slow = objective(speeds=(0.5,)).collate([row(9)], Data(), SECONDS, np.random.default_rng(0))

    assert slow["lengths"] == 18
    assert np.abs(slow["features"][0, 17]).max() > 0


def test_stretching_to_the_same_length_is_the_identity():
    x = np.random.default_rng(0).standard_normal((7, 3), np.float32)

    np.testing.assert_allclose(tokens_rows.stretched(x, 7), x, atol=1e-6)


def test_rows_with_too_many_letters_have_no_letters():
    made = objective().collate([row(15, "AB" * 50)], Data(), SECONDS, np.random.default_rng(0))

    assert not made["spelled"][0]
    assert made["label_counts"][0] == 0


def test_masks_are_zeros_of_bands_and_frames():
    options = TokensOptions(band_masks=1, band_width=80, time_masks=0)
    pairs = np.ones((5, 160), np.float32)

    masked = tokens_rows.mask_spans(pairs, options, np.random.default_rng(3)).reshape(10, 80)

    assert 0 < masked[0].sum() < 80
    np.testing.assert_array_equal(masked, masked[:1].repeat(10, axis=0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"free": 1.0}, "free must be at least 0 and below 1"),
        ({"speeds": ()}, "speeds must be 0.5 to 2"),
        ({"band_width": 81}, "band_width must be at most 80"),
        ({"decay": 1.0}, "decay must be between"),
        ({"speakers": 0}, "speakers must be 1 or more"),
        ({"prosody": -1.0}, "prosody must be 0 or more"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        objective(**options)
