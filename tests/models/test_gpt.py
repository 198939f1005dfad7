import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from flax import nnx

from indextts_jax.config import GPTConfig
from indextts_jax.layers.kernels.decode_attention import attend_filled
from indextts_jax.layers.split_attention import KeyBlock, attend
from indextts_jax.models import gpt as gpt_module
from indextts_jax.models import gpt_cache, gpt_joint_cache
from indextts_jax.models.components import structure
from indextts_jax.models.gpt import GPT
from indextts_jax.models.gpt_cache import piece_sizes
from indextts_jax.models.gpt_joint_cache import JointCache
from indextts_jax.runtime.layout import to_device_layout
from indextts_jax.sampling.generate import replay


@functools.cache
def compiled(function, dtype: str):
    gpt = structure("gpt", support.tiny_config(), dtype)
    params = jax.tree.map(
        lambda leaf, want: jnp.asarray(leaf, want.dtype), support.tiny_params("gpt"), gpt.expected
    )
    run = jax.jit(lambda params, *given: function(gpt.bind(params), *given))
    return functools.partial(run, params)


def call(function, *given, dtype="float32"):
    """A function of the tiny model, jitted over its parameters."""
    return compiled(function, dtype)(*map(jnp.asarray, given))


def spoken():
    """The golden conditioning and text, as methods take them."""
    gpt = support.golden("gpt")
    text = gpt["text_ids"]
    return gpt["speaker_latents"], gpt["emovec"], text, np.array([text.shape[1]])


def test_conditioning_equals_the_reference():
    gpt = support.golden("gpt")
    rows = call(GPT.conditioning, gpt["speaker_latents"], gpt["emovec"])

    support.assert_close(rows, gpt["conds"], "gpt.conds")


def test_prefix_equals_the_reference():
    rows, lengths = call(GPT.prefix, *spoken())

    assert lengths.tolist() == [support.golden("gpt")["prefix"].shape[1]]
    support.assert_close(rows, support.golden("gpt")["prefix"], "gpt.prefix")


def test_batch_prefix_matches_left_padded_reference():
    gpt, batch = support.golden("gpt"), support.golden("gpt_batch")
    text = batch["text_ids"]
    latents, emotion = (np.repeat(gpt[name], 2, axis=0) for name in ("speaker_latents", "emovec"))
    kept, kept_lengths = call(GPT.without_special, text, np.full(2, text.shape[1]))
    rows, lengths = call(GPT.prefix, latents, emotion, kept, kept_lengths)

    assert (lengths + 1).tolist() == batch["mask"].sum(axis=1).tolist()
    for ours, length, theirs in zip(rows, lengths, batch["prefix"], strict=True):
        support.assert_close(ours[:length], theirs[-int(length) :], "gpt_batch.prefix")


def test_special_ids_are_dropped_wherever_they_stand():
    text = jnp.array([[1, 5, 0, 0, 7, 9, 3, 3], [4, 1, 6, 2, 8, 1, 0, 2]])
    kept, lengths = call(GPT.without_special, text, jnp.array([6, 4]))

    assert lengths.tolist() == [3, 3]
    assert kept[0, :3].tolist() == [5, 7, 9]
    assert kept[1, :3].tolist() == [4, 6, 2]


def test_cached_steps_give_the_logits_of_the_reference():
    gpt = support.golden("gpt")
    codes = gpt["greedy_codes"][:, : gpt["step_logits"].shape[1]]

    support.assert_close(call(replay, *spoken(), codes), gpt["step_logits"], "gpt.step_logits")


def test_latents_equal_the_reference():
    golden = support.golden("gpt_latent")
    codes = golden["codes"]
    latents = call(GPT.latents, *spoken(), codes, np.array([codes.shape[1]]))

    support.assert_close(latents, golden["latent"], "gpt_latent.latent")


def test_cached_decoding_at_aligned_positions_equals_the_full_pass(monkeypatch):
    monkeypatch.setattr(gpt_module, "FIRST_STEP", 1)
    compiled.cache_clear()  # of functions traced with the rule of the reference
    codes = np.random.default_rng(0).integers(0, 64, (1, 29))
    stepped = call(replay, *spoken(), codes)
    compiled.cache_clear()
    hidden = call(GPT.latents, *spoken(), codes, np.array([29]))
    head = support.tiny_params("gpt")["code_head"]

    support.assert_close(stepped, hidden @ head["kernel"] + head["bias"], "gpt.cached")


