"""Large requests: many rows at once, column by column."""

import io
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flight_delays.portable.encoding import Arrays, Coded
from flight_delays.portable.plan import Field

from .answers import MADE, TableAnswers, missing_text
from .features import FeatureStore
from .reading import BadRequestError, RowReader, left_to_judge
from .rows import MAX_TEXT

if TYPE_CHECKING:
    import pyarrow as pa

# the moments that there are in Python and JSON, in microseconds
FIRST = int(np.datetime64(datetime.min, "us").astype(int))  # noqa: DTZ901
LAST = int(np.datetime64(datetime.max, "us").astype(int))  # noqa: DTZ901
# rows that may break the contract and are looked at one by one, until it is known how
ROWS_A_TRIAL = 100


def columns_of(
    columns: Sequence[Sequence[Any]], fields: list[Field]
) -> dict[str, Coded | NDArray[Any]]:
    """The columns of rows that have been read, as arrays."""
    return {
        field.name: _column(values, field) for field, values in zip(fields, columns, strict=True)
    }


def _column(values: Sequence[Any], field: Field) -> Coded | NDArray[Any]:
    if field.kind == "categorical":
        place: dict[str | None, int] = {}
        codes = [place.setdefault(value, len(place)) for value in values]
        return Coded(np.array(codes), list(place))
    if field.kind == "datetime":
        import pyarrow as pa  # noqa: PLC0415 - four times as quick as NumPy

        moments: NDArray[Any] = pa.array(values, pa.timestamp("us")).to_numpy()
        return moments
    if field.integer and not field.nullable:
        return np.array(values, dtype=np.int64)
    return np.array(values, dtype=np.float64)


def complete_table(
    columns: Arrays, store: FeatureStore, event_time: str, names: Sequence[str]
) -> tuple[dict[str, Coded | NDArray[Any]], list[dict[str, str]]]:
    """Add the looked-up columns.

    Args:
        columns: The columns that were sent, named ``names`` in the order of the plan's fields.
        store: Where the others are looked up.
        event_time: The column that says for which day.
        names: See above.

    Returns:
        All the columns, and per row why values are missing.
    """
    completed = dict(columns)
    kinds = {field.name: field for field in store.plan.looked_up}
    n_rows = len(np.asarray(columns[event_time]))
    nothing: dict[str, str] = {}
    missing = [nothing] * n_rows
    days = np.asarray(columns[event_time]).astype("datetime64[D]")
    for number, group in enumerate(store.groups):
        entities = columns[names[group.by]]
        assert isinstance(entities, Coded)
        keys, place = _distinct(entities, None if group.day is None else days)
        entries = store.read({number: {key for key in keys if key[0] is not None}})[number]
        found = [entries.get(key) or store.nothing(number) for key in keys]
        for position, name in enumerate(group.names):
            values = [entry[0][position] for entry in found]
            completed[name] = _looked_up(values, kinds[name], place)
        lacking = np.array([bool(entry[1]) for entry in found])[place]
        for row in np.flatnonzero(lacking).tolist():
            missing[row] = missing[row] | found[place[row]][1]
    return completed, missing


def _looked_up(values: list[Any], field: Field, place: NDArray[np.int64]) -> Coded | NDArray[Any]:
    """A looked-up column from its distinct values; numbers that were not found are NaN."""
    if field.kind in ("numeric", "boolean"):
        return np.array(values, dtype=np.float64)[place]
    column = _column(values, field)
    return Coded(column.codes[place], column.values) if isinstance(column, Coded) else column[place]


def _distinct(
    entities: Coded, days: NDArray[np.datetime64] | None
) -> tuple[list[tuple[Any, date | None]], NDArray[np.int64]]:
    """The distinct keys, and for each row the place of its own."""
    if days is None:
        return [(value, None) for value in entities.values], entities.codes
    numbers = days.astype(np.int64)
    first = numbers.min()
    span = int(numbers.max() - first) + 1
    distinct, place = np.unique(entities.codes * span + (numbers - first), return_inverse=True)
    codes, offsets = np.divmod(distinct, span)
    asked: list[date] = (offsets + first).astype("datetime64[D]").tolist()
    values = [entities.values[code] for code in codes.tolist()]
    return list(zip(values, asked, strict=True)), place


