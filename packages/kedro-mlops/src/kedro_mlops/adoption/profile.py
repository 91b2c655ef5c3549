"""What is found in a table, column by column, before anything is decided about it.

All rows are read in the engine, by the parser that will read them for the contract, so that what
is odd here is what will be quarantined there. What a sample tells as well is told by the sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from kedro_mlops.core.errors import ProjectError

from .counting import Counts, parsed, parts_of
from .reading import Found, readings_of, verified
from .source import Source
from .spelling import Reading, ValueKind, is_no_value

MOST_COMMON = 1_000
SAMPLE_ROWS = 50_000
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
SUSPECTS = {sign * (10**digits - 1) for digits in range(1, 7) for sign in (-1, 1)} | {-1}
MIN_REPEATED = 3
# values that are counted one by one, with room for the estimate of how many there are
FEW = 1.05 * MOST_COMMON

Common = tuple[tuple[Any, int], ...]


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
        symbol: What stands before or behind it, if anything does.
        zoned: Whether its moments say their zone.
        or_format: Another format that its moments fit as well.
        low: The least value, of numbers and moments.
        high: The greatest.
        quantiles: Of numbers, at 1, 25, 50, 75 and 99 %.
        common: The commonest values and how often each is, most frequent first; all of them where
            there are at most ``MOST_COMMON``.
        max_length: Of text, the characters of the longest.
        mean_words: Of text, how many words there are on average.
        suspects: Numbers far from all others that many rows have, such as -999: they may stand for
            no value.
        example: A value that is as usual as any.
        source_name: What the source calls it, if the project cannot.
        words: Of ``missing``, those that some numbers are instead of.
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
    symbol: str | None = None
    zoned: bool = False
    or_format: str | None = None
    low: float | datetime | None = None
    high: float | datetime | None = None
    quantiles: tuple[float, ...] = ()
    common: tuple[tuple[Any, int], ...] = ()
    max_length: int = 0
    mean_words: float = 0.0
    suspects: tuple[float, ...] = ()
    example: Any = None
    source_name: str | None = None
    words: tuple[str, ...] = ()


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

    def renamed(self, names: Mapping[str, str]) -> "TableProfile":
        """The same, of a project that calls some columns otherwise."""
        columns = tuple(
            replace(c, name=names[c.name], source_name=c.name) if c.name in names else c
            for c in self.columns
        )
        return replace(self, columns=columns, sample=self.sample.rename(columns=dict(names)))


def profile(source: Source) -> TableProfile:
    """Look at all rows of a table, without holding more than some of them.

    Raises:
        ProjectError: if it has no rows.
    """
    table = source.table
    n_rows = int(table.count().to_pyarrow().as_py())
    if not n_rows:
        raise ProjectError(f"{source.path or source.name} has no rows.")
    some = _some_rows(table, n_rows)
    said = some.to_pyarrow()
    found = verified(table, readings_of(said, source.comma))
    sample = _typed(ibis.memtable(said), {name: reading for name, (reading, _) in found.items()})
    commonest = _common(table, found, sample, n_rows)
    different = _exactly(table, found, sample, commonest, n_rows)
    columns = [
        _column_profile(name, reading, counts, sample[name], commonest[name], different[name])
        for name, (reading, counts) in found.items()
    ]
    return TableProfile(n_rows, tuple(columns), sample, _n_repeated(table, sample, n_rows))


def _n_repeated(table: ir.Table, sample: pd.DataFrame, n_rows: int) -> int:
    if len(sample) == n_rows:
        return int(sample.duplicated().sum())
    rows = ibis.struct({name: table[name] for name in table.columns}).hash()
    return n_rows - int(rows.nunique().to_pyarrow().as_py())


def _some_rows(table: ir.Table, n_rows: int) -> ir.Table:
    """Some rows, the same ones every time."""
    if n_rows <= SAMPLE_ROWS:
        return table
    numbered = table.mutate(__row=ibis.row_number())
    lot = (numbered["__row"].hash() % n_rows).abs()
    return numbered.filter(lot < SAMPLE_ROWS).drop("__row").limit(SAMPLE_ROWS)


def _typed(table: ir.Table, readings: Mapping[str, Reading]) -> pd.DataFrame:
    parts = [
        table.select({n: parsed(table[n], readings[n]).typed for n in part}).to_pandas()
        for part in parts_of(list(readings))
    ]
    rows: pd.DataFrame = pd.concat(parts, axis=1)
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
    # as they are said first, since that are few, too
    said = table.group_by(name).aggregate(__n=ibis._.count())
    values = said.select("__n", value=parsed(said[name], reading).typed)
    counts = (
        values.filter(ibis._.value.notnull()).group_by("value").aggregate(n=values["__n"].sum())
    )
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
        name: parsed(table[name], reading).typed.nunique()
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
        words=tuple(w for w in reading.missing if not is_no_value(w, reading.kind)),
        format=reading.format,
        decimal=reading.decimal,
        thousands=reading.thousands,
        symbol=reading.symbol,
        zoned=reading.zoned,
        or_format=reading.or_format,
        low=counts.get("low"),
        high=counts.get("high"),
        common=common,
        example=_example(values, common),
    )
    if found.kind == "text":
        words = values.str.split().map(len).mean()
        return replace(found, max_length=int(counts["max_length"]), mean_words=float(words))
    if found.kind in ("integer", "number") and len(values):
        return replace(
            found,
            quantiles=tuple(values.quantile(QUANTILES).astype(float)),
            suspects=tuple(v for v in sorted(SUSPECTS) if _is_suspect(v, values, found)),
        )
    return found


def _is_suspect(value: float, values: pd.Series, found: ColumnProfile) -> bool:
    """Whether it is repeated, and lies as far from all others as they lie from each other."""
    if value not in (found.low, found.high):
        return False
    others = values[values != value]
    repeated = len(values) - len(others) >= MIN_REPEATED
    if not repeated or others.empty:
        return False
    low, high = others.min(), others.max()
    gap: float = min(abs(value - low), abs(value - high))
    return gap > high - low or (value < 0 <= low and gap > 1)


def _example(values: pd.Series, common: Common) -> Any:
    """The middle one of what has an order, else the commonest."""
    if not len(values) or isinstance(values.dtype, (pd.StringDtype, pd.BooleanDtype)):
        return common[0][0] if common else None
    return values.sort_values().to_list()[len(values) // 2]
