"""Rows of a table of the engine, some after the others, in constant memory."""

import gc
from collections.abc import Iterator

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from kedro_mlops.core.errors import ProjectError

# numbers and texts of a batch
CELLS = 2**22


def batches_of(
    table: ir.Table, n_rows: int, expected: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches of at most so many rows, fewer of a wide table, in the order of the table.

    Until the last was taken nothing else may be asked of the engine: it gives up what it is
    reading, as if that were all.

    Args:
        table: Of any engine.
        n_rows: Of a batch.
        expected: Rows that there are; counted if not given, for which a join is made once more.

    Raises:
        ProjectError: if it did.
    """
    if expected is None:
        expected = int(table.count().to_pyarrow().as_py())
    # what is forgotten later is dropped by a question to the engine
    gc.collect()
    read, schema = 0, table.schema().to_pyarrow()
    n_rows = min(n_rows, max(CELLS // max(n_values(table.schema()), 1), 1))
    for batch in table.to_pyarrow_batches(chunk_size=n_rows):
        read += batch.num_rows
        # DuckDB has a type of its own for a literal, which would be read as the declared one
        yield batch if batch.schema.equals(schema) else batch.cast(schema)
    if read != expected:
        raise ProjectError(
            f"Of {expected:,} rows {read:,} were read: the engine was asked for something else "
            "meanwhile. Run it again, with one node at a time (`--runner=SequentialRunner`)."
        )


def n_values(schema: ibis.Schema) -> int:
    """Numbers and texts of a row, also those that are parts of a column."""
    return sum(map(_n_values, schema.types))


def _n_values(dtype: dt.DataType) -> int:
    return sum(map(_n_values, dtype.types)) if isinstance(dtype, dt.Struct) else 1
