"""Requests and answers of the service, generated from the contract."""

import datetime
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pandera.pandas as pa
from pandera.dtypes import is_int
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NaiveDatetime,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from flight_delays.columns import FINITE, Column, Columns
from flight_delays.errors import ContractError

_BOUNDS = {
    "greater_than": "gt",
    "greater_than_or_equal_to": "ge",
    "less_than": "lt",
    "less_than_or_equal_to": "le",
    "str_matches": "pattern",
}
_INT64 = np.iinfo(np.int64)
# errors named in one answer, and the length to which a refused value is quoted
MAX_ERRORS = 100
MAX_QUOTED = 80
# the input of these is the whole row, or a field that the contract does not know
_NOT_QUOTED = ("missing", "extra_forbidden")


class Answer(BaseModel):
    """The prediction for one row."""

    prediction_id: str = Field(description="Identifies the prediction in the log")
    probability: float = Field(description="Estimated probability of the positive class")
    decision: bool = Field(description="Whether the probability reaches the decision threshold")
    model_version: str = Field(description="The model that answered")
    missing_features: list[str] = Field(
        description="Looked-up features that were not found; the model treats them as missing"
    )


class Predictions(BaseModel):
    """One answer per row, in the order of the rows."""

    predictions: list[Answer]


class ModelInfo(BaseModel):
    """What serves, and how good it was."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str
    family: str
    as_of: datetime.datetime
    threshold: float
    metrics: dict[str, dict[str, float]]
    git_commit: str
    data_hash: str


def request_model(contract: type[pa.DataFrameModel]) -> type[BaseModel]:
    """A Pydantic model of the columns that a caller sends.

    Bounds, allowed values, patterns, descriptions and examples are those of the contract; columns
    that the service looks up are left out, and unknown fields are refused.
    """
    sent = Columns.of(contract).sent
    fields: dict[str, Any] = {column.name: _field(column) for column in sent}
    config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {column.name: column.role.example for column in sent}},
    )
    return create_model("Row", __config__=config, __doc__=contract.__doc__, **fields)


def explained(columns: Columns) -> WrapValidator:
    """A validator around a list of rows whose errors quote the values that were refused.

    An error names the row, the field and the rule; this adds the value, unless it is personal, and
    names no more than ``MAX_ERRORS`` of them.
    """

    def explain(rows: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(rows)
        except ValidationError as error:
            details = [_quoting(detail, columns) for detail in error.errors()[:MAX_ERRORS]]
            left_out = error.error_count() - len(details)
            if left_out:
                error_of_many = _error("more_errors", f"and {left_out:,} more errors")
                details.append(InitErrorDetails(type=error_of_many, loc=(), input=None))
            raise ValidationError.from_exception_data(error.title, details) from error

    return WrapValidator(explain)


def _quoting(detail: ErrorDetails, columns: Columns) -> InitErrorDetails:
    kind, message, value = detail["type"], detail["msg"], detail["input"]
    if kind not in _NOT_QUOTED and len(detail["loc"]) > 1:
        personal = detail["loc"][1] in columns.personal
        message += f", not {'the personal value given' if personal else _quoted(value)}"
    return InitErrorDetails(type=_error(kind, message), loc=detail["loc"], input=None)


def _error(kind: str, message: str) -> PydanticCustomError:
    # without values to fill in, braces in the message stay what they are
    return PydanticCustomError(kind, message)


def _quoted(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"


def _field(column: Column) -> Any:
    limited: Any = Annotated[_type(column), Field(**_limits(column)), *_refusals(column)]
    annotation = limited | None if column.nullable else limited
    default = None if column.nullable else ...
    return annotation, Field(default, description=column.description)


def _limits(column: Column) -> dict[str, Any]:
    """The column's checks as Pydantic knows them; ``isin`` is its type's affair."""
    checks = {name: found for name, found in column.checks.items() if name not in _HANDLED}
    others = [name for name in column.checks if name not in ("isin", FINITE)]
    if "isin" in column.checks and others:
        raise ContractError(
            f"Column '{column.name}' has `isin` and {', '.join(others)}: name just the values that "
            "are allowed."
        )
    limits: dict[str, Any] = dict(_STRICT.get(column.kind, {}))
    if is_int(column.dtype):
        limits |= {"ge": _INT64.min, "le": _INT64.max}
    elif column.kind == "numeric":
        limits["allow_inf_nan"] = False
    for check, statistics in checks.items():
        if check not in _BOUNDS:
            raise ContractError(
                f"The check '{check}' of column '{column.name}' has no counterpart in the "
                f"service's API; use one of isin, notin, {', '.join(_BOUNDS)}."
            )
        [limit] = statistics.values()
        # like Python's re.match, Pandera looks at the beginning of the text only
        limits[_BOUNDS[check]] = f"^(?:{limit})" if check == "str_matches" else limit
    return limits


_HANDLED = ("isin", "notin", FINITE)
_STRICT = {"numeric": {"strict": True}, "boolean": {"strict": True}}


def _refusals(column: Column) -> list[Any]:
    refusals: list[Any] = []
    if "notin" in column.checks:
        forbidden = list(column.checks["notin"]["forbidden_values"])
        documented = Field(json_schema_extra={"not": {"enum": _as_json(forbidden)}})
        refusals += [AfterValidator(_none_of(forbidden)), documented]
    if "isin" in column.checks and column.kind != "categorical":
        allowed = list(column.checks["isin"]["allowed_values"])
        documented = Field(json_schema_extra={"enum": _as_json(allowed)})
        refusals += [AfterValidator(_one_of(allowed)), documented]
    return refusals


def _as_json(values: list[Any]) -> list[Any]:
    return [value.isoformat() if hasattr(value, "isoformat") else value for value in values]


def _one_of(allowed: list[Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value not in allowed:
            raise _error("isin", f"Input should be one of {allowed}")
        return value

    return check


def _none_of(forbidden: list[Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value in forbidden:
            raise _error("notin", f"Input should not be one of {forbidden}")
        return value

    return check


def _type(column: Column) -> Any:
    if column.kind == "categorical" and "isin" in column.checks:
        return Literal[tuple(column.checks["isin"]["allowed_values"])]
    if column.kind == "numeric":
        return int if is_int(column.dtype) else float
    if getattr(column.dtype, "tz", None):
        raise ContractError(
            f"Column '{column.name}' has a time zone, but callers send local moments: declare "
            "pd.Timestamp."
        )
    return {"categorical": str, "datetime": NaiveDatetime, "boolean": bool}[column.kind]
