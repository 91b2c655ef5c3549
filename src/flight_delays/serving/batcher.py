"""Rows that wait for the feature store at the same time are looked up together."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice

from .features import Completed
from .reading import Values


class LookupBatcher:
    """Completes rows of several requests by one look-up.

    One is under way at a time; what comes meanwhile waits, and goes together. So a rush of rows
    that are new to the service asks the store a few times, not once for each.

    Args:
        complete_all: Completes many rows. Blocks; it is called in another thread.
    """

    def __init__(self, complete_all: Callable[[Sequence[Values]], Sequence[Completed]]) -> None:
        self._complete_all = complete_all
        self._waiting: list[tuple[Sequence[Values], asyncio.Future[list[Completed]]]] = []
        self._work: asyncio.Task[None] | None = None

    async def complete(self, rows: Sequence[Values]) -> list[Completed]:
        """The rows with their looked-up values."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Completed]] = loop.create_future()
        self._waiting.append((rows, found))
        if self._work is None:
            self._work = loop.create_task(self._complete_waiting())
        return await found

    async def _complete_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            # who does not wait any more has cancelled
            batch = [(rows, found) for rows, found in batch if not found.done()]
            together = [values for rows, _ in batch for values in rows]
            try:
                completed = iter(await asyncio.to_thread(self._complete_all, together))
            except Exception as error:  # noqa: BLE001 - it is theirs who wait
                for _, found in batch:
                    if not found.done():
                        found.set_exception(error)
                continue
            for rows, found in batch:
                own = list(islice(completed, len(rows)))
                if not found.done():
                    found.set_result(own)
        self._work = None
