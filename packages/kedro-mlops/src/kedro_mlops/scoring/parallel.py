"""A function called for many things by several threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from joblib import cpu_count

T = TypeVar("T")
R = TypeVar("R")


def in_order(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """The results of a function in the order of what it is called for.

    Each processor that may be used, in a container too, has a thread. No more items are taken in
    advance than there are threads.
    """
    n_threads = cpu_count()
    with ThreadPoolExecutor(n_threads, "scoring") as pool:
        pending = deque[Future[R]]()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > n_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
