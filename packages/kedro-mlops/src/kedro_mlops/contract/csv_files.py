"""CSV files as text: what a cell means is the contract's to say, and no line is lost.

A line that does not have a cell for each column is kept whole, in a column of its own, so that the
quarantine can tell of it. Large files are read in constant memory: their text goes into a Parquet
file, of which the engine reads what it needs, and which ends with the process at the latest.
"""

import re
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple, Self

import fsspec
import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.dataset
from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import get_protocol_and_path
from kedro_datasets._typing import TablePreview
from numpy.typing import NDArray
from pyarrow import csv as arrow

from kedro_mlops.core.engine import DEFAULT_CONNECTION, DUCKDB, EngineMixin
from kedro_mlops.core.parquet import in_scratch_file

from . import proved
from .columns import LINE, ROW
from .tables import personal_names
from .text_files import MAX_ROW_BYTES, TextFile, is_text_file

MAX_BYTES_IN_MEMORY = 2**28
# what lines may take, each with what Python has around it, until the first that is a row
MAX_BYTES_BEFORE_ROWS, BYTES_AROUND_LINE = 2**24, 200
# takes a line that is no row
OnOddLine = Callable[[arrow.InvalidRow], object]


class LoadArgs(NamedTuple):
    """How a file is read; names and meaning are those of ``pandas.read_csv``."""

    sep: str = ","
    encoding: str = "utf-8"
    quotechar: str | None = '"'
    escapechar: str | None = None
    compression: str | None = "infer"
    skiprows: int = 0
    names: list[str] | None = None


