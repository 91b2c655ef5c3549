"""Rows that come one after the other."""

from collections.abc import Iterator

import pyarrow as pa


def numbers_in_batches(
    n_batches: int, seen: list[int], fails_at: int | None = None
) -> pa.RecordBatchReader:
    """Batches of one number each, which notes those that were taken, and may fail at one."""

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(n_batches):
            if number == fails_at:
                raise ValueError("no more")
            seen.append(number)
            yield pa.record_batch({"n": [number]})

    return pa.RecordBatchReader.from_batches(pa.schema({"n": pa.int64()}), batches())
