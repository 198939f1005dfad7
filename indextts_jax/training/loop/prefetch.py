"""Batches made ahead of their step, by threads; which ones is said by their number alone."""

import collections
import concurrent.futures
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")


def ahead(
    make: Callable[[int], T], first: int, last: int, depth: int = 2
) -> Generator[T, None, None]:
    """`make(first), ..., make(last - 1)` in order, up to `depth` of them made beforehand.

    An error of `make` is raised at its turn.
    """
    pool = concurrent.futures.ThreadPoolExecutor(max(1, depth), thread_name_prefix="batch")
    waiting: collections.deque[concurrent.futures.Future[T]] = collections.deque()
    try:
        for number in range(first, last):
            while len(waiting) < depth and number + len(waiting) < last:
                waiting.append(pool.submit(make, number + len(waiting)))
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown(wait=True, cancel_futures=True)
