"""Decodes a queue of segments to codes: one after the other, or many in parallel slots.

Both decoders give the same codes. A single row runs as one program from prefix to last code; slots
stop whenever a row is complete, and the next segment takes its slot.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from indextts_jax.engine.acoustic import Line, condition_rows
from indextts_jax.models.gpt_cache import PrefixCache
from indextts_jax.runtime import stages
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.sharding import mesh_of, shard_rows
from indextts_jax.sampling import slots as slot_loop
from indextts_jax.sampling.agreed import Agreed
from indextts_jax.sampling.loop import windows
from indextts_jax.sampling.settings import Numbers, SamplingConfig
from indextts_jax.sampling.slots import Slots
from indextts_jax.utils.stopwatch import Clock

T = TypeVar("T")
# The KV cache shrinks only if the longest row fills less than 1 / HYSTERESIS of the smaller size:
# otherwise it would soon grow again.
HYSTERESIS = 2

Decoded = Iterator[tuple[T, Int[np.ndarray, " n"], bool]]
"""Items with their codes, and whether the limit came before a stop code."""


@dataclasses.dataclass(frozen=True)
class Queue(Generic[T]):
    """The items to decode, and how to get their inputs.

    `take` returns the next waiting item, or None. Items may be put back into the queue while a
    decoder runs.
    """

    take: Callable[[], T | None]
    line: Callable[[T], Line]
    key: Callable[[T], Key[Array, ""]]


def search_line(
    model: Model, line: Line, sampling: SamplingConfig, key: Key[Array, ""]
) -> tuple[Int[np.ndarray, " n"], bool]:
    """The codes of one segment, and whether the limit came before a stop code."""
    conditions = condition_rows(model, [line])
    generated = stages.search_codes(
        model,
        *conditions.common,
        key[None],
        sampling.numbers,
        conditions.languages,
        strategy=sampling.strategy,
    )
    (ids,), (count,), (truncated,) = map(np.asarray, generated)
    return ids[:count], bool(truncated)


def decode_in_turn(
    model: Model, queue: Queue[T], sampling: SamplingConfig, clock: Clock
) -> Decoded[T]:
    """Decodes one item after the other."""
    while (item := queue.take()) is not None:
        with clock.stage("codes"):
            found = search_line(model, queue.line(item), sampling, queue.key(item))
        yield (item, *found)


class SlotDecoder(Generic[T]):
    """Decodes a queue in parallel slots; the host waits for the device once per `step`.

    `codes` yields the codes of the whole queue as rows complete. A caller with work of its own
    between steps calls `fill`, `step` and `drop` instead. `numbers` gives an item's sampling
    settings, by default common ones.
    """

    def __init__(
        self,
        model: Model,
        queue: Queue[T],
        sampling: SamplingConfig,
        size: int,
        text_size: int,
        clock: Clock,
        numbers: Callable[[T], Numbers] | None = None,
    ):
        self.model, self.queue, self.sampling = model, queue, sampling
        self.size, self.text_size = size, text_size
        self.clock, self.mesh = clock, mesh_of(model)
        own = sampling.numbers
        self.numbers = numbers or (lambda item: own)
        self.held: list[T | None] = [None] * size
        self.sizes = list(windows(sampling.max_codes))
        self.window = self.sizes[0]
        self._state: Slots | None = None
        self._steps = np.zeros(size, int)  # of each busy slot, else 0
        self.stepped = 0  # steps of the last `step`, by the slots that go on; 0 if none does

    def codes(self) -> Decoded[T]:
        """Yields each item with its codes."""
        while True:
            with self.clock.stage("codes"):
                self.fill()
                if all(item is None for item in self.held):
                    return
                found = self._advance(None)
            yield from found

    def fill(self, most: int | None = None) -> None:
        """Fills free slots with waiting items, at most `most` of them."""
        self._state = self._filled(self._begun(), self.size if most is None else most)

    def step(self, most: int | None = None) -> list[tuple[T, Int[np.ndarray, " n"], bool]]:
        """Steps all slots until a row is complete, at most `most` steps; the complete items."""
        with self.clock.stage("codes"):
            return self._advance(most)

    def drop(self, places: Sequence[int]) -> None:
        """Frees slots without a result."""
        for place in places:
            self.held[place] = None
            self._steps[place] = 0
        dropped = np.isin(np.arange(self.size), places)
        self._state = slot_loop.drop(self._begun(), jnp.asarray(dropped))

    def agreed(self) -> Agreed:
        """What is certain of each slot's codes, on the host; see `sampling.agreed`."""
        found = stages.agreed_codes(self.model, self._begun(), strategy=self.sampling.strategy)
        return Agreed(*map(np.asarray, found))

    def prefix(self, place: int) -> PrefixCache:
        """The prefix of a slot's item, also after its result until the slot is filled again."""
        return stages.slot_prefix(self.model, self._begun(), jnp.asarray(place, jnp.int32))

    def _begun(self) -> Slots:
        if self._state is None:
            self._state = stages.empty_slots(
                self.model,
                self.sampling.numbers,
                slots=self.size,
                text_size=self.text_size,
                window=self.window,
                strategy=self.sampling.strategy,
            )
        return self._state

    def _advance(self, most: int | None) -> list[tuple[T, Int[np.ndarray, " n"], bool]]:
        state = self._resized(self._begun(), int(self._steps.max()))
        bound = None if most is None else jnp.asarray(most, jnp.int32)
        self._state, stop = stages.run_slots(
            self.model, state, bound, strategy=self.sampling.strategy, mesh=self.mesh
        )
        finished, before = np.asarray(stop.finished), self._steps
        self._steps = np.array(stop.steps)
        self.stepped = int(np.max(self._steps - before, where=self._steps > 0, initial=0))
        made = [np.asarray(a) for a in stop.generated] if finished.any() else []
        found = []
        for place in np.flatnonzero(finished):
            item, self.held[place] = self.held[place], None
            assert item is not None
            ids, count, truncated = (array[place] for array in made)
            found.append((item, ids[:count], bool(truncated)))
        return found

    def _filled(self, state: Slots, most: int) -> Slots:
        """The state with waiting items in free slots."""
        free = [place for place, item in enumerate(self.held) if item is None]
        coming = []
        for place in free[:most]:
            if (item := self.queue.take()) is None:
                break
            self.held[place] = item
            coming.append(place)
        # Either all slots at once or one at a time, so that two compiled programs cover all cases.
        groups = [coming] if len(coming) == self.size else [[place] for place in coming]
        for group in groups:
            items = [item for place in group if (item := self.held[place]) is not None]
            lines = [self.queue.line(item) for item in items]
            conditions = condition_rows(self.model, lines, self.text_size)
            rows = (
                *conditions.common,
                jnp.stack([self.queue.key(item) for item in items]),
                jax.tree.map(lambda *one: jnp.stack(one), *map(self.numbers, items)),
                conditions.languages,
            )
            state = stages.fill_slots(
                self.model,
                state,
                jnp.asarray(group, jnp.int32),
                *shard_rows(self.mesh, len(items), rows),
                strategy=self.sampling.strategy,
                mesh=self.mesh,
            )
        return state

    def _resized(self, state: Slots, longest: int) -> Slots:
        """Resizes the cache to fit the longest row and its next codes."""
        least = next(size for size in self.sizes if longest < size)
        if least > self.window or (least < self.window and longest * HYSTERESIS < least):
            self.window = least
            cache = stages.resize_slots(self.model, state.cache, window=least)
            state = state._replace(cache=cache)
        return state
