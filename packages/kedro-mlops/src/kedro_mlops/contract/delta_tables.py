"""Delta tables as entries of the catalog: read as they were at one version, written as a new one.

The files of a plain table are read where they are. Whatever else a version says of its rows,
partitions, deletion vectors and mapped columns among it, is resolved by delta-rs, which refuses
what it does not know: then the rows go once, in constant memory, into a Parquet file.
"""

import logging
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import DatasetError
from pydantic import Field, ValidationError

from kedro_mlops.core.delta import Feed, in_words, library, plain_files, state_of, storage_options
from kedro_mlops.core.engine import SPARK, is_spark
from kedro_mlops.core.parquet import in_scratch_file
from kedro_mlops.core.time_params import Parameters

from .batches import batches_of
from .tables import TableDataset

if TYPE_CHECKING:
    from deltalake import DeltaTable

logger = logging.getLogger(__name__)

# rows that are handed over at once, and those of a row group, by which DuckDB works in parallel
BATCH, GROUP = 100_000, 122_880

Args = TypeVar("Args", bound=Parameters)


class LoadArgs(Parameters):
    """Which version is read, by its number; if not said, the newest."""

    version: int | None = Field(default=None, ge=0)


class SaveArgs(Parameters):
    """How a version is written.

    Attributes:
        mode: Whether its rows and columns take the place of those that are there, or are added.
        partition_by: Columns by whose values files are apart.
    """

    mode: Literal["overwrite", "append"] = "overwrite"
    partition_by: list[str] | None = None