def test_the_position_after_the_start_code_is_left_out():
    codes = np.random.default_rng(0).integers(0, 64, (1, 2))
    stepped = call(replay, *spoken(), codes)
    hidden = call(GPT.latents, *spoken(), codes, np.array([2]))
    head = support.tiny_params("gpt")["code_head"]
    rms = [
        support.relative_errors(stepped[:, i], hidden[:, i] @ head["kernel"] + head["bias"])[0]
        for i in range(2)
    ]

    assert rms[0] < 1e-5
    assert rms[1] > 1e-3


def batch_of_three(rng, text_size, code_size):
    """Rows of different lengths, with ids of size 10 000 as padding."""
    text_lengths = rng.integers(1, 15, 3)
    code_lengths = rng.integers(2, 12, 3)
    text = rng.integers(2, 900, (3, text_size))
    codes = rng.integers(0, 64, (3, code_size))
    text[np.arange(text_size) >= text_lengths[:, None]] += 10_000
    codes[np.arange(code_size) >= code_lengths[:, None]] += 10_000
    latents = rng.standard_normal((3, 32, 64), np.float32)
    return (
        latents,
        rng.standard_normal((3, 64), np.float32),
        text,
        text_lengths,
        codes,
        code_lengths,
    )


def alone(row, latents, emotion, text, text_lengths, codes, code_lengths):
    """One row of a batch, padded with other numbers to other sizes."""
    text_row, codes_row = np.zeros((1, 15), int), np.zeros((1, 11), int)
    text_row[0, : text_lengths[row]] = text[row, : text_lengths[row]]
    codes_row[0, : code_lengths[row]] = codes[row, : code_lengths[row]]
    one = slice(row, row + 1)
    return latents[one], emotion[one], text_row, text_lengths[one], codes_row, code_lengths[one]


@pytest.mark.parametrize("seed", range(3))
def test_latents_of_a_row_depend_neither_on_padding_nor_on_neighbours(seed):
    given = batch_of_three(np.random.default_rng(seed), 17, 13)
    batched = call(GPT.latents, *given)
    for row, length in enumerate(given[-1]):
        latents = call(GPT.latents, *alone(row, *given))
        support.assert_close(batched[row, :length], latents[0, :length], "gpt.padding")
        assert not np.any(batched[row, length:])


@pytest.mark.parametrize("seed", range(3))
def test_cached_logits_are_independent_of_padding_and_batch(seed):
    given = batch_of_three(np.random.default_rng(seed), 17, 13)
    batched = call(replay, *given[:-1])
    for row, length in enumerate(given[-1]):
        logits = call(replay, *alone(row, *given)[:-1])
        support.assert_close(batched[row, :length], logits[0, :length], "gpt.padding")


def test_rows_past_the_prefix_change_nothing():
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((2, 23, 64), np.float32)
    lengths = np.array([11, 23])
    garbage = rows.copy()
    garbage[0, 11:] = 1e4 * rng.standard_normal((12, 64), np.float32)
    (clean, _), (logits, cache) = (call(GPT.prefill, x, lengths) for x in (rows, garbage))

    support.assert_close(logits, clean, "gpt.padding")
    assert cache.lengths.tolist() == [12, 24]


def test_beams_find_their_history_through_the_lineage():
    rng = np.random.default_rng(7)
    steps, beams = 6, 3
    latents, emotion, text, text_lengths, *_ = batch_of_three(rng, 17, 13)
    prefix = call(GPT.prefix, latents, emotion, text, text_lengths)
    _, cached = call(GPT.prefill, *prefix)
    cache = structure("gpt", support.tiny_config()).bind(support.tiny_params("gpt"))
    cache = cache.empty_cache(3, beams, steps)
    history = np.zeros((3, beams, 0), int)
    ancestry = np.full((3, beams, steps), 17)  # later steps are not looked at
    step = compiled(GPT.step, "float32")
    for index in range(steps):
        parents = rng.integers(0, beams, (3, beams))
        codes = rng.integers(0, 64, (3, beams))
        history = np.take_along_axis(history, parents[..., None], axis=1)
        history = np.concatenate([history, codes[..., None]], axis=2)
        ancestry = np.take_along_axis(ancestry, parents[..., None], axis=1)
        ancestry[:, :, index] = np.arange(beams)
        logits, cache = step(
            jnp.asarray(codes), jnp.asarray(index), jnp.asarray(ancestry), cached, cache
        )
    for beam in range(beams):
        forced = np.concatenate([history[:, beam], np.zeros((3, 1), int)], axis=1)
        alone = call(replay, latents, emotion, text, text_lengths, forced)
        support.assert_close(logits[:, beam], alone[:, -1], "gpt.ancestry")


