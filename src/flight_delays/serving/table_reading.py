"""Large requests as they come in: bytes to columns, judged a column at a time.

What looks wrong is left to the judge of single rows, who says what is.
"""

import io
import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from flight_delays.portable.encoding import Coded, Column
from flight_delays.portable.plan import Field

from .arrow_columns import as_column, cast, check_names
from .json_columns import Columns, by_name, columns_of, member, read_all
from .reading import BadRequestError, RowReader, hides_colons, left_to_judge, request_decoder
from .rows import MAX_TEXT

if TYPE_CHECKING:
    import pyarrow as pa

# rows that may break the contract and are looked at one by one, until it is known how
ROWS_A_TRIAL = 100
# integers beyond it are not exact where they may be missing
MAX_EXACT = 2.0**53


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
        self._decode = request_decoder([member(field) for field in fields], max_rows)

    def read_json(self, body: bytes) -> Columns:
        """The columns of ``{"rows": [...]}``.

        Raises:
            BadRequestError: if it is not JSON, or a row breaks the contract.
        """
        try:
            rows = self._decode(body).rows
            read = read_all(map(msgspec.structs.astuple, rows), self._fields)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            return columns_of(self._rows.judged(body), self._fields)
        # a key that comes twice shows as a colon more than there should be
        n_keys = len(rows) * len(read) - sum(column.n_left_out for column in read)
        n_colons = 1 + n_keys + sum(column.n_colons for column in read)
        columns = by_name(read, self._fields)
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
        check_names(table, self._fields)
        arrays = {field.name: cast(table, field) for field in self._fields}
        columns = {field.name: as_column(arrays[field.name], field) for field in self._fields}
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


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and np.isnan(value) else value


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
    if left_to_judge(field):
        return broken | ~missing
    if field.allowed is not None:
        broken = broken | ~(missing | np.isin(column, field.allowed))
    return broken | np.isin(column, field.forbidden) if field.forbidden else broken


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
