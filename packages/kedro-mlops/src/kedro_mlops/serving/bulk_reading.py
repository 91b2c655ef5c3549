"""Large requests as they come in: bytes to columns, judged a column at a time.

What looks wrong is left to the judge of single rows, who says what is.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from kedro_mlops.runtime.checks import asked_of
from kedro_mlops.runtime.encoding import NAN, ArrayColumn, Coded
from kedro_mlops.runtime.field_types import MAX_TEXT, longest
from kedro_mlops.runtime.serving_spec import Field

from .arrow_columns import MAX_EXACT, as_column, check_schema
from .arrow_stream import MAX_TABLE_BYTES, Stream
from .limits import DeadlineCheck, no_deadline
from .reading import RowReader, hides_colons, request_decoder
from .refusals import BadRequestError, refused_rows

if TYPE_CHECKING:
    import pyarrow as pa

# rows that may break the contract and are looked at one by one, until it is known how
ROWS_A_TRIAL = 100
INT64 = np.iinfo(np.int64)
# 2013-07-15T17:30:00, and up to six digits of a second
MOMENT = Annotated[str, Meta(min_length=19, max_length=26)]
# an integer may be written with a point or an exponent
INTEGER = Annotated[int, Meta(ge=int(INT64.min), le=int(INT64.max))] | float

Columns = dict[str, ArrayColumn]


class TableReader:
    """Reads large requests.

    Args:
        rows: Reads small ones, and judges.
        names: What its fields are called here, if not as callers call them.
    """

    def __init__(self, rows: RowReader, names: Sequence[str] | None = None) -> None:
        self._names = names or [field.name for field in rows.fields]
        self._fields = rows.fields
        self._rows = rows
        self._decode = request_decoder([_member(field) for field in rows.fields], rows.max_rows)

    def read_json(self, body: bytes, check_deadline: DeadlineCheck = no_deadline) -> Columns:
        """The columns of ``{"rows": [...]}``.

        Args:
            body: Of the request.
            check_deadline: Called between steps.

        Raises:
            BadRequestError: if it is not JSON, or a row breaks the contract.
        """
        columns = self._read_at_once(body, check_deadline)
        if columns is None:
            judged = self._rows.judged(body, check_deadline)
            columns = self._whole(columns_of(judged, self._fields))
        return columns

    def _read_at_once(self, body: bytes, check_deadline: DeadlineCheck) -> Columns | None:
        """The columns of a request that is right beyond doubt; None for any other."""
        # each row begins with one: there is to be an end to what the decoder makes
        if _n_times("{", body) > 1 + self._rows.max_rows:
            return None
        try:
            rows = self._decode(body).rows
            check_deadline()
            table, n_colons = _arrow_table(map(msgspec.structs.astuple, rows), self._fields)
            # a key that comes twice shows as a colon more than there should be
            if hides_colons(body) or n_colons != _n_times(":", body):
                return None
            columns = _columns(table, self._fields, check_deadline)
        except (
            msgspec.MsgspecError, ValueError, OverflowError, RecursionError, BadRequestError
        ):  # fmt: skip
            return None
        return None if self._suspects(columns).any() else self._whole(columns)

    def read_arrow(self, body: bytes, check_deadline: DeadlineCheck = no_deadline) -> Columns:
        """The columns of an Arrow IPC stream.

        Args:
            body: Of the request.
            check_deadline: Called between steps.

        Raises:
            BadRequestError: if it is none, or its rows break the contract.
        """
        table = Stream(body, check_deadline).read(
            lambda schema: check_schema(schema, self._fields), self._rows.check_count
        )
        if not table.num_rows:
            raise refused_rows("shape", "The table has no rows; send at least one.")
        columns = _columns(table, self._fields, check_deadline)
        _check_long_texts(columns, self._fields)
        suspects = np.flatnonzero(self._suspects(columns)).tolist()
        for first in range(0, len(suspects), ROWS_A_TRIAL):
            check_deadline()
            numbers = suspects[first : first + ROWS_A_TRIAL]
            rows = [{f.name: _json(columns[f.name], i, f) for f in self._fields} for i in numbers]
            self._rows.refuse(rows, numbers)
        return self._whole(columns)

    def _suspects(self, columns: Columns) -> NDArray[np.bool_]:
        """Which rows may break the contract."""
        suspects: NDArray[np.bool_] = np.zeros(1, dtype=bool)
        for field in self._fields:
            suspects = suspects | _breaks(columns[field.name], field)
        return suspects

    def _whole(self, columns: Columns) -> Columns:
        """The columns by name, with integers as such, unless some are missing."""
        return {
            name: _typed(columns[field.name], field)
            for name, field in zip(self._names, self._fields, strict=True)
        }


def _typed(column: ArrayColumn, field: Field) -> ArrayColumn:
    if not field.integer or isinstance(column, Coded) or np.isnan(column).any():
        return column
    return column.astype(np.int64, copy=False)


def columns_of(rows: Iterable[Sequence[Any]], fields: list[Field]) -> Columns:
    """The columns of rows that have been read one by one."""
    return _columns(_arrow_table(rows, fields)[0], fields, no_deadline)


def _columns(table: "pa.Table", fields: list[Field], check_deadline: DeadlineCheck) -> Columns:
    columns: Columns = {}
    for field in fields:
        check_deadline()
        columns[field.name] = as_column(table, field)
    return columns


def _check_long_texts(columns: Columns, fields: list[Field]) -> None:
    """Refuse rows that would take much more, written out, than the words of dictionaries do."""
    n_characters = 0
    for field in fields:
        column = columns[field.name]
        if longest(field) > MAX_TEXT and isinstance(column, Coded):
            lengths = np.array([len(value or "") for value in column.values])
            n_characters += int(lengths[column.codes].sum())
    if n_characters > MAX_TABLE_BYTES:
        raise refused_rows(
            "shape",
            f"The texts have {n_characters:,} characters in all, more than the "
            f"{MAX_TABLE_BYTES:,} that one request may have; send the rows in several.",
        )


def _member(field: Field) -> tuple[Any, ...]:
    """A field for the decoder: of the right type, and marked where it is left out."""
    kind = {
        "numeric": INTEGER if field.integer else float,
        "categorical": Annotated[str, Meta(max_length=longest(field))],
        "datetime": MOMENT,
        "boolean": bool,
    }[field.kind]
    if not field.nullable:
        return field.name, kind
    if field.kind == "numeric":
        return field.name, kind | None, NAN
    return field.name, kind | None | UnsetType, UNSET


def _arrow_table(rows: Iterable[Sequence[Any]], fields: list[Field]) -> tuple["pa.Table", int]:
    """Rows of JSON in Arrow, and the colons that they have in JSON.

    Raises:
        ValueError, OverflowError: if something does not fit, or may mean something else.
    """
    import pyarrow as pa  # noqa: PLC0415 - large, and only for these requests

    columns = zip(*rows, strict=True)
    read = [_arrow(values, field) for values, field in zip(columns, fields, strict=True)]
    table = pa.table([array for array, _ in read], names=[field.name for field in fields])
    return table, 1 + sum(n_colons for _, n_colons in read)


def _arrow(values: Sequence[Any], field: Field) -> tuple["pa.Array", int]:
    """The values of a field, where moments may be text, and the colons of its keys and texts."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    of_key = 1 + field.name.count(":")
    if field.kind == "numeric":
        # of a type that Arrow finds by itself: asked for integers, it would cut fractions off
        array = pa.array(values, None if field.integer else pa.float64())
        return array, of_key * (len(values) - (pc.sum(pc.is_nan(array)).as_py() or 0))
    n_colons = of_key * len(values)
    if field.nullable:
        n_colons -= of_key * values.count(UNSET)
        values = [None if value is UNSET else value for value in values]
    array = pa.array(values, pa.string() if field.kind == "categorical" else None)
    if pa.types.is_string(array.type):
        n_colons += pc.sum(pc.count_substring(array, ":")).as_py() or 0
        if field.kind == "datetime":
            array = array.cast(pa.timestamp("us"))
    return array, n_colons


