"""Where a table is that becomes a project of its own, and how that will read it."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from kedro_mlops.core.errors import ProjectError

from .dialect import CSVDialect, dialect_of

MEMORY = "2GB"
# cells that are held at once when text is read
ROW_GROUP_CELLS = 2_000_000
RAW = "data/01_raw"


@dataclass(frozen=True)
class Source:
    """A table, as it is.

    Attributes:
        name: What it is called: the name of its file, without its ending.
        table: Its rows, read lazily; of CSV files all cells are text, others have types.
        is_text: Whether all of its cells are text.
        path: The file or folder.
        files: Its files.
    """

    name: str
    table: ir.Table = field(repr=False)
    is_text: bool
    path: Path
    files: tuple[Path, ...]
    _reading: dict[str, Any]
    _scratch: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def entry(self, path: str) -> dict[str, Any]:
        """The entry of a project's catalog by which it is read.

        Args:
            path: Where its file or folder is then; see ``place``.
        """
        return {**self._reading, "filepath": path}

    def is_copied(self, project: Path) -> bool:
        """Whether the project needs a copy of it, since it is not in its folder."""
        return not self.path.is_relative_to(project.resolve())

    def place(self, project: Path) -> str:
        """Where the project has it, seen from its folder."""
        if self.is_copied(project):
            return f"{RAW}/{self.path.name}"
        return self.path.relative_to(project.resolve()).as_posix()


def open_source(data: str) -> Source:
    """Find a table.

    Args:
        data: The path of a CSV or Parquet file.

    Raises:
        ProjectError: if there is none.
    """
    path = Path(data).expanduser().resolve()
    if not path.exists():
        raise ProjectError(f"There is no file {data}.")
    suffixes = {suffix.lower() for suffix in path.suffixes}
    return (_parquet if suffixes & {".parquet", ".pq"} else _csv)(path)


def _parquet(path: Path) -> Source:
    table = connect().read_parquet(path)
    reading = {
        "type": "kedro_mlops.contract.tables.TableDataset",
        "file_format": "parquet",
        "connection": {"backend": "duckdb", "database": ":memory:"},
    }
    return Source(_name(path), table, False, path, (path,), reading)


def _csv(path: Path) -> Source:
    dialect = dialect_of(path)
    scratch = tempfile.TemporaryDirectory(prefix="kedro-adopt-")
    text = Path(scratch.name) / "text.parquet"
    connection = connect()
    connection.raw_sql(
        f"COPY ({_reads(path, dialect)}) TO '{text}' "
        f"(ROW_GROUP_SIZE {max(2_048, ROW_GROUP_CELLS // dialect.n_columns)})"
    )
    reading = {"type": "kedro_mlops.contract.csv_files.CSVTextDataset", **dialect.load_args()}
    table = connection.read_parquet(text)
    return Source(_name(path), table, True, path, (path,), reading, scratch)


def _reads(path: Path, dialect: CSVDialect) -> str:
    said = str(path).replace("'", "''")
    return (
        f"FROM read_csv('{said}', all_varchar = true, header = true, "
        f"delim = '{dialect.separator}', quote = '\"', escape = '\"', ignore_errors = true)"
    )


def connect() -> Any:
    """An engine of its own, which takes no more memory however large a table is."""
    return ibis.duckdb.connect(memory_limit=MEMORY)


def _name(path: Path) -> str:
    return path.name.split(".")[0]