def in_one_kernel(monkeypatch, dtype="float32"):
    """The tiny model with the kernel for NVIDIA GPUs, which is run as plain JAX."""
    interpreted = functools.partial(attend_filled, interpret=True)
    monkeypatch.setattr(gpt_joint_cache, "attend_filled", interpreted)
    return structure("gpt", support.tiny_config(), dtype, fused_attention=True)


def joined(prefix, cache):
    """The same entries in one array for each layer, and the prefix without them."""
    beams = cache.values[0][0].shape[3]
    joint = JointCache.of(prefix, beams, 0)

    def layer(number):
        keys, values = joint.layers[number]
        ((code_keys, code_values),) = cache.entries(number)
        code_keys = jnp.swapaxes(code_keys, 2, 3)
        return tuple(
            jnp.concatenate(pair, axis=2) for pair in ((keys, code_keys), (values, code_values))
        )

    layers = tuple(map(layer, range(len(cache.keys))))
    return prefix._replace(keys=(), values=()), dataclasses.replace(joint, layers=layers)


def test_the_kernel_for_gpus_gives_the_logits_of_the_reference(monkeypatch):
    gpt, golden = in_one_kernel(monkeypatch), support.golden("gpt")
    codes = golden["greedy_codes"][:, : golden["step_logits"].shape[1]]
    run = jax.jit(lambda params, *given: replay(gpt.bind(params), *given))
    logits = run(support.tiny_params("gpt"), *map(jnp.asarray, (*spoken(), codes)))

    support.assert_close(logits, golden["step_logits"], "gpt.step_logits")


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("index", [[0, 6, 3], pytest.param(5, marks=pytest.mark.nightly)])
def test_a_step_through_the_joint_cache_is_a_step(monkeypatch, index, fused):
    codes, ancestry, prefix, cache = step_inputs(np.random.default_rng(4), 3, 7)
    gpt, index = in_one_kernel(monkeypatch), jnp.asarray(index)
    gpt = gpt if fused else structure("gpt", support.tiny_config())
    run = jax.jit(lambda params, *given: GPT.step(gpt.bind(params), *given))
    expected, after = compiled(GPT.step, "float32")(codes, index, ancestry, prefix, cache)
    given = codes, index, ancestry, *joined(prefix, cache)
    logits, written = run(support.tiny_params("gpt"), *given)

    assert written.size == 7
    support.assert_close(logits, expected, "gpt.scan")
    ours = jax.tree.leaves(written.layers)
    for one, other in zip(ours, jax.tree.leaves(joined(prefix, after)[1].layers), strict=True):
        support.assert_close(one, other, "gpt.scan")


@pytest.mark.parametrize("size", [3, 12])
def test_a_joint_cache_of_another_size_keeps_its_codes(size):
    *_, prefix, cache = step_inputs(np.random.default_rng(4), 3, 7)
    _, joint = joined(prefix, cache)
    other = joint.resized(size)
    kept = joint.start + 3 * min(size, 7)

    assert other.size == size
    for one, old in zip(*(jax.tree.leaves(c.layers) for c in (other, joint)), strict=True):
        np.testing.assert_array_equal(one[:, :, :kept], old[:, :, :kept])
        assert not one[:, :, kept:].any()


def test_a_joint_cache_gives_back_its_prefix():
    *_, prefix, cache = step_inputs(np.random.default_rng(4), 3, 7)
    lengths, joint = joined(prefix, cache)

    jax.tree.map(np.testing.assert_array_equal, joint.prefix(lengths.lengths), prefix)


