"""Spark as the engine of tables, with moments as other engines have them."""

import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from ibis.util import gen_name, normalize_filename
from pyarrow.parquet import ParquetFile

from .errors import ProjectError

try:
    from ibis.backends.pyspark import Backend
    from ibis.backends.pyspark.datatypes import PySparkSchema
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql import functions as F  # noqa: N812 - as everywhere
except ImportError as error:
    raise ProjectError(
        "Tables are to be computed by Spark, which is not installed: "
        "`uv sync --frozen --extra spark`."
    ) from error


class Spark(Backend):
    """Ibis's, of which moments keep their types.

    It would write moments without a zone as some with one, and give all in nanoseconds, by which
    pandas tells other hashes.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # by the name of its table, what is read from Parquet files, and the order of listed ones
        self._read: dict[str, DataFrame] = {}
        self._listed: dict[str, dict[str, int]] = {}

    @property
    def has_delta(self) -> bool:
        """Whether the session has Delta Lake, as one of Databricks has."""
        extensions = self._session.conf.get("spark.sql.extensions", None) or ""
        return "DATABRICKS_RUNTIME_VERSION" in os.environ or "delta" in extensions.lower()

    def get_schema(
        self, table_name: str, *, catalog: str | None = None, database: str | None = None
    ) -> ibis.Schema:
        """The types of a table, of which moments in the session's zone, UTC, say so."""
        types = super().get_schema(table_name, catalog=catalog, database=database)
        path = ".".join(f"`{part}`" for part in (catalog, database, table_name) if part)
        zoned = {
            field.name: "timestamp('UTC')"
            for field in self._session.table(path).schema
            if field.dataType.typeName() == "timestamp"
        }
        return ibis.schema({**types, **zoned})

    def _create_cached_table(self, name: str, expr: ir.Table) -> ir.Table:
        return super()._create_cached_table(name, _typed(expr))

    def read_parquet(
        self, path: str | Path, /, *, table_name: str | None = None, **options: Any
    ) -> ir.Table:
        """Read Parquet files, lazily; ``located`` finds their rows in them."""
        frame = self._session.read.parquet(normalize_filename(path), **options)
        return self._of_files(frame, table_name)

    def read_files(self, files: Sequence[str]) -> ir.Table:
        """The rows of Parquet files, of which some may lack columns that others have."""
        frame = self._session.read.option("mergeSchema", "true").parquet(*files)
        table = self._of_files(frame)
        self._listed[table.get_name()] = {file: number for number, file in enumerate(files)}
        return table

    def _of_files(self, frame: DataFrame, name: str | None = None) -> ir.Table:
        table = self._named(frame, name)
        self._read[table.get_name()] = frame
        return table

    def _named(self, frame: DataFrame, name: str | None = None) -> ir.Table:
        name = name or gen_name("spark")
        frame.createOrReplaceTempView(name)
        return self.table(name)

    def located(self, table: ir.Table, file: str, place: str) -> ir.Table:
        """A table with two columns more: a row's file, and its place in the file, from 0.

        Parquet files alone tell places. Of what is none, as of what is made of others, there is
        none to tell, and some plans give rows in another order each time: it is written into
        files first, which last as long as the expression.
        """
        source = _chosen_from(table)
        if frame := self._read.get(source):
            found = self._with_places(frame, file, place)
            self._listed[found.get_name()] = self._listed.get(source, {})
            return found.select(*table.columns, file, place)
        scratch = tempfile.TemporaryDirectory(prefix="kedro-rows-")
        self.to_parquet(table, scratch.name, mode="overwrite")
        written = self._with_places(self._session.read.parquet(scratch.name), file, place)
        weakref.finalize(written.op(), scratch.cleanup)
        return written

    def _with_places(self, frame: DataFrame, file: str, place: str) -> ir.Table:
        places = {file: "_metadata.file_path", place: "_metadata.row_index"}
        return self._named(
            frame.select("*", *(F.col(said).alias(name) for name, said in places.items()))
        )

    def in_order(self, files: Iterable[str], located: ir.Table) -> list[str]:
        """The files of a located table as they were listed, or by name, those in folders last."""
        [read] = located.op().find(ops.DatabaseTable)
        listed = self._listed.get(read.name, {})

        def order(uri: str) -> tuple[int, int, list[str]]:
            path = unquote(urlsplit(uri).path)
            return listed.get(path, 0), path.count("/"), path.split("/")

        return sorted(files, key=order)

    def shared(self, rows: Sequence[tuple[Any, ...]], schema: ibis.Schema) -> ir.Table:
        """A small table that each task gets whole; joined to it, no row moves to another task."""
        frame = self._session.createDataFrame(rows, PySparkSchema.from_ibis(schema))
        return self._named(F.broadcast(frame))

    def to_parquet(self, expr: ir.Table, /, path: str | Path, **options: Any) -> None:
        """Write a table in the types that it has."""
        super().to_parquet(_typed(expr), path, **options)

    def to_delta(self, expr: ir.Table, /, path: str | Path, **options: Any) -> None:
        """Write a table in the types that it has, as Delta Lake of the session does."""
        super().to_delta(_typed(expr), path, **options)

    def to_pyarrow_batches(
        self, expr: ir.Expr, /, *, chunk_size: int = 1_000_000, **options: Any
    ) -> pa.RecordBatchReader:
        """Rows in their order, some in memory at a time; the others wait in files below TMPDIR."""
        table = expr.as_table()
        schema = table.schema().to_pyarrow()
        batches = self._batches(table, schema, chunk_size, options)
        return pa.RecordBatchReader.from_batches(schema, batches)

    def _batches(
        self, table: ir.Table, schema: pa.Schema, n_rows: int, options: dict[str, Any]
    ) -> Iterator[pa.RecordBatch]:
        with tempfile.TemporaryDirectory(prefix="kedro-rows-") as scratch:
            rows = Path(scratch) / "rows"
            self.to_parquet(table, rows, **options)
            # numbered as the parts of the table are
            for part in sorted(rows.glob("part-*.parquet")):
                for batch in ParquetFile(part).iter_batches(n_rows):
                    yield batch.cast(schema)

    def execute(self, expr: ir.Expr, /, **options: Any) -> Any:
        """Compute, and bring what comes of it into memory."""
        found = super().execute(expr, **options)
        if isinstance(found, pd.DataFrame):
            moments = found.select_dtypes(["datetime", "datetimetz"])
            return found.assign(**{str(name): moments[name].dt.as_unit("us") for name in moments})
        is_moments = isinstance(found, pd.Series) and expr.type().is_timestamp()
        return found.dt.as_unit("us") if is_moments else found


