import asyncio
import threading

import pytest

from kedro_mlops.serving.batcher import LookupBatcher


class Store:
    """Completes rows when it is let, and remembers how many at a time."""

    def __init__(self):
        self.let = threading.Event()
        self.n_rows = []

    def complete_all(self, rows):
        self.n_rows.append(len(rows))
        assert self.let.wait(5)
        if ("bad",) in rows:
            raise ValueError("bad")
        return [([*row, "found"], {}) for row in rows]


@pytest.fixture
def store():
    return Store()


async def until_asked(store, n_times):
    while len(store.n_rows) < n_times:
        await asyncio.sleep(0.001)


def test_rows_that_wait_at_the_same_time_are_looked_up_together_and_each_gets_its_own(store):
    async def ask():
        batcher = LookupBatcher(store.complete_all)
        first = asyncio.create_task(batcher.complete([("a",)]))
        await until_asked(store, 1)
        others = [asyncio.create_task(batcher.complete([(i,), (i, i)])) for i in range(5)]
        await asyncio.sleep(0.01)
        store.let.set()
        return await asyncio.gather(first, *others)

    first, *others = asyncio.run(ask())

    assert store.n_rows == [1, 10]
    assert first == [(["a", "found"], {})]
    assert others == [[([i, "found"], {}), ([i, i, "found"], {})] for i in range(5)]


def test_who_gave_up_holds_nobody_up(store):
    async def ask():
        batcher = LookupBatcher(store.complete_all)
        patient = [asyncio.create_task(batcher.complete([("a",)]))]
        await until_asked(store, 1)
        patient.append(asyncio.create_task(batcher.complete([("b",)])))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.complete([("c",)]), 0.01)
        store.let.set()
        return await asyncio.gather(*patient)

    assert asyncio.run(ask()) == [[(["a", "found"], {})], [(["b", "found"], {})]]
    assert store.n_rows == [1, 1]


def test_an_error_is_told_to_whose_rows_it_is_and_to_nobody_else(store):
    async def ask():
        batcher = LookupBatcher(store.complete_all)
        first = asyncio.create_task(batcher.complete([("a",)]))
        await until_asked(store, 1)
        others = [asyncio.create_task(batcher.complete([(one,)])) for one in ("b", "bad", "c")]
        await asyncio.sleep(0.01)
        store.let.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, b, bad, c = asyncio.run(ask())

    assert [first, b, c] == [[([one, "found"], {})] for one in "abc"]
    assert isinstance(bad, ValueError)
    assert store.n_rows == [1, 3, 1, 1, 1]


def test_an_error_is_told_to_who_waits_and_the_next_are_looked_up(store):
    store.let.set()

    async def ask():
        batcher = LookupBatcher(store.complete_all)
        with pytest.raises(ValueError, match="bad"):
            await batcher.complete([("bad",)])
        return await batcher.complete([("a",)])

    assert asyncio.run(ask()) == [(["a", "found"], {})]