@pytest.mark.parametrize("fused", [False, True])
def test_cuda_step_has_the_kernel_in_every_layer(fused):
    gpt = structure("gpt", support.tiny_config(), "bfloat16", fused_attention=fused)
    codes, ancestry, prefix, cache = step_inputs(np.random.default_rng(4), 3, 7)
    params = jax.tree.map(lambda a: a.astype("bfloat16"), support.tiny_params("gpt"))
    prefix, cache = (
        jax.tree.map(lambda a: a.astype("bfloat16" if a.ndim > 1 else a.dtype), each)
        for each in (prefix, cache)
    )
    step = jax.jit(lambda params, *given: GPT.step(gpt.bind(params), *given))
    given = codes, jnp.asarray(3), ancestry, *joined(prefix, cache)

    assert support.kernels(step, params, *given) == fused * support.tiny_config().gpt.layers


def step_inputs(rng, beams, size):
    """A prefix of three rows, and a cache full of numbers."""
    latents, emotion, text, text_lengths, *_ = batch_of_three(rng, 17, 13)
    _, prefix = call(GPT.prefill, *call(GPT.prefix, latents, emotion, text, text_lengths))
    gpt = structure("gpt", support.tiny_config()).bind(support.tiny_params("gpt"))
    empty = gpt.empty_cache(3, beams, size)
    cache = jax.tree.map(lambda a: jnp.asarray(rng.standard_normal(a.shape, np.float32)), empty)
    ancestry = jnp.asarray(rng.integers(0, beams, (3, beams, size)))
    return jnp.asarray(rng.integers(0, 64, (3, beams))), ancestry, prefix, cache


@pytest.mark.parametrize("beams", [1, 3])
def test_one_index_for_all_rows_equals_an_index_a_row(beams):
    codes, *rest = step_inputs(np.random.default_rng(beams), beams, 7)
    step = compiled(GPT.step, "float32")
    logits, cache = step(codes, jnp.asarray(4), *rest)
    by_row, by_row_cache = step(codes, jnp.full(3, 4), *rest)

    np.testing.assert_array_equal(by_row, logits)
    jax.tree.map(np.testing.assert_array_equal, by_row_cache, cache)


@pytest.mark.parametrize("sizes", [(9, 30), pytest.param((14, 29), marks=pytest.mark.nightly)])
def test_logits_are_bitwise_independent_of_capacity(monkeypatch, sizes):
    """So a row says the same beside longer ones."""
    gpt, params = pieces_of(monkeypatch, 4)
    run = jax.jit(lambda params, *given: GPT.step(gpt.bind(params), *given))
    rng = np.random.default_rng(sizes)
    codes, ancestry, prefix, _ = step_inputs(rng, 3, max(sizes))
    module = gpt.bind(params)
    small = module.empty_cache(3, 3, min(sizes))
    small = jax.tree.map(lambda a: jnp.asarray(rng.standard_normal(a.shape, np.float32)), small)
    large = module.resized(small, max(sizes))
    for index in (jnp.asarray(7), jnp.asarray([0, 8, 5])):
        alone, _ = run(params, codes, index, ancestry, prefix, small)
        beside, _ = run(params, codes, index, ancestry, prefix, large)

        np.testing.assert_array_equal(beside, alone)


@pytest.mark.parametrize("beams", [1, 3])
def test_rows_at_steps_of_their_own_equal_these_steps_of_all(beams):
    codes, *rest = step_inputs(np.random.default_rng(beams), beams, 7)
    step = compiled(GPT.step, "float32")
    logits, cache = step(codes, jnp.asarray([0, 6, 3]), *rest)
    for row, index in enumerate([0, 6, 3]):
        alike, alike_cache = step(codes, jnp.asarray(index), *rest)
        np.testing.assert_array_equal(logits[row], alike[row])
        for ours, theirs in zip(jax.tree.leaves(cache), jax.tree.leaves(alike_cache), strict=True):
            np.testing.assert_array_equal(ours[row], theirs[row])


