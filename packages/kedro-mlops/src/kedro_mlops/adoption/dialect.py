"""How a CSV file is written, found out from its first lines."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from kedro_mlops.core.errors import ProjectError

SEPARATORS = (",", ";", "\t", "|")
HEAD_BYTES = 2**18


@dataclass(frozen=True)
class CSVDialect:
    """How a CSV file is written.

    Attributes:
        separator: What stands between two cells.
        n_columns: How many there are.
    """

    separator: str
    n_columns: int

    def load_args(self) -> dict[str, Any]:
        """What a catalog says of it, where it is not the usual."""
        said = {"sep": self.separator} if self.separator != "," else {}
        return {"load_args": said} if said else {}


def dialect_of(path: Path) -> CSVDialect:
    """Find out how a file is written.

    Raises:
        ProjectError: if it is empty.
    """
    with fsspec.open(str(path), "rb", compression="infer") as file:
        head = file.read(HEAD_BYTES).decode("utf-8-sig", errors="replace")
    if not head.strip():
        raise ProjectError(f"{path} is empty.")
    # the last line may be cut
    lines = io.StringIO(head[: head.rfind("\n") + 1] or head)
    widths = {mark: _widths(lines.getvalue(), mark) for mark in SEPARATORS}
    separator = max(SEPARATORS, key=lambda mark: _fit(widths[mark]))
    return CSVDialect(separator, widths[separator][0])


def _widths(text: str, separator: str) -> list[int]:
    return [len(cells) for cells in csv.reader(io.StringIO(text), delimiter=separator) if cells]


def _fit(widths: list[int]) -> tuple[float, int]:
    """The share of lines that are as wide as the header, and how wide."""
    if widths[0] == 1:
        return 0.0, 1
    return sum(width == widths[0] for width in widths) / len(widths), widths[0]
