"""CSV files as text: what a cell means is the contract's to say, and no line is lost.

A line that does not have a cell for each column is kept whole, in a column of its own, so that the
quarantine can tell of it.
"""

import codecs
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import PurePath, PurePosixPath
from typing import Any, NamedTuple, Self

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
from fsspec.core import OpenFile
from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import get_protocol_and_path
from kedro_datasets._typing import TablePreview
from pyarrow import csv as arrow

from kedro_mlops.core.errors import BadDataError

from .columns import LINE
from .tables import personal_names

TEXT = pd.StringDtype(na_value=np.nan)
HEAD_BYTES = 4096
MAX_ROW_BYTES = 2**20
WORKBOOK = "an Excel workbook; save it as CSV"
IN_WORKBOOKS = rb"xl/|docProps/|\[Content_Types\]"


def _argument(name: str, value: str | None) -> str:
    told = "null" if value is None else f'"{value}"'
    return f"`load_args: {{ {name}: {told} }}` in the catalog"


# what files begin with that are no text
SIGNATURES = {
    b"PK\x03\x04": f"a zip archive; say {_argument('compression', 'zip')}",
    b"\x1f\x8b": f"compressed; say {_argument('compression', 'gzip')}",
    b"BZh": f"compressed; say {_argument('compression', 'bz2')}",
    b"\xfd7zXZ": f"compressed; say {_argument('compression', 'xz')}",
    b"PAR1": "Parquet; say `type: pandas.ParquetDataset` in the catalog",
    b"\xd0\xcf\x11\xe0": WORKBOOK,
    codecs.BOM_UTF16_LE: f"UTF-16; say {_argument('encoding', 'utf-16')}",
    codecs.BOM_UTF16_BE: f"UTF-16; say {_argument('encoding', 'utf-16')}",
}
USUAL_ENCODINGS = ("utf-8", "cp1252", "latin-1")
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


TEXT_FILES = {".csv", ".tsv", ".psv", ".tab", ".txt"}


def is_text_file(path: PurePath) -> bool:
    """Whether a file's name, which may say a compression, too, is one of CSV files."""
    suffixes = {suffix.lower() for suffix in path.suffixes[-2:]}
    return bool(suffixes & TEXT_FILES) and not path.name.startswith((".", "_"))


class BadFileError(BadDataError, DatasetError):
    """A file that cannot be read as the table that it is said to be."""


class LoadArgs(NamedTuple):
    """How a file is read; names and meaning are those of ``pandas.read_csv``."""

    sep: str = ","
    encoding: str = "utf-8"
    quotechar: str | None = '"'
    escapechar: str | None = None
    compression: str | None = "infer"
    skiprows: int = 0
    names: list[str] | None = None


class CSVTextDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """A CSV file that comes from outside, all of whose cells are text; or a folder of such.

    Args:
        filepath: The file or folder, with the protocol of any filesystem that fsspec knows.
        load_args: See ``LoadArgs``; a ``quotechar`` that is null makes quotes plain characters.
        credentials: Arguments of that filesystem.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        load_args: dict[str, Any] | None = None,
        credentials: dict[str, Any] | None = None,
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
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read all lines, of a folder those of all of its files.

        Returns:
            A column for each of the header's; and ``LINE``, if there are lines that do not have a
            cell for each of them.

        Raises:
            BadFileError: if a file is empty, damaged, no text or of another encoding, if a quote
                is never closed, or if the files of a folder have different columns.
        """
        tables = [part._load_file() for part in self._parts()]
        return pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]

    def batches(self, odd: list[arrow.InvalidRow] | None = None) -> Iterator[pa.RecordBatch]:
        """Read the rows, some at a time, in constant memory.

        Args:
            odd: Takes the lines that are no rows.

        Raises:
            BadFileError: as ``load`` does.
        """
        for part in self._parts():
            with part._opened() as file:
                reader = arrow.open_csv(file, *part._options([] if odd is None else odd))
                names = part._names(reader.schema.names)
                for batch in reader:
                    yield batch.rename_columns(names)

    def _parts(self) -> list[Self]:
        """Itself, or the files of the folder."""
        if not self._fs.isdir(str(self._filepath)):
            return [self]
        paths = [PurePosixPath(path) for path in self._fs.ls(str(self._filepath), detail=False)]
        parts = [self._at(path) for path in sorted(paths) if is_text_file(path)]
        if not parts:
            raise self._refusal("is a folder without CSV files")
        first, *others = [(part, part._header()) for part in parts]
        for part, header in others:
            if header != first[1]:
                differing = ", ".join(sorted(set(header) ^ set(first[1]))) or "their order"
                raise part._refusal(
                    f"has other columns than {first[0]._filepath.name}, beside it: {differing}"
                )
        return parts

    def _at(self, path: PurePosixPath) -> Self:
        part = copy(self)
        part._filepath = path
        return part

    def _header(self) -> list[str]:
        with self._opened() as file:
            return self._names(arrow.open_csv(file, *self._options([])).schema.names)

    def _load_file(self) -> pd.DataFrame:
        odd: list[arrow.InvalidRow] = []
        with self._opened() as file:
            table = arrow.read_csv(file, *self._options(odd))
        table = table.rename_columns(self._names(table.column_names))
        rows = table.to_pandas(types_mapper={pa.large_string(): TEXT}.get)
        return self._with_lines(rows, odd) if odd else rows

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The file, whose faults are told in words."""
        try:
            self._refuse_what_is_no_text()
            with self._open() as file:
                yield file
        except DAMAGED as error:
            raise self._refusal(f"is damaged: {error}") from error
        except UnicodeError as error:
            raise self._of_another_encoding() from error
        except pa.ArrowInvalid as error:
            raise self._explained(str(error)) from error

    def _names(self, header: list[str]) -> list[str]:
        """The names of the columns; one without a name is called as pandas calls it."""
        names = [name or f"Unnamed: {number}" for number, name in enumerate(header)]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise self._refusal(f"has several columns of one name: {', '.join(twice)}")
        return names

    def preview(self, nrows: int = 5) -> TablePreview:
        """Show the first rows, without what is personal, in the form that kedro-viz reads."""
        rows = self.load().head(nrows)
        shown = [name for name in rows if name not in {*personal_names(), LINE}]
        return TablePreview(rows[shown].to_dict(orient="split"))

    def save(self, data: pd.DataFrame) -> None:  # noqa: ARG002
        """Refuse: what comes from outside is only read."""
        raise DatasetError(f"{self._filepath} comes from outside, and is only read.")

    def _options(self, odd: list[arrow.InvalidRow]) -> tuple[Any, Any, Any]:
        args = self._args

        def keep(row: arrow.InvalidRow) -> str:
            odd.append(row)
            return "skip"

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
                invalid_row_handler=keep,
            ),
            arrow.ConvertOptions(default_column_type=pa.large_string(), strings_can_be_null=False),
        )

    def _with_lines(self, rows: pd.DataFrame, odd: list[arrow.InvalidRow]) -> pd.DataFrame:
        """The rows, and among them, line by line, what is none."""
        quote = self._args.quotechar
        if quote and any("\n" in row.text and row.text.count(quote) % 2 for row in odd):
            raise self._with_open_quote()
        lines = [(row.number, line) for row in odd for line in row.text.splitlines()]
        first = self._args.skiprows + (1 if self._args.names else 2)
        numbers = np.arange(first, first + len(rows) + len(odd))
        numbers = np.setdiff1d(numbers, [row.number for row in odd])
        order = np.concatenate([numbers, [number for number, _ in lines]]).argsort(kind="stable")
        kept = pd.DataFrame({LINE: [line for _, line in lines]}, dtype=TEXT)
        return pd.concat([rows, kept], ignore_index=True).iloc[order].reset_index(drop=True)

    def _refuse_what_is_no_text(self) -> None:
        opened = self._open()
        if opened.compression == "zip":
            with self._fs.open(str(self._filepath)) as file:
                members = zipfile.ZipFile(file).namelist()
            if len(members) > 1:
                raise self._refusal(f"holds several files: {', '.join(members)}")
        with opened as file:
            head = file.read(HEAD_BYTES)
        if not head.strip():
            raise self._refusal("is empty")
        if self._args.encoding.lower().startswith(("utf-16", "utf-32")):
            return
        for signature, what in SIGNATURES.items():
            if head.startswith(signature):
                raise self._refusal(f"is {WORKBOOK if re.search(IN_WORKBOOKS, head) else what}")
        header, _, _ = head.partition(b"\n")
        if header.count(b"\0") > len(header) / 4:
            order = "le" if header.startswith(b"\0", 1) else "be"
            raise self._refusal(f"is UTF-16; say {_argument('encoding', f'utf-16-{order}')}")
        if b"\0" in header:
            raise self._refusal("is no text")

    def _explained(self, error: str) -> BadFileError:
        if "UTF8" in error:
            return self._of_another_encoding()
        if "straddl" in error:
            return self._with_open_quote()
        # what follows would quote the file
        return self._refusal(f"cannot be read as CSV: {error.partition(': ')[0]}")

    def _of_another_encoding(self) -> BadFileError:
        encoding = self._args.encoding
        place = self._undecodable(encoding) or "it cannot be decoded"
        fits = next(name for name in USUAL_ENCODINGS if self._undecodable(name) is None)
        return self._refusal(f"is not {encoding}: {place}. Say {_argument('encoding', fits)}")

    def _undecodable(self, encoding: str) -> str | None:
        """The first byte that is not of an encoding, and its line."""
        position = 0
        for number, line in enumerate(self._lines(), start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                byte = line[error.start]
                return f"byte {position + error.start:,} is 0x{byte:02x}, in line {number:,}"
            position += len(line)
        return None

    def _with_open_quote(self) -> BadFileError:
        return self._refusal(
            f"has a quote in line {self._open_quote():,} that is not closed. Mend that line; or, "
            f"where quotes are characters like others, say {_argument('quotechar', None)}"
        )

    def _open_quote(self) -> int:
        """The line whose quote is open at the end, or for longer than a row may be."""
        quote = (self._args.quotechar or "").encode()
        opened = length = 0
        for number, line in enumerate(self._lines(), start=1):
            if line.count(quote) % 2:
                opened, length = (0 if opened else number), 0
            length += len(line)
            if opened and length > MAX_ROW_BYTES:
                break
        return opened

    def _lines(self) -> Iterator[bytes]:
        with self._open() as file:
            yield from file

    def _open(self) -> OpenFile:
        return OpenFile(self._fs, str(self._filepath), "rb", self._args.compression)

    def _refusal(self, what: str) -> BadFileError:
        return BadFileError(f"{self._filepath} {what}.")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "load_args": self._args._asdict()}

    def _exists(self) -> bool:
        return bool(self._fs.exists(str(self._filepath)))
