"""Prepares batches ahead of their step in threads."""

import collections
import concurrent.futures
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")


def ahead(
    make: Callable[[int], T], first: int, last: int, depth: int = 2
) -> Generator[T, None, None]:
    """Yields `make(first), ..., make(last - 1)` in order, with up to `depth` prefetched.

    An error of `make` is raised when its result is due.
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
