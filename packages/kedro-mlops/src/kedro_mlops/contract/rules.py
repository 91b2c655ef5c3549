"""The rules of a contract, as expressions that the engine evaluates."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Self

import ibis
import ibis.expr.types as ir

from kedro_mlops.core.engine import is_spark
from kedro_mlops.runtime.checks import CHECKS

from .columns import FINITE, LINE, REAL_MOMENT, Columns
from .extremes import (
    BOUNDS,
    Proof,
    Summary,
    that_all_are_finite,
    that_all_keep,
    that_none_is_missing,
)
from .moments import is_real_moment, is_usual_moment

# expressions of one query; an engine plans many times as many in much more than many times the time
TOGETHER = 300


@dataclass(frozen=True)
class Rule:
    """One rule on one column or several.

    Attributes:
        columns: What it is about.
        name: What it is called.
        broken: True for rows that break it, never null.
        proof: What may prove that no row does, without asking each.
        usual: True for rows of which it is plain that they keep it, so that few others are asked.
    """

    columns: tuple[str, ...]
    name: str
    broken: ir.BooleanValue
    proof: Proof | None = None
    usual: ir.BooleanValue | None = None

    @property
    def n_broken(self) -> ir.Scalar:
        """The rows that break it."""
        is_broken = self.broken if self.usual is None else self.usual.ifelse(False, self.broken)
        return is_broken.sum().fill_null(0)

    @property
    def column(self) -> str:
        """What its columns are called, in words."""
        return ", ".join(self.columns)

    def unless(self, excused: ir.BooleanValue) -> Self:
        """The rule, not asked of some rows."""
        return replace(self, broken=self.broken & ~excused)


def column_rules(columns: Columns, values: Mapping[str, ir.Column]) -> Iterator[Rule]:
    """What the contract asks of the values of each column, one by one."""
    in_spark = any(is_spark(value) for value in islice(values.values(), 1))
    for column in columns.all:
        found, about = without_nan(values[column.name]), (column.name,)
        if not column.nullable:
            yield Rule(about, "not_nullable", found.isnull(), that_none_is_missing(found))
        # what is missing is for `nullable` to judge
        if column.finite:
            is_infinite = found.cast("float64").isinf().fill_null(False)
            yield Rule(about, FINITE, is_infinite, that_all_are_finite(found))
        for name, limit in column.checks.items():
            keeps = _keeps(name, found, limit, in_spark)
            proof = that_all_keep(found, CHECKS[name].value(limit)) if name in BOUNDS else None
            said = f"{CHECKS[name].pandera}({limit})"
            yield Rule(about, said, ~keeps.fill_null(True), proof)


def _keeps(name: str, values: ir.Column, limit: Any, in_spark: bool) -> ir.BooleanValue:
    """Which values keep a check, as the engine tells it fastest.

    DuckDB asks these of the few different texts of a file, and others of every row: of thousands
    that are allowed, a row would take it microseconds.
    """
    if in_spark or not values.type().is_string() or name not in _OF_TEXT:
        keeps: ir.BooleanValue = CHECKS[name].query(values, limit)
        return keeps
    return _OF_TEXT[name](values, limit)


def _one_of(values: ir.StringColumn, allowed: list[str]) -> ir.BooleanValue:
    return ibis.literal(list(allowed), "array<string>").contains(values)


def regexp_full_match(text: str, pattern: str) -> bool:
    """Whether a pattern describes all of a text; the engine's own."""
    raise NotImplementedError


_full_match = ibis.udf.scalar.builtin(regexp_full_match, signature=((str, str), bool))
_OF_TEXT: dict[str, Callable[[Any, Any], ir.BooleanValue]] = {
    "isin": _one_of,
    "notin": lambda values, forbidden: ~_one_of(values, forbidden),
    "str_matches": lambda values, pattern: _full_match(values, f"(?:{pattern})(?s:.*)"),
}


def moment_rules(columns: Columns, values: Mapping[str, ir.Column]) -> Iterator[Rule]:
    """What the contract asks of columns together: that they are a moment; see ``real_moment``."""
    for names in columns.moments:
        if not values.keys() >= set(names):
            continue  # some are personal, and left out
        parts = [values[name] for name in names]
        is_real = is_real_moment(*parts)
        usual = is_usual_moment(*parts)
        yield Rule(names, REAL_MOMENT, ~is_real.fill_null(True), usual=usual)


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
    _, counts = count_rows(table, rules)
    return [(rule, n_rows) for rule, n_rows in zip(rules, counts, strict=True) if n_rows]


def count_rows(table: ir.Table, rules: Sequence[Rule]) -> tuple[int, list[int]]:
    """The rows there are, and for each rule those that break it.

    Of a rule with a proof rows are asked only where that fails.
    """
    n_broken = {str(i): rule.n_broken for i, rule in enumerate(rules)}
    proofs = {str(i): rule.proof for i, rule in enumerate(rules) if rule.proof}
    summary = Summary.of(proofs.values(), table)
    asked = {name: broken for name, broken in n_broken.items() if name not in proofs}
    found = aggregated(table, summary.asked | asked)
    doubtful = [name for name, proof in proofs.items() if not summary.proves(proof, found)]
    if doubtful:
        found |= aggregated(table, {name: n_broken[name] for name in doubtful})
    return int(found["rows"]), [int(found.get(name, 0)) for name in n_broken]


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
