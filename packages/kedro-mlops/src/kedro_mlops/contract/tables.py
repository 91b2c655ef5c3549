"""Tables in files, computed by Ibis, that people can look at in kedro-viz."""

import tempfile
from collections.abc import Iterable
from functools import cache
from glob import escape
from pathlib import Path
from weakref import WeakMethod

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview
from kedro_datasets.ibis import FileDataset
from kedro_datasets.ibis import TableDataset as IbisTableDataset

from kedro_mlops.core.engine import (
    DUCKDB,
    SPARK,
    EngineMixin,
    in_any_order,
    keeps_order,
    pattern_of,
    without_partitions,
)
from kedro_mlops.core.errors import is_out_of_memory
from kedro_mlops.core.files import new_file
from kedro_mlops.core.json_records import json_records
from kedro_mlops.core.parquet import write_batches
from kedro_mlops.core.patterns import find, n_said
from kedro_mlops.core.project import owners_module
from kedro_mlops.core.storage import place

from . import proved
from .batches import batches_of, n_values
from .columns import Columns, declared_in

# of what is sent to a store
ROWS_A_BATCH = 2**18
# of a Parquet file, as DuckDB has them where tables are not wide, and in what steps
ROWS_A_GROUP, STEP = 122_880, 2_048
# numbers and texts of such rows, for each of which a thread needs some ten bytes
CELLS_A_GROUP = 40 * ROWS_A_GROUP
# with others, what is read may be other than what was written
PLAIN = {"compression", "compression_level", "mode", "overwrite", "row_group_size", "use_tmp_file"}
# formats of files whose folders may say values of columns
HIVE = {"csv", "json", "parquet"}
Files = tuple[tuple[str | int, ...], ...]


def _row_groups(data: ir.Table) -> dict[str, int]:
    """How many rows of a wide table are written at once, so that they have room in memory."""
    n_rows = CELLS_A_GROUP // max(n_values(data.schema()), 1) // STEP * STEP
    return {"row_group_size": max(n_rows, STEP)} if n_rows < ROWS_A_GROUP else {}


def _says_values(path: str, files: Files) -> bool:
    """Whether folders in which a path finds files say values of columns, as Hive has them."""
    n = n_said(path)
    return any("=" in part for name, *_ in files for part in Path(str(name)).parts[n:-1])


def _not_hidden(path: str, files: Iterable[str]) -> list[str]:
    """Without the files that Spark passes over: marks, and those of a writer not done yet."""
    n = n_said(path)
    return [file for file in files if not any(map(_is_hidden, Path(file).parts[n:]))]


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or (part.startswith("_") and "=" not in part)


