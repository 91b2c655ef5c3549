"""Large requests as they come in: bytes to columns, judged a column at a time.

What looks wrong is left to the judge of single rows, who says what is.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kedro_mlops.runtime.checks import asked_of
from kedro_mlops.runtime.encoding import ArrayColumn, Coded
from kedro_mlops.runtime.field_types import MAX_TEXT
from kedro_mlops.runtime.serving_spec import Field

from .arrow_columns import as_column, check_schema
from .arrow_stream import read_stream
from .json_columns import Columns, by_name, columns_of, inexact, member, read_all
from .limits import DeadlineCheck, no_deadline
from .reading import RowReader, hides_colons, request_decoder
from .refusals import BadRequestError

# the moments that Python knows
FIRST_MOMENT = np.datetime64("0001-01-01T00:00:00.000000")
LAST_MOMENT = np.datetime64("9999-12-31T23:59:59.999999")
# rows that may break the contract and are looked at one by one, until it is known how
ROWS_A_TRIAL = 100


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
        self._max_rows = max_rows
        self._decode = request_decoder([member(field) for field in fields], max_rows)

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
            columns = columns_of(self._rows.judged(body, check_deadline), self._fields)
        return columns

    def _read_at_once(self, body: bytes, check_deadline: DeadlineCheck) -> Columns | None:
        """The columns of a request that is right beyond doubt; None for any other."""
        # each row begins with one: there is to be an end to what the decoder makes
        if body.count(b"{") > 1 + self._max_rows:
            return None
        try:
            rows = self._decode(body).rows
            check_deadline()
            read = read_all(map(msgspec.structs.astuple, rows), self._fields)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            return None
        check_deadline()
        # a key that comes twice shows as a colon more than there should be
        n_keys = len(rows) * len(read) - sum(column.n_left_out for column in read)
        n_colons = 1 + n_keys + sum(column.n_colons for column in read)
        columns = by_name(read, self._fields)
        if (
            n_colons != np.count_nonzero(np.frombuffer(body, np.uint8) == ord(":"))
            or hides_colons(body)
            or self._suspects(columns).any()
        ):
            return None
        return columns

    def read_arrow(self, body: bytes, check_deadline: DeadlineCheck = no_deadline) -> Columns:
        """The columns of an Arrow IPC stream.

        Args:
            body: Of the request.
            check_deadline: Called between steps.

        Raises:
            BadRequestError: if it is none, or its rows break the contract.
        """
        table = read_stream(
            body,
            lambda schema: check_schema(schema, self._fields),
            self._rows.check_count,
            check_deadline,
        )
        if not table.num_rows:
            raise BadRequestError(422, "shape", "The table has no rows; send at least one.")
        columns: Columns = {}
        for field in self._fields:
            check_deadline()
            columns[field.name] = as_column(table, field)
        suspects = np.flatnonzero(self._suspects(columns)).tolist()
        for first in range(0, len(suspects), ROWS_A_TRIAL):
            check_deadline()
            numbers = suspects[first : first + ROWS_A_TRIAL]
            rows = [{f.name: _json(columns[f.name], i, f) for f in self._fields} for i in numbers]
            self._rows.refuse(rows, numbers)
        return columns | {
            f.name: np.asarray(columns[f.name]).astype(np.int64, copy=False)
            for f in self._fields
            if f.integer and not f.nullable
        }

    def _suspects(self, columns: Columns) -> NDArray[np.bool_]:
        """Which rows may break the contract."""
        suspects: NDArray[np.bool_] = np.zeros(1, dtype=bool)
        for field in self._fields:
            suspects = suspects | _breaks(columns[field.name], field)
        return suspects


def _json(column: ArrayColumn, row: int, field: Field) -> Any:
    """A value as JSON has it."""
    if isinstance(column, Coded):
        return column.values[column.codes[row]]
    if field.kind == "datetime":
        return None if np.isnat(column[row]) else str(column[row])
    value = column[row].item()
    if isinstance(value, float) and np.isnan(value):
        return None
    return bool(value) if field.kind == "boolean" and value is not None else value


def _breaks(column: ArrayColumn, field: Field) -> NDArray[np.bool_] | bool:
    """Which rows may break the contract; these are then judged like any others."""
    if isinstance(column, Coded):
        bad = [not fits for fits in _texts_fit(column.values, field)]
        return np.array(bad)[column.codes] if any(bad) else False
    if field.kind == "datetime":
        missing = np.isnat(column)
    else:
        missing = np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), bool)
    broken = np.zeros(len(column), bool) if field.nullable else missing
    if field.kind == "datetime":
        broken = broken | (column < FIRST_MOMENT) | (column > LAST_MOMENT)
    if field.kind == "numeric":
        broken = broken | np.isinf(column)
        if field.integer and column.dtype.kind == "f":
            broken = broken | (inexact(column) & ~missing)
    for check, limit, _ in asked_of(field):
        assert check.array is not None
        typed = np.array(limit, column.dtype) if field.kind == "datetime" else limit
        broken = broken | ~(check.array(column, typed) | missing)
    return broken


def _texts_fit(values: list[str | None], field: Field) -> list[bool]:
    judges = [check.value(limit) for check, limit, _ in asked_of(field)]
    return [
        field.nullable
        if value is None
        else len(value) <= MAX_TEXT and all(keeps(value) for keeps in judges)
        for value in values
    ]
