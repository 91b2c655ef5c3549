"""Columns of Arrow, in the types of the contract."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from flight_delays.portable.encoding import Coded, Column
from flight_delays.portable.plan import Field

from .reading import BadRequestError

if TYPE_CHECKING:
    import pyarrow as pa

# the moments that there are in Python and JSON, in microseconds
FIRST = int(np.datetime64(datetime.min, "us").astype(int))  # noqa: DTZ901
LAST = int(np.datetime64(datetime.max, "us").astype(int))  # noqa: DTZ901


A = TypeVar("A")
B = TypeVar("B")


def check_names(table: "pa.Table", fields: list[Field]) -> None:
    """Refuse a table without a column that is needed, or with one that is not known."""
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


def cast(table: "pa.Table", field: Field) -> "pa.Array":
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


def as_column(array: "pa.Array", field: Field) -> Column:
    """A column as the model takes it."""
    if field.kind == "categorical":
        return as_coded(array)
    if field.kind == "boolean":
        array = array.cast("uint8").cast("float64")
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values.astype("datetime64[us]") if field.kind == "datetime" else values


def as_coded(texts: "pa.Array") -> Coded[str | None]:
    """Text as the positions of its distinct values."""
    found = texts.dictionary_encode(null_encoding="encode")
    codes = found.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return Coded(codes, found.dictionary.to_pylist())


def pairs(first: Coded[A], second: Coded[B]) -> Coded[tuple[A, B]]:
    """What two columns have together in each row; every pair is named once."""
    import pyarrow as pa  # noqa: PLC0415 - large, and only for these requests

    n_second = len(second.values)
    found = pa.array(first.codes * n_second + second.codes).dictionary_encode()
    ours, theirs = np.divmod(found.dictionary.to_numpy(), n_second)
    values = zip(
        map(first.values.__getitem__, ours.tolist()),
        map(second.values.__getitem__, theirs.tolist()),
        strict=True,
    )
    return Coded(found.indices.to_numpy().astype(np.int64), list(values))