def read_arrow(body: bytes, fields: list[Field], reader: RowReader) -> Arrays:
    """The columns of an Arrow IPC stream.

    Raises:
        BadRequestError: if it is none, or its rows break the contract.
    """
    import pyarrow as pa  # noqa: PLC0415 - large, and only for these requests

    try:
        with pa.ipc.open_stream(io.BytesIO(body)) as stream:
            batches = _limited(stream, reader)
            table = pa.Table.from_batches(batches, stream.schema)
        table.validate(full=True)
        table = table.combine_chunks()
    except (pa.ArrowException, OSError, ValueError) as error:
        detail = f"The body is no Arrow IPC stream: {str(error)[:200]}."
        raise BadRequestError(400, "malformed", detail) from error
    if not table.num_rows:
        raise BadRequestError(422, "shape", "The table has no rows; send at least one.")
    _check_names(table, fields)
    arrays = {field.name: _cast(table, field) for field in fields}
    columns = {field.name: _as_column(arrays[field.name], field) for field in fields}
    broken = np.zeros(table.num_rows, dtype=bool)
    for field in fields:
        broken |= _breaks(columns[field.name], field)
    suspects = np.flatnonzero(broken).tolist()
    for first in range(0, len(suspects), ROWS_A_TRIAL):
        numbers = suspects[first : first + ROWS_A_TRIAL]
        rows = [{name: _json(array[i].as_py()) for name, array in arrays.items()} for i in numbers]
        reader.refuse(rows, numbers)
    return columns


def _as_column(array: "pa.Array", field: Field) -> Coded | NDArray[Any]:
    if field.kind == "categorical":
        coded = array.dictionary_encode(null_encoding="encode")
        codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return Coded(codes, coded.dictionary.to_pylist())
    if field.kind == "boolean":
        array = array.cast("uint8").cast("float64")
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values.astype("datetime64[us]") if field.kind == "datetime" else values


def _breaks(column: Coded | NDArray[Any], field: Field) -> NDArray[np.bool_] | bool:
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


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and np.isnan(value) else value


def _limited(stream: Any, reader: RowReader) -> list[Any]:
    """The batches, as long as there are not too many rows."""
    batches, n_rows = [], 0
    for batch in stream:
        n_rows += batch.num_rows
        reader.check_count(n_rows)
        batches.append(batch)
    return batches


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


def logged_table(
    columns: Arrays, names: list[str], answers: TableAnswers, now: datetime
) -> "pa.Table":
    """The rows as the prediction log has them."""
    import pyarrow as pa  # noqa: PLC0415

    n_rows = len(answers.ids)
    made = [
        pa.array(answers.ids),
        pa.array(np.full(n_rows, np.datetime64(now, "us"))),
        pa.repeat(answers.model_version, n_rows),
        pa.array(answers.probabilities),
        pa.array(answers.decisions),
        pa.repeat("champion", n_rows),
        pa.array(list(map(missing_text, answers.missing)), pa.string()),
    ]
    return pa.table([*(_arrow(columns[name]) for name in names), *made], names=[*names, *MADE])


def _arrow(column: Coded | NDArray[Any]) -> "pa.Array":
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(column, Coded):
        return pa.array(column.values, pa.string()).take(pa.array(column.codes))
    if column.dtype.kind == "f":
        return pa.array(column, from_pandas=True)
    return pa.array(column)


def write_arrow(answers: TableAnswers) -> bytes:
    """The answers as an Arrow IPC stream."""
    import pyarrow as pa  # noqa: PLC0415

    unseen = [",".join(names) or None for names in answers.unseen]
    table = pa.table(
        {
            "prediction_id": answers.ids,
            "probability": answers.probabilities,
            "decision": answers.decisions,
            "model_version": pa.repeat(answers.model_version, len(answers.ids)),
            "missing_features": pa.array(list(map(missing_text, answers.missing)), pa.string()),
            "unseen_categories": pa.array(unseen, pa.string()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
