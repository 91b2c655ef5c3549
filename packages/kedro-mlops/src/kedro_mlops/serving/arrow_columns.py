"""Columns of Arrow, in the types of the contract."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kedro_mlops.runtime.coercion import no_values
from kedro_mlops.runtime.encoding import ArrayColumn, Coded, as_coded
from kedro_mlops.runtime.field_types import longest
from kedro_mlops.runtime.serving_spec import Field

from .arrow_stream import MAX_TABLE_BYTES
from .refusals import BadRequestError, refused_rows
from .validation_errors import MAX_QUOTED

if TYPE_CHECKING:
    import pyarrow as pa

# the moments that there are in Python and JSON
FIRST, LAST = (np.datetime64(edge, "us") for edge in (datetime.min, datetime.max))  # noqa: DTZ901
LARGEST = np.iinfo(np.int64).max
# integers beyond it are not exact as floats
MAX_EXACT = 2.0**53
# names of columns in a message
MAX_NAMED = 20
# of a character in UTF-8
CHARACTER_BYTES = 4

A = TypeVar("A")
B = TypeVar("B")


def check_schema(schema: "pa.Schema", fields: list[Field]) -> None:
    """Refuse a table without a column that is needed, or with one that is not of the contract."""
    names = schema.names
    known = {field.name for field in fields}
    unknown = sorted(set(names) - known)
    missing = [f.name for f in fields if f.name not in names and not f.nullable]
    if unknown or missing or len(set(names)) != len(names):
        unknown = [name[:MAX_QUOTED] for name in unknown[:MAX_NAMED]]
        raise refused_rows(
            "shape",
            f"The columns are not those of the contract: unknown {unknown}, missing "
            f"{missing[:MAX_NAMED]}{', some come twice' if len(set(names)) != len(names) else ''}.",
        )
    for field in fields:
        if field.name in names:
            _check_type(schema.field(field.name).type, field)


def _check_type(found: "pa.DataType", field: Field) -> None:
    if _is_null(found):
        if not field.nullable:
            raise _unfit(field, "is null: it has no values, and needs them")
    elif not _fits(found, field):
        name = str(found)[:MAX_QUOTED]
        raise _unfit(field, f"is {name}; the contract says {field.types.words}")


def _fits(found: "pa.DataType", field: Field) -> bool:
    from pyarrow import types  # noqa: PLC0415

    if field.kind == "categorical":
        values = found.value_type if types.is_dictionary(found) else found
        return bool(
            types.is_string(values) or types.is_large_string(values) or types.is_string_view(values)
        )
    if field.kind == "datetime":
        return bool(types.is_date(found) or (types.is_timestamp(found) and found.tz is None))
    if field.kind == "boolean":
        return bool(types.is_boolean(found))
    # whether a float is an integer is a question of its value
    return bool(types.is_integer(found) or types.is_floating(found) or types.is_decimal(found))


def _is_null(found: "pa.DataType") -> bool:
    from pyarrow import types  # noqa: PLC0415

    return bool(types.is_null(found.value_type if types.is_dictionary(found) else found))


def as_column(table: "pa.Table", field: Field) -> ArrayColumn:
    """A column as the model takes it, missing everywhere if it is not there.

    Raises:
        BadRequestError: if it is damaged, or has what fits no column of the kind.
    """
    import pyarrow as pa  # noqa: PLC0415

    column = pa.chunked_array([pa.nulls(table.num_rows)])
    if field.name in table.column_names and not _is_null(table.field(field.name).type):
        column = table.column(field.name)
    try:
        return _READ[field.kind](column, field)
    except (pa.ArrowException, ValueError) as error:
        # Arrow's own words may quote values
        raise _unfit(
            field, "is damaged: its bytes do not fit what the stream says of it"
        ) from error


def _read_numbers(column: "pa.ChunkedArray", field: Field) -> ArrayColumn:
    import pyarrow.compute as pc  # noqa: PLC0415
    from pyarrow import types  # noqa: PLC0415

    column.validate(full=True)
    is_large = types.is_uint64(column.type) and (pc.max(column).as_py() or 0) > LARGEST
    if field.integer and is_large:
        raise _unfit(field, "has numbers beyond 64 bits")
    whole = _whole(column) if field.integer else None
    if whole is not None and whole.null_count and _beyond_floats(whole):
        return as_coded(whole.combine_chunks())
    found = column.cast("float64", safe=False) if whole is None else whole
    numbers: NDArray[Any] = found.to_numpy()
    return numbers


def _whole(column: "pa.ChunkedArray") -> "pa.ChunkedArray | None":
    """Numbers as integers, if all of them are some."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        return column.cast("int64")
    except pa.ArrowInvalid:
        return None


