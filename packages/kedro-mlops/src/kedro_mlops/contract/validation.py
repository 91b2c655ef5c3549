"""Contracts checked inside the engine: the catalog's ``validator:``.

``ContractValidator`` turns a Pandera model into one aggregate query, so that no row leaves the
engine, however many there are.
"""

from collections.abc import Sequence
from typing import Any

import ibis.expr.types as ir
import pandas as pd
from ibis import _
from kedro.utils import load_obj
from kedro.validation import CheckFailure, DataValidationError

from . import proved
from .columns import Column, Columns
from .names import alike_but_for_case
from .parsing import as_named, parse
from .repeated import repeated_keys
from .rules import (
    aggregated,
    column_rules,
    count_broken,
    key_rule,
    moment_rules,
    shown,
)

EXAMPLES = 5
SHOWN_COLUMNS = 30
# rows among which a column usually shows that it can be parsed
HEAD = 1000
SEPARATORS = (";", "\t", "|", ",")


class MissingColumnsError(DataValidationError):
    """A raw table that lacks columns; the message says which it has, and why that may be."""

    def __init__(
        self, path: str, failures: list[CheckFailure], found: list[str], columns: Columns
    ) -> None:
        super().__init__(f"The table breaks {path}", validator=path, failures=failures)
        self._found, self._columns = found, columns

    def __str__(self) -> str:
        absent = ", ".join(failure.column or "" for failure in self.failures)
        table = self.dataset_name or "The table"
        return f"{table} lacks {absent}, which {self.validator} asks for. {self._instead()}"

    def _instead(self) -> str:
        known = set(self._columns.names)
        n_known, separator = max(
            (len(known.intersection(self._separated(mark))), mark) for mark in SEPARATORS
        )
        if n_known > len(known.intersection(self._found)):
            mark = separator.replace("\t", "\\t")
            return (
                f'The header is separated by "{mark}": say `load_args: {{ sep: "{mark}" }}` in the '
                f"catalog. It is: {' '.join(self._found)[:1000]}"
            )
        if self._columns.personal and not known.intersection(self._found):
            # what is no header would be a row
            return f"It has {len(self._found)} columns, none of which is known."
        more = ", …" if len(self._found) > SHOWN_COLUMNS else ""
        return f"It has {', '.join(self._found[:SHOWN_COLUMNS])}{more}."

    def _separated(self, mark: str) -> list[str]:
        cells = [cell for name in self._found for cell in name.split(mark)]
        return [cell.strip().strip('"') for cell in cells]


class ContractValidator:
    """Validates an Ibis table against a Pandera model with one pushed-down query.

    Args:
        contract: Import path of the Pandera model, e.g. ``my_project.contracts.Row``.
        without_personal: Whether columns with personal data must be absent, instead of present.
    """

    def __init__(self, contract: str, without_personal: bool = False) -> None:
        self._path = contract
        columns = Columns.of(load_obj(contract))
        self._columns = columns.without_personal() if without_personal else columns
        self._refused = columns.personal if without_personal else []
        self._passed: ir.Table | None = None

    def validate(self, table: ir.Table) -> ir.Table:
        """Return the table unchanged if it keeps the contract.

        Rows are not asked again of the table just passed, nor of one that this run has written
        and proved to keep the contract.

        Raises:
            DataValidationError: naming each broken column and rule, the number of rows and
                examples of the values.
        """
        if table is self._passed:
            return table
        _raise_for(self._path, _structure_failures(table, self._columns, self._refused))
        if not proved.is_kept(table, self._columns):
            _raise_for(self._path, _row_failures(table, self._columns))
            proved.note_checked(table, self._columns)
        self._passed = table
        return table


class RawTableValidator:
    """Stops a raw table that is broken as a whole; its bad rows are for the quarantine.

    A table is broken as a whole if it has no rows, lacks a column, or has one of whose values not
    a single one is of the declared type.

    Args:
        contract: Import path of the Pandera model, e.g. ``my_project.contracts.Row``.
    """

    def __init__(self, contract: str) -> None:
        self._path = contract
        self._columns = Columns.of(load_obj(contract))

    def validate(self, raw: pd.DataFrame | ir.Table) -> pd.DataFrame | ir.Table:
        """Return the table unchanged if it can be parsed.

        Raises:
            DataValidationError: naming what is missing or of another type.
        """
        _raise_for(self._path, _alike(raw))
        table = as_named(raw, self._columns)
        absent = _missing(table, self._columns)
        if absent:
            raise MissingColumnsError(self._path, absent, list(table.columns), self._columns)
        _raise_for(self._path, _unparsable(table, self._columns))
        return raw