class CSVTextDataset(EngineMixin, AbstractDataset[ir.Table, ir.Table]):
    """A CSV file that comes from outside, all of whose cells are text; or a folder of such.

    As long as its files are what they were, loading gives the same table.

    Args:
        filepath: The file or folder, with the protocol of any filesystem that fsspec knows.
        load_args: See ``LoadArgs``; a ``quotechar`` that is null makes quotes plain characters.
        credentials: Arguments of that filesystem.
        connection: Of the engine that computes with the table; see ``EngineMixin``.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        load_args: dict[str, Any] | None = None,
        credentials: dict[str, Any] | None = None,
        connection: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        unknown = sorted((load_args or {}).keys() - set(LoadArgs._fields))
        if unknown:
            raise DatasetError(
                f"{filepath} is read as text, and load_args has {', '.join(unknown)}. It may have "
                f"{', '.join(LoadArgs._fields)}; types and missing values are declared in "
                "contracts.py."
            )
        protocol, path = get_protocol_and_path(filepath)
        self._filepath = PurePosixPath(path)
        self._fs = fsspec.filesystem(protocol, **(credentials or {}))
        self._args = LoadArgs(**(load_args or {}))
        self._connection_config = connection or DEFAULT_CONNECTION
        self._files: list[str] = []
        self._table: ir.Table | None = None
        self.metadata = metadata

    def load(self) -> ir.Table:
        """Read all lines, of a folder those of all of its files.

        Returns:
            A column of text for each of the header's; and ``LINE``, if there are lines that do not
            have a cell for each of them: then the others are missing. Where the engine cannot
            read memory, ``ROW``, too.

        Raises:
            BadFileError: if a file is empty, damaged, no text or of another encoding, if a row is
                too long, a quote is never closed, or the files of a folder have different columns.
        """
        parts = self._parts()
        files = [self._fs.ukey(str(part._filepath)) for part in parts]
        if self._table is None or files != self._files:
            self._files, self._table = files, self._of(parts)
        return self._table

    def batches(self, odd: OnOddLine | None = None) -> Iterator[pa.RecordBatch]:
        """Read the rows, some at a time, in constant memory.

        Args:
            odd: Takes the lines that are no rows, one by one.

        Raises:
            BadFileError: as ``load`` does.
        """
        for part in self._parts():
            with part._file.opened() as file:
                reader = part._reader(file, odd)
                names = part._names(reader.schema.names)
                for batch in reader:
                    yield batch.rename_columns(names)

    def _of(self, parts: list[Self]) -> ir.Table:
        if self._connection_config["backend"] == DUCKDB:
            return _as_table(parts)  # it reads them where they are
        return _as_file(parts, self._connection)

    def _parts(self) -> list[Self]:
        """Itself, or the files of the folder."""
        if not self._fs.isdir(str(self._filepath)):
            return [self]
        paths = [PurePosixPath(path) for path in self._fs.ls(str(self._filepath), detail=False)]
        parts = [self._at(path) for path in sorted(paths) if is_text_file(path)]
        if not parts:
            raise self._file.refusal("is a folder without CSV files")
        first, *others = [(part, part._header()) for part in parts]
        for part, header in others:
            if header != first[1]:
                differing = ", ".join(sorted(set(header) ^ set(first[1]))) or "their order"
                raise part._file.refusal(
                    f"has other columns than {first[0]._filepath.name}, beside it: {differing}"
                )
        return parts

    def _at(self, path: PurePosixPath) -> Self:
        part = copy(self)
        part._filepath = path
        return part

    @property
    def _file(self) -> TextFile:
        args = self._args
        return TextFile(self._fs, self._filepath, args.encoding, args.quotechar, args.compression)

    def _header(self) -> list[str]:
        with self._file.opened() as file:
            return self._names(self._reader(file).schema.names)

    def _lines(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows in batches, and among them, line by line, what is none."""
        odd: list[arrow.InvalidRow] = []
        number = self._first_row
        for batch in self.batches(odd.append):
            # the reader may be ahead of the batch that it gives
            waiting = np.array([row.number for row in odd], np.int64)
            places = waiting - number - np.arange(len(waiting))
            n_here = int((places <= batch.num_rows).sum())
            self._refuse_open_quote(odd[:n_here])
            yield _among(batch, odd[:n_here], places[:n_here], schema)
            number += batch.num_rows + n_here
            del odd[:n_here]
        if odd:
            self._refuse_open_quote(odd)
            empty = pa.RecordBatch.from_pylist([], schema)
            yield _among(empty, odd, np.zeros(len(odd), np.int64), schema)

    def _names(self, header: list[str]) -> list[str]:
        """The names of the columns; one without a name is called as pandas calls it."""
        names = [name or f"Unnamed: {number}" for number, name in enumerate(header)]
        if twice := sorted(name for name, times in Counter(names).items() if times > 1):
            raise self._file.refusal(f"has several columns of one name: {', '.join(twice)}")
        return names

    def preview(self, nrows: int = 5) -> TablePreview:
        """Show the first rows, without what is personal, in the form that kedro-viz reads."""
        table = self.load()
        shown = [name for name in table.columns if name not in {*personal_names(), LINE, ROW}]
        return TablePreview(table.select(shown).limit(nrows).to_pandas().to_dict(orient="split"))

    def save(self, data: ir.Table) -> None:  # noqa: ARG002
        """Refuse: what comes from outside is only read."""
        raise DatasetError(f"{self._filepath} comes from outside, and is only read.")

    def _reader(self, file: Any, odd: OnOddLine | None = None) -> arrow.CSVStreamingReader:
        """Reads rows, block by block; it is there as soon as there is one."""
        number, n_bytes = self._first_row, 0

        def take(row: arrow.InvalidRow) -> Literal["skip", "error"]:
            nonlocal number, n_bytes
            n_bytes += BYTES_AROUND_LINE + len(row.text)
            if row.number == number and n_bytes > MAX_BYTES_BEFORE_ROWS:
                return "error"
            # falls behind as soon as there is a row, which is not taken
            number += 1
            if odd is not None:
                odd(row)
            return "skip"

        return arrow.open_csv(file, *self._options(take))

    @property
    def _first_row(self) -> int:
        """The number of the first row, or of what is none, as the reader counts."""
        return self._args.skiprows + (1 if self._args.names else 2)

    def _refuse_open_quote(self, odd: list[arrow.InvalidRow]) -> None:
        quote = self._args.quotechar
        if quote and any("\n" in row.text and row.text.count(quote) % 2 for row in odd):
            raise self._file.without_end()

    def _options(
        self, odd: Callable[[arrow.InvalidRow], Literal["skip", "error"]]
    ) -> tuple[Any, Any, Any]:
        args = self._args
        return (
            arrow.ReadOptions(
                use_threads=False,  # several would not know the numbers of the rows
                block_size=MAX_ROW_BYTES,
                encoding=args.encoding,
                skip_rows=args.skiprows,
                column_names=args.names,
            ),
            arrow.ParseOptions(
                delimiter=args.sep,
                quote_char=args.quotechar or False,
                escape_char=args.escapechar or False,
                newlines_in_values=True,
                invalid_row_handler=odd,
            ),
            arrow.ConvertOptions(default_column_type=pa.large_string(), strings_can_be_null=False),
        )

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "load_args": self._args._asdict()}

    def _exists(self) -> bool:
        return bool(self._fs.exists(str(self._filepath)))


