"""Parquet files that are written in constant memory."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# cells that are held at once
CELLS = 2_000_000


def write_batches(
    batches: Iterable[pa.RecordBatch], parquet: Path, schema: pa.Schema | None = None
) -> int:
    """Write batches as one Parquet file, and count their rows.

    Args:
        batches: Rows, all of one schema.
        parquet: The file. Without batches there is none, unless there is a schema.
        schema: That of the batches.
    """
    n_rows, held = 0, list[pa.RecordBatch]()
    writer = pq.ParquetWriter(parquet, schema, compression="lz4") if schema else None
    for batch in batches:
        writer = writer or pq.ParquetWriter(parquet, batch.schema, compression="lz4")
        held.append(batch)
        n_rows += batch.num_rows
        if sum(b.num_rows for b in held) * batch.num_columns > CELLS:
            writer.write_table(pa.Table.from_batches(held))
            held.clear()
    if writer is not None:
        if held:
            writer.write_table(pa.Table.from_batches(held))
        writer.close()
    return n_rows