def connect(properties: Mapping[str, Any]) -> Spark:
    """Begin a session, or take the one that there is.

    Args:
        properties: Of the session, those that only a new one takes among them. Where
            ``SPARK_REMOTE`` names a server of Spark Connect, that is used, and no master; it gets
            those that it lets a session have.

    Raises:
        ProjectError: if there is no Java.
    """
    if "SPARK_REMOTE" in os.environ:
        session = _remote(properties)
    else:
        _require_java()
        session = SparkSession.builder.config(map=dict(properties)).getOrCreate()
    Spark.register_options()
    engine: Spark = Spark().connect(session)
    return engine


def _remote(properties: Mapping[str, Any]) -> SparkSession:
    """A session of a server, which has its own master, memory and the like."""
    for expected in (".*CANNOT_MODIFY_CONFIG", "'verifySchema' is ignored"):
        warnings.filterwarnings("ignore", expected)
    properties = {name: value for name, value in properties.items() if name != "spark.master"}
    return SparkSession.builder.config(map=properties).getOrCreate()


def _require_java() -> None:
    if not ("JAVA_HOME" in os.environ or shutil.which("java")):
        raise ProjectError(
            "Tables are to be computed by Spark, and there is no Java. Install version 17 or "
            "later, e.g. `apt-get install default-jre-headless`, or say by JAVA_HOME where it is, "
            "or by SPARK_REMOTE which server of Spark Connect is to compute them."
        )


def _chosen_from(table: ir.Table) -> str:
    """The name of the table that has all its columns as they are; none, if they are made."""
    op = table.op()
    if isinstance(op, ops.Project) and all(
        isinstance(value, ops.Field) and value.name == name
        for name, value in op.values.items()  # noqa: PD011 - not of pandas
    ):
        op = op.parent
    return getattr(op, "name", "")


def _typed(expr: ir.Table) -> ir.Table:
    types = expr.schema()
    naive = [name for name in types if types[name].is_timestamp() and not types[name].timezone]
    return expr.mutate({name: _without_zone(expr[name]) for name in naive}) if naive else expr


@ibis.udf.scalar.builtin(  # type: ignore[untyped-decorator]
    name="to_timestamp_ntz", signature=((dt.timestamp,), dt.timestamp)
)
def _without_zone(moment: datetime) -> datetime:
    """A moment without a zone; the engine's own."""
    raise NotImplementedError
