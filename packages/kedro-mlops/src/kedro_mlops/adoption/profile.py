"""What is found in a table, column by column, before anything is decided about it.

All rows are read in the engine, by the parser that will read them for the contract, so that what
is odd here is what will be quarantined there. What a sample tells as well is told by the sample.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from ibis import selectors
from pandera.engines.pandas_engine import Engine

from kedro_mlops.contract.columns import Column, Role
from kedro_mlops.contract.parsing import Parsed, parse
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.runtime.kinds import Kind, types_of

from .source import Source
from .spelling import TOLERANCE, Reading, ValueKind, read_as

MOST_COMMON = 1_000
SAMPLE_ROWS = 50_000
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
# values that are counted one by one, with room for the estimate of how many there are
FEW = 1.05 * MOST_COMMON
# columns of one query; and so many that are read alike that it is quicker to put them in one
TOGETHER, MANY = 100, 50

Counts = Mapping[str, Any]
Common = tuple[tuple[Any, int], ...]
Found = Mapping[str, tuple[Reading, Counts]]


@dataclass(frozen=True)
class ColumnProfile:
    """What is found in a column.

    Attributes:
        name: As the source has it.
        kind: What its values are, but for a few odd ones.
        n_missing: Rows without a value, however that is said.
        n_odd: Values that are not of the kind.
        n_distinct: Different values; about, where there are many.
        missing: What stands for no value in it, where it is text.
        format: How text says a moment, in the directives of ``strptime``; none if by ISO 8601.
        decimal: What stands before the fraction of a number that is text.
        thousands: What stands between its groups of three digits, if anything does.
        zoned: Whether its moments say their zone.
        low: The least value, of numbers and moments.
        high: The greatest.
        quantiles: Of numbers, at 1, 25, 50, 75 and 99 %.
        common: The commonest values and how often each is, most frequent first; all of them where
            there are at most ``MOST_COMMON``.
        max_length: Of text, the characters of the longest.
        mean_words: Of text, how many words there are on average.
        example: A value that is as usual as any.
    """

    name: str
    kind: ValueKind
    n_missing: int = 0
    n_odd: int = 0
    n_distinct: int = 0
    missing: tuple[str, ...] = ()
    format: str | None = None
    decimal: str = "."
    thousands: str | None = None
    zoned: bool = False
    low: float | datetime | None = None
    high: float | datetime | None = None
    quantiles: tuple[float, ...] = ()
    common: tuple[tuple[Any, int], ...] = ()
    max_length: int = 0
    mean_words: float = 0.0
    example: Any = None


@dataclass(frozen=True)
class TableProfile:
    """What is found in a table.

    Attributes:
        n_rows: How many there are.
        columns: Of each column, in the order of the source.
        sample: Some of the rows, in the types of their kinds; the same ones every time.
        repeated_rows: How many rows are the same as an earlier one in every column.
    """

    n_rows: int
    columns: tuple[ColumnProfile, ...]
    sample: pd.DataFrame = field(repr=False, default_factory=pd.DataFrame)
    repeated_rows: int = 0

    def __getitem__(self, name: str) -> ColumnProfile:
        return {column.name: column for column in self.columns}[name]


def profile(source: Source) -> TableProfile:
    """Look at all rows of a table, without holding more than some of them.

    Raises:
        ProjectError: if it has no rows.
    """
    table = source.table
    n_rows = int(table.count().to_pyarrow().as_py())
    if not n_rows:
        raise ProjectError(f"{source.path} has no rows.")
    some = _some_rows(table, n_rows)
    said = some.to_pyarrow()
    found = _verified(table, {name: _reading(said[name], name) for name in table.columns})
    sample = _typed(ibis.memtable(said), {name: reading for name, (reading, _) in found.items()})
    commonest = _common(table, found, sample, n_rows)
    different = _exactly(table, found, sample, commonest, n_rows)
    columns = [
        _column_profile(name, reading, counts, sample[name], commonest[name], different[name])
        for name, (reading, counts) in found.items()
    ]
    rows = ibis.struct({name: table[name] for name in table.columns}).hash().nunique()
    n_different = int(table.aggregate(rows=rows).to_pyarrow()["rows"][0].as_py())
    return TableProfile(n_rows, tuple(columns), sample, n_rows - n_different)


def _some_rows(table: ir.Table, n_rows: int) -> ir.Table:
    """Some rows, the same ones every time."""
    if n_rows <= SAMPLE_ROWS:
        return table
    numbered = table.mutate(__row=ibis.row_number())
    lot = (numbered["__row"].hash() % n_rows).abs()
    return numbered.filter(lot < SAMPLE_ROWS).drop("__row").limit(SAMPLE_ROWS)


def _reading(values: pa.ChunkedArray, name: str) -> Reading:
    """How a column is read, as far as some of its values tell."""
    dtype = values.type
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype):
        return read_as(name, values.drop_null().unique().to_pylist())
    if values.null_count == len(values):
        return Reading("empty")
    for kind, holds in _TYPES.items():
        if any(test(dtype) for test in holds):
            return Reading(kind, zoned=kind == "moment" and getattr(dtype, "tz", None) is not None)
    return Reading("text")


_TYPES: dict[ValueKind, tuple[Any, ...]] = {
    "boolean": (pa.types.is_boolean,),
    "integer": (pa.types.is_integer,),
    "number": (pa.types.is_floating, pa.types.is_decimal),
    "moment": (pa.types.is_timestamp, pa.types.is_date),
}


def _verified(table: ir.Table, readings: Mapping[str, Reading]) -> Found:
    """How columns are read, and what is counted then; as something weaker where too much is odd."""
    counted = _counted(table, readings)
    refused = {
        name: weaker
        for name, reading in readings.items()
        if (weaker := _weaker(reading, counted[name])) is not None
    }
    again = _verified(table, refused) if refused else {}
    return {name: again.get(name, (readings[name], counted[name])) for name in readings}


def _weaker(reading: Reading, counts: Counts) -> Reading | None:
    """What else a column may be whose values are not what some of them seemed to say."""
    if counts["odd"] <= TOLERANCE * counts["given"] or reading.kind == "text":
        return None
    return Reading("number") if reading.kind == "integer" else Reading("text")


def _counted(table: ir.Table, readings: Mapping[str, Reading]) -> dict[str, Counts]:
    """What is counted of each column, in as few queries as are quick."""
    counted: dict[str, Counts] = {}
    by_reading = sorted(readings, key=lambda name: (repr(readings[name]), str(table[name].type())))
    apart: list[str] = []
    for _, group in groupby(by_reading, lambda n: (readings[n], table[n].type())):
        names = list(group)
        if len(names) < MANY:
            apart += names
            continue
        for part in _parts(names):
            counted |= _counted_as_one(table.select(part), readings[part[0]])
    for part in _parts(apart):
        counted |= _counted_apart(table, {name: readings[name] for name in part})
    return counted


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), TOGETHER):
        yield names[start : start + TOGETHER]


def _counted_apart(table: ir.Table, readings: Mapping[str, Reading]) -> dict[str, Counts]:
    asked = {
        f"{number} {what}": expression
        for number, (name, reading) in enumerate(readings.items())
        for what, expression in _counts(table[name], reading).items()
    }
    [found] = table.aggregate(**asked).to_pyarrow().to_pylist()
    return {
        name: {key.split(" ")[1]: found[key] for key in asked if key.split(" ")[0] == str(number)}
        for number, name in enumerate(readings)
    }


def _counted_as_one(table: ir.Table, reading: Reading) -> dict[str, Counts]:
    """Of columns that are read alike: their values are put below each other."""
    long = table.pivot_longer(selectors.all(), names_to="name", values_to="value")
    counts = long.group_by("name").aggregate(**_counts(long["value"], reading))
    return {row["name"]: row for row in counts.to_pyarrow().to_pylist()}


def _counts(source: ir.Column, reading: Reading) -> dict[str, ir.Scalar]:
    parsed = _parsed(source, reading)
    typed = parsed.typed
    counts = {
        "rows": source.count() + source.isnull().sum(),
        "given": parsed.given.sum(),
        "odd": parsed.failed.sum(),
        "distinct": typed.approx_nunique(),
    }
    if reading.kind == "text":
        return counts | {"max_length": typed.length().max()}
    if reading.kind in ("integer", "number", "moment"):
        return counts | {"low": typed.min(), "high": typed.max()}
    return counts


def _parsed(source: ir.Column, reading: Reading) -> Parsed:
    return parse(_as_column(source.get_name(), reading), source)


_KINDS: dict[ValueKind, Kind] = {
    "integer": "numeric", "number": "numeric", "boolean": "boolean", "moment": "datetime",
    "text": "categorical", "empty": "categorical",
}  # fmt: skip


def _as_column(name: str, reading: Reading) -> Column:
    """The column of a contract that is read so."""
    kind = _KINDS[reading.kind]
    role = Role(format=reading.format, decimal=reading.decimal, thousands=reading.thousands)
    dtype = Engine.dtype(types_of(kind, reading.kind == "integer").pandas)
    return Column(name, kind, dtype, True, "", role, missing=("", *reading.missing))


def _typed(table: ir.Table, readings: Mapping[str, Reading]) -> pd.DataFrame:
    parsed = {name: _parsed(table[name], reading).typed for name, reading in readings.items()}
    rows: pd.DataFrame = table.select(parsed).to_pandas()
    return rows


def _common(table: ir.Table, found: Found, sample: pd.DataFrame, n_rows: int) -> dict[str, Common]:
    """The commonest values of each column, counted where they are few, else told by the sample."""
    share = n_rows / len(sample)
    common: dict[str, Common] = {}
    for name, (reading, counts) in found.items():
        if share > 1 and counts["distinct"] < FEW:
            common[name] = _counted_values(table, name, reading)
        else:
            frequent = sample[name].value_counts().head(MOST_COMMON)
            values = frequent.index.to_list()
            common[name] = tuple(zip(values, round(frequent * share).astype(int), strict=True))
    return common


def _counted_values(table: ir.Table, name: str, reading: Reading) -> Common:
    values = table.select(value=_parsed(table[name], reading).typed).filter(ibis._.value.notnull())
    counts = values.group_by("value").aggregate(n=ibis._.count())
    most = counts.order_by(ibis._.n.desc(), "value").limit(MOST_COMMON).to_pandas()
    return tuple(zip(most["value"].to_list(), most["n"].to_list(), strict=True))


def _exactly(
    table: ir.Table, found: Found, sample: pd.DataFrame, common: Mapping[str, Common], n_rows: int
) -> dict[str, int]:
    """How many different values there are, where it matters whether they are few or all."""
    if len(sample) == n_rows:
        return {name: int(sample[name].nunique()) for name in found}
    distinct = {name: int(counts["distinct"]) for name, (_, counts) in found.items()}
    few = {name: len(common[name]) for name in found if 0 < len(common[name]) < MOST_COMMON}
    many = {
        name: _parsed(table[name], reading).typed.nunique()
        for name, (reading, _) in found.items()
        if distinct[name] > n_rows / 2
    }
    exact = table.aggregate(many).to_pyarrow().to_pylist()[0] if many else {}
    return distinct | few | exact


def _column_profile(
    name: str,
    reading: Reading,
    counts: Counts,
    sample: pd.Series,
    common: Common,
    n_distinct: int,
) -> ColumnProfile:
    values = sample.dropna()
    found = ColumnProfile(
        name=name,
        kind=reading.kind if counts["given"] else "empty",
        n_missing=int(counts["rows"] - (counts["given"] or 0)),
        n_odd=int(counts["odd"] or 0),
        n_distinct=n_distinct,
        missing=reading.missing,
        format=reading.format,
        decimal=reading.decimal,
        thousands=reading.thousands,
        zoned=reading.zoned,
        low=counts.get("low"),
        high=counts.get("high"),
        common=common,
        example=_example(values, common),
    )
    if found.kind == "text":
        words = values.str.split().map(len).mean()
        return replace(found, max_length=int(counts["max_length"]), mean_words=float(words))
    if found.kind in ("integer", "number") and len(values):
        return replace(found, quantiles=tuple(values.quantile(QUANTILES).astype(float)))
    return found


def _example(values: pd.Series, common: Common) -> Any:
    """The middle one of what has an order, else the commonest."""
    if not len(values) or isinstance(values.dtype, (pd.StringDtype, pd.BooleanDtype)):
        return common[0][0] if common else None
    return values.sort_values().to_list()[len(values) // 2]
