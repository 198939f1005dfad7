"""Continuous batching: rows decode in parallel, each at its own step.

A slot holds one request: its prefix, history, random key and settings. `run` steps all slots until
one has finished, or for a number of steps; `insert` then puts the next request into it, `drop`
frees slots whose requests are no longer wanted. Both loops are compiled for fixed shapes, whatever
the requests. A slot's codes are chosen by the functions that `generate` uses, one row at a time
(`vmap`), so that they cannot depend on other slots.

With a mesh the slots are sharded over its devices; each device steps its own slots, and all stop
together.
"""

import functools
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, Key

from indextts_jax.models.gpt import Cache, CodeGPT
from indextts_jax.models.gpt_cache import PrefixCache
from indextts_jax.models.gpt_joint_cache import JointCache
from indextts_jax.sampling import beam, decode
from indextts_jax.sampling.agreed import Agreed, of_beams, of_sequences
from indextts_jax.sampling.beam import BeamState
from indextts_jax.sampling.decode import DecodeState
from indextts_jax.sampling.generate import prefilled
from indextts_jax.sampling.loop import Generated, Task
from indextts_jax.sampling.settings import Numbers, Strategy

ROWS = "rows"  # axis of the mesh

State = DecodeState | BeamState  # with `step` by row, and without `cache`


class Slots(NamedTuple):
    """The state between steps; every array has one row per slot."""

    rows: State
    numbers: Numbers
    keys: Key[Array, " b"]
    busy: Bool[Array, " b"]  # the slot has an unfinished request
    prefix: PrefixCache
    cache: Cache


class Stop(NamedTuple):
    """The reason for a stop, and the finished codes."""

    # Since the last stop; if none, a slot's KV cache is full, or the number of steps is reached.
    finished: Bool[Array, " b"]
    steps: Int[Array, " b"]  # of busy slots, else 0
    generated: Generated  # of all slots; valid where `finished`


def _search(strategy: Strategy) -> ModuleType:
    return decode if strategy.beams == 1 else beam


def _task(gpt: CodeGPT, keys: Key[Array, " b"], numbers: Numbers, strategy: Strategy) -> Task:
    """The task for picking codes; the model is run separately."""

    def never(*_: Any) -> Any:
        raise AssertionError("the slots run the model themselves")

    return Task(
        step=never,
        grow=never,
        source=keys,
        numbers=numbers,
        strategy=strategy,
        start_code=gpt.cfg.start_code,
        stop_code=gpt.cfg.stop_code,
    )


def _lift(row: State) -> State:
    """Converts a slot's state to that of a batch of one."""
    return jax.tree.map(lambda array: array[None], row)._replace(step=row.step)


def _lower(state: State) -> State:
    return jax.tree.map(lambda array: array[0], state._replace(step=state.step[None]))


