"""Rows that wait for the feature store at the same time are looked up together."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice

from kedro_mlops.feature_store.reader import Completed

from .reading import Values

Waiting = tuple[Sequence[Values], asyncio.Future[list[Completed]]]


class LookupBatcher:
    """Completes rows of several requests by one look-up.

    One is under way at a time; what comes meanwhile waits, and goes together. So a rush of rows
    that are new to the service asks the store a few times, not once for each. Where it fails, they
    are looked up again one by one: what is wrong with a request is no fault of the others.

    Args:
        complete_all: Completes many rows. Blocks; it is called in another thread.
    """

    def __init__(self, complete_all: Callable[[Sequence[Values]], Sequence[Completed]]) -> None:
        self._complete_all = complete_all
        self._waiting: list[Waiting] = []
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
            error = await self._look_up(batch)
            if error is not None and len(batch) > 1:
                for one in batch:
                    await self._look_up([one])
        self._work = None

    async def _look_up(self, batch: list[Waiting]) -> Exception | None:
        """Look up rows together; what went wrong is told to who waits alone, else returned."""
        # who does not wait any more has cancelled
        batch = [(rows, found) for rows, found in batch if not found.done()]
        together = [values for rows, _ in batch for values in rows]
        try:
            completed = iter(await asyncio.to_thread(self._complete_all, together))
        except Exception as error:  # noqa: BLE001 - it is theirs who wait
            if len(batch) == 1 and not batch[0][1].done():
                batch[0][1].set_exception(error)
            return error
        for rows, found in batch:
            own = list(islice(completed, len(rows)))
            if not found.done():
                found.set_result(own)
        return None
