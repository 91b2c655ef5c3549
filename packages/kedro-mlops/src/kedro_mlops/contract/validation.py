"""Contracts checked inside the engine: the catalog's ``validator:``.

``ContractValidator`` turns a Pandera model into one aggregate query, so that no row leaves the
engine, however many there are.
"""

from collections.abc import Sequence
from typing import Any

import ibis.expr.types as ir
import pandas as pd
import pandera.pandas as pa
from kedro.utils import load_obj
from kedro.validation import CheckFailure, DataValidationError

from .columns import Column, Columns
from .parsing import as_table, parse
from .rules import Rule, column_rules, key_rule, moment_rules, repeated_keys, row_key, shown

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
        self._contract: type[pa.DataFrameModel] = load_obj(contract)
        columns = Columns.of(self._contract)
        self._columns = columns.without_personal() if without_personal else columns
        self._refused = columns.personal if without_personal else []
        self._key = row_key(self._contract)
        self._passed: ir.Table | None = None

    def validate(self, table: ir.Table) -> ir.Table:
        """Return the table unchanged if it keeps the contract; the one just passed is not asked.

        Raises:
            DataValidationError: naming each broken column and rule, the number of rows and
                examples of the values.
        """
        if table is self._passed:
            return table
        self._raise_for(_structure_failures(table, self._columns, self._refused))
        values = {name: table[name] for name in self._columns.names}
        rules = [*column_rules(self._columns, values), *moment_rules(self._contract, values)]
        failures = _row_failures(table, rules, self._columns) if rules else []
        self._raise_for([*failures, *self._duplicates(table)])
        self._passed = table
        return table

    def _duplicates(self, table: ir.Table) -> list[CheckFailure]:
        count, _ = repeated_keys(table, self._key)
        message = key_rule(self._key)
        return [CheckFailure(message, check=message, failure_count=count)] if count else []

    def _raise_for(self, failures: list[CheckFailure]) -> None:
        _raise_for(self._path, failures)


class RawTableValidator:
    """Stops a raw table that is broken as a whole; its bad rows are for the quarantine.

    A table is broken as a whole if it has no rows, lacks a column, or has one of whose values not
    a single one is of the declared type.

    Args:
        contract: Import path of the Pandera model, e.g. ``my_project.contracts.Row``.
    """

    def __init__(self, contract: str) -> None:
        self._path = contract
        self._contract: type[pa.DataFrameModel] = load_obj(contract)
        self._columns = Columns.of(self._contract)
        row_key(self._contract)

    def validate(self, raw: pd.DataFrame | ir.Table) -> pd.DataFrame | ir.Table:
        """Return the table unchanged if it can be parsed.

        Raises:
            DataValidationError: naming what is missing or of another type.
        """
        table = as_table(raw)
        absent = _missing(table, self._columns)
        if absent:
            raise MissingColumnsError(self._path, absent, list(table.columns), self._columns)
        _raise_for(self._path, _unparsable(table, self._columns))
        return raw


def _raise_for(path: str, failures: list[CheckFailure]) -> None:
    if failures:
        raise DataValidationError(f"The table breaks {path}", validator=path, failures=failures)


def _missing(table: ir.Table, columns: Columns) -> list[CheckFailure]:
    absent = [name for name in columns.names if name not in table.columns]
    return [CheckFailure("column_in_table", "column_in_table", name) for name in absent]


def _structure_failures(
    table: ir.Table, columns: Columns, refused: list[str]
) -> list[CheckFailure]:
    schema = table.schema()
    mistyped = [c for c in columns.all if c.name in schema and not _type_fits(c, schema[c.name])]
    return [
        *_missing(table, columns),
        *(
            CheckFailure(f"is {c.kind}", f"is {c.kind}", c.name, failure_examples=[schema[c.name]])
            for c in mistyped
        ),
        *(
            CheckFailure("personal_column_left_out", "personal_column_left_out", name)
            for name in refused
            if name in schema
        ),
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
        return [CheckFailure("the table has rows", "the table has rows")]
    doubtful = [column for column in columns.all if not head[f"parsed {column.name}"]]
    found = _count_parsed(table, doubtful) if doubtful else {}
    broken = [
        column
        for column in doubtful
        if found[f"given {column.name}"] and not found[f"parsed {column.name}"]
    ]
    return [
        CheckFailure(
            f"is {column.kind}",
            f"is {column.kind}",
            column.name,
            int(found[f"given {column.name}"]),
            shown(column, _examples(table, column.name, table[column.name].notnull())),
        )
        for column in broken
    ]


def _count_parsed(table: ir.Table, columns: Sequence[Column]) -> dict[str, Any]:
    """Rows; and for each column those that have a value, and one of the declared type."""
    counts: dict[str, Any] = {"rows": table.count()}
    for column in columns:
        parsed = parse(column, table[column.name])
        counts[f"given {column.name}"] = parsed.given.sum()
        counts[f"parsed {column.name}"] = (parsed.given & ~parsed.failed).sum()
    [found] = table.aggregate(**counts).to_pyarrow().to_pylist()
    return dict(found)


def _row_failures(table: ir.Table, rules: list[Rule], columns: Columns) -> list[CheckFailure]:
    counts = table.aggregate(
        **{str(i): rule.broken.sum().fill_null(0) for i, rule in enumerate(rules)}
    )
    [row] = counts.to_pyarrow().to_pylist()
    return [
        _failure(table, rule, columns, row[str(i)]) for i, rule in enumerate(rules) if row[str(i)]
    ]


def _failure(table: ir.Table, rule: Rule, columns: Columns, count: int) -> CheckFailure:
    found = [shown(columns[name], _examples(table, name, rule.broken)) for name in rule.columns]
    examples = found[0] if len(found) == 1 else list(zip(*found, strict=False))
    return CheckFailure(rule.name, rule.name, rule.column, int(count), examples)


def _examples(table: ir.Table, name: str, wanted: ir.BooleanValue) -> list[Any]:
    found: list[Any] = table.filter(wanted).limit(EXAMPLES)[name].to_pyarrow().to_pylist()
    return found
