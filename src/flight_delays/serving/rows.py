"""Rows as callers send them: what is accepted, and what is said of the rest.

``request_model`` is the judge: a Pydantic model of the plan's fields, which names every error. The
reader of requests (``reading``) is quicker, accepts no more than it, and leaves it what it does not
accept itself.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NaiveDatetime,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from flight_delays.portable import plan

from .refusals import Problem

# longest text of a field, and the length to which a refused value is quoted
MAX_TEXT = 256
MAX_QUOTED = 80
# errors named in one answer
MAX_ERRORS = 100
# the input of these is the whole row, or a field that the contract does not know
_NOT_QUOTED = ("missing", "extra_forbidden")
# a row that is none, and one with text that is none or nested too deeply, are not shown
_NO_FIELD = ("model_type", "model_attributes_type", "json_invalid")


def request_model(fields: list[plan.Field]) -> type[BaseModel]:
    """A Pydantic model of the fields that a caller sends.

    Bounds, allowed values, patterns, descriptions and examples are those of the contract; unknown
    fields are refused.
    """
    members: dict[str, Any] = {field.name: _member(field) for field in fields}
    example = {field.name: field.example for field in fields}
    config = ConfigDict(extra="forbid", json_schema_extra={"example": example})
    return create_model("Row", __config__=config, **members)


def value_judge(field: plan.Field) -> Callable[[Any], Any]:
    """The judge of a single value, which returns it as the contract has it.

    It raises a ``ValueError`` if the value breaks the contract.
    """
    judge: Callable[[Any], Any] = TypeAdapter(_member(field)[0]).validate_python
    return judge


def problems(
    model: type[BaseModel], rows: Iterable[Any], personal: frozenset[str]
) -> tuple[list[BaseModel], list[Problem]]:
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
    wrong: list[Problem] = []
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
    known: Mapping[str, Any] = model.model_fields
    if not isinstance(row, dict) or len(row) <= len(known) + MAX_ERRORS:
        return row
    unknown = islice((name for name in row if name not in known), MAX_ERRORS + 1)
    return {name: row[name] for name in row if name in known} | {n: row[n] for n in unknown}


def _problem(row: int, detail: ErrorDetails, personal: frozenset[str]) -> Problem:
    kind, value = detail["type"], detail["input"]
    field = None if kind in _NO_FIELD else _quoted(detail["loc"][0], quotes=False)
    problem: Problem = {"row": row, "field": field, "rule": kind, "message": detail["msg"]}
    if field is not None and kind not in _NOT_QUOTED and field not in personal:
        problem["value"] = _quoted(value)
    return problem


def _quoted(value: Any, *, quotes: bool = True) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False) if quotes else str(value)
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"


def _member(field: plan.Field) -> Any:
    whole = [BeforeValidator(_integral)] if field.integer else []
    limited: Any = Annotated[_type(field), Field(**_limits(field)), *whole, *_refusals(field)]
    annotation = limited | None if field.nullable else limited
    default = None if field.nullable else ...
    return annotation, Field(default, description=field.description)


def _limits(field: plan.Field) -> dict[str, Any]:
    limits = dict(field.rules)
    if field.kind in ("numeric", "boolean"):
        limits["strict"] = True
    if field.kind == "numeric" and not field.integer:
        limits["allow_inf_nan"] = False
    if field.kind == "categorical" and field.allowed is None:
        limits["max_length"] = MAX_TEXT
    return limits


def _refusals(field: plan.Field) -> list[Any]:
    refusals: list[Any] = []
    if field.forbidden:
        documented = Field(json_schema_extra={"not": {"enum": field.forbidden}})
        refusals += [AfterValidator(_none_of(field.forbidden)), documented]
    if field.allowed is not None and field.kind != "categorical":
        documented = Field(json_schema_extra={"enum": field.allowed})
        refusals += [AfterValidator(_one_of(field.allowed)), documented]
    return refusals


def _one_of(allowed: list[Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if _plain(value) not in allowed:
            raise PydanticCustomError("isin", "Input should be one of {allowed}", _named(allowed))
        return value

    return check


def _none_of(forbidden: list[Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if _plain(value) in forbidden:
            raise PydanticCustomError(
                "notin", "Input should not be one of {allowed}", _named(forbidden)
            )
        return value

    return check


def _named(values: list[Any]) -> dict[str, Any]:
    return {"allowed": json.dumps(values)}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _type(field: plan.Field) -> Any:
    if field.kind == "categorical" and field.allowed is not None:
        return Literal[tuple(field.allowed)]
    if field.kind == "numeric":
        return int if field.integer else float
    return {"categorical": str, "datetime": NaiveDatetime, "boolean": bool}[field.kind]


def _integral(value: Any) -> Any:
    """An integer that is written with a point or an exponent is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
