"""The engine that computes a dataset's tables, as its ``connection`` in the catalog says."""

import math
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from kedro_datasets._utils import ConnectionMixin

from .errors import is_out_of_memory
from .patterns import as_pattern, for_spark

DUCKDB, SPARK = "duckdb", "pyspark"
# of datasets whose entry has none, as it is of kedro-datasets'
DEFAULT_CONNECTION = {"backend": DUCKDB, "database": ":memory:"}
# of what DuckDB may take, the part that a join of large tables takes
SHARE = 0.4
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def is_spark(value: ir.Expr) -> bool:
    """Whether Spark will compute an expression."""
    return bool(value.get_backend().name == SPARK)


@contextmanager
def in_less_memory(value: ir.Value | ir.Table) -> Iterator[None]:
    """Let DuckDB take a part of the memory that it may take, and files for the rest.

    The keys of a join are as many as the rows: it would take all that it may, and be hardly faster.
    """
    backend = value.get_backend()
    if backend.name != DUCKDB:
        yield
        return
    from duckdb import OutOfMemoryException  # noqa: PLC0415 - not asked where Spark is

    [(said,)] = backend.raw_sql("SELECT current_setting('memory_limit')").fetchall()
    number, unit = said.split()
    # it says a tenth less each time, unless what it is told is of whole units of the next smaller
    step = max(UNITS[unit] // 1024, 1)
    limit = math.ceil(float(number) * UNITS[unit] / step) * step
    # where it holds more already, and has no files, it refuses
    with suppress(OutOfMemoryException):
        backend.raw_sql(f"SET memory_limit = '{int(limit * SHARE)}B'")
    try:
        yield
    finally:
        backend.raw_sql(f"SET memory_limit = '{limit}B'")


def asked_in_less_memory(table: ir.Table) -> tuple[pa.Table, bool]:
    """The rows of a table, and whether a part of the memory was enough to compute them."""
    try:
        with in_less_memory(table):
            return table.to_pyarrow(), True
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    return table.to_pyarrow(), False


def keeps_order(backend: ibis.BaseBackend) -> bool:
    """Whether DuckDB writes rows in their order, and holds what comes before its turn."""
    [(kept,)] = backend.raw_sql("SELECT current_setting('preserve_insertion_order')").fetchall()
    return bool(kept)


@contextmanager
def in_any_order(backend: ibis.BaseBackend) -> Iterator[None]:
    """Let DuckDB, which keeps the order of rows, write them as they come."""
    backend.raw_sql("SET preserve_insertion_order = false")
    try:
        yield
    finally:
        backend.raw_sql("SET preserve_insertion_order = true")


def connect_duckdb(**config: Any) -> ibis.BaseBackend:
    """Connect to DuckDB, whose memory does not grow with the files that it reads.

    Args:
        config: Arguments of ``ibis.duckdb.connect``, before what is set here.
    """
    kept: dict[str, Any] = {
        # made when a query needs it, and removed with the connection
        "temp_directory": f"{tempfile.gettempdir()}/kedro-tables-{uuid.uuid4().hex}",
        # the operating system keeps what was read as well, and gives it up for others
        "enable_external_file_cache": False,
    }
    return ibis.duckdb.connect(**(kept | config))


def pattern_of(path: str, backend: str) -> str:
    """A path as an engine reads it: what is there by a name is no pattern."""
    return as_pattern(path, for_spark) if backend == SPARK else as_pattern(path)


def without_partitions(backend: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Arguments by which files are read whose folders say nothing of their rows, unless they do.

    DuckDB takes ``name=value`` anywhere in a path for a column, in place of the file's own.
    """
    return {"hive_partitioning": False} | asked if backend == DUCKDB else asked


class EngineMixin(ConnectionMixin):
    """Connects a dataset of Ibis; those of one ``connection`` share it.

    The connection is as ``ibis.FileDataset`` has it, and is made when it is first asked for. Of
    Spark, all that it says besides ``backend`` are properties of the session.
    """

    # shared with the datasets of kedro-datasets
    _CONNECTION_GROUP = "ibis"

    def _connect(self) -> ibis.BaseBackend:
        config: dict[str, Any] = dict(self._connection_config)
        backend = config.pop("backend")
        if backend == DUCKDB:
            return connect_duckdb(**config)
        if backend != SPARK:
            return getattr(ibis, backend).connect(**config)
        from .spark import connect  # noqa: PLC0415 - not always there

        return connect(config)