def _all_lines(parts: Sequence[CSVTextDataset]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    text = pa.large_string()
    schema = pa.schema([*((name, text) for name in parts[0]._header()), (LINE, text)])
    return schema, (batch for part in parts for batch in part._lines(schema))


def _as_table(parts: Sequence[CSVTextDataset]) -> ir.Table:
    """All lines of files, as a table: in memory, or where they are many, in a Parquet file."""
    schema, batches = _all_lines(parts)
    held, n_bytes = list[pa.RecordBatch](), 0
    for batch in batches:
        held.append(batch)
        n_bytes += batch.nbytes
        if n_bytes > MAX_BYTES_IN_MEMORY:
            rows, remove = _in_a_file(chain(held, batches), schema)
            weakref.finalize(rows, remove)
            table = ibis.memtable(rows)
            break
    else:
        rows = pyarrow.dataset.dataset(whole := pa.Table.from_batches(held, schema))
        table = ibis.memtable(whole)
    return _without_empty_lines(table, rows)


def _as_file(parts: Sequence[CSVTextDataset], engine: ibis.BaseBackend) -> ir.Table:
    """All lines of files, as a table of an engine that reads them, numbered, in a Parquet file."""
    schema, batches = _all_lines(parts)
    rows, remove = _in_a_file(_numbered(batches), schema.append(pa.field(ROW, pa.int64())))
    table = engine.read_parquet(rows.files[0])
    weakref.finalize(table.op(), remove)
    proved.note_source(table, lambda: True)  # nobody else knows the file
    return _without_empty_lines(table, rows)


def _without_empty_lines(table: ir.Table, rows: pyarrow.dataset.Dataset) -> ir.Table:
    has_lines = rows.count_rows(filter=pyarrow.dataset.field(LINE).is_valid()) > 0
    return table if has_lines else table.drop(LINE)


def _numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    n_read = 0
    for batch in batches:
        numbers = np.arange(n_read + 1, n_read + batch.num_rows + 1)
        yield batch.append_column(ROW, pa.array(numbers, pa.int64()))
        n_read += batch.num_rows


def _in_a_file(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema
) -> tuple[pyarrow.dataset.Dataset, Callable[[], None]]:
    """Rows in a file, and what removes it when nobody can read them any more."""
    parquet, remove = in_scratch_file(batches, schema)
    return pyarrow.dataset.dataset(parquet), remove


def _among(
    rows: pa.RecordBatch,
    odd: Sequence[arrow.InvalidRow],
    places: NDArray[np.int64],
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Rows, and the lines of what is none, each before the row whose place it has."""
    lines = [
        (at, line)
        for at, row in zip(places, odd, strict=True)
        for line in re.split("\r?\n", row.text)
    ]
    order = np.insert(np.arange(rows.num_rows), [at for at, _ in lines], -1)
    is_line = order < 0
    told = np.full(len(order), None, object)
    told[is_line] = [line for _, line in lines]
    if lines:
        rows = rows.take(pa.array(order, mask=is_line))
    columns = [rows.column(number) for number in range(len(schema) - 1)]
    return pa.RecordBatch.from_arrays(
        [*columns, pa.array(told, schema.field(LINE).type)], schema=schema
    )
