"""Parquet files that are written in constant memory."""

import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

# cells that are held at once
CELLS = 2_000_000


def write_batches(
    batches: Iterable[pa.RecordBatch],
    parquet: Path | IO[bytes],
    schema: pa.Schema | None = None,
) -> int:
    """Write batches as one Parquet file, and count their rows.

    Args:
        batches: Rows, all of one schema.
        parquet: The file, or one that is open. Without batches there is none, unless there is a
            schema.
        schema: That of the batches.
    """
    n_rows, held = 0, list[pa.RecordBatch]()
    with ExitStack() as open_files:

        def begin(schema: pa.Schema) -> pq.ParquetWriter:
            return open_files.enter_context(pq.ParquetWriter(parquet, schema, compression="lz4"))

        writer = begin(schema) if schema else None
        for batch in batches:
            writer = writer or begin(batch.schema)
            held.append(batch)
            n_rows += batch.num_rows
            if sum(b.num_rows for b in held) * batch.num_columns > CELLS:
                writer.write_table(pa.Table.from_batches(held))
                held.clear()
        if writer is not None and held:
            writer.write_table(pa.Table.from_batches(held))
    return n_rows


def in_scratch_file(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema
) -> tuple[Path, Callable[[], None]]:
    """Write batches as a Parquet file below ``TMPDIR``; return it, and what removes it.

    It is removed when the process ends, at the latest.
    """
    scratch = tempfile.TemporaryDirectory(prefix="kedro-rows-")
    try:
        file = Path(scratch.name) / "rows.parquet"
        write_batches(batches, file, schema)
    except BaseException:
        scratch.cleanup()
        raise
    return file, scratch.cleanup
