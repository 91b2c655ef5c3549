"""The rules of a contract, as expressions that the engine evaluates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import ibis
import ibis.expr.types as ir

from kedro_mlops.core.names import own
from kedro_mlops.runtime.checks import CHECKS

from .columns import FINITE, LINE, REAL_MOMENT, Columns, is_real_moment

_ROWS, _KEY = own("rows"), own("key")
# expressions of one query; an engine plans many times as many in much more than many times the time
TOGETHER = 300


@dataclass(frozen=True)
class Rule:
    """One rule on one column or several; ``broken`` is true for rows that break it, never null."""

    columns: tuple[str, ...]
    name: str
    broken: ir.BooleanValue

    @property
    def column(self) -> str:
        """What its columns are called, in words."""
        return ", ".join(self.columns)

    def unless(self, excused: ir.BooleanValue) -> Self:
        """The rule, not asked of some rows."""
        return replace(self, broken=self.broken & ~excused)


def column_rules(columns: Columns, values: Mapping[str, ir.Column]) -> Iterator[Rule]:
    """What the contract asks of the values of each column, one by one."""
    for column in columns.all:
        found = without_nan(values[column.name])
        if not column.nullable:
            yield Rule((column.name,), "not_nullable", found.isnull())
        # what is missing is for `nullable` to judge
        if column.finite:
            yield Rule((column.name,), FINITE, found.cast("float64").isinf().fill_null(False))
        for name, limit in column.checks.items():
            check = CHECKS[name]
            keeps = check.query(found, limit)
            yield Rule((column.name,), f"{check.pandera}({limit})", ~keeps.fill_null(True))


def moment_rules(columns: Columns, values: Mapping[str, ir.Column]) -> Iterator[Rule]:
    """What the contract asks of columns together: that they are a moment; see ``real_moment``."""
    for names in columns.moments:
        if not values.keys() >= set(names):
            continue  # some are personal, and left out
        is_real = is_real_moment(*(values[name] for name in names))
        yield Rule(names, REAL_MOMENT, ~is_real.fill_null(True))


def repeated_keys(table: ir.Table, key: Sequence[str]) -> tuple[int, int]:
    """Count the keys that several rows have, and the rows beyond the first of each.

    Hashes are grouped first, as they take half the memory; equal ones are looked at exactly.
    """
    if not key:
        return 0, 0
    hash_of_key = ibis.struct({name: table[name] for name in key}).hash()
    if _repeated(table.select(hash_of_key.name(_KEY)), [_KEY]) == (0, 0):
        return 0, 0
    return _repeated(table, key)


def _repeated(table: ir.Table, key: Sequence[str]) -> tuple[int, int]:
    groups = table.group_by(key).aggregate(ibis._.count().name(_ROWS))
    rows = groups.filter(groups[_ROWS] > 1)[_ROWS].as_table()
    counts = rows.aggregate(keys=rows.count(), beyond=(rows[_ROWS] - 1).sum().fill_null(0))
    [found] = counts.to_pyarrow().to_pylist()
    return int(found["keys"]), int(found["beyond"])


def key_rule(key: Sequence[str]) -> str:
    """The name of the rule that rows are unique."""
    return f"unique({', '.join(key)})"


def without_nan(values: ir.Column) -> ir.Column:
    """Not-a-number counts as missing, as it does in pandas."""
    if not values.type().is_floating():
        return values
    return values.isnan().ifelse(ibis.null(values.type()), values)


def any_of(conditions: Sequence[ir.BooleanValue]) -> ir.BooleanValue:
    """Whether any of them holds, in an expression that is not deep however many there are."""
    if len(conditions) <= 2:
        return ibis.or_(*conditions)
    middle = len(conditions) // 2
    return any_of(conditions[:middle]) | any_of(conditions[middle:])


def count_broken(table: ir.Table, rules: Sequence[Rule]) -> list[tuple[Rule, int]]:
    """The rules that rows break, and by how many."""
    asked = {str(i): rule.broken.sum().fill_null(0) for i, rule in enumerate(rules)}
    found = aggregated(table, asked)
    return [(rule, int(found[str(i)])) for i, rule in enumerate(rules) if found[str(i)]]


def count_bad(table: ir.Table, broken: Sequence[tuple[Rule, int]]) -> int:
    """The rows that break any of these rules, each of which some break."""
    if len(broken) <= 1:
        return sum(n_rows for _, n_rows in broken)
    bad = any_of([rule.broken for rule, _ in broken]).sum()
    return int(table.aggregate(bad=bad).to_pyarrow()["bad"][0].as_py())


def aggregated(table: ir.Table, asked: Mapping[str, ir.Scalar]) -> dict[str, Any]:
    """What is asked of a table, by name: one query, or some if it is much."""
    names, found = list(asked), dict[str, Any]()
    for start in range(0, len(names), TOGETHER):
        part = {name: asked[name] for name in names[start : start + TOGETHER]}
        [row] = table.aggregate(part).to_pyarrow().to_pylist()
        found |= row
    return found


def shown(columns: Columns, names: Sequence[str], values: list[Any]) -> list[Any]:
    """Values of columns as they may appear in a message: personal ones do not.

    Nor do whole lines, where any column is personal.
    """
    personal = {*columns.personal, LINE} if columns.personal else set()
    return ["(personal)"] if values and personal.intersection(names) else values
