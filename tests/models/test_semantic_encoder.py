import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx

from importers.table import apply
from importers.tables import w2v_bert
from indextts_jax.config import SemanticEncoderConfig
from indextts_jax.models.components import structure
from indextts_jax.models.semantic_encoder import SemanticEncoder, relative_scores

SMALL = SemanticEncoderConfig(
    features=14,
    width=15,
    layers=3,
    heads=3,
    feed_forward=11,
    kernel=5,
    left=4,
    right=2,
    norm_eps=1e-5,
)


@functools.cache
def small() -> tuple[nnx.GraphDef, dict]:
    """The structure of a small model, and parameters of which none is at rest."""
    graph, state = nnx.split(nnx.eval_shape(lambda: SemanticEncoder(SMALL, rngs=nnx.Rngs(0))))
    random = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.1 + 0.3 * random.normal(size=leaf.shape), jnp.float32),
        nnx.to_pure_dict(state),
    )
    return graph, params | {"var": params["var"] ** 2 + 0.5}


@functools.cache
def compiled(method: str):
    graph, params = small()
    run = jax.jit(lambda params, *given: getattr(nnx.merge(graph, params), method)(*given))
    return functools.partial(run, params)


def call_small(features, mask, *, method="__call__"):
    """A method of the small model."""
    return compiled(method)(jnp.asarray(features), jnp.asarray(mask))


def call(features, mask, *, dtype="float32", method="__call__"):
    """A method of the tiny model, jitted over its parameters."""
    encoder = structure("semantic_encoder", support.tiny_config(), dtype)
    params = jax.tree.map(
        lambda leaf, want: jnp.asarray(leaf, want.dtype),
        support.tiny_params("semantic_encoder"),
        encoder.expected,
    )
    run = jax.jit(lambda params, *given: getattr(encoder.bind(params), method)(*given))
    return run(params, jnp.asarray(features), jnp.asarray(mask, bool))


def test_speaker_prompt_gives_the_hidden_states_of_the_reference():
    audio, w2v = support.golden("audio"), support.golden("w2v")
    hidden = call(audio["spk_features"], audio["spk_mask"], method="hidden_states")

    assert hidden.shape[0] == support.tiny_config().semantic_encoder.layers + 1
    assert not audio["spk_mask"][0, -1], "the golden prompt has a masked last row"
    for layer in (0, 1, 17):
        support.assert_close(hidden[layer], w2v[f"hidden_{layer}"], f"w2v.hidden_{layer}")


@pytest.mark.parametrize("prompt", ["spk", "emo"])
def test_prompts_give_the_semantic_features_of_the_reference(prompt):
    audio, w2v = support.golden("audio"), support.golden("w2v")
    semantic = call(audio[f"{prompt}_features"], audio[f"{prompt}_mask"])

    support.assert_close(semantic, w2v[f"{prompt}_semantic"], f"w2v.{prompt}_semantic")


def test_padded_batch_matches_the_reference_with_masked_rows():
    w2v = support.golden("w2v")
    hidden = call(w2v["batch_features"], w2v["batch_mask"], method="hidden_states")

    support.assert_close(hidden[-1], w2v["batch_hidden_17"], "w2v.batch_hidden_17")


def test_normalise_takes_the_stored_mean_and_variance_of_each_channel():
    _, params = small()
    hidden = np.random.default_rng(0).normal(size=(2, 7, 15)).astype(np.float32)

    expected = (hidden - params["mean"]) / np.sqrt(params["var"])
    np.testing.assert_allclose(compiled("normalise")(jnp.asarray(hidden)), expected, rtol=1e-5)


@pytest.mark.parametrize("left", [0, 2, 5, 40])
@pytest.mark.parametrize("right", [0, 3, 40])
def test_relative_scores_match_the_direct_computation(left, right):
    frames, heads, width = 11, 3, 5
    random = np.random.default_rng(left + 100 * right)
    query = random.normal(size=(2, frames, heads, width)).astype(np.float32)
    table = random.normal(size=(left + right + 1, width)).astype(np.float32)

    expected = np.empty((2, heads, frames, frames))
    for i in range(frames):
        for j in range(frames):
            row = table[max(-left, min(j - i, right)) + left]
            expected[:, :, i, j] = query[:, i] @ row
    scores = relative_scores(jnp.asarray(query), jnp.asarray(table), left=left)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("left", "right"), [(0, 0), (2, 3), (5, 0), (40, 40), (0, 9)])
