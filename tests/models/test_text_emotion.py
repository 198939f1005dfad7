"""The text-to-emotion model against transformers, and against itself by other ways."""

import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx

from importers.text_emotion import TextEmotionImporter
from indextts_jax.config import ModelConfig, bundled_config
from indextts_jax.layers.norms import RMSNorm
from indextts_jax.models.components import structure
from indextts_jax.models.text_emotion import TextEmotion

SETS = ("tiny", "second")


@functools.cache
def imported(name: str, dtype: str = "float32") -> tuple[ModelConfig, dict]:
    """A set's configuration and parameters."""
    words = TextEmotionImporter.open(support.DATA / "qwen" / name, dtype=dtype)
    params = jax.tree.map(jnp.asarray, words.read())
    return words.within(bundled_config("tiny")), params


@functools.cache
def reference(name: str) -> dict[str, np.ndarray]:
    with np.load(support.DATA / "qwen" / name / "reference.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}


@functools.partial(jax.jit, static_argnums=(0, 3))
def _logits(config, params, pieces, size):
    model: TextEmotion = structure("text_emotion", config).bind(params)
    cache, start, hidden = model.empty_cache(size), 0, []
    with jax.default_matmul_precision("highest"):
        for piece in pieces:
            states, cache = model.extend(piece, jnp.asarray(start), cache)
            hidden.append(states)
            start += len(piece)
        return model.logits(jnp.concatenate(hidden))


def logits(name, tokens, cuts=(), size=None, dtype="float32"):
    """Logits of every position; the tokens go in piece by piece."""
    config, params = imported(name, dtype)
    pieces = [jnp.asarray(piece, jnp.int32) for piece in np.split(tokens, list(cuts))]
    return np.asarray(_logits(config, params, pieces, size or len(tokens)))


@pytest.mark.parametrize("name", SETS)
def test_logits_are_those_of_transformers(name):
    held = reference(name)
    whole = [np.concatenate([held[f"prompt_{i}"], held[f"reply_{i}"]]) for i in (0, 1)]
    support.assert_close(logits(name, whole[0])[-24:], held["logits_0"], f"qwen.{name}")
    support.assert_close(logits(name, whole[1])[::4], held["logits_1"], f"qwen.{name}")


def test_tokens_may_come_in_chunks_of_any_length():
    tokens = np.random.default_rng(0).integers(0, 448, 37)
    whole = logits("second", tokens)
    pieces = logits("second", tokens, cuts=(5, 6), size=61)
    support.assert_close(pieces, whole, "qwen.pieces")


def test_cache_entries_of_padding_are_overwritten():
    config, params = imported("second")
    tokens = np.random.default_rng(1).integers(0, 448, 23).astype(np.int32)
    noise = np.random.default_rng(2).integers(0, 448, 9).astype(np.int32)

    @jax.jit
    def padded(params, tokens, noise):
        model = structure("text_emotion", config).bind(params)
        first = jnp.concatenate([tokens[:11], noise])
        with jax.default_matmul_precision("highest"):
            _, cache = model.extend(first, jnp.asarray(0), model.empty_cache(40))
            hidden, _ = model.extend(tokens[11:], jnp.asarray(11), cache)
            return model.logits(hidden)

    support.assert_close(
        padded(params, tokens, noise), logits("second", tokens)[11:], "qwen.pieces"
    )


def test_later_tokens_change_nothing():
    tokens = np.random.default_rng(3).integers(0, 448, 19)
    other = np.concatenate([tokens[:8], (tokens[8:] + 7) % 448])
    np.testing.assert_array_equal(logits("tiny", tokens)[:8], logits("tiny", other)[:8])


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float16", marks=pytest.mark.nightly)])
def test_half_precision_stays_near_float32(dtype):
    tokens = reference("tiny")["prompt_0"]
    half = logits("tiny", tokens, dtype=dtype)
    assert half.dtype == np.float32
    support.assert_close(half, logits("tiny", tokens), f"qwen.{dtype}")


def test_rms_norm_divides_by_the_root_mean_square():
    x = np.random.default_rng(4).normal(size=(3, 7)).astype(np.float32)
    scale = np.arange(1, 8, dtype=np.float32)

    norm = RMSNorm(7, eps=1e-2, rngs=nnx.Rngs(0))
    norm.scale[...] = jnp.asarray(scale)
    plainly = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-2) * scale
    np.testing.assert_allclose(norm(jnp.asarray(x)), plainly, rtol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "seed"),
    [
        (
            {"width": 20, "layers": 2, "heads": 4, "key_heads": 1, "head_width": 6, "inner": 28},
            0,
        ),
        pytest.param(
            {"width": 28, "layers": 3, "heads": 3, "key_heads": 3, "head_width": 14, "inner": 44},
            1,
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_logits_are_those_of_transformers_at_random_sizes(sizes, seed, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = shutil.copytree(support.DATA / "qwen" / "tiny", tmp_path / "qwen")
    torch.manual_seed(seed)
    config = transformers.Qwen3Config(
        vocab_size=409,
        hidden_size=sizes["width"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        num_key_value_heads=sizes["key_heads"],
        head_dim=sizes["head_width"],
        intermediate_size=sizes["inner"],
        max_position_embeddings=2048,
        rope_theta=500.0,
        rms_norm_eps=1e-3,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=400,
    )
    theirs = transformers.Qwen3ForCausalLM(config).float().eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    theirs.save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": 400}')
    words = TextEmotionImporter.open(folder)
    tokens = np.random.default_rng(seed).integers(0, 409, 31)
    params = jax.tree.map(jnp.asarray, words.read())
    ours = _logits(words.within(bundled_config("tiny")), params, [jnp.asarray(tokens)], 40)
    with torch.no_grad():
        wanted = theirs(torch.tensor(tokens)[None]).logits[0].numpy()
    support.assert_close(ours, wanted, "qwen.random")
