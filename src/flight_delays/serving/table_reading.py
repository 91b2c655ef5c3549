"""Large requests as they come in: bytes to columns, judged a column at a time.

What looks wrong is left to the judge of single rows, who says what is.
"""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from flight_delays.portable.encoding import Coded, Column
from flight_delays.portable.plan import Field

from .reading import BadRequestError, RowReader, hides_colons, left_to_judge
from .rows import MAX_TEXT

if TYPE_CHECKING:
    import pyarrow as pa

# the moments that there are in Python and JSON, in microseconds
FIRST = int(np.datetime64(datetime.min, "us").astype(int))  # noqa: DTZ901
LAST = int(np.datetime64(datetime.max, "us").astype(int))  # noqa: DTZ901
# rows that may break the contract and are looked at one by one, until it is known how
ROWS_A_TRIAL = 100
# integers beyond it are not exact where they may be missing
MAX_EXACT = 2.0**53
# 2013-07-15T17:30:00, and up to six digits of a second
MOMENT_LENGTHS = range(19, 27)
# what stands for a value that was left out: none that a caller could send
LEFT_OUT = {
    "numeric": float("nan"),
    "categorical": "?" * (MAX_TEXT + 1),
    "datetime": "?" * (MAX_TEXT + 1),
    "boolean": 2,
}
TYPES = {"categorical": str, "datetime": str, "boolean": bool}

Columns = dict[str, Column]


class TableReader:
    """Reads large requests.

    Args:
        fields: The fields that callers send.
        rows: Reads small ones, and judges.
        max_rows: Rows that one request may have.
    """

    def __init__(self, fields: list[Field], rows: RowReader, max_rows: int) -> None:
        self._fields = fields
        self._rows = rows
        row = msgspec.defstruct(
            "Row",
            [_member(field) for field in fields],
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )
        some = Annotated[list[row], Meta(min_length=1, max_length=max_rows)]  # type: ignore[valid-type]
        request = msgspec.defstruct("Request", [("rows", some)], forbid_unknown_fields=True)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(request).decode

    def read_json(self, body: bytes) -> Columns:
        """The columns of ``{"rows": [...]}``.

        Raises:
            BadRequestError: if it is not JSON, or a row breaks the contract.
        """
        try:
            rows = self._decode(body).rows
            read = _read_all(map(msgspec.structs.astuple, rows), self._fields)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            return columns_of(self._rows.judged(body), self._fields)
        # a key that comes twice shows as a colon more than there should be
        n_keys = len(rows) * len(read) - sum(column.n_left_out for column in read)
        n_colons = 1 + n_keys + sum(column.n_colons for column in read)
        columns = _named(read, self._fields)
        if (
            n_colons != np.count_nonzero(np.frombuffer(body, np.uint8) == ord(":"))
            or hides_colons(body)
            or self._suspects(columns).any()
        ):
            return columns_of(self._rows.judged(body), self._fields)
        return columns

    def read_arrow(self, body: bytes) -> Columns:
        """The columns of an Arrow IPC stream.

        Raises:
            BadRequestError: if it is none, or its rows break the contract.
        """
        table = self._table(body)
        if not table.num_rows:
            raise BadRequestError(422, "shape", "The table has no rows; send at least one.")
        _check_names(table, self._fields)
        arrays = {field.name: _cast(table, field) for field in self._fields}
        columns = {field.name: _as_column(arrays[field.name], field) for field in self._fields}
        suspects = np.flatnonzero(self._suspects(columns)).tolist()
        for first in range(0, len(suspects), ROWS_A_TRIAL):
            numbers = suspects[first : first + ROWS_A_TRIAL]
            rows = [{name: _json(a[i].as_py()) for name, a in arrays.items()} for i in numbers]
            self._rows.refuse(rows, numbers)
        return columns

    def _suspects(self, columns: Columns) -> NDArray[np.bool_]:
        """Which rows may break the contract."""
        suspects: NDArray[np.bool_] = np.zeros(1, dtype=bool)
        for field in self._fields:
            suspects = suspects | _breaks(columns[field.name], field)
        return suspects

    def _table(self, body: bytes) -> "pa.Table":
        """An Arrow IPC stream as a table, as long as it has not too many rows."""
        import pyarrow as pa  # noqa: PLC0415 - large, and only for these requests

        batches, n_rows = [], 0
        try:
            with pa.ipc.open_stream(io.BytesIO(body)) as stream:
                for batch in stream:
                    n_rows += batch.num_rows
                    self._rows.check_count(n_rows)
                    batches.append(batch)
                table = pa.Table.from_batches(batches, stream.schema)
            table.validate(full=True)
            return table.combine_chunks()
        except (pa.ArrowException, OSError, ValueError) as error:
            detail = f"The body is no Arrow IPC stream: {str(error)[:200]}."
            raise BadRequestError(400, "malformed", detail) from error