def _raise_for(path: str, failures: list[CheckFailure]) -> None:
    if failures:
        raise DataValidationError(f"The table breaks {path}", validator=path, failures=failures)


def _alike(raw: pd.DataFrame | ir.Table) -> list[CheckFailure]:
    return [
        _failure(
            f"no columns differ in upper and lower case alone, as {alike} do: rename one in the "
            "source, or name all columns in the catalog, as in "
            "`load_args: { names: [id, size], skiprows: 1 }`"
        )
        for alike in alike_but_for_case(map(str, raw.columns))
    ]


def _missing(table: ir.Table, columns: Columns) -> list[CheckFailure]:
    absent = [name for name in columns.names if name not in table.columns]
    return [_failure("column_in_table", name) for name in absent]


def _structure_failures(
    table: ir.Table, columns: Columns, refused: list[str]
) -> list[CheckFailure]:
    schema = table.schema()
    mistyped = [c for c in columns.all if c.name in schema and not _type_fits(c, schema[c.name])]
    return [
        *_missing(table, columns),
        *(_failure(f"is {c.kind}", c.name, examples=[schema[c.name]]) for c in mistyped),
        *(_failure("personal_column_left_out", name) for name in refused if name in schema),
    ]


def _type_fits(column: Column, dtype: Any) -> bool:
    fits = {
        "numeric": dtype.is_integer() if column.integer else dtype.is_numeric(),
        "categorical": dtype.is_string(),
        "datetime": dtype.is_timestamp(),
        "boolean": dtype.is_boolean(),
    }
    return bool(fits[column.kind])


def _unparsable(table: ir.Table, columns: Columns) -> list[CheckFailure]:
    """Columns that have values, none of which is of the declared type; or a table of no rows."""
    head = _count_parsed(table.limit(HEAD), columns.all)
    if not head["rows"]:
        return [_failure("the table has rows")]
    doubtful = [column for column in columns.all if not head[f"parsed {column.name}"]]
    found = _count_parsed(table, doubtful) if doubtful else {}
    return [
        _failure(
            f"is {column.kind}",
            column.name,
            int(found[f"given {column.name}"]),
            _examples(table.filter(_[column.name].notnull()), columns, [column.name]),
        )
        for column in doubtful
        if found[f"given {column.name}"] and not found[f"parsed {column.name}"]
    ]


def _count_parsed(table: ir.Table, columns: Sequence[Column]) -> dict[str, Any]:
    """Rows; and for each column those that have a value, and one of the declared type."""
    counts: dict[str, Any] = {"rows": table.count()}
    for column in columns:
        parsed = parse(column, table[column.name])
        counts[f"given {column.name}"] = parsed.given.sum()
        counts[f"parsed {column.name}"] = (parsed.given & ~parsed.failed).sum()
    return aggregated(table, counts)


def _row_failures(table: ir.Table, columns: Columns) -> list[CheckFailure]:
    values = {name: table[name] for name in columns.names}
    rules = [*column_rules(columns, values), *moment_rules(columns, values)]
    broken = count_broken(table, rules)
    failures = [
        _failure(
            rule.name,
            rule.column,
            n_rows,
            _examples(table.filter(rule.broken), columns, rule.columns),
        )
        for rule, n_rows in broken
    ]
    n_keys, _ = repeated_keys(table, columns.unique)
    if n_keys:
        failures.append(_failure(key_rule(columns.unique), count=n_keys))
    return failures


def _failure(
    check: str, column: str | None = None, count: int = 1, examples: Sequence[Any] = ()
) -> CheckFailure:
    return CheckFailure(check, check, column, count, list(examples))


def _examples(bad: ir.Table, columns: Columns, names: Sequence[str]) -> list[Any]:
    rows = bad.select(*names).limit(EXAMPLES).to_pyarrow().to_pylist()
    values = [row[names[0]] if len(names) == 1 else tuple(row.values()) for row in rows]
    return shown(columns, names, values)