def test_scanned_blocks_equal_a_loop_over_them():
    rows = np.random.default_rng(1).standard_normal((2, 19, 64), np.float32)
    lengths = np.array([18, 18])

    def looped(gpt, rows, lengths):
        start = gpt.code_embedding(jnp.full(2, 64)) + gpt.code_positions(jnp.zeros(2, int))
        x = rows.at[:, 18].set(start)
        mask = jnp.tri(19, dtype=bool)
        for i in range(support.tiny_config().gpt.layers):
            block = jax.tree.map(lambda leaf, i=i: leaf[i], gpt.blocks)
            query, key, value = block.project(x)
            x = block.finish(x, attend(query, [KeyBlock(jnp.swapaxes(key, 2, 3), value, mask)]))
        return gpt.code_head(gpt.final_norm(gpt.trunk_norm(x[:, 18])))

    scanned, _ = call(GPT.prefill, rows, lengths)
    support.assert_close(scanned, call(looped, rows, lengths), "gpt.scan")


def in_layout(platform):
    """Structure, and parameters in a device's layout."""
    params = jax.tree.map(jnp.asarray, support.tiny_params("gpt"))
    return structure("gpt", support.tiny_config()), to_device_layout("gpt", params, platform)


@pytest.mark.parametrize("platform", ["cpu", pytest.param("gpu", marks=pytest.mark.nightly)])
def test_device_layouts_give_the_logits_of_stored_parameters(platform):
    gpt, params = in_layout(platform)
    codes = np.random.default_rng(2).integers(0, 64, (1, 5))
    run = jax.jit(lambda params, *given: replay(gpt.bind(params), *given))

    support.assert_close(
        run(params, *map(jnp.asarray, (*spoken(), codes))),
        call(replay, *spoken(), codes),
        "gpt.scan",
    )


def pieces_of(monkeypatch, first):
    """The tiny model in the layout for a CPU, with a cache in small pieces."""
    monkeypatch.setattr(gpt_cache, "FIRST_PIECE", first)
    return in_layout("cpu")


@pytest.mark.parametrize(
    ("first", "rows", "dtype"),
    [
        (16, 2, "bfloat16"),
        *(
            pytest.param(*case, marks=pytest.mark.nightly)
            for case in itertools.product([16, 128], [1, 2], ["float32", "bfloat16"])
            if case != (16, 2, "bfloat16")
        ),
    ],
)
def test_no_step_copies_the_cache(monkeypatch, first, dtype, rows):
    """Nor converts it; two rows are each at a step of their own."""
    gpt, params = pieces_of(monkeypatch, first)
    params, size, beams = jax.tree.map(lambda array: array.astype(dtype), params), 41, 3

    def steps(params, prefix, cache, ancestry, first):
        module = gpt.bind(params)

        def step(index, state):
            index = index if rows == 1 else first + index
            logits, cache = module.step(state[0], index, ancestry, prefix, state[1])
            return jnp.argmax(logits, -1), cache

        return jax.lax.fori_loop(0, size, step, (jnp.zeros((rows, beams), int), cache))

    module = gpt.bind(params)
    caches = module.empty_prefix(rows, 17), module.empty_cache(rows, beams, size)
    given = (*caches, jnp.zeros((rows, beams, size), int), jnp.arange(rows))
    program = jax.jit(steps, donate_argnums=2).lower(params, *given).compile().as_text()
    heads, width = module.cfg.heads, module.cfg.width // module.cfg.heads
    for piece in map(len, caches[1].pieces):
        for entries in f"{heads},{piece},{beams},{width}]", f"{heads},{width},{piece},{beams}]":
            written = [line for line in program.splitlines() if f"[{rows},{entries}" in line]

            assert any("dynamic-update-slice" in line or "scatter" in line for line in written)
            assert not [line for line in written if " copy(" in line or " convert(" in line]