# from JSON


def _member(field: Field) -> tuple[Any, ...]:
    kind = TYPES.get(field.kind) or (int if field.integer else float)
    return (field.name, kind | None, LEFT_OUT[field.kind]) if field.nullable else (field.name, kind)


class _Read(NamedTuple):
    """A column of JSON.

    Attributes:
        n_left_out: Rows without it.
        n_colons: Colons in its texts.
    """

    values: Column
    n_left_out: int
    n_colons: int


def columns_of(rows: Iterable[Sequence[Any]], fields: list[Field]) -> Columns:
    """The columns of rows that have been read one by one."""
    return _named(_read_all((map(_json, row) for row in rows), fields), fields)


def _read_all(rows: Iterable[Iterable[Any]], fields: list[Field]) -> list[_Read]:
    columns = zip(*rows, strict=True)
    return [_READ[f.kind](values, f) for f, values in zip(fields, columns, strict=True)]


def _named(read: list[_Read], fields: list[Field]) -> Columns:
    return {field.name: column.values for field, column in zip(fields, read, strict=True)}


def _read_numbers(values: Sequence[Any], field: Field) -> _Read:
    import pyarrow as pa  # noqa: PLC0415

    if field.integer and not field.nullable:
        return _Read(pa.array(values, pa.int64()).to_numpy(), 0, 0)
    if field.integer:
        numbers = np.array(values, dtype=np.float64)
        n_null = values.count(None)
    else:
        array = pa.array(values, pa.float64())
        numbers, n_null = array.to_numpy(zero_copy_only=False), array.null_count
    return _Read(numbers, int(np.isnan(numbers).sum()) - n_null, 0)


def _read_texts(values: Sequence[Any], field: Field) -> _Read:
    import pyarrow as pa  # noqa: PLC0415

    coded = _coded(pa.array(values, pa.string()))
    counts = np.bincount(coded.codes, minlength=len(coded.values)).tolist()
    left_out = LEFT_OUT[field.kind]
    n_left_out = n_colons = 0
    if left_out in coded.values:
        place = coded.values.index(left_out)
        n_left_out, coded.values[place] = counts[place], None
    if ":" in "".join(filter(None, coded.values)):
        found = zip(coded.values, counts, strict=True)
        n_colons = sum(n * value.count(":") for value, n in found if value is not None)
    return _Read(coded, n_left_out, n_colons)


def _read_moments(values: Sequence[Any], field: Field) -> _Read:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    texts = pa.array(values, pa.string())
    there = pc.not_equal(texts, LEFT_OUT[field.kind])
    n_left_out = len(texts) - texts.null_count - (pc.sum(there).as_py() or 0)
    texts = pc.if_else(there, texts, None)
    lengths = pc.min_max(pc.binary_length(texts)).as_py().values()
    if not all(length in MOMENT_LENGTHS for length in lengths if length is not None):
        raise ValueError("some are shorter or longer than a moment of the usual form")
    n_colons = pc.sum(pc.count_substring(texts, ":")).as_py() or 0
    moments = texts.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    return _Read(moments.astype("datetime64[us]"), n_left_out, n_colons)


def _read_truths(values: Sequence[Any], field: Field) -> _Read:
    truths = np.array(values, dtype=np.float64)
    left_out = truths == LEFT_OUT[field.kind]
    return _Read(np.where(left_out, np.nan, truths), int(left_out.sum()), 0)


_READ: dict[str, Callable[[Any, Field], _Read]] = {
    "numeric": _read_numbers,
    "categorical": _read_texts,
    "datetime": _read_moments,
    "boolean": _read_truths,
}


