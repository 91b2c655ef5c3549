"""Where a table is that becomes a project of its own, and how that will read it."""

import filecmp
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import ibis.expr.types as ir

from kedro_mlops.core.engine import connect_duckdb

MEMORY = "2GB"
# of a project, and the same in no more memory than adoption takes
CONNECTION = {"backend": "duckdb", "database": ":memory:"}
LIMITED = CONNECTION | {"memory_limit": MEMORY}
RAW = "data/01_raw"


@dataclass(frozen=True)
class Source:
    """A table, as it is.

    Attributes:
        name: What it is called: the name of its file, without its ending, or that in its database.
        table: Its rows, read lazily; of CSV files all cells are text, others have types.
        is_text: Whether all of its cells are text.
        path: The file or folder; of a table in a database or on a store there is none.
        files: Its files.
        comma: Whether a comma stands before fractions, as far as the separator of cells tells.
        left_out: Columns that a contract cannot tell of, each with the reason.
        n_odd_lines: Lines of text that are no rows; the quarantine will keep them.
        credentials: What conf/local/credentials.yml has to say, by name.
        grows: Whether others go on writing it, so that a copy would be no use.
    """

    name: str
    table: ir.Table = field(repr=False)
    is_text: bool = False
    path: Path | None = None
    files: tuple[Path, ...] = ()
    comma: bool = False
    left_out: Mapping[str, str] = field(default_factory=dict)
    n_odd_lines: int = 0
    credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    grows: bool = False
    _reading: Mapping[str, Any] = field(default_factory=dict)
    # by which pattern its files are found in a folder, unless that is read as a whole
    _found: str = ""
    _scratch: "tempfile.TemporaryDirectory[str] | None" = field(default=None, repr=False)

    @property
    def said(self) -> str:
        """What people call it: the name of its file, or that in its database."""
        return self.path.name if self.path else self.name

    def entry(self, path: str = "") -> dict[str, Any]:
        """The entry of a project's catalog by which it is read.

        Args:
            path: Where its file or folder is then; see ``place``.
        """
        if self.path is None:
            return dict(self._reading)
        return {**self._reading, "filepath": str(PurePosixPath(path) / self._found)}

    def is_copied(self, project: Path) -> bool:
        """Whether the project needs a copy of it, since it is not in its folder."""
        return not (self.path is None or self.grows or self._is_in(project))

    def _is_in(self, project: Path) -> bool:
        return self.path is not None and self.path.is_relative_to(project.resolve())

    def place(self, project: Path) -> str:
        """Where the project has its file or folder, seen from there; of neither, nowhere."""
        if self.path is None:
            return ""
        if self.is_copied(project):
            return f"{RAW}/{self.path.name}"
        if not self._is_in(project):
            return self.path.as_posix()
        return self.path.relative_to(project.resolve()).as_posix()

    def copies(self, project: Path) -> dict[str, Path]:
        """Its files by the paths that copies of them get in a project, unless they are there."""
        if self.path is None or not self.is_copied(project):
            return {}
        place = self.place(project)
        paths = {f"{place}/{file.name}": file for file in self.files}
        copies = {place: self.path} if self.path.is_file() else paths
        there = [file for file in (project / place).rglob("*") if file.is_file()]
        are_those = (project / place).is_file() or len(there) == len(copies)
        is_same = are_those and all(_is_copy(project / path, of) for path, of in copies.items())
        return {} if is_same else copies


def _is_copy(path: Path, of: Path) -> bool:
    return path.is_file() and filecmp.cmp(path, of, shallow=False)


def without_credentials(data: str) -> str:
    """Where a table is, as it may be shown."""
    return re.sub(r"(password=)[^&#]*", r"\1***", re.sub(r"://.*@", "://", data))


def with_kinds(table: ir.Table) -> tuple[ir.Table, dict[str, str]]:
    """The columns whose values are of a kind that contracts have; and the others, and why."""
    left_out = {
        name: f"holds values of the type {dtype}, which contracts have no kind for"
        for name, dtype in table.schema().items()
        if not _has_kind(dtype)
    }
    return table.drop(*left_out), left_out


def _has_kind(dtype: Any) -> bool:
    return bool(
        dtype.is_string() or dtype.is_boolean() or dtype.is_numeric() or dtype.is_timestamp()
        or dtype.is_date() or dtype.is_null()
    )  # fmt: skip


def connect() -> Any:
    """An engine of its own, which takes no more memory however large a table is."""
    return connect_duckdb(memory_limit=MEMORY)


def name_of(path: PurePath) -> str:
    """What a table is called, by its file or folder."""
    return path.name.split(".")[0] or path.name