@pytest.mark.parametrize("rows", [pytest.param(1, marks=pytest.mark.nightly), 3])
def test_empty_cache_blocks_are_not_read(monkeypatch, rows):
    """Numbers that would spoil whatever reads them lie in every piece past the last code."""
    gpt, params = pieces_of(monkeypatch, 4)
    module = gpt.bind(params)
    rng = np.random.default_rng(rows)
    cache = module.empty_cache(rows, 3, 30)
    cache = jax.tree.map(lambda a: jnp.asarray(rng.standard_normal(a.shape, np.float32)), cache)
    prefix = module.empty_prefix(rows, 5)._replace(lengths=jnp.full(rows, 5))
    ancestry = jnp.asarray(rng.integers(0, 3, (rows, 3, 30)))
    given = jnp.asarray(rng.integers(0, 64, (rows, 3))), ancestry, prefix
    step = jax.jit(lambda params, index, cache, codes, *rest: GPT.step(
        gpt.bind(params), codes, index, *rest, cache
    ))  # fmt: skip
    assert [len(piece) for piece in cache.pieces] == [4, 4, 4, 4, 8, 6]
    for index in (0, 4, 5, 8, 9, 16, 17, 24, 25):
        reached = [piece.start < max(index, 1) for piece in cache.pieces]
        spoilt = jax.tree.map(lambda a: jnp.full_like(a, jnp.nan), cache)
        spoilt = type(cache)(
            *(
                tuple(
                    tuple(a if kept else b for kept, a, b in zip(reached, *layers, strict=True))
                    for layers in zip(*both, strict=True)
                )
                for both in zip(cache, spoilt, strict=True)
            )
        )
        steps = jnp.asarray(index) if rows == 1 else jnp.asarray([index, 0, index // 2])
        clean, _ = step(params, steps, cache, *given)
        logits, _ = step(params, steps, spoilt, *given)

        np.testing.assert_array_equal(logits, clean)


@pytest.mark.parametrize("size", [0, 3, 12, 13, 29, 30])
def test_a_cache_of_another_size_keeps_its_codes(monkeypatch, size):
    gpt, params = pieces_of(monkeypatch, 4)
    module = gpt.bind(params)
    rng = np.random.default_rng(size)
    cache = module.empty_cache(2, 3, 14)
    cache = jax.tree.map(lambda a: jnp.asarray(rng.standard_normal(a.shape, np.float32)), cache)
    other = module.resized(cache, size)
    kept = min(size, 14)

    assert other.size == size
    assert [len(piece) for piece in other.pieces] == piece_sizes(size)
    for axis, ours, theirs in ((3, other.keys, cache.keys), (2, other.values, cache.values)):
        for layer, old in zip(ours, theirs, strict=True):
            layer, old = (np.moveaxis(np.concatenate(a, axis), axis, 0) for a in (layer, old))
            np.testing.assert_array_equal(layer[:kept], old[:kept])
            assert not layer[kept:].any()


@pytest.mark.parametrize("size", [1, 41, 128, 129, 512, 1024, 1500, 1815, 4096])
def test_cache_block_is_at_most_the_first_or_half_of_earlier_ones(size):
    sizes = piece_sizes(size)

    assert sum(sizes) == size
    for number, piece in enumerate(sizes):
        assert 0 < piece <= max(gpt_cache.FIRST_PIECE, sum(sizes[:number]) // 2)
    assert len(sizes) <= 4 + 2 * max(0, int(np.ceil(np.log2(size / 512))))


def test_attention_over_parts_is_attention_over_all_their_keys():
    rng = np.random.default_rng(3)
    query = rng.standard_normal((2, 3, 5, 7), np.float32)
    keys, values = rng.standard_normal((2, 2, 3, 11, 7), np.float32)
    mask = rng.random((2, 5, 11)) < 0.6
    mask[:, :, 0] = True
    cuts = [slice(0, 4), slice(4, 11)]
    transposed = np.swapaxes(keys, 2, 3)
    parts = [
        KeyBlock(transposed[..., cut], values[:, :, cut], jnp.asarray(mask[..., cut]))
        for cut in cuts
    ]
    scores = np.einsum("bhik,bhjk->bhij", query, keys, dtype=np.float64) / np.sqrt(7)
    weights = np.where(mask[:, None], np.exp(scores), 0)
    expected = np.einsum("bhij,bhjk->bhik", weights / weights.sum(-1, keepdims=True), values)

    support.assert_close(attend(jnp.asarray(query), parts), expected, "gpt.attend")


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float16", marks=pytest.mark.nightly)])
def test_half_precision_stays_close(dtype):
    gpt = support.golden("gpt")
    codes = gpt["greedy_codes"][:, : gpt["step_logits"].shape[1]]
    logits = call(replay, *spoken(), codes, dtype=dtype)
    latents = call(GPT.latents, *spoken(), *latent_codes(), dtype=dtype)

    assert logits.dtype == latents.dtype == np.float32
    support.assert_close(logits, gpt["step_logits"], f"gpt.step_logits_{dtype}")
    support.assert_close(
        latents, support.golden("gpt_latent")["latent"], f"gpt_latent.latent_{dtype}"
    )


def test_eight_bits_stay_close():
    gpt, params = in_layout("cpu")
    rounded = jax.tree.map(jnp.asarray, support.tiny_params("gpt"))
    rounded = to_device_layout("gpt", rounded, "cpu", eight_bits=True)
    codes = np.random.default_rng(2).integers(0, 64, (1, 15))
    run = jax.jit(lambda params, *given: replay(gpt.bind(params), *given))
    given = list(map(jnp.asarray, (*spoken(), codes)))

    support.assert_close(run(rounded, *given), run(params, *given), "gpt.step_logits_int8")


def latent_codes():
    codes = support.golden("gpt_latent")["codes"]
    return codes, np.array([codes.shape[1]])


@pytest.mark.parametrize(
    ("width", "layers", "heads", "rows"),
    [
        (30, 3, 5, 13),
        *(
            pytest.param(*case, marks=pytest.mark.nightly)
            for case in [(66, 2, 11, 31), (56, 4, 7, 1)]
        ),
    ],
)
def test_trunk_equals_gpt2_of_transformers(width, layers, heads, rows):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(width)
    config = transformers.GPT2Config(
        n_embd=width, n_layer=layers, n_head=heads, vocab_size=7, n_positions=64
    )
    theirs = transformers.GPT2Model(config).eval()
    with torch.no_grad():  # large enough for the non-linearities to matter
        for name, parameter in theirs.named_parameters():
            ones = 1.0 if "ln_" in name and "weight" in name else 0.0
            parameter.copy_(ones + 0.3 * torch.randn(parameter.shape))
        theirs.wpe.weight.zero_()
    cfg = GPTConfig(
        width=width,
        layers=layers,
        heads=heads,
        feed_forward=4 * width,
        text_vocabulary=17,
        text_positions=19,
        code_vocabulary=23,
        code_positions=29,
        conditioning_latents=3,
        speed_rows=2,
        start_text=0,
        stop_text=1,
        start_code=21,
        stop_code=22,
    )
    weights = {name: p.detach().numpy() for name, p in theirs.named_parameters()}

    def stacked(name):
        return np.stack([weights[f"h.{i}.{name}"] for i in range(layers)])

    graph, state = nnx.split(nnx.eval_shape(lambda: GPT(cfg, rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape, np.float32), nnx.to_pure_dict(state)
    )
    params["final_norm"] = {"scale": np.ones(width), "bias": np.zeros(width)}
    for part, ours, name in [
        ("attention", "qkv", "attn.c_attn"),
        ("attention", "out", "attn.c_proj"),
        ("feed_forward", "fc_in", "mlp.c_fc"),
        ("feed_forward", "fc_out", "mlp.c_proj"),
    ]:
        params["blocks"][part][ours] = {
            "kernel": stacked(f"{name}.weight"),
            "bias": stacked(f"{name}.bias"),
        }
    for ours, name in {"norm_attention": "ln_1", "norm_feed_forward": "ln_2"}.items():
        params["blocks"][ours] = {
            "scale": stacked(f"{name}.weight"),
            "bias": stacked(f"{name}.bias"),
        }
    params["trunk_norm"] = {"scale": weights["ln_f.weight"], "bias": weights["ln_f.bias"]}
    params["code_head"] = {"kernel": np.eye(width, 23, dtype=np.float32), "bias": np.zeros(23)}
    x = rng.standard_normal((2, rows, width), np.float32)
    logits, _ = jax.jit(lambda params, x: nnx.merge(graph, params).prefill(x, jnp.full(2, rows)))(
        params, x
    )
    start = params["code_embedding"]["embedding"][21] + params["code_positions"]["embedding"][0]
    joined = np.concatenate([x, np.tile(start, (2, 1, 1))], axis=1)
    with torch.no_grad():  # in float64: its float32 results are not the same in every run
        joined = torch.tensor(joined, dtype=torch.float64)
        hidden = theirs.double()(inputs_embeds=joined).last_hidden_state[:, -1].numpy()
    hidden -= hidden.mean(-1, keepdims=True)
    hidden /= np.sqrt((hidden**2).mean(-1, keepdims=True) + 1e-5)

    support.assert_close(logits, hidden[:, :23], "gpt.transformers")
