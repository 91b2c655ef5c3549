"""Requests and answers of the service, generated from the contract."""

import datetime
from typing import Annotated, Any, Literal

import numpy as np
import pandera.pandas as pa
from pandera.dtypes import is_int
from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime, create_model

from flight_delays.columns import Column, Columns

_BOUNDS = {
    "greater_than": "gt",
    "greater_than_or_equal_to": "ge",
    "less_than": "lt",
    "less_than_or_equal_to": "le",
    "str_matches": "pattern",
}
_INT64 = np.iinfo(np.int64)


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


def _field(column: Column) -> Any:
    limited: Any = Annotated[_type(column), Field(**_limits(column))]
    annotation = limited | None if column.nullable else limited
    default = None if column.nullable else ...
    return annotation, Field(default, description=column.description)


def _limits(column: Column) -> dict[str, Any]:
    """The column's checks as Pydantic knows them; ``isin`` is its type's affair."""
    if "isin" in column.checks:
        return {}
    limits: dict[str, Any] = {}
    if column.kind == "numeric":
        limits = {"strict": True, "allow_inf_nan": False}
        if is_int(column.dtype):
            limits = {"strict": True, "ge": _INT64.min, "le": _INT64.max}
    for check, statistics in column.checks.items():
        if check not in _BOUNDS:
            raise TypeError(
                f"The check '{check}' of column '{column.name}' has no counterpart in the "
                f"service's API; use one of isin, {', '.join(_BOUNDS)}."
            )
        [limit] = statistics.values()
        # like Python's re.match, Pandera looks at the beginning of the text only
        limits[_BOUNDS[check]] = f"^(?:{limit})" if check == "str_matches" else limit
    return limits


def _type(column: Column) -> Any:
    allowed = column.checks.get("isin", {}).get("allowed_values")
    if allowed:
        return Literal[tuple(allowed)]
    if column.kind == "numeric":
        return int if is_int(column.dtype) else float
    return {"categorical": str, "datetime": NaiveDatetime, "boolean": bool}[column.kind]