class DeltaTableDataset(TableDataset):
    """A Delta table, by delta-rs; of a session of Spark that has Delta Lake, by that.

    Saving makes one version: it is there as a whole or not at all, and those before stay until
    someone removes them.

    Args:
        filepath: The table's folder, or its URL on a store.
        file_format: Only this one; who overrides an entry of another format in an environment has
            to say so, and ``save_args: null``.
        connection: Of the engine that computes with the table; see ``EngineMixin``.
        credentials: Options of the store, by the names of fsspec or of delta-rs, beside those of
            the project's store.
        load_args: See ``LoadArgs``.
        save_args: See ``SaveArgs``.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        file_format: Literal["delta"] = "delta",
        connection: dict[str, Any] | None = None,
        credentials: dict[str, Any] | None = None,
        load_args: dict[str, Any] | None = None,
        save_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if file_format != "delta":
            raise DatasetError(
                f"{filepath} is a Delta table, and file_format is {file_format}: say `delta`."
            )
        super().__init__(filepath, file_format, connection=connection, metadata=metadata)
        self._url = f"{self._fs_prefix}{self._filepath}"
        self._credentials = credentials or {}
        self._load = _checked(LoadArgs, "load_args", load_args, self._url)
        self._save = _checked(SaveArgs, "save_args", save_args, self._url)
        self._state = ""

    def load(self) -> ir.Table:
        """Return the table, read lazily; as long as its version is the same, the same one.

        Raises:
            DatasetError: if there is no table, or none of that version, or it has features that
                delta-rs cannot read.
        """
        if self._is_sparks():
            return self.connection.read_delta(self._url, **_as_spark_reads(self._load))
        delta = self._opened()
        if self._table is None or self._state != state_of(delta):
            self._state, self._table = state_of(delta), self._read(delta)
            logger.info("%s: version %d", self._url, delta.version())
        return self._table

    def save(self, data: ir.Table | pa.RecordBatchReader) -> None:
        """Write a version, batch by batch; delta-rs works in parallel, and keeps no order of rows.

        Raises:
            DatasetError: if the table has features that delta-rs cannot write, if another one
                wrote it meanwhile, or if a column is of a type that Delta tables do not have.
        """
        self._table = None
        if self._is_sparks():
            self._save_by_spark(data)
            return
        deltalake, feed = library(), Feed()
        with ExitStack() as open_files, in_words(self._url, "written", feed.failed):
            # first, so that its files are there until the writer has ended
            batches = self._batches(data, open_files)
            # delta-rs would hear of Ctrl-C when it is done; a thread of its own can be waited for
            writer = open_files.enter_context(ThreadPoolExecutor(1))
            open_files.callback(feed.stopped.set)
            written = writer.submit(
                deltalake.write_deltalake,
                self._url,
                pa.RecordBatchReader.from_batches(batches.schema, feed.of(batches)),
                storage_options=self._options(),
                writer_properties=deltalake.WriterProperties(max_row_group_size=GROUP),
                schema_mode="merge" if self._save.mode == "append" else "overwrite",
                **self._save.model_dump(),
            )
            written.result()

    def fingerprint(self) -> str:
        """What it holds: the table, its version and the files of that; nothing if there is none."""
        return state_of(self._opened()) if self._exists() else ""

    def stats(self) -> dict[str, int]:
        """Count rows and columns, by the names of kedro-viz."""
        table = self.load()
        return {"rows": int(table.count().to_pyarrow().as_py()), "columns": len(table.columns)}

    def _opened(self) -> "DeltaTable":
        deltalake = library()
        with in_words(self._url, "read"):
            if not deltalake.DeltaTable.is_deltatable(self._url, self._options()):
                raise DatasetError(
                    f"{self._url} is no Delta table: there is no log of one in it. Check the "
                    "filepath of that entry; what another node writes has to be run first."
                )
            delta: DeltaTable = deltalake.DeltaTable(self._url, storage_options=self._options())
            version, newest = self._load.version, delta.version()
            if version is not None and version > newest:
                raise DatasetError(f"{self._url} has no version {version}: the last is {newest}.")
            if version is not None:
                delta.load_as_version(version)
        return delta

    def _read(self, delta: "DeltaTable") -> ir.Table:
        schema = pa.schema(delta.schema().to_arrow())
        files = plain_files(delta, self._url)
        if files and not self._fs_prefix:
            table = self._of_files(files)
            if _types(table.schema()) == _types(ibis.Schema.from_pyarrow(schema)):
                return table.select(schema.names)
        return self._copied(delta, schema)

    def _of_files(self, files: list[str]) -> ir.Table:
        engine = self.connection
        if self._connection_config["backend"] == SPARK:
            return engine.read_files(files)
        return engine.read_parquet(files, union_by_name=True, hive_partitioning=False)

    def _copied(self, delta: "DeltaTable", schema: pa.Schema) -> ir.Table:
        from deltalake import QueryBuilder  # noqa: PLC0415 - not always there

        with in_words(self._url, "read"):
            # by one thread, so that rows are in the same order each time
            reading = QueryBuilder({"datafusion.execution.target_partitions": "1"})
            rows = reading.register("t", delta).execute("SELECT * FROM t")
            batches = pa.RecordBatchReader.from_stream(rows).cast(schema)
            file, remove = in_scratch_file(batches, schema)
        table = self.connection.read_parquet(str(file))
        weakref.finalize(table.op(), remove)
        return table

    def _batches(
        self, data: ir.Table | pa.RecordBatchReader, open_files: ExitStack
    ) -> pa.RecordBatchReader:
        if isinstance(data, pa.RecordBatchReader):
            return data
        if not is_spark(data):
            return pa.RecordBatchReader.from_batches(
                data.schema().to_pyarrow(), batches_of(data, BATCH)
            )
        # as its batches come, too, for which it would compute all once more to count them
        scratch = open_files.enter_context(TemporaryDirectory(prefix="table-"))
        self.connection.to_parquet(data, f"{scratch}/rows")
        files = sorted(Path(scratch).glob("rows/*.parquet"))
        return pa.RecordBatchReader.from_batches(pq.read_schema(files[0]), _rows_of(files))

    def _is_sparks(self) -> bool:
        return self._connection_config["backend"] == SPARK and bool(self.connection.has_delta)

    def _save_by_spark(self, data: ir.Table | pa.RecordBatchReader) -> None:
        with ExitStack() as open_files:
            if isinstance(data, pa.RecordBatchReader):
                file, remove = in_scratch_file(data, data.schema)
                open_files.callback(remove)
                data = self.connection.read_parquet(str(file))
            self.connection.to_delta(data, self._url, **_as_spark_writes(self._save))

    def _options(self) -> dict[str, str]:
        return storage_options(self._fs_prefix.removesuffix("://"), self._credentials)

    def _exists(self) -> bool:
        return bool(library().DeltaTable.is_deltatable(self._url, self._options()))

    def _describe(self) -> dict[str, Any]:
        return {
            "filepath": self._url,
            "load_args": self._load.model_dump(),
            "save_args": self._save.model_dump(),
        }


def _checked(kind: type[Args], name: str, given: dict[str, Any] | None, url: str) -> Args:
    try:
        # none takes back what another environment says
        return kind.model_validate({k: v for k, v in (given or {}).items() if v is not None})
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, (name, *found['loc'])))}: {found['msg']}"
            for found in error.errors()
        )
        known = ", ".join(kind.model_fields)
        raise DatasetError(
            f"{url} is a Delta table, whose {name} may have {known}. {wrong}."
        ) from error


def _rows_of(files: Iterable[Path]) -> Iterator[pa.RecordBatch]:
    """The rows of Parquet files one after the other; there may be more than a process may open."""
    for file in files:
        with pq.ParquetFile(file) as opened:
            yield from opened.iter_batches(BATCH, use_threads=False)


def _types(schema: ibis.Schema) -> dict[str, Any]:
    return {name: dtype.copy(nullable=True) for name, dtype in schema.items()}


def _as_spark_reads(args: LoadArgs) -> dict[str, Any]:
    return {} if args.version is None else {"versionAsOf": args.version}


def _as_spark_writes(args: SaveArgs) -> dict[str, Any]:
    schema = "mergeSchema" if args.mode == "append" else "overwriteSchema"
    return {schema: "true", "mode": args.mode, "partitionBy": args.partition_by}
