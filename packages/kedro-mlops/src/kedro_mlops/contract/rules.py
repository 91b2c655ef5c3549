"""The rules of a contract, as expressions that the engine evaluates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from kedro_mlops.core.errors import ContractError
from kedro_mlops.runtime.checks import CHECKS

from .columns import FINITE, REAL_MOMENT, Column, Columns


@dataclass(frozen=True)
class Rule:
    """One rule on one column or several; ``broken`` is true for rows that break it, never null."""

    column: str
    name: str
    broken: ir.BooleanValue

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return self.column.split(", ")


def column_rules(columns: Columns, values: Mapping[str, ir.Column]) -> Iterator[Rule]:
    """What the contract asks of the values of each column, one by one."""
    for column in columns.all:
        found = without_nan(values[column.name])
        if not column.nullable:
            yield Rule(column.name, "not_nullable", found.isnull())
        # what is missing is for `nullable` to judge
        if column.finite:
            yield Rule(column.name, FINITE, found.cast("float64").isinf().fill_null(False))
        for name, limit in column.checks.items():
            check = CHECKS[name]
            keeps = check.query(found, limit)
            yield Rule(column.name, f"{check.pandera}({limit})", ~keeps.fill_null(True))


def moment_rules(contract: Any, values: Mapping[str, ir.Column]) -> Iterator[Rule]:
    """What the contract asks of columns together: that they are a moment; see ``real_moment``."""
    for check in contract.to_schema().checks:
        names = check.statistics["columns"]
        if not values.keys() >= set(names):
            continue  # some are personal, and left out
        is_real = _is_real_moment(*(values[name] for name in names))
        yield Rule(", ".join(names), REAL_MOMENT, ~is_real.fill_null(True))


def _is_real_moment(
    year: ir.Column, month: ir.Column, day: ir.Column, *time: ir.Column
) -> ir.BooleanColumn:
    """Told by arithmetic, since an engine may stop at a moment that there is not."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    february = leap.ifelse(29, 28)
    last = month.isin([4, 6, 9, 11]).ifelse(30, (month == 2).ifelse(february, 31))
    parts = zip(time, (23, 59, 59), strict=False)
    return ibis.and_(
        year.between(1, 9999),
        month.between(1, 12),
        day.between(1, last),
        *(part.between(0, most) for part, most in parts),
    )


def row_key(contract: Any) -> list[str]:
    """The columns by which no two rows of a contract's table may be equal.

    Raises:
        ContractError: if the contract asks for what could be enforced only in part.
    """
    schema = contract.to_schema()
    alone = [name for name, column in schema.columns.items() if column.unique]
    if alone:
        raise ContractError(
            f"Column '{alone[0]}' is unique: say `unique` in the Config of {contract.__name__}."
        )
    if any(check.name != REAL_MOMENT for check in schema.checks):
        raise ContractError(f"{contract.__name__} checks the whole table; check columns instead.")
    unique = schema.unique or []
    return [unique] if isinstance(unique, str) else list(unique)


def repeated_keys(table: ir.Table, key: list[str]) -> tuple[int, int]:
    """Count the keys that several rows have, and the rows beyond the first of each.

    Hashes are grouped first, as they take half the memory; equal ones are looked at exactly.
    """
    if not key:
        return 0, 0
    hashes = table.select(key=ibis.struct({name: table[name] for name in key}).hash())
    if _repeated(hashes, ["key"]) == (0, 0):
        return 0, 0
    return _repeated(table, key)


def _repeated(table: ir.Table, key: list[str]) -> tuple[int, int]:
    groups = table.group_by(key).aggregate(__rows=ibis._.count())
    rows = groups.filter(groups["__rows"] > 1)["__rows"].as_table()
    counts = rows.aggregate(keys=rows.count(), beyond=(rows["__rows"] - 1).sum().fill_null(0))
    [found] = counts.to_pyarrow().to_pylist()
    return int(found["keys"]), int(found["beyond"])


def key_rule(key: list[str]) -> str:
    """The name of the rule that rows are unique."""
    return f"unique({', '.join(key)})"


def without_nan(values: ir.Column) -> ir.Column:
    """Not-a-number counts as missing, as it does in pandas."""
    if not values.type().is_floating():
        return values
    return values.isnan().ifelse(ibis.null(values.type()), values)


def shown(column: Column, values: list[Any]) -> list[Any]:
    """Values as they may appear in a message: personal ones do not."""
    return ["(personal)"] if column.role.personal and values else values