class TableDataset(EngineMixin, FileDataset):
    """An ``ibis.FileDataset`` that is read once, with a preview in which nothing personal appears.

    As long as its files are what they were, loading gives the same table, so that a validator that
    has passed it need not look again.
    """

    _files: Files = ()
    _table: ir.Table | None = None
    # the contract that what was written is known to keep, and the files that were written
    _proof: tuple[Columns, Files] | None = None

    # the plain function, of whose arguments Kedro knows the names when it tells of an entry
    __init__ = FileDataset.__init__.__wrapped__

    def save(self, data: ir.Table | pa.RecordBatchReader) -> None:
        """Write a table; batches as they come, so that they never are in memory together.

        The file appears when it is whole. Batches for anything else than a Parquet file are
        brought together before.
        """
        self._table = self._proof = None
        self._write(data)
        if isinstance(data, ir.Table) and self._has_just_that():
            kept = proved.kept_now(data)
            self._proof = (kept, self._look()) if kept else None

    def _write(self, data: ir.Table | pa.RecordBatchReader) -> None:
        if self._fs_prefix:
            self._send(data)
        elif not isinstance(data, pa.RecordBatchReader):
            self._write_by_engine(data)
        elif self._file_format == "parquet":
            with new_file(Path(str(self._get_save_path()))) as file:
                write_batches(data, file, data.schema)
        else:
            super().save(ibis.memtable(data.read_all()))

    def _write_by_engine(self, data: ir.Table) -> None:
        path = Path(str(self._get_save_path()))
        path.parent.mkdir(parents=True, exist_ok=True)
        write, asked = getattr(self.connection, f"to_{self._file_format}"), self._save_args
        named = {name.lower() for name in asked}
        is_one_file = self._file_format == "parquet" and named <= PLAIN
        if (
            is_one_file
            and "row_group_size" not in named
            and self._connection_config["backend"] == DUCKDB
        ):
            asked = _row_groups(data) | asked
        try:
            write(data, str(path), **asked)
        except Exception as error:
            again = is_one_file and is_out_of_memory(error) and keeps_order(self.connection)
            if not again:
                raise
            with in_any_order(self.connection):
                write(data, str(path), **asked)

    def _has_just_that(self) -> bool:
        """Whether reading gives the rows that were written, all of them and no others."""
        asked = self._save_args
        if self._file_format != "parquet" or self._version or self._load_args:
            return False
        if not asked.keys() <= PLAIN:
            return False
        replaced = asked.get("overwrite") is True or asked.get("mode") == "overwrite"
        return bool(self._fs_prefix) or replaced or Path(str(self._get_load_path())).is_file()

    def _send(self, data: ir.Table | pa.RecordBatchReader) -> None:
        """Write a table beside, and let a store have it when it is whole."""
        if self._file_format != "parquet":
            raise DatasetError("A table on a store is a Parquet file: let `file_format` say so.")
        with tempfile.TemporaryDirectory(prefix="table-") as scratch:
            file = Path(scratch) / "table.parquet"
            if isinstance(data, pa.RecordBatchReader):
                write_batches(data, file, data.schema)
            else:
                write_batches(batches_of(data, ROWS_A_BATCH), file, data.schema().to_pyarrow())
            self._filesystem().put_file(str(file), str(self._get_save_path()))

    def load(self) -> ir.Table:
        """Return the table, read lazily; one of a store is fetched."""
        files = self._look()
        if self._table is None or files != self._files:
            found = (self._fetched(), ()) if self._fs_prefix else (self._shown(), files)
            self._files, self._table = files, self._read_files(*found)
            self._note(self._table, files)
        return self._table

    def _note(self, table: ir.Table, files: Files) -> None:
        """Say what is known of a table, unless it has a name that another may have next."""
        if self._table_name is not None:
            return
        look = WeakMethod(self._look)
        proved.note_source(table, lambda: (it := look()) is not None and it() == files)
        if self._proof and self._proof[1] == files:
            proved.note_kept(table, self._proof[0])

    def _fetched(self) -> str:
        # for as long as this dataset, which gives the same table as long as it is the same
        self._scratch = tempfile.TemporaryDirectory(prefix="table-")
        self._filesystem().get(str(self._get_load_path()), f"{self._scratch.name}/")
        return f"{self._scratch.name}/*"

    def _shown(self) -> str | list[str]:
        """The path, as the engine reads it.

        Or its files, where it has hidden ones, which are none of the table.

        Raises:
            DatasetError: if it has no others.
        """
        path, backend = str(self._get_load_path()), self._connection_config["backend"]
        pattern = pattern_of(path, backend)
        if backend != DUCKDB or self._file_format not in HIVE:
            return pattern if backend == SPARK else path
        inside = f"{pattern}/**/*.{self._file_format}" if Path(path).is_dir() else pattern
        listed = self.connection.con.execute("SELECT file FROM glob(?)", [inside]).fetchall()
        shown = _not_hidden(path, (file for (file,) in listed))
        if listed and not shown:
            raise DatasetError(
                f"{path} has no files but those whose names, or whose folders', begin with '.' or "
                "'_', which are none of a table."
            )
        is_all = not listed or (pattern == path and len(shown) == len(listed))
        return pattern if is_all else [escape(file) for file in shown]

    def _read_files(self, path: str | list[str], files: Files) -> ir.Table:
        asked, backend = self._load_args, self._connection_config["backend"]
        says_values = _says_values(str(self._get_load_path()), files)
        if self._file_format in HIVE and not says_values:
            asked = without_partitions(backend, asked)
        reader = getattr(self.connection, f"read_{self._file_format}")
        return reader(path, table_name=self._table_name, **asked)

    def _look(self) -> Files:
        """Name, number, size and time of change of every file; of a store, what it tells apart."""
        if self._fs_prefix:
            return ((self._filesystem().ukey(str(self._get_load_path())),),)
        path = str(self._get_load_path())
        paths = [Path(each) for each in find(path)]
        self._refuse_delta(paths)
        files = [file for each in paths for file in (each.rglob("*") if each.is_dir() else [each])]
        looks = [(file, Path(file).stat()) for file in sorted(_not_hidden(path, map(str, files)))]
        return tuple((name, at.st_ino, at.st_size, at.st_mtime_ns) for name, at in looks)

    def _refuse_delta(self, found: list[Path]) -> None:
        """A Delta table has files with rows that are no longer in it."""
        for folder in {each for path in found for each in (path, *path.parents)}:
            if self._file_format != "delta" and (folder / "_delta_log").is_dir():
                raise DatasetError(
                    f"{folder} is a Delta table, some of whose files may have rows that are no "
                    "longer in it: say `type: kedro_mlops.contract.delta_tables.DeltaTableDataset` "
                    "in the catalog, with its folder as `filepath`."
                )

    def preview(self, nrows: int = 5, columns: list[str] | None = None) -> TablePreview:
        """Show the first rows, in the form that kedro-viz reads.

        Args:
            nrows: How many.
            columns: Which; if not given, all but those that a contract calls personal, and those
                that hold whole records, in which there may be some, or bytes.
        """
        table = self.load()
        known = table.schema()
        opaque = {name for name in known if known[name].is_nested() or known[name].is_binary()}
        hidden = personal_names() | opaque
        shown = [name for name in columns or known if name not in hidden]
        rows = json_records(table.select(shown).limit(nrows).to_pandas())
        data = [list(row.values()) for row in rows]
        return TablePreview({"index": list(range(len(data))), "columns": shown, "data": data})

    def stats(self) -> dict[str, int]:
        """Count rows, columns and, of a file, bytes, by the names of kedro-viz."""
        table, path = self.load(), place(f"{self._fs_prefix}{self._get_load_path()}")
        counted = {"rows": int(table.count().to_pyarrow().as_py()), "columns": len(table.columns)}
        return counted | ({"file_size": path.stat().st_size} if path.is_file() else {})


class NamedTableDataset(EngineMixin, IbisTableDataset):
    """An ``ibis.TableDataset``: a table that the engine itself knows, by its name.

    It is of the same connection as others, whichever of them is the first to ask for it.
    """

    __init__ = IbisTableDataset.__init__.__wrapped__


@cache
def personal_names() -> set[str]:
    """Columns that any of the contracts calls personal."""
    declared = declared_in(owners_module("contracts"))
    return {name for contract in declared for name in Columns.of(contract).personal}
