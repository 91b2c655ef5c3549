"""Finding a table, whatever it is in.

Text is put into Parquet files first, by the reader that the project will use, so that the engine
reads columns, and whatever is read again costs little.
"""

import importlib.util
import os
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import DatasetError

from kedro_mlops.contract.csv_files import CSVTextDataset
from kedro_mlops.contract.parsing import as_table
from kedro_mlops.contract.tables import TableDataset
from kedro_mlops.contract.text_files import BadFileError, is_text_file
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.parquet import write_batches
from kedro_mlops.core.storage import is_url, tells_apart

from .dialect import Dialect, dialect_of
from .source import CONNECTION, LIMITED, Source, connect, name_of, with_kinds

PARQUET = {".parquet", ".pq"}
EXCEL = {".xlsx", ".xlsm"}
READABLE = (
    "CSV (.csv, .tsv, .txt; also .gz, .bz2, .xz, .zip), Parquet (.parquet), Excel (.xlsx), or a "
    "Delta table"
)


def open_source(data: str) -> Source:
    """Find a table.

    Args:
        data: The path of a CSV or Parquet file, of a folder of either, or of an Excel workbook
            (``book.xlsx#sheet``); or a table in a database, by the URL that SQLAlchemy has for it:
            ``postgresql://…#schema.table``; or a Delta table, by its folder or the URL of a store.

    Raises:
        ProjectError: if there is no table, or it cannot be read; the message says what to do.
    """
    if is_url(data) and tells_apart(data):
        from .lake import open_on_store  # noqa: PLC0415 - nor is a store for many

        return open_on_store(data)
    if re.match(r"[\w+]+://", data):
        from .database import open_database  # noqa: PLC0415 - SQLAlchemy is for few

        return open_database(data)
    if not data:
        raise ProjectError("Say where the table is: DATA is a file, a folder or a database's URL.")
    said, _, part = data.partition("#") if not Path(data).exists() else (data, "", "")
    path = Path(said).expanduser().resolve()
    if not (path.is_file() or path.is_dir()):
        raise ProjectError(f"There is no file or folder {said}. Where is the table?")
    if not os.access(path, os.R_OK):
        raise ProjectError(f"{path} may not be read by you: ask its owner, or copy it.")
    if path.is_file() and not path.stat().st_size:
        raise ProjectError(f"{path} is empty: it has to have a line with the names of its columns.")
    source = _opener_of(path)(path, part)
    if not source.table.columns:
        raise ProjectError(f"{path} has no columns that a contract can tell of.")
    return source


def _opener_of(path: Path) -> Callable[[Path, str], Source]:
    if (path / "_delta_log").is_dir():
        from .lake import open_folder  # noqa: PLC0415 - is for few

        return open_folder
    if path.is_dir():
        return _folder
    if path.suffix.lower() in PARQUET or _starts(path, b"PAR1"):
        return _parquet
    if path.suffix.lower() in EXCEL:
        return _workbook
    if path.suffix.lower() == ".xls":
        raise ProjectError(f"{path} is of an Excel before 2007: save it as .xlsx or CSV.")
    return _text


def _starts(path: Path, signature: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(signature)) == signature


def _folder(path: Path, _: str) -> Source:
    parquet = [file for file in _files(path) if file.suffix.lower() in PARQUET]
    text = [file for file in _files(path) if is_text_file(file)]
    if parquet and text:
        raise ProjectError(f"{path} has CSV and Parquet files: put one table into one folder.")
    if not (parquet or text):
        raise ProjectError(
            f"{path} itself, without the folders in it, has no files that can be read: {READABLE}."
        )
    return _parquet(path, "") if parquet else _text(path, "")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(f for f in path.iterdir() if f.is_file() and not f.name.startswith((".", "_")))


# Parquet


def _parquet(path: Path, _: str) -> Source:
    files = [file for file in _files(path) if path.is_file() or file.suffix.lower() in PARQUET]
    endings = sorted({file.suffix for file in files})
    if len(endings) > 1:
        raise ProjectError(
            f"{path} has Parquet files that end in {' and in '.join(endings)}, of which a project "
            "reads those of one ending: rename them, or take those that are of no use elsewhere."
        )
    schemas = [(file, _schema(file)) for file in files]
    for file, schema in schemas:
        if schema.names != schemas[0][1].names:
            differing = ", ".join(sorted(set(schema.names) ^ set(schemas[0][1].names)))
            raise ProjectError(
                f"{file} has other columns than {files[0].name}, beside it: "
                f"{differing or 'their order'}."
            )
    found = "" if path.is_file() else f"*{files[0].suffix}"
    dataset = TableDataset(filepath=str(path / found), file_format="parquet", connection=LIMITED)
    try:
        table, left_out = with_kinds(dataset.load())
    except DatasetError as error:
        raise ProjectError(f"{path} cannot be read: {error.__cause__ or error}") from error
    reading = {
        "type": "kedro_mlops.contract.tables.TableDataset",
        "file_format": "parquet",
        "connection": CONNECTION,
    }
    return Source(
        name_of(path),
        table,
        path=path,
        files=tuple(files),
        left_out=left_out,
        _reading=reading,
        _found=found,
    )


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise ProjectError(f"{file} is no Parquet file, or a damaged one.") from error


