"""Contracts checked inside the engine: a catalog ``validator:`` for Ibis tables.

Kedro validates pandas tables with Pandera itself. For lazy tables, ``ContractValidator`` turns the
same Pandera model into one aggregate query, so that no row leaves the engine.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import pandera.pandas as pa
from kedro.utils import load_obj
from kedro.validation import CheckFailure, DataValidationError
from pandera.dtypes import is_int

from flight_delays.columns import Column, Columns

EXAMPLES = 5

_PASSES: dict[str, Callable[..., Any]] = {
    "greater_than": lambda column, min_value: column > min_value,
    "greater_than_or_equal_to": lambda column, min_value: column >= min_value,
    "less_than": lambda column, max_value: column < max_value,
    "less_than_or_equal_to": lambda column, max_value: column <= max_value,
    "isin": lambda column, allowed_values: column.isin(allowed_values),
    "notin": lambda column, forbidden_values: column.notin(forbidden_values),
    # like Python's re.match, Pandera looks at the beginning of the text only
    "str_matches": lambda column, pattern: column.re_search(f"^(?:{pattern})"),
}


@dataclass(frozen=True)
class _Rule:
    column: str
    name: str
    broken: ir.BooleanValue


class ContractValidator:
    """Validates an Ibis table against a Pandera model with one pushed-down query.

    Args:
        contract: Import path of the Pandera model, e.g. ``flight_delays.contracts.Observation``.
    """

    def __init__(self, contract: str) -> None:
        self._path = contract
        self._contract: type[pa.DataFrameModel] = load_obj(contract)
        self._columns = Columns.of(self._contract)
        _refuse_what_is_not_pushed_down(self._contract)

    def validate(self, table: ir.Table) -> ir.Table:
        """Return the table unchanged if it keeps the contract.

        Raises:
            DataValidationError: naming each broken column and rule, the number of rows and
                examples of the values.
        """
        self._raise_for(_structure_failures(table, self._columns))
        self._raise_for([*_row_failures(table, self._columns), *self._duplicates(table)])
        return table

    def _duplicates(self, table: ir.Table) -> list[CheckFailure]:
        unique = self._contract.to_schema().unique
        if not unique:
            return []
        groups = table.group_by(unique).aggregate(n=ibis._.count())
        count = int(groups.filter(ibis._.n > 1).count().to_pyarrow().as_py())
        message = f"unique({', '.join(unique)})"
        return [CheckFailure(message, check=message, failure_count=count)] if count else []

    def _raise_for(self, failures: list[CheckFailure]) -> None:
        if failures:
            raise DataValidationError(
                f"The table breaks {self._path}", validator=self._path, failures=failures
            )


def _refuse_what_is_not_pushed_down(contract: type[pa.DataFrameModel]) -> None:
    """A contract that could be kept only in part is an error, not a gap."""
    schema = contract.to_schema()
    alone = [name for name, column in schema.columns.items() if column.unique]
    if alone:
        raise TypeError(f"Column '{alone[0]}' is unique: say `unique` in the contract's Config.")
    if schema.checks:
        raise TypeError(f"{contract.__name__} checks the whole table; check columns instead.")


def _structure_failures(table: ir.Table, columns: Columns) -> list[CheckFailure]:
    schema = table.schema()
    missing = [c for c in columns.all if c.name not in schema]
    mistyped = [c for c in columns.all if c.name in schema and not _type_fits(c, schema[c.name])]
    return [
        *(CheckFailure("column_in_table", check="column_in_table", column=c.name) for c in missing),
        *(
            CheckFailure(f"is {c.kind}", f"is {c.kind}", c.name, failure_examples=[schema[c.name]])
            for c in mistyped
        ),
    ]


def _type_fits(column: Column, dtype: Any) -> bool:
    fits = {
        "numeric": dtype.is_integer() if is_int(column.dtype) else dtype.is_numeric(),
        "categorical": dtype.is_string(),
        "datetime": dtype.is_timestamp(),
        "boolean": dtype.is_boolean(),
    }
    return bool(fits[column.kind])


def _row_failures(table: ir.Table, columns: Columns) -> list[CheckFailure]:
    rules = list(_rules(table, columns))
    if not rules:
        return []
    counts = table.aggregate(
        **{str(i): rule.broken.sum().fill_null(0) for i, rule in enumerate(rules)}
    )
    [row] = counts.to_pyarrow().to_pylist()
    return [_failure(table, rule, row[str(i)]) for i, rule in enumerate(rules) if row[str(i)]]


def _rules(table: ir.Table, columns: Columns) -> Iterator[_Rule]:
    for column in columns.all:
        values = _without_nan(table[column.name])
        if not column.nullable:
            yield _Rule(column.name, "not_nullable", values.isnull())
        for name, statistics in column.checks.items():
            if name not in _PASSES:
                raise TypeError(
                    f"The check '{name}' of column '{column.name}' cannot be pushed down to the "
                    f"engine; use one of {', '.join(_PASSES)}."
                )
            yield _Rule(
                column.name, _rule_name(name, statistics), ~_PASSES[name](values, **statistics)
            )


def _without_nan(values: ir.Column) -> ir.Column:
    """Not-a-number counts as missing, as it does in pandas."""
    if not values.type().is_floating():
        return values
    return values.isnan().ifelse(ibis.null(values.type()), values)


def _rule_name(name: str, statistics: dict[str, Any]) -> str:
    return f"{name}({', '.join(str(value) for value in statistics.values())})"


def _failure(table: ir.Table, rule: _Rule, count: int) -> CheckFailure:
    examples = table.filter(rule.broken).select(rule.column).limit(EXAMPLES)
    values = examples.to_pyarrow().column(rule.column).to_pylist()
    return CheckFailure(rule.name, rule.name, rule.column, int(count), values)
