"""Greedy replies: token by token what transformers gives, ended by a stop token or the limit."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from importers.text_emotion import TextEmotionImporter
from indextts_jax.config import bundled_config
from indextts_jax.models.components import structure
from indextts_jax.sampling import reply as replies


@functools.cache
def imported(name):
    words = TextEmotionImporter.open(support.DATA / "qwen" / name)
    return words.config, jax.tree.map(jnp.asarray, words.read())


@functools.cache
def program(section):
    whole = dataclasses.replace(bundled_config("tiny"), text_emotion=section)
    bind = structure("text_emotion", whole).bind

    def run(params, prompt, length):
        with jax.default_matmul_precision("highest"):
            return replies.reply(bind(params), prompt, length)

    return jax.jit(run)


def reply(name, prompt, pad=0, **changes):
    section, params = imported(name)
    noise = np.random.default_rng(0).integers(0, 448, pad)
    padded = jnp.asarray(np.concatenate([prompt, noise]), jnp.int32)
    section = dataclasses.replace(section, **changes)
    result = program(section)(params, padded, jnp.asarray(len(prompt), jnp.int32))
    return np.asarray(result.tokens)[: int(result.length)].tolist(), bool(result.ended)


@functools.cache
def reference(name):
    with np.load(support.DATA / "qwen" / name / "reference.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("name", ["tiny", "second"])
def test_replies_are_those_of_transformers(name, number):
    held = reference(name)
    prompt, wanted = held[f"prompt_{number}"], held[f"reply_{number}"].tolist()
    limit = {"tiny": 160, "second": 48}[name]
    tokens, ended = reply(name, prompt, pad=64 - len(prompt), reply_tokens=limit)
    assert ended == (wanted[-1] == 400)  # else the limit came first
    assert tokens == (wanted[:-1] if ended else wanted)


def test_a_stop_token_ends_a_reply_wherever_it_comes():
    held = reference("tiny")
    wanted = held["reply_0"].tolist()
    stop = wanted[20]
    tokens, ended = reply("tiny", held["prompt_0"], stops=(447, stop), reply_tokens=25)
    assert ended
    assert tokens == wanted[: wanted.index(stop)]


def test_a_prompt_may_go_in_by_chunks(monkeypatch):
    held = reference("tiny")
    section, params = imported("tiny")
    monkeypatch.setattr(replies, "CHUNK", 7)
    bind = structure(
        "text_emotion", dataclasses.replace(bundled_config("tiny"), text_emotion=section)
    ).bind
    prompt = np.concatenate([held["prompt_0"], np.full(13, 5)])  # 41 tokens that count

    @jax.jit
    def run(params, prompt, length):
        with jax.default_matmul_precision("highest"):
            return replies.prefill(bind(params), prompt, length, 60)[0]

    logits = run(params, jnp.asarray(prompt, jnp.int32), jnp.asarray(41, jnp.int32))
    monkeypatch.undo()
    whole = jax.jit(
        lambda params, prompt: replies.prefill(
            bind(params), prompt, jnp.asarray(41, jnp.int32), 60
        )[0]
    )(params, jnp.asarray(prompt[:41], jnp.int32))
    support.assert_close(logits, whole, "qwen.pieces")