def _beyond_floats(whole: "pa.ChunkedArray") -> bool:
    import pyarrow.compute as pc  # noqa: PLC0415

    low, high = pc.min_max(whole).as_py().values()
    return low is not None and max(-low, high) >= MAX_EXACT


def _read_moments(column: "pa.ChunkedArray", field: Field) -> ArrayColumn:
    column.validate(full=True)
    if _is_null(column.type):
        return np.full(len(column), np.datetime64("NaT", "us"))
    moments: NDArray[Any] = column.to_numpy()
    unit = np.datetime_data(moments.dtype)[0]
    # those of nanoseconds are all within
    first, last = (edge.astype(f"M8[{unit}]") for edge in (FIRST, LAST))
    if unit != "ns" and ((moments < first) | (moments > last)).any():
        raise _unfit(field, "has moments beyond the years 1 to 9999")
    return moments.astype("datetime64[us]")


def _read_truths(column: "pa.ChunkedArray", _: Field) -> ArrayColumn:
    column.validate(full=True)
    truths: NDArray[Any] = column.cast("uint8").cast("float64").to_numpy()
    return truths


def _read_texts(column: "pa.ChunkedArray", field: Field) -> ArrayColumn:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    chunks = [_texts(chunk, field) for chunk in column.chunks]
    texts = pa.chunked_array(chunks, pa.string()).combine_chunks()
    if words := no_values(field):
        is_none = pc.is_in(texts, pa.array(sorted(words)))
        texts = pc.if_else(is_none, pa.scalar(None, pa.string()), texts)
    return as_coded(texts)


_READ: dict[str, Callable[["pa.ChunkedArray", Field], ArrayColumn]] = {
    "numeric": _read_numbers,
    "categorical": _read_texts,
    "datetime": _read_moments,
    "boolean": _read_truths,
}


def _texts(array: "pa.Array", field: Field) -> "pa.StringArray":
    """Text of any type as plain text, of which no more is kept than shows that it is too long."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415
    from pyarrow import types  # noqa: PLC0415

    if _is_null(array.type) or not len(array):
        return pa.nulls(len(array), pa.string())
    array.validate()
    if types.is_dictionary(array.type):
        values = _texts(array.dictionary, field)
        array.validate(full=True)
        lengths = pc.binary_length(values).take(array.indices)
        _check_together(pc.sum(lengths.cast(pa.int64())).as_py() or 0, field)
        return values.take(array.indices)
    if types.is_string_view(array.type):
        _check_views(array, field)
    array.validate(full=True)
    texts = array.cast(pa.string())
    if (pc.max(pc.binary_length(texts)).as_py() or 0) <= longest(field):
        return texts
    return pc.utf8_slice_codeunits(texts, 0, longest(field) + 1)


def _check_views(array: "pa.Array", field: Field) -> None:
    """Refuse views that show more than there may be: many may show the same long text."""
    views = np.frombuffer(array.buffers()[1], np.int32)[4 * array.offset :]
    lengths = views[: 4 * len(array) : 4][array.is_valid().to_numpy(zero_copy_only=False)]
    if lengths.max(initial=0) > CHARACTER_BYTES * longest(field):
        raise _unfit(field, f"has text of more than {longest(field)} characters")
    _check_together(int(lengths.sum(dtype=np.int64)), field)


def _check_together(n_bytes: int, field: Field) -> None:
    """Refuse texts that together are more than there may be, however often one is shown."""
    if n_bytes > MAX_TABLE_BYTES:
        raise _unfit(field, f"has texts of more than {MAX_TABLE_BYTES:,} bytes in all")


def _unfit(field: Field, what: str) -> BadRequestError:
    return refused_rows("type", f"Column '{field.name}' {what}.")


def whole_numbers(column: ArrayColumn) -> "pa.Array":
    """Integers as such, of which some may be missing."""
    import pyarrow as pa  # noqa: PLC0415 - large, and only for these requests

    if isinstance(column, Coded):
        return pa.array(column.values, pa.int64()).take(column.codes)
    return pa.array(column, from_pandas=True).cast(pa.int64())


def pairs(first: Coded[A], second: Coded[B]) -> Coded[tuple[A, B]]:
    """What two columns have together in each row; every pair is named once."""
    import pyarrow as pa  # noqa: PLC0415 - large, and only for these requests

    n_second = len(second.values)
    codes, found = as_coded(pa.array(first.codes * n_second + second.codes))
    places = (divmod(pair, n_second) for pair in found)
    return Coded(codes, [(first.values[i], second.values[j]) for i, j in places])