def _coded(texts: "pa.Array") -> Coded[str | None]:
    found = texts.dictionary_encode(null_encoding="encode")
    codes = found.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return Coded(codes, found.dictionary.to_pylist())


# from Arrow


def _check_names(table: "pa.Table", fields: list[Field]) -> None:
    names = table.column_names
    unknown = sorted(set(names) - {field.name for field in fields})
    missing = [f.name for f in fields if f.name not in names and not f.nullable]
    if unknown or missing or len(set(names)) != len(names):
        raise BadRequestError(
            422,
            "shape",
            f"The columns are not those of the contract: unknown {unknown[:20]}, missing "
            f"{missing[:20]}{', some come twice' if len(set(names)) != len(names) else ''}.",
        )


def _cast(table: "pa.Table", field: Field) -> "pa.Array":
    """A column in the type of the contract, if it is of that kind; nulls if it is not there."""
    import pyarrow as pa  # noqa: PLC0415

    target, fits = _type(field)
    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, target)
    column = table.column(field.name)
    if not fits(column.type):
        raise BadRequestError(
            422, "type", f"Column '{field.name}' is {column.type}; the contract says {target}."
        )
    try:
        array = column.cast(target).combine_chunks()
    except pa.ArrowException as error:
        raise BadRequestError(422, "type", f"Column '{field.name}': {str(error)[:200]}.") from error
    found = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    if field.kind == "datetime" and not _within_calendar(found):
        detail = f"Column '{field.name}' has moments beyond the years 1 to 9999."
        raise BadRequestError(422, "type", detail)
    return found


def _within_calendar(moments: "pa.Array") -> bool:
    import pyarrow.compute as pc  # noqa: PLC0415

    found = pc.min_max(moments.cast("int64")).as_py()
    return found["min"] is None or (found["min"] >= FIRST and found["max"] <= LAST)


def _type(field: Field) -> tuple[Any, Callable[[Any], bool]]:
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import types  # noqa: PLC0415

    if field.kind == "categorical":
        return pa.string(), lambda t: (
            types.is_string(t) or types.is_large_string(t)
            or (types.is_dictionary(t) and types.is_string(t.value_type))
        )  # fmt: skip
    if field.kind == "datetime":
        return pa.timestamp("us"), lambda t: types.is_timestamp(t) and t.tz is None
    if field.kind == "boolean":
        return pa.bool_(), types.is_boolean
    if field.integer:
        return pa.int64(), types.is_integer
    return pa.float64(), lambda t: types.is_floating(t) or types.is_integer(t)


def _as_column(array: "pa.Array", field: Field) -> Column:
    if field.kind == "categorical":
        return _coded(array)
    if field.kind == "boolean":
        array = array.cast("uint8").cast("float64")
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values.astype("datetime64[us]") if field.kind == "datetime" else values


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and np.isnan(value) else value


# from both


def _breaks(column: Column, field: Field) -> NDArray[np.bool_] | bool:
    """Which rows may break the contract; these are then judged like any others."""
    if isinstance(column, Coded):
        judged = left_to_judge(field)
        bad = [judged or not _text_fits(value, field) for value in column.values]
        return np.array(bad)[column.codes] if any(bad) else False
    if field.kind == "datetime":
        missing = np.isnat(column)
    else:
        missing = np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), bool)
    broken = np.zeros(len(column), bool) if field.nullable else missing
    if field.kind == "numeric":
        broken = broken | np.isinf(column)
        if field.integer and field.nullable:
            broken |= np.abs(column) >= MAX_EXACT
        for rule, breaks in _BREAKS.items():
            if rule in field.rules:
                broken |= breaks(column, field.rules[rule])
    if field.allowed is not None or field.forbidden or left_to_judge(field):
        broken = broken | ~missing  # few contracts have these, so they are all judged
    return broken


_BREAKS: dict[str, Callable[[Any, Any], Any]] = {
    "gt": np.less_equal,
    "ge": np.less,
    "lt": np.greater_equal,
    "le": np.greater,
}


def _text_fits(value: str | None, field: Field) -> bool:
    if value is None:
        return field.nullable
    if field.allowed is not None:
        return value in field.allowed
    pattern = field.rules.get("pattern")
    return (
        len(value) <= MAX_TEXT
        and value not in field.forbidden
        and (pattern is None or ("\n" not in value and re.search(pattern, value) is not None))
    )