def _n_times(character: str, body: bytes) -> int:
    """How often a character of ASCII is in a large body."""
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord(character)))


def _json(column: ArrayColumn, row: int, field: Field) -> Any:
    """A value as JSON has it."""
    if isinstance(column, Coded):
        return column.values[column.codes[row]]
    if field.kind == "datetime":
        return None if np.isnat(column[row]) else str(column[row])
    value = column[row].item()
    if np.isnan(value):
        return None
    return bool(value) if field.kind == "boolean" else value


def _breaks(column: ArrayColumn, field: Field) -> NDArray[np.bool_] | bool:
    """Which rows may break the contract; these are then judged like any others."""
    if isinstance(column, Coded):
        bad = [not fits for fits in _fit(column.values, field)]
        return np.array(bad)[column.codes] if any(bad) else False
    if field.kind == "datetime":
        missing = np.isnat(column)
    else:
        missing = np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), bool)
    broken = np.zeros(len(column), bool) if field.nullable else missing
    if field.kind == "numeric":
        broken = broken | np.isinf(column)
        if field.integer and column.dtype.kind == "f":
            broken = broken | (_inexact(column) & ~missing)
    for check, limit, _ in asked_of(field):
        assert check.array is not None
        typed = np.array(limit, column.dtype) if field.kind == "datetime" else limit
        broken = broken | ~(check.array(column, typed) | missing)
    return broken


def _inexact(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """Which floats are no integers, or so large that these might have been others."""
    found: NDArray[np.bool_] = (np.abs(numbers) >= MAX_EXACT) | (np.trunc(numbers) != numbers)
    return found


def _fit(values: list[Any], field: Field) -> list[bool]:
    judges = [check.value(limit) for check, limit, _ in asked_of(field)]
    if field.kind == "categorical":
        judges.insert(0, lambda text: len(text) <= longest(field))
    return [
        field.nullable if value is None else all(keeps(value) for keeps in judges)
        for value in values
    ]
