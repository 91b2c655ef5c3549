"""Numerical libraries kept to one thread, where what is asked of them is spread over threads."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread(api: str | None = "openmp") -> Iterator[None]:
    """Keep libraries to one thread each.

    Args:
        api: Those of which kind, all if none is said.
    """
    with _libraries(len(sys.modules)).limit(limits=1, user_api=api):
        yield


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> ThreadpoolController:  # noqa: ARG001 - an import may load more
    """Those that are loaded, which takes some milliseconds to find out: as long as many a fit."""
    return ThreadpoolController()
