"""The contract, as the service needs it."""

from typing import Any

import numpy as np

from kedro_mlops.contract.columns import Column, Columns
from kedro_mlops.core.errors import ContractError
from kedro_mlops.runtime.checks import CHECKS, anchored
from kedro_mlops.runtime.serving_spec import Field, Spelling

LEFT_OUT = "; it may be left out, and is then the id of the prediction"
_INT64 = np.iinfo(np.int64)


def fields_of(columns: Columns, seen: dict[str, list[str]] | None = None) -> list[Field]:
    """The columns of a contract, with every rule that the service has to obey.

    Args:
        columns: The columns.
        seen: Per categorical feature, the categories that the model has seen; where a column
            refuses others, these are all that are allowed.

    Raises:
        ContractError: if the service cannot keep what is asked of a column.
    """
    for column in columns.looked_up:
        lookup = column.role.lookup
        if lookup and not (columns[lookup.by].kind == "categorical" or columns[lookup.by].integer):
            raise ContractError(
                f"Column '{column.name}' is looked up by '{lookup.by}', which is "
                f"{columns[lookup.by].kind}: the online store's keys are text or whole numbers."
            )
    return [_field(column, (seen or {}).get(column.name)) for column in columns.all]


def _field(column: Column, seen: list[str] | None) -> Field:
    _refuse_what_cannot_be_kept(column)
    rules, lookup = _rules(column), column.role.lookup
    allowed = rules.pop("allowed", None)
    if column.accepts_unseen:
        allowed = None
    # a category that was looked up cannot be refused
    elif column.kind == "categorical" and allowed is None and not lookup:
        allowed = seen
    return Field(
        name=column.name,
        kind=column.kind,
        integer=column.integer,
        nullable=column.nullable or column.role.assigned,
        description=column.description + (LEFT_OUT if column.role.assigned else ""),
        key=column.role.key,
        personal=column.role.personal,
        example=column.role.example,
        allowed=allowed,
        forbidden=rules.pop("forbidden", []),
        rules=rules,
        source=lookup,
        accept_unseen=column.accepts_unseen,
        assigned=column.role.assigned,
        coerced=_spelling(column) if column.coerce else None,
        sent_as=column.role.source_name or "",
    )


def _spelling(column: Column) -> Spelling:
    role = column.role
    # what is looked up is in no source of text
    missing = [] if role.lookup else list(column.missing)
    return Spelling(missing, role.format, role.decimal, role.thousands, role.symbol)


def _rules(column: Column) -> dict[str, Any]:
    rules = {"ge": int(_INT64.min), "le": int(_INT64.max)} if column.integer else {}
    asked = {CHECKS[name].rule: _json(limit) for name, limit in column.checks.items()}
    if "pattern" in asked:
        asked["pattern"] = anchored(asked["pattern"])
    return rules | asked


def _refuse_what_cannot_be_kept(column: Column) -> None:
    if getattr(column.dtype, "tz", None):
        raise ContractError(
            f"Column '{column.name}' has a time zone, but callers send local moments: declare "
            "pd.Timestamp."
        )
    others = [name for name in column.checks if name != "isin"]
    if "isin" in column.checks and others:
        raise ContractError(
            f"Column '{column.name}' has `isin` and {', '.join(others)}: name just the values that "
            "are allowed."
        )


def _json(value: Any) -> Any:
    """NumPy's numbers and moments, and lists of them, as JSON knows them."""
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(each) for each in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
