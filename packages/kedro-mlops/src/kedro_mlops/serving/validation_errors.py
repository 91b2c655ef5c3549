"""What is said of rows that are not accepted.

``runtime.field_types.request_model`` is the judge: a Pydantic model of the fields, which names each
error. The reader of requests (``reading``) is quicker, accepts no more than it, and leaves it what
it does not accept itself.
"""

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .refusals import RowProblem

# length to which a refused value is quoted
MAX_QUOTED = 80
# errors named in one answer
MAX_ERRORS = 100
# the input of these is the whole row, or a field that the contract does not know
_NOT_QUOTED = ("missing", "extra_forbidden")
# a row that is none, and one with text that is none or nested too deeply, are not shown
_NO_FIELD = ("model_type", "model_attributes_type", "json_invalid")


def validation_errors(
    model: type[BaseModel], rows: Iterable[Any], personal: frozenset[str]
) -> tuple[list[BaseModel], list[RowProblem]]:
    """Judge rows one by one, until there are enough errors to name.

    Args:
        model: What ``request_model`` made.
        rows: Rows as JSON gives them.
        personal: Fields whose values are not quoted.

    Returns:
        The rows that are right, and what is wrong with the others: ``row``, ``field``, ``rule``,
        ``message`` and, unless it is personal, ``value``.
    """
    right: list[BaseModel] = []
    wrong: list[RowProblem] = []
    for number, row in enumerate(rows):
        try:
            right.append(model.model_validate_json(json.dumps(_without_most(row, model))))
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False)
            wrong += [_problem(number, detail, personal) for detail in details]
        except (ValueError, RecursionError) as error:
            wrong.append({"row": number, "field": None, "rule": "json", "message": str(error)})
        if len(wrong) > MAX_ERRORS:
            break
    return right, wrong


def _without_most(row: Any, model: type[BaseModel]) -> Any:
    """The row with no more unknown fields than can be named."""
    known = {field.alias for field in model.model_fields.values()}
    if not isinstance(row, dict) or len(row) <= len(known) + MAX_ERRORS:
        return row
    unknown = islice((name for name in row if name not in known), MAX_ERRORS + 1)
    return {name: row[name] for name in row if name in known} | {n: row[n] for n in unknown}


def _problem(row: int, detail: ErrorDetails, personal: frozenset[str]) -> RowProblem:
    kind, value = detail["type"], detail["input"]
    field = None if kind in _NO_FIELD else _quoted(detail["loc"][0], quotes=False)
    problem: RowProblem = {"row": row, "field": field, "rule": kind, "message": detail["msg"]}
    if field is not None and kind not in _NOT_QUOTED and field not in personal:
        problem["value"] = _quoted(value)
    return problem


def _quoted(value: Any, *, quotes: bool = True) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False) if quotes else str(value)
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"
