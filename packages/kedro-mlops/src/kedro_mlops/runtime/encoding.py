"""The numbers that trees read, for tables and for single rows.

``calendar`` is also what the model's preprocessing in scikit-learn computes; the rest is a look-up
of the categories that the fitted encoder holds.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .serving_spec import Encoding, ServingSpec

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN_CATEGORY = -1
MINUTE = np.timedelta64(1, "m")
DAYS_FROM_MONDAY = 3  # of 1970-01-01, where NumPy begins to count
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - moments have no zone
A_MINUTE, MINUTES_A_DAY = timedelta(minutes=1), 1_440
# of which numbers each date is made
DATE_PARTS = ("minute_of_day", "day_of_week", "day_of_year", "age_in_days")
NAN = float("nan")

T = TypeVar("T")
RowEncoder = Callable[[Sequence[Any]], tuple[list[float], list[str]]]


def calendar(moments: NDArray[np.datetime64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Minute of the day (0-1439) and day of the week (Monday is 0), each of shape (n_rows,).

    Both are NaN where the moment is missing.
    """
    days = moments.astype("datetime64[D]")
    known = ~np.isnat(moments)
    minutes, weekdays = np.full((2, len(moments)), np.nan)
    minutes[known] = (moments[known] - days[known]) // MINUTE
    weekdays[known] = (days[known].astype(np.int64) + DAYS_FROM_MONDAY) % 7
    return minutes, weekdays


def dates(
    moments: NDArray[np.datetime64], since: NDArray[np.datetime64] | None = None
) -> tuple[NDArray[np.float64], ...]:
    """The ``DATE_PARTS`` of moments, each of shape (n_rows,): calendar, day of year (1-366), age.

    Ages are in days, by the minute, since other moments or else since 1970. All are NaN where the
    moment is missing; ages also where the other is.
    """
    known = ~np.isnat(moments)
    days, years = (moments.astype(f"datetime64[{unit}]") for unit in "DY")
    day_of_year = np.where(known, (days - years).astype(np.float64) + 1, np.nan)
    minutes = moments.astype("datetime64[m]")
    before = np.datetime64(0, "m") if since is None else since.astype("datetime64[m]")
    aged = known & ~np.isnat(before)
    ages = np.where(aged, (minutes - before).astype(np.float64) / MINUTES_A_DAY, np.nan)
    return *calendar(moments), day_of_year, ages


class Coded(NamedTuple, Generic[T]):
    """A column of few values: for each row the position of its own."""

    codes: NDArray[np.int64]
    values: list[T]

    def map(self, table: Mapping[T, float], default: float) -> NDArray[np.float64]:
        """What a table has for each row's value."""
        return np.array([table.get(value, default) for value in self.values])[self.codes]


def as_coded(values: "pa.Array") -> Coded[Any]:
    """Values as the positions of the distinct ones."""
    found = values.dictionary_encode(null_encoding="encode")
    codes = found.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return Coded(codes, found.dictionary.to_pylist())


# text is coded, and may be missing; so are whole numbers of which some are missing, and others too
# large to be exact as floats
ArrayColumn = Coded[Any] | NDArray[Any]
Arrays = Mapping[str, ArrayColumn]


def as_floats(column: ArrayColumn) -> NDArray[Any]:
    """Numbers as a model takes them, missing ones NaN."""
    if isinstance(column, Coded):
        return np.array(column.values, dtype=np.float64)[column.codes]
    return column


def unseen_categories(
    columns: Arrays, categories: Mapping[str, list[str]]
) -> dict[str, NDArray[np.bool_]]:
    """Which rows have a category that the model has not seen, per feature where any has."""
    unseen: dict[str, NDArray[np.bool_]] = {}
    for name, seen in categories.items():
        column = columns[name]
        assert isinstance(column, Coded)
        known = column.map({**dict.fromkeys(seen, 1.0), None: 1.0}, 0.0)
        if not known.all():
            unseen[name] = known == 0
    return unseen


def encode_rows(columns: Arrays, encoding: Encoding) -> NDArray[np.float64]:
    """Encode columns of equal length.

    Args:
        columns: Categories coded, moments as ``datetime64``, numbers and truth values as numbers,
            missing ones NaN.
        encoding: The order and the categories.

    Returns:
        The matrix, shape (n_rows, width).
    """
    parts: list[NDArray[Any]] = []
    for name, categories in encoding.coded.items():
        column = columns[name]
        assert isinstance(column, Coded)
        table: dict[str | None, float] = {value: float(i) for i, value in enumerate(categories)}
        parts.append(column.map(table, UNKNOWN_CATEGORY))
    for name in encoding.moments:
        parts += calendar(np.asarray(columns[name]))
    parts += [as_floats(columns[name]) for name in encoding.numbers]
    for name, means in encoding.means.items():
        column = columns[name]
        assert isinstance(column, Coded)
        for table, unseen in means.tables(encoding.categories[name]):
            parts.append(column.map(table, unseen))
    since = np.asarray(columns[encoding.since]) if encoding.since else None
    for name in encoding.dates:
        parts += dates(np.asarray(columns[name]), since)
    return np.column_stack(parts).astype(np.float64, copy=False)


def row_encoder(spec: ServingSpec) -> RowEncoder:
    """A function that does for one row what ``encode_rows`` does for many.

    It takes the values in the order of the spec's fields, and returns the numbers and the names of
    the categorical features whose category the model has not seen.
    """
    place = {field.name: position for position, field in enumerate(spec.fields)}
    tables = [
        (place[name], name, {category: float(code) for code, category in enumerate(categories)})
        for name, categories in spec.encoding.coded.items()
    ]
    moments = [place[name] for name in spec.encoding.moments]
    numbers = [place[name] for name in spec.encoding.numbers]
    means = [
        (place[name], name, of_name.rows(spec.encoding.categories[name]), of_name.unseen)
        for name, of_name in spec.encoding.means.items()
    ]
    dated = [place[name] for name in spec.encoding.dates]
    since = place.get(spec.encoding.since)

    def encode(values: Sequence[Any]) -> tuple[list[float], list[str]]:
        numbers_of_row: list[float] = []
        unseen: list[str] = []
        for position, name, table in tables:
            value = values[position]
            code = table.get(value, -1.0)
            if code < 0 and value is not None:
                unseen.append(name)
            numbers_of_row.append(code)
        for position in moments:
            moment: datetime | None = values[position]
            if moment is None:
                numbers_of_row += (NAN, NAN)
            else:
                numbers_of_row.append(moment.hour * 60 + moment.minute)
                numbers_of_row.append(moment.weekday())
        for position in numbers:
            value = values[position]
            numbers_of_row.append(NAN if value is None else value)
        for position, name, labelled, otherwise in means:
            mean = labelled.get(values[position])
            if mean is None:
                unseen.append(name)
            numbers_of_row += otherwise if mean is None else mean
        if dated:
            before = EPOCH if since is None else values[since]
            for position in dated:
                numbers_of_row += _date_parts(values[position], before)
        return numbers_of_row, unseen

    return encode


def _date_parts(moment: datetime | None, since: datetime | None) -> list[float]:
    """What ``dates`` makes of one moment."""
    if moment is None:
        return [NAN] * len(DATE_PARTS)
    age = NAN if since is None else (_minutes(moment) - _minutes(since)) / MINUTES_A_DAY
    minute, day_of_year = moment.hour * 60 + moment.minute, moment.timetuple().tm_yday
    return [minute, moment.weekday(), day_of_year, age]


def _minutes(moment: datetime) -> int:
    return (moment - EPOCH) // A_MINUTE
