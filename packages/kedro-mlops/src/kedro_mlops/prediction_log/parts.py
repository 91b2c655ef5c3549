"""What is new in the prediction log, in parts that are taken once.

A part is a range of bytes of a file, and its name says which. So the names of the parts that were
taken tell what is still to be taken, and no other account needs to be kept in step with them.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import pyarrow as pa

from kedro_mlops.contract.columns import Column, Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.structs import Keys, members_of, struct_of

from .files import LogFile, closed, is_table, list_log, size_of

# read, it takes some six times as much memory
MAX_PART_BYTES = 32 * 2**20
# for what was predicted before midnight and is still on its way, and for clocks that differ
GRACE = timedelta(days=1)

_NAME = re.compile(r"(.+)\.(\d+)-(\d+)")
_INT64 = msgspec.Meta(ge=-(2**63), le=2**63 - 1)


class Part(NamedTuple):
    """Some whole lines of a file of the log, or its whole table: bytes ``start`` to ``end``."""

    path: Path
    start: int
    end: int

    @property
    def name(self) -> str:
        """What the part is called, wherever it is put."""
        return f"{self.path.stem}.{self.start}-{self.end}"

    def read(self) -> bytes:
        """The bytes.

        Raises:
            FileNotFoundError: if the service removed the file for want of room.
        """
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.end - self.start)


class Taken(NamedTuple):
    """The predictions of a part, and what is none: ``file``, ``position``, ``reason``, ``content``.

    Whatever bytes a content had, ``encode(errors="surrogateescape")`` gives them back.
    """

    rows: pa.Table
    rejected: list[dict[str, Any]]


def range_of(name: str) -> tuple[str, int, int]:
    """The stem of the file that a part is of, and the part's first byte and end."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ProjectError(
            f"{name} is among the predictions that were served, and is not the name of a part of "
            "the prediction log. Put it elsewhere."
        )
    stem, start, end = found.groups()
    return stem, int(start), int(end)


def taken_until(names: Iterable[str]) -> dict[str, int]:
    """How far the files have been taken, by their stems."""
    until: dict[str, int] = {}
    for stem, _, end in map(range_of, names):
        until[stem] = max(until.get(stem, 0), end)
    return until


def last_open_day() -> date:
    """The oldest day whose files may still be written by a process that holds none of them."""
    return (datetime.now(UTC) - GRACE).date()


def new_parts(folder: Path, until: Mapping[str, int]) -> list[Part]:
    """What the files have beyond what was taken, but for a last line that is not yet whole."""
    files = list_log(folder)
    complete = {file.path for file in closed(files, last_open_day())}
    return [
        Part(file.path, start, end)
        for file in files
        for start, end in _ranges(file, until.get(file.path.stem, 0), file.path in complete)
    ]


def finished(folder: Path, until: Mapping[str, int]) -> list[Path]:
    """Files that nobody writes any more, and of which all has been taken."""
    paths = [file.path for file in closed(list_log(folder), last_open_day())]
    return [path for path in paths if until.get(path.stem, 0) >= size_of(path)]


def _ranges(file: LogFile, start: int, complete: bool) -> Iterator[tuple[int, int]]:
    # another process may have taken the rest, and removed the file
    with contextlib.suppress(FileNotFoundError), file.path.open("rb") as content:
        size = file.path.stat().st_size
        if is_table(file.path):
            yield from [(0, size)] if start < size else []
            return
        while start < size:
            content.seek(start)
            data = content.read(MAX_PART_BYTES) + content.readline()
            end = start + (len(data) if complete else data.rfind(b"\n") + 1)
            if end <= start:
                return
            yield start, end
            start = end


def take(part: Part, columns: Columns) -> Taken:
    """Read a part in the types of the contract; what is no prediction is set apart."""
    read = _take_table if is_table(part.path) else _take_lines
    return read(part, part.read(), columns)


def _take_lines(part: Part, data: bytes, columns: Columns) -> Taken:
    decoder, keys = msgspec.json.Decoder(_line_type(columns)), Keys(columns.names)
    position, rows, rejected = part.start, [], []
    for line in data.split(b"\n"):
        try:
            if line.strip():
                rows.append(decoder.decode(keys.known(line)))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            rejected.append(_rejected(part, position, error, line))
        position += len(line) + 1
    schema = schema_of(columns)
    arrays = [
        pa.array([getattr(row, member) for row in rows], field.type)
        for member, field in zip(members_of(columns.names), schema, strict=True)
    ]
    return Taken(pa.table(arrays, schema=schema), rejected)


def _take_table(part: Part, data: bytes, columns: Columns) -> Taken:
    schema = schema_of(columns)
    try:
        found = pa.ipc.open_file(pa.py_buffer(data)).read_all()
        missing = [name for name in _essential(columns) if name not in found.column_names]
        if missing:
            raise ValueError(f"it has no column {', '.join(missing)}")
        arrays = [
            found[field.name].cast(field.type)
            if field.name in found.column_names
            else pa.nulls(len(found), field.type)
            for field in schema
        ]
    except (pa.ArrowException, ValueError) as error:
        return Taken(schema.empty_table(), [_rejected(part, 0, error, data)])
    return Taken(pa.table(arrays, schema=schema), [])


def _rejected(part: Part, position: int, error: Exception, content: bytes) -> dict[str, Any]:
    text = content.decode(errors="surrogateescape")
    return {"file": str(part.path), "position": position, "reason": str(error), "content": text}


def schema_of(columns: Columns) -> pa.Schema:
    """The types of the contract in Arrow."""
    return pa.schema([(c.name, pa.type_for_alias(c.types.arrow)) for c in columns.all])


def _line_type(columns: Columns) -> Any:
    """A line as msgspec reads it: strictly, and without what it does not know."""
    needed = _essential(columns)
    fields = [
        (c.name, _python_type(c)) if c.name in needed else (c.name, _python_type(c), None)
        for c in columns.all
    ]
    return struct_of("Line", fields, kw_only=True)


def _essential(columns: Columns) -> list[str]:
    """Without these a line is of no use; other columns may be younger than the line."""
    return [c.name for c in columns.all if c.role.key or c.role.told]


def _python_type(column: Column) -> Any:
    python = column.types.python
    found: Any = Annotated[int, _INT64] if python is int else python
    return found | None if column.nullable else found