def _where(chosen: Bool[Array, " b"], new: Any, old: Any) -> Any:
    def pick(new: Array, old: Array) -> Array:
        return jnp.where(chosen.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(pick, new, old)


def prefix_size(gpt: CodeGPT, text_size: int) -> int:
    """Prefix length: latents, two last rows, the text with start and stop, and the start code."""
    return gpt.cfg.conditioning_latents + 2 + text_size + 2 + 1


def empty(
    gpt: CodeGPT, numbers: Numbers, *, slots: int, text_size: int, window: int, strategy: Strategy
) -> Slots:
    """Empty slots, for texts padded to `text_size`, with an initial capacity of `window` codes."""
    keys = jax.random.split(jax.random.key(0), slots)
    logits = jnp.zeros((slots, gpt.cfg.code_vocabulary))
    rows = _search(strategy).begin(_task(gpt, keys, numbers, strategy), logits, None)
    prefix = gpt.empty_prefix(slots, prefix_size(gpt, text_size))
    prefix, cache = gpt.begin_cache(prefix, strategy.beams, window)
    return Slots(
        rows=rows._replace(step=jnp.zeros(slots, jnp.int32)),
        numbers=jax.tree.map(lambda number: jnp.broadcast_to(number, slots), numbers),
        keys=keys,
        busy=jnp.zeros(slots, bool),
        prefix=prefix,
        cache=cache,
    )


def insert(
    gpt: CodeGPT,
    slots: Slots,
    places: Int[Array, " n"],
    latents: Float[Array, "n l d"],
    emotion: Float[Array, "n d"],
    text: Int[Array, "n t"],
    text_lengths: Int[Array, " n"],
    keys: Key[Array, " n"],
    numbers: Numbers,
    *own: Int[Array, " n"],
    strategy: Strategy,
    mesh: Mesh | None = None,
) -> Slots:
    """Puts new requests into the slots `places`; `numbers` are common, or one for each.

    `own` is what only the GPT of this version takes, see `generate.prefilled`.
    """
    logits, prefix = prefilled(gpt, latents, emotion, text, text_lengths, *own)
    rows = _search(strategy).begin(_task(gpt, keys, numbers, strategy), logits, None)
    count = len(places)
    # A fresh cache: NaN left by an earlier request would spread even from masked entries.
    prefix, cache = gpt.begin_cache(prefix, strategy.beams, slots.cache.size)
    new = Slots(
        rows=rows._replace(step=jnp.zeros(count, jnp.int32)),
        numbers=jax.tree.map(lambda number: jnp.broadcast_to(number, count), numbers),
        keys=keys,
        busy=jnp.ones(count, bool),
        prefix=prefix,
        cache=cache,
    )

    def placed(slots: Slots, new: Slots, places: Int[Array, " n"]) -> Slots:
        size = len(slots.busy)
        if mesh is not None:  # indices within this device's slots; out of range on other devices
            places = places - lax.axis_index(ROWS) * size
            places = jnp.where(places < 0, size, places)
        return jax.tree.map(lambda old, new: old.at[places].set(new, mode="drop"), slots, new)

    if mesh is None:
        return placed(slots, new, places)
    spread, whole = PartitionSpec(ROWS), PartitionSpec()
    put = jax.shard_map(placed, mesh=mesh, in_specs=(spread, whole, whole), out_specs=spread)
    return put(slots, new, places)


def resize(gpt: CodeGPT, cache: Cache, *, window: int) -> Cache:
    """The KV cache with capacity for `window` codes, which must cover all busy slots."""
    return gpt.resized(cache, window)


def drop(slots: Slots, dropped: Bool[Array, " b"]) -> Slots:
    """Frees the slots `dropped`: they are no longer stepped, and have no result."""
    return slots._replace(busy=slots.busy & ~dropped)


def agreed(gpt: CodeGPT, rows: State, numbers: Numbers, *, strategy: Strategy) -> Agreed:
    """What is already certain of each slot's codes; see `sampling.agreed`."""

    def certain(row: State, numbers: Numbers) -> Agreed:
        state = _lift(row)
        if isinstance(state, BeamState):
            found = of_beams(state, numbers.length_penalty)
        else:
            found = of_sequences(state, gpt.cfg.stop_code)
        return jax.tree.map(lambda array: array[0], found)

    return jax.vmap(certain)(rows, numbers)


def prefix_of(
    gpt: CodeGPT, prefix: PrefixCache, joint: JointCache | None, place: Int[Array, ""]
) -> PrefixCache:
    """The prefix of one slot, as a batch of one; `joint` is the cache that it is in, if any."""

    def of_slot(arrays: Any) -> Any:
        return jax.tree.map(lambda array: lax.dynamic_slice_in_dim(array, place, 1), arrays)

    prefix, joint = of_slot(prefix), of_slot(joint)
    return prefix if joint is None else joint.prefix(prefix.lengths)


def _complete(slots: Slots, strategy: Strategy) -> Bool[Array, " b"]:
    return slots.rows.done | (slots.rows.step >= strategy.max_codes)


def advance(gpt: CodeGPT, slots: Slots, strategy: Strategy) -> Slots:
    """One step of every unfinished slot."""
    search, index = _search(strategy), slots.rows.step

    def pick(row: State, key: Key[Array, ""], numbers: Numbers) -> State:
        return _lower(search.pick(_task(gpt, key[None], numbers, strategy), _lift(row)))

    picked = jax.vmap(pick)(slots.rows, slots.keys, slots.numbers)
    rows = _where(slots.busy & ~_complete(slots, strategy), picked, slots.rows)
    if isinstance(rows, BeamState):
        codes, ancestry = rows.codes, rows.ancestry
    else:
        codes = rows.codes[:, None]
        ancestry = jnp.zeros_like(codes)
    # Finished and empty slots are computed too (shapes are fixed); they write entries that are
    # never read.
    index = jnp.minimum(index, min(slots.cache.size, strategy.max_codes) - 1)
    index = jnp.where(slots.busy, index, 0)  # so an empty slot reads almost nothing
    code = jnp.take_along_axis(codes, index[:, None, None], axis=2)[..., 0]
    logits, cache = gpt.step(code, index, ancestry, slots.prefix, slots.cache)
    rows = rows._replace(logits=logits.reshape(rows.logits.shape))
    return slots._replace(rows=rows, cache=cache)


def _stepped(
    gpt: CodeGPT,
    slots: Slots,
    most: Int[Array, ""] | None = None,
    *,
    strategy: Strategy,
    spread: bool,
) -> tuple[Slots, Stop]:
    window = slots.cache.size
    one = functools.partial(advance, gpt, strategy=strategy)

    def going(slots: Slots) -> Bool[Array, ""]:
        full = slots.rows.step >= window
        stop = jnp.any(slots.busy & (_complete(slots, strategy) | full))
        some = jnp.any(slots.busy)
        if spread:
            stop = lax.psum(stop.astype(jnp.int32), ROWS) > 0
            some = lax.psum(some.astype(jnp.int32), ROWS) > 0
        return some & ~stop

    if most is None:
        slots = lax.while_loop(going, one, slots)
    else:
        slots, _ = lax.while_loop(
            lambda pair: going(pair[0]) & (pair[1] < most),
            lambda pair: (one(pair[0]), pair[1] + 1),
            (slots, jnp.zeros((), jnp.int32)),
        )
    finished = slots.busy & _complete(slots, strategy)
    slots = slots._replace(busy=slots.busy & ~finished)

    def complete(row: State, numbers: Numbers) -> Generated:
        state = _lift(row)
        if isinstance(state, BeamState):
            made = beam.finish(state, numbers.length_penalty)
        else:
            made = decode.finish(state, gpt.cfg.stop_code)
        return jax.tree.map(lambda array: array[0], made)

    generated = jax.vmap(complete)(slots.rows, slots.numbers)
    return slots, Stop(finished, jnp.where(slots.busy, slots.rows.step, 0), generated)


def run(
    gpt: CodeGPT,
    slots: Slots,
    most: Int[Array, ""] | None = None,
    *,
    strategy: Strategy,
    mesh: Mesh | None = None,
) -> tuple[Slots, Stop]:
    """Runs steps until some slot has finished, or has filled its KV cache.

    With `most` it also stops after this number of steps; another number does not recompile.
    """
    stepped = functools.partial(_stepped, strategy=strategy, spread=mesh is not None)
    bound = () if most is None else (most,)
    if mesh is None:
        return stepped(gpt, slots, *bound)
    spread, whole = PartitionSpec(ROWS), PartitionSpec()
    step = jax.shard_map(
        stepped,
        mesh=mesh,
        in_specs=(whole, spread, *(whole for _ in bound)),
        out_specs=spread,
        # Pallas kernels do not declare how their results vary over devices.
        check_vma=not gpt.fused_attention,
    )
    return step(gpt, slots, *bound)


# The input slots are donated, so that memory holds them only once.
insert.donated = run.donated = (0,)  # type: ignore[attr-defined]
