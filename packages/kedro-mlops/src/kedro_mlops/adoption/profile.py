"""What is found in a table, column by column, before anything is decided about it.

All rows are read in the engine, by the parser that will read them for the contract, so that what
is odd here is what will be quarantined there. What a sample tells as well is told by the sample.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from ibis import selectors
from pandera.engines.pandas_engine import Engine

from kedro_mlops.contract.columns import Column, Role
from kedro_mlops.contract.parsing import Parsed, parse
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.runtime.kinds import Kind, types_of

from .source import Source
from .spelling import (
    MAX_EXACT,
    TOLERANCE,
    Reading,
    ValueKind,
    counted_since,
    is_no_value,
    read_as,
    shows_comma,
)

MOST_COMMON = 1_000
SAMPLE_ROWS = 50_000
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
SUSPECTS = {sign * (10**digits - 1) for digits in range(1, 7) for sign in (-1, 1)} | {-1}
MIN_REPEATED = 3
HAS_DIGIT = re.compile(r"\d")
# a number of so few values may have names among them; so many odd ones are by chance
FEW_VALUES, BY_CHANCE = 50, 0.001
# so often a word stands for no value in a column of many numbers, if there are so few of them
MIN_WORD, MAX_WORDS = 3, 5
# odd values among which there may be words for no value
MOST_ODD = 100
# values that are counted one by one, with room for the estimate of how many there are
FEW = 1.05 * MOST_COMMON
# columns of one query; and so many that are read alike that it is quicker to put them in one
TOGETHER, MANY = 100, 50

Counts = dict[str, Any]
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
        raise ProjectError(f"{source.path} has no rows.")
    some = _some_rows(table, n_rows)
    said = some.to_pyarrow()
    found = _verified(table, _readings(said, source.comma))
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


def _readings(said: pa.Table, comma: bool) -> dict[str, Reading]:
    """How each column is read, as far as some rows tell."""
    texts = {
        name: said[name].drop_null().to_pylist()
        for name in said.column_names
        if pa.types.is_string(said[name].type) or pa.types.is_large_string(said[name].type)
    }
    comma = comma or any(map(shows_comma, texts.values()))
    return {
        name: read_as(name, texts[name], comma) if name in texts else _of_type(name, said[name])
        for name in said.column_names
    }


def _of_type(name: str, values: pa.ChunkedArray) -> Reading:
    dtype = values.type
    if values.null_count == len(values):
        return Reading("empty")
    if pa.types.is_boolean(dtype):
        return Reading("boolean")
    if pa.types.is_timestamp(dtype) or pa.types.is_date(dtype):
        return Reading("moment", zoned=getattr(dtype, "tz", None) is not None)
    # whole numbers of which some are missing are often kept as fractions
    numbers = pc.drop_null(pc.cast(values, "float64", safe=False))
    is_whole = pc.all(pc.equal(numbers, pc.trunc(numbers))).as_py()
    found = Reading("integer" if is_whole else "number")
    return counted_since(name, found, [*pc.min_max(numbers).as_py().values()]) or found


def _verified(table: ir.Table, readings: Mapping[str, Reading]) -> Found:
    """How columns are read, and what is counted then; as something weaker where too much is odd."""
    counted = _counted(table, readings)
    found = {name: _with_words(table[name], readings[name], counted[name]) for name in readings}
    doubted = {name: weaker for name, each in found.items() if (weaker := _weaker(*each))}
    for name, (reading, counts) in (_verified(table, doubted) if doubted else {}).items():
        # what is odd as a whole number, and no number either, is no reason
        if _is_refused(*found[name]) or counts["odd"] < found[name][1]["odd"]:
            found[name] = reading, counts
    return found


def _with_words(source: ir.Column, reading: Reading, counts: Counts) -> tuple[Reading, Counts]:
    """With what stands for no value only in rows that have not been looked at."""
    if not (counts["odd"] and source.type().is_string()):
        return reading, counts
    odd = source.as_table().filter(_parsed(source, reading).failed)
    words = odd.group_by(source.get_name()).aggregate(__n=ibis._.count())
    most = words.order_by(ibis.desc("__n")).limit(MOST_ODD).to_pyarrow()
    words_of = dict(zip(*most.to_pydict().values(), strict=True))
    missing = {word: n for word, n in words_of.items() if is_no_value(word, reading.kind)}
    repeated = {w: n for w, n in words_of.items() if w not in missing and n >= MIN_WORD}
    if counts["distinct"] > FEW_VALUES and _are_words(reading, repeated):
        missing |= repeated
    counts = counts | {what: counts[what] - sum(missing.values()) for what in ("given", "odd")}
    return replace(reading, missing=(*reading.missing, *missing)), counts


def _are_words(reading: Reading, odd: Mapping[str, int]) -> bool:
    """Whether numbers are replaced by a few words, each of them often."""
    is_number = reading.kind in ("integer", "number")
    return is_number and len(odd) <= MAX_WORDS and not any(map(HAS_DIGIT.search, odd))


def _weaker(reading: Reading, counts: Counts) -> Reading | None:
    """What else the values of a column may be, if they are not all what some of them seemed."""
    if reading.kind == "integer" and counts["odd"] and not _is_code(counts):
        return replace(reading, kind="number")
    if not _is_refused(reading, counts):
        return None
    words = tuple(word for word in reading.missing if is_no_value(word, "text"))
    return Reading("text", missing=words)


def _is_refused(reading: Reading, counts: Counts) -> bool:
    named = reading.kind in ("integer", "number") and counts["distinct"] <= FEW_VALUES
    tolerance = BY_CHANCE if named else TOLERANCE
    too_odd = (counts["odd"] or 0) > tolerance * (counts["given"] or 0)
    return reading.kind not in ("text", "empty") and (too_odd or _is_code(counts))


def _is_code(counts: Counts) -> bool:
    """Whether whole numbers are names: they begin with a zero, or are too large to count with."""
    if "codes" not in counts:
        return False
    large = max(abs(counts["low"] or 0), abs(counts["high"] or 0)) > MAX_EXACT
    return large or bool(counts["codes"])


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
    [found] = table.aggregate(asked).to_pyarrow().to_pylist()
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
    if reading.kind == "integer" and not reading.symbol:
        counts["codes"] = _codes(source).sum()
    if reading.kind in ("integer", "number", "moment"):
        return counts | {"low": typed.min(), "high": typed.max()}
    return counts


def _codes(source: ir.Column) -> ir.BooleanValue:
    """Where digits begin with a zero, as those of codes do."""
    if not source.type().is_string():
        return source.isnull() & False
    return source.startswith("0") & (source.length() > 1) & ~source.contains(".")


def _parsed(source: ir.Column, reading: Reading) -> Parsed:
    return parse(_as_column(source.get_name(), reading), source)


_KINDS: dict[ValueKind, Kind] = {
    "integer": "numeric", "number": "numeric", "boolean": "boolean", "moment": "datetime",
    "text": "categorical", "empty": "categorical",
}  # fmt: skip


def _as_column(name: str, reading: Reading) -> Column:
    """The column of a contract that is read so."""
    kind = _KINDS[reading.kind]
    said = {word: getattr(reading, word) for word in ("format", "decimal", "thousands", "symbol")}
    role = Role(**said)
    dtype = Engine.dtype(types_of(kind, reading.kind == "integer").pandas)
    return Column(name, kind, dtype, True, "", role, missing=("", *reading.missing))


def _typed(table: ir.Table, readings: Mapping[str, Reading]) -> pd.DataFrame:
    parts = [
        table.select({n: _parsed(table[n], readings[n]).typed for n in part}).to_pandas()
        for part in _parts(list(readings))
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
    values = said.select("__n", value=_parsed(said[name], reading).typed)
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