def test_gradients_of_relative_scores_are_those_of_the_plain_sum(left, right):
    frames, random = 6, np.random.default_rng(left + right)
    given = [
        jnp.asarray(random.normal(size=size), jnp.float32)
        for size in ((2, frames, 3, 5), (left + right + 1, 5))
    ]
    seen = jnp.asarray(random.normal(size=(2, 3, frames, frames)), jnp.float32)
    place = np.arange(frames)
    rows = np.clip(place[None] - place[:, None], -left, right) + left

    def plain(query, table):
        return jnp.einsum("bihk,ijk->bhij", query, table[rows])

    def ours(query, table):
        return relative_scores(query, table, left=left)

    found, expected = (
        jax.grad(lambda *g, f=f: jnp.sum(seen * f(*g)), argnums=(0, 1))(*given)
        for f in (ours, plain)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def random_batch(seed: int, rows: int, frames: int):
    """Features, a mask of random lengths, and other features of which only masked rows differ."""
    random = np.random.default_rng(seed)
    mask = np.arange(frames) < random.integers(1, frames, size=(rows, 1))
    features = random.normal(size=(rows, frames, SMALL.features)).astype(np.float32)
    noise = (1e4 * random.normal(size=features.shape)).astype(np.float32)
    return features, mask, np.where(mask[..., None], features, noise)


@pytest.mark.parametrize("seed", range(5))
def test_padding_has_no_effect(seed):
    features, mask, noisy = random_batch(seed, rows=3, frames=23)

    np.testing.assert_array_equal(call_small(features, mask), call_small(noisy, mask))


def test_a_padded_row_is_that_row_alone():
    features, mask, noisy = random_batch(1, rows=2, frames=23)
    padded = call_small(noisy, mask)
    for row, length in enumerate(mask.sum(axis=1)):
        alone = call_small(features[row : row + 1, :length], mask[row : row + 1, :length])
        support.assert_close(padded[row : row + 1, :length], alone, "w2v.padding")


def test_neighbours_change_nothing():
    features, mask, _ = random_batch(2, rows=3, frames=23)
    other = features.copy()
    other[1:] = 1e4 * np.random.default_rng(0).normal(size=other[1:].shape)

    np.testing.assert_array_equal(call_small(features, mask)[0], call_small(other, mask)[0])


def test_masked_row_within_the_length_is_kept_but_not_attended():
    features, _, _ = random_batch(3, rows=1, frames=13)
    mask = np.arange(13)[None] < 12
    kept = call_small(features, mask)
    dropped = call_small(features[:, :12], mask[:, :12])

    assert kept.shape[1] == 13
    support.assert_close(kept[:, :12], dropped, "w2v.padding")


def test_the_scan_over_stacked_blocks_is_a_loop_over_blocks():
    graph, params = small()
    features, mask, _ = random_batch(4, rows=2, frames=7)

    # A program for each block, as the scan has one: over several, XLA fuses (and rounds) otherwise.
    @jax.jit
    def one(params, x, mask, layer):
        blocks = nnx.merge(graph, params).blocks
        return jax.tree.map(lambda leaf: leaf[layer], blocks)(x, mask)

    mask = jnp.asarray(mask)
    project = jax.jit(lambda params, *given: nnx.merge(graph, params).project(*given))
    states = [project(params, jnp.asarray(features), mask)]
    for layer in range(SMALL.layers):
        states.append(one(params, states[-1], mask, layer))

    scanned = call_small(features, mask, method="hidden_states")
    support.assert_close(scanned, jnp.stack(states), "w2v.scan")


def test_the_features_are_the_normalised_last_hidden_states():
    features, mask, _ = random_batch(4, rows=2, frames=7)
    hidden = call_small(features, mask, method="hidden_states")

    support.assert_close(call_small(features, mask), compiled("normalise")(hidden[-1]), "w2v.scan")


def test_a_row_without_any_valid_frame_stays_finite():
    features = np.full((2, 7, SMALL.features), np.nan, np.float32)

    assert np.isfinite(call_small(features, np.zeros((2, 7), bool))).all()


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float16", marks=pytest.mark.nightly)])
def test_half_precision_features_stay_close(dtype):
    audio, w2v = support.golden("audio"), support.golden("w2v")
    semantic = call(audio["emo_features"], audio["emo_mask"], dtype=dtype)

    assert semantic.dtype == jnp.float32
    support.assert_close(semantic, w2v["emo_semantic"], f"w2v.emo_semantic_{dtype}")


@pytest.mark.parametrize(
    ("width", "heads", "feed_forward", "kernel", "left", "right"),
    [(15, 3, 11, 5, 4, 2), (28, 7, 13, 9, 2, 6), (22, 1, 31, 3, 17, 0), (26, 13, 5, 1, 0, 1)],
)
def test_random_models_agree_with_transformers(width, heads, feed_forward, kernel, left, right):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    cfg = SemanticEncoderConfig(
        features=14,
        width=width,
        layers=2,
        heads=heads,
        feed_forward=feed_forward,
        kernel=kernel,
        left=left,
        right=right,
        norm_eps=1e-3,
    )
    theirs = transformers.Wav2Vec2BertModel(
        transformers.Wav2Vec2BertConfig(
            feature_projection_input_dim=14,
            hidden_size=width,
            num_hidden_layers=3,
            num_attention_heads=heads,
            intermediate_size=feed_forward,
            conv_depthwise_kernel_size=kernel,
            left_max_position_embeddings=left,
            right_max_position_embeddings=right,
            layer_norm_eps=1e-3,
        )
    ).eval()
    torch.manual_seed(width)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter) + 0.1)
    graph, state = nnx.split(nnx.eval_shape(lambda: SemanticEncoder(cfg, rngs=nnx.Rngs(0))))
    expected = nnx.to_pure_dict(state)
    del expected["mean"], expected["var"]
    tensors = {k: Stored(v.numpy()) for k, v in theirs.state_dict().items()}
    params = apply(w2v_bert.TABLE, tensors, expected, file="random")
    params |= {"mean": np.zeros(width, np.float32), "var": np.ones(width, np.float32)}

    random = np.random.default_rng(width)
    features = random.normal(size=(3, 19, 14)).astype(np.float32)
    mask = np.arange(19) < np.array([[19], [18], [5]])
    with torch.no_grad():
        hidden = theirs(
            torch.from_numpy(features),
            attention_mask=torch.from_numpy(mask.astype(np.int32)),
            output_hidden_states=True,
        ).hidden_states
    run = jax.jit(lambda params, *given: nnx.merge(graph, params).hidden_states(*given))
    ours = run(params, jnp.asarray(features), jnp.asarray(mask))
    for layer in range(cfg.layers + 1):
        support.assert_close(ours[layer], hidden[layer].numpy(), "w2v.transformers")


class Stored:
    """An array as a file's tensor."""

    def __init__(self, array: np.ndarray):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def read(self) -> np.ndarray:
        return self.array
