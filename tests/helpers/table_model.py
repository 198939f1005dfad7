"""A model that is a table: logits depend on the whole history, so that no mistake of it hides."""

import jax.numpy as jnp
import numpy as np

from indextts_jax.sampling.loop import Task

HASHES = 41  # prime


class TableModel:
    """Random logits over codes, start (the last but one) and stop (the last)."""

    def __init__(self, seed, vocabulary, stop_bias=0.0, scale=2.0):
        rng = np.random.default_rng(seed)
        self.vocabulary = vocabulary
        self.start_code, self.stop_code = vocabulary - 2, vocabulary - 1
        self.table = (scale * rng.standard_normal((HASHES, vocabulary))).astype(np.float32)
        self.table[:, self.stop_code] += stop_bias

    def __call__(self, history):
        """Logits after a list of codes."""
        total = sum((code + 1) * (3 * step + 1) for step, code in enumerate(history))
        return self.table[total % HASHES]

    def task(self, source, settings):
        """The same model as the loops take it; its cache holds codes by step and beam."""
        table = jnp.asarray(self.table)

        def step(codes, index, ancestry, cache):
            size = cache.shape[1]
            cache = cache.at[:, index].set(codes)
            own = jnp.take_along_axis(cache, jnp.moveaxis(ancestry[:, :, :size], 1, 2), axis=2)
            past = (jnp.arange(size) < index)[:, None]
            own = jnp.where(past, own, cache) + 1  # the newest code stands in a beam's own column
            steps = jnp.arange(size)[:, None]
            total = jnp.where(steps <= index, own * (3 * steps + 1), 0).sum(axis=1)
            return table[total % HASHES], cache

        def grow(cache, size):
            return jnp.pad(cache, ((0, 0), (0, size - cache.shape[1]), (0, 0)))

        return Task(
            step=step,
            grow=grow,
            source=source,
            numbers=settings.numbers,
            strategy=settings.strategy,
            start_code=self.start_code,
            stop_code=self.stop_code,
        )

    def start(self, rows, beams):
        """Logits of the first code, and an empty cache."""
        logits = jnp.broadcast_to(jnp.asarray(self([])), (rows, self.vocabulary))
        return logits, jnp.zeros((rows, 0, beams), jnp.int32)
