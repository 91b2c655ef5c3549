"""A function called for many things by several threads."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """The results of a function in the order of what it is called for.

    Each processor has a thread. No more items are taken in advance than there are threads.
    """
    n_threads = os.cpu_count() or 1
    with ThreadPoolExecutor(n_threads, "scoring") as pool:
        pending = deque[Future[R]]()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > n_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
