"""The codes of many segments: a queue that runs through slots of the decoding loop."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from indextts_jax.engine.acoustic import Line, conditioned, text_batch
from indextts_jax.engine.settings import Settings, code_limit
from indextts_jax.runtime import stages
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.sharding import mesh_of, spread_rows
from indextts_jax.sampling.loop import windows
from indextts_jax.sampling.settings import Numbers, SamplingConfig
from indextts_jax.sampling.slots import Slots
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import Voice

T = TypeVar("T")
ROOM = 2  # a cache shrinks when the longest row fills less than one part in so many of the smaller


class Decoder(Generic[T]):
    """Runs what a queue holds through slots, and gives codes as they are complete.

    `take` gives the next item that waits, or none; `line`, `key` and `numbers` (by default those of
    the sampling) say what it is decoded from.
    An item that comes back into the queue while the loop runs is taken like any other. There is one
    wait for the device for each item, none for a code.
    """

    def __init__(
        self,
        model: Model,
        sampling: SamplingConfig,
        size: int,
        text_size: int,
        *,
        take: Callable[[], T | None],
        line: Callable[[T], Line],
        key: Callable[[T], Key[Array, ""]],
        clock: Clock,
        numbers: Callable[[T], Numbers] | None = None,
    ):
        self.model, self.sampling, self.size, self.text_size = model, sampling, size, text_size
        self.take, self.line, self.key = take, line, key
        self.clock, self.mesh = clock, mesh_of(model)
        own = sampling.numbers
        self.numbers = numbers or (lambda item: own)
        self.held: list[T | None] = [None] * size
        self.ladder = list(windows(sampling.max_codes))
        self.window = self.ladder[0]

    def codes(self) -> Iterator[tuple[T, Int[np.ndarray, " n"], bool]]:
        """Each item with its codes, and whether the limit came before a stop code."""
        strategy = self.sampling.strategy
        state = stages.empty_slots(
            self.model,
            self.sampling.numbers,
            slots=self.size,
            text_size=self.text_size,
            window=self.window,
            strategy=strategy,
        )
        steps = np.zeros(self.size, int)
        while True:
            with self.clock.stage("codes"):
                state = self._filled(state)
                if all(item is None for item in self.held):
                    return
                state = self._resized(state, int(steps.max()))
                state, stop = stages.run_slots(self.model, state, strategy=strategy, mesh=self.mesh)
                finished, steps = np.asarray(stop.finished), np.asarray(stop.steps)
                made = [np.asarray(a) for a in stop.generated] if finished.any() else []
            for place in np.flatnonzero(finished):
                item, self.held[place] = self.held[place], None
                assert item is not None
                ids, count, truncated = (array[place] for array in made)
                yield item, ids[:count], bool(truncated)

    def _filled(self, state: Slots) -> Slots:
        """The state with requests in all slots, as far as there are any."""
        free = [place for place, item in enumerate(self.held) if item is None]
        coming = []
        for place in free:
            if (item := self.take()) is None:
                break
            self.held[place] = item
            coming.append(place)
        # All at once, or one by one: two programs do for any number.
        groups = [coming] if len(coming) == self.size else [[place] for place in coming]
        for group in groups:
            items = [item for place in group if (item := self.held[place]) is not None]
            lines = [self.line(item) for item in items]
            rows = (
                *conditioned(self.model, lines, self.text_size),
                jnp.stack([self.key(item) for item in items]),
                jax.tree.map(lambda *one: jnp.stack(one), *map(self.numbers, items)),
            )
            state = stages.fill_slots(
                self.model,
                state,
                jnp.asarray(group, jnp.int32),
                *spread_rows(self.mesh, len(items), rows),
                strategy=self.sampling.strategy,
                mesh=self.mesh,
            )
        return state

    def _resized(self, state: Slots, longest: int) -> Slots:
        """The state with a cache that the longest row fits in with its next codes."""
        least = next(window for window in self.ladder if longest < window)
        if least > self.window or (least < self.window and longest * ROOM < least):
            self.window = least
            cache = stages.resize_slots(self.model, state.cache, window=least)
            state = state._replace(cache=cache)
        return state


def speech_codes(
    model: Model,
    tokens: Sequence[int],
    voice: Voice,
    emotion: Float[Array, "1 d"],
    settings: Settings,
    key: Key[Array, ""],
) -> tuple[Int[np.ndarray, " n"], bool]:
    """The codes of one segment, and whether the limit came before a stop code."""
    sampling = settings.sampling_up_to(code_limit(model, settings))
    generated = stages.search_codes(
        model,
        voice.latents,
        emotion,
        *text_batch(model, tokens),
        key[None],
        sampling.numbers,
        strategy=sampling.strategy,
    )
    (ids,), (count,), (truncated,) = map(np.asarray, generated)
    return ids[:count], bool(truncated)
