"""The contract, as the service needs it."""

from typing import Any

import numpy as np
from pandera.dtypes import is_int

from kedro_mlops.contract.columns import ARGUMENTS, FINITE, Column, Columns
from kedro_mlops.core.errors import ContractError
from kedro_mlops.runtime.serving_spec import Field, Source

_RULES = {
    "greater_than": "gt",
    "greater_than_or_equal_to": "ge",
    "less_than": "lt",
    "less_than_or_equal_to": "le",
    "str_matches": "pattern",
}
_LISTS = ("isin", "notin", FINITE)
_INT64 = np.iinfo(np.int64)


def fields_of(columns: Columns, seen: dict[str, list[str]] | None = None) -> list[Field]:
    """The columns of a contract, with every rule that the service has to obey.

    Args:
        columns: The columns.
        seen: Per categorical feature, the categories that the model has seen; where a column
            refuses others, these are all that are allowed.

    Raises:
        ContractError: if a rule has no counterpart in the service.
    """
    for column in columns.looked_up:
        lookup = column.role.lookup
        if lookup and columns[lookup.by].kind != "categorical":
            raise ContractError(
                f"Column '{column.name}' is looked up by '{lookup.by}', which is "
                f"{columns[lookup.by].kind}: the online store's keys are text."
            )
    return [_field(column, (seen or {}).get(column.name)) for column in columns.all]


def _field(column: Column, seen: list[str] | None) -> Field:
    lookup = column.role.lookup
    checks = column.checks
    _refuse_what_cannot_be_kept(column)
    named = list(checks["isin"]["allowed_values"]) if "isin" in checks else None
    return Field(
        name=column.name,
        kind=column.kind,
        integer=column.kind == "numeric" and is_int(column.dtype),
        nullable=column.nullable,
        description=column.description,
        key=column.role.key,
        personal=column.role.personal,
        example=column.role.example,
        rules=_rules(column),
        # a category that was looked up cannot be refused
        allowed=_plain(_allowed(column, named, None if lookup else seen)),
        forbidden=_plain(checks["notin"]["forbidden_values"]) if "notin" in checks else [],
        source=Source(lookup.table, lookup.by, lookup.column, lookup.daily) if lookup else None,
        accept_unseen=column.accepts_unseen,
    )


def _allowed(column: Column, named: list[Any] | None, seen: list[str] | None) -> list[Any] | None:
    """The values that a request may have."""
    if column.kind != "categorical":
        return named
    if column.accepts_unseen:
        return None
    return named if named is not None else seen


def _rules(column: Column) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    if column.kind == "numeric" and is_int(column.dtype):
        rules |= {"ge": int(_INT64.min), "le": int(_INT64.max)}
    for check, statistics in column.checks.items():
        if check in _RULES:
            [limit] = statistics.values()
            # like Python's re.match, Pandera looks at the beginning of the text only
            rules[_RULES[check]] = f"^(?:{limit})" if check == "str_matches" else _json(limit)
    return rules


def _refuse_what_cannot_be_kept(column: Column) -> None:
    if getattr(column.dtype, "tz", None):
        raise ContractError(
            f"Column '{column.name}' has a time zone, but callers send local moments: declare "
            "pd.Timestamp."
        )
    for check in column.checks:
        if check not in (*_RULES, *_LISTS):
            raise ContractError(
                f"The check '{check}' of column '{column.name}' has no counterpart in the "
                f"service's API; use one of {', '.join(ARGUMENTS.values())}."
            )
    others = [name for name in column.checks if name not in ("isin", FINITE)]
    if "isin" in column.checks and others:
        raise ContractError(
            f"Column '{column.name}' has `isin` and {', '.join(others)}: name just the values that "
            "are allowed."
        )


def _plain(values: Any) -> Any:
    return None if values is None else [_json(value) for value in values]


def _json(value: Any) -> Any:
    """NumPy's numbers and moments as JSON knows them."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