# text


def _text(path: Path, _: str) -> Source:
    files = [file for file in _files(path) if path.is_file() or is_text_file(file)]
    dialects = {file: dialect_of(file) for file in files}
    dialect = dialects[files[0]]
    known = _said(dialect)
    for file, other in dialects.items():
        said = _said(other)
        differing = [
            f"its {each} is {said[each]}, not {known[each]}"
            for each in known
            if said[each] != known[each]
        ]
        if differing:
            raise ProjectError(
                f"{file} is written in another way than {files[0].name}, beside it: "
                f"{'; '.join(differing)}. Make them alike."
            )
    args = dialect.load_args(files[0].suffix.lower())
    dataset = CSVTextDataset(filepath=str(path), load_args=args)
    scratch = tempfile.TemporaryDirectory(prefix="kedro-adopt-")
    parquet = Path(scratch.name) / "text.parquet"
    n_odd = _convert(dataset, parquet, path)
    if not dialect.has_names:
        raise ProjectError(
            f"{files[0]} has no header: its first line is only numbers. Put a line with the names "
            "of the columns in front of it."
        )
    reading = {"type": "kedro_mlops.contract.csv_files.CSVTextDataset"}
    return Source(
        name_of(path),
        connect().read_parquet(parquet),
        is_text=True,
        comma=dialect.separator == ";",
        path=path,
        files=tuple(files),
        n_odd_lines=n_odd,
        _reading=reading | ({"load_args": args} if args else {}),
        _scratch=scratch,
    )


def _said(dialect: Dialect) -> dict[str, str]:
    """How a file is written, in words, by what may differ."""
    return {
        "separator": repr(dialect.separator),
        "quote": repr(dialect.quote) if dialect.quote else "none",
        "encoding": dialect.encoding,
        "compression": dialect.compression or "none",
    }


def _convert(dataset: CSVTextDataset, parquet: Path, path: Path) -> int:
    """Write the rows as Parquet, in constant memory, and count the lines that are none."""
    odd = _Odd()
    try:
        n_rows = write_batches(dataset.batches(odd.count), parquet)
    except BadFileError as error:
        raise ProjectError(str(error)) from error
    if not n_rows and odd.first:
        raise ProjectError(
            f"{path} has no rows: its header has {odd.first.expected_columns} cells, its lines "
            f"{odd.first.actual_columns}. Does the header lack a name?"
        )
    if not n_rows:
        raise ProjectError(f"{path} has no rows below its header.")
    return odd.n


@dataclass
class _Odd:
    """How many lines are no rows; of a file that is none at all, they are too many to keep."""

    n: int = 0
    first: Any = None

    def count(self, row: Any) -> None:
        self.n += 1
        self.first = self.first or row


# Excel


def _workbook(path: Path, sheet: str) -> Source:
    if importlib.util.find_spec("openpyxl") is None:
        raise ProjectError(
            f"{path} is an Excel workbook, which openpyxl reads: `uv add openpyxl`, or save it as "
            "CSV."
        )
    import pandas as pd  # noqa: PLC0415 - is slow to import

    try:
        sheets = pd.ExcelFile(path, engine="openpyxl")
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise ProjectError(f"{path} is no Excel workbook, or a damaged one: {error}.") from error
    names = [str(name) for name in sheets.sheet_names]
    if sheet and sheet not in names:
        raise ProjectError(f"{path} has no sheet {sheet}. It has {', '.join(names)}.")
    rows = pd.read_excel(sheets, sheet_name=sheet or names[0])
    if rows.empty:
        raise ProjectError(f"{path} has no rows in its sheet {sheet or names[0]}.")
    rows.columns = [str(name) for name in rows.columns]
    table, left_out = with_kinds(as_table(rows))
    reading: dict[str, Any] = {"type": "pandas.ExcelDataset"}
    if sheet:
        reading["load_args"] = {"sheet_name": sheet}
    return Source(
        name_of(path), table, path=path, files=(path,), left_out=left_out, _reading=reading
    )
