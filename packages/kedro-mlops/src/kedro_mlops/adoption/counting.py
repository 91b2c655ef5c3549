"""What is counted of columns in the engine, by the parser that will read them for the contract."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import ibis.expr.types as ir
from ibis import selectors
from pandera.engines.pandas_engine import Engine

from kedro_mlops.contract.columns import Column, Role
from kedro_mlops.contract.parsing import Parsed, parse
from kedro_mlops.runtime.kinds import Kind, types_of

from .spelling import Reading, ValueKind

# columns of one query; and so many that are read alike that it is quicker to put them in one
TOGETHER, MANY = 100, 50

Counts = dict[str, Any]

_KINDS: dict[ValueKind, Kind] = {
    "integer": "numeric", "number": "numeric", "boolean": "boolean", "moment": "datetime",
    "text": "categorical", "empty": "categorical",
}  # fmt: skip


def count(table: ir.Table, readings: Mapping[str, Reading]) -> dict[str, Counts]:
    """What is counted of each column, in as few queries as are quick."""
    counted: dict[str, Counts] = {}
    by_reading = sorted(readings, key=lambda name: (repr(readings[name]), str(table[name].type())))
    apart: list[str] = []
    for _, group in groupby(by_reading, lambda n: (readings[n], table[n].type())):
        names = list(group)
        if len(names) < MANY:
            apart += names
            continue
        for part in parts_of(names):
            counted |= _counted_as_one(table.select(part), readings[part[0]])
    for part in parts_of(apart):
        counted |= _counted_apart(table, {name: readings[name] for name in part})
    return counted


def parts_of(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Names of so many columns as one query is about."""
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
    read = parsed(source, reading)
    typed = read.typed
    counts = {
        "rows": source.count() + source.isnull().sum(),
        "given": read.given.sum(),
        "odd": read.failed.sum(),
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


def parsed(source: ir.Column, reading: Reading) -> Parsed:
    """The values of a column as they are read, and which cannot be."""
    return parse(_as_column(source.get_name(), reading), source)


def _as_column(name: str, reading: Reading) -> Column:
    """The column of a contract that is read so."""
    kind = _KINDS[reading.kind]
    said = {word: getattr(reading, word) for word in ("format", "decimal", "thousands", "symbol")}
    role = Role(**said)
    dtype = Engine.dtype(types_of(kind, reading.kind == "integer").pandas)
    return Column(name, kind, dtype, True, "", role, missing=("", *reading.missing))
