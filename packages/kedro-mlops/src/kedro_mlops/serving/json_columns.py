"""Columns of JSON: what the decoder makes of each field, as arrays."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from kedro_mlops.runtime.encoding import ArrayColumn
from kedro_mlops.runtime.field_types import MAX_TEXT
from kedro_mlops.runtime.serving_spec import Field

from .arrow_columns import as_coded

# integers beyond it are not exact as floats
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
# an integer may be written with a point or an exponent
TEXT = Annotated[str, Meta(max_length=MAX_TEXT)]
TYPES: dict[str, Any] = {"categorical": TEXT, "datetime": TEXT, "boolean": bool}

Columns = dict[str, ArrayColumn]


def member(field: Field) -> tuple[Any, ...]:
    """A field for the decoder: of the right type, and marked where it is left out."""
    kind = TYPES.get(field.kind) or (int | float if field.integer else float)
    return (field.name, kind | None, LEFT_OUT[field.kind]) if field.nullable else (field.name, kind)


class Read(NamedTuple):
    """A column of JSON.

    Attributes:
        n_left_out: Rows without it.
        n_colons: Colons in its texts.
    """

    values: ArrayColumn
    n_left_out: int
    n_colons: int


def columns_of(rows: Iterable[Sequence[Any]], fields: list[Field]) -> Columns:
    """The columns of rows that have been read one by one."""
    return by_name(read_all((map(_text, row) for row in rows), fields), fields)


def read_all(rows: Iterable[Iterable[Any]], fields: list[Field]) -> list[Read]:
    """Decoded rows as columns.

    Raises:
        ValueError, OverflowError: if something does not fit, or may mean something else.
    """
    columns = zip(*rows, strict=True)
    return [_READ[f.kind](values, f) for f, values in zip(fields, columns, strict=True)]


def by_name(read: list[Read], fields: list[Field]) -> Columns:
    """Just the columns."""
    return {field.name: column.values for field, column in zip(fields, read, strict=True)}


def _read_numbers(values: Sequence[Any], field: Field) -> Read:
    import pyarrow as pa  # noqa: PLC0415

    if field.integer and not field.nullable:
        # of a type that Arrow finds by itself: asked for integers, it would cut fractions off
        return Read(integers(pa.array(values).to_numpy()), 0, 0)
    if field.integer:
        numbers = np.array(values, dtype=np.float64)
        n_null = values.count(None)
    else:
        array = pa.array(values, pa.float64())
        numbers, n_null = array.to_numpy(zero_copy_only=False), array.null_count
    return Read(numbers, int(np.isnan(numbers).sum()) - n_null, 0)


def integers(numbers: NDArray[Any]) -> NDArray[np.int64]:
    """The same as integers.

    Raises:
        ValueError: if they are not, or too large to be sure.
    """
    if numbers.dtype.kind == "f" and inexact(numbers).any():
        raise ValueError("some are no integers")
    return numbers.astype(np.int64, copy=False)


def inexact(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """Which floats are no integers, or so large that these might have been others."""
    found: NDArray[np.bool_] = (np.abs(numbers) >= MAX_EXACT) | (np.trunc(numbers) != numbers)
    return found


def _read_texts(values: Sequence[Any], field: Field) -> Read:
    import pyarrow as pa  # noqa: PLC0415

    coded = as_coded(pa.array(values, pa.string()))
    counts = np.bincount(coded.codes, minlength=len(coded.values)).tolist()
    left_out = LEFT_OUT[field.kind]
    n_left_out = n_colons = 0
    if left_out in coded.values:
        place = coded.values.index(left_out)
        n_left_out, coded.values[place] = counts[place], None
    if ":" in "".join(filter(None, coded.values)):
        found = zip(coded.values, counts, strict=True)
        n_colons = sum(n * value.count(":") for value, n in found if value is not None)
    return Read(coded, n_left_out, n_colons)


def _read_moments(values: Sequence[Any], field: Field) -> Read:
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
    return Read(moments.astype("datetime64[us]"), n_left_out, n_colons)


def _read_truths(values: Sequence[Any], field: Field) -> Read:
    truths = np.array(values, dtype=np.float64)
    left_out = truths == LEFT_OUT[field.kind]
    return Read(np.where(left_out, np.nan, truths), int(left_out.sum()), 0)


_READ: dict[str, Callable[[Any, Field], Read]] = {
    "numeric": _read_numbers,
    "categorical": _read_texts,
    "datetime": _read_moments,
    "boolean": _read_truths,
}


def _text(value: Any) -> Any:
    """A moment as the text that it was."""
    return value.isoformat() if isinstance(value, datetime) else value
