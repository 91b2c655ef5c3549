"""The service's OpenAPI document, made from the serving spec: what is really taken and answered."""

from typing import Any

import msgspec

from kedro_mlops.runtime.serving_spec import ServingSpec

from . import examples
from .additions import Additions
from .reading import RowReader
from .settings import Settings

DESCRIPTION = """`POST /predict` takes rows, each with what the caller knows, and answers each with
a probability, the decision at the threshold, the model's version and the prediction's id. What the
caller does not know is looked up in the online feature store; what is not found there is listed in
`missing_features` with the reason, and treated by the model as missing; so is what breaks the
contract there. `unseen_categories` are those that the model has not met in training. Every
prediction is logged before it is answered."""

REF = "#/components/schemas/"
TEXT = {"type": "string"}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "request_id": TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["row", "field", "rule", "message"],
                "properties": {
                    "row": {"type": "integer"},
                    "field": {"type": ["string", "null"]},
                    "rule": TEXT,
                    "message": TEXT,
                    "value": TEXT,
                },
            },
        },
        "more_errors": {"type": "boolean"},
    },
}
ERRORS = {
    400: "The body cannot be read",
    401: "No valid API key",
    405: "Another method is needed",
    408: "The request took too long to arrive",
    413: "The body is too large",
    415: "The body is of another type",
    422: "Rows break the contract",
    431: "The headers are too large",
    500: "A bug",
    503: "Overloaded or starting; try again after `Retry-After` seconds",
}


def document(
    spec: ServingSpec, reader: RowReader, settings: Settings, additions: Additions
) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    _, schemas = msgspec.json.schema_components([additions.answer], ref_template=f"{REF}{{name}}")
    rows = _listed("rows", "Row", minItems=1, maxItems=settings.max_rows)
    stream = "An Arrow IPC stream, without compression"
    arrow = {"schema": {"type": "string", "format": "binary", "description": stream}}
    security: dict[str, Any] = {"security": [{"key": []}]}
    open_: dict[str, Any] = {"security": []}

    def errors(method: str, *statuses: int) -> dict[str, Any]:
        said = examples.errors(spec, reader, settings, method)
        return {str(status): _problem(status, said[status]) for status in statuses}

    def secured(switch: str) -> dict[str, Any]:
        return open_ if switch in settings.opened else security

    return {
        "openapi": "3.1.0",
        "info": {
            "title": title(spec),
            "version": spec.model_version,
            "description": f"{spec.predicts}\n\n{DESCRIPTION}",
        },
        "paths": {
            "/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Probability and decision for each row",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": rows | {"additionalProperties": False},
                                "examples": examples.requests(spec),
                            },
                            "application/vnd.apache.arrow.stream": arrow,
                        },
                    },
                    "responses": {
                        "200": {
                            "description": "One prediction per row, in the order of the rows",
                            "content": {
                                "application/json": {
                                    "schema": _listed("predictions", "Answer"),
                                    "example": examples.answer(spec, additions),
                                },
                                "application/vnd.apache.arrow.stream": arrow,
                            },
                        },
                        **errors("POST", 400, 401, 405, 408, 413, 415, 422, 431, 500, 503),
                    },
                    **security,
                }
            },
            "/info": {
                "get": {
                    "operationId": "info",
                    "summary": "The model that serves, and its metrics on the test window",
                    "responses": {
                        "200": _json("The model", {"type": "object"}),
                        **errors("GET or POST", 401, 405, 503),
                    },
                    **security,
                }
            },
            **{
                path: {
                    "get": {
                        "operationId": path.strip("/"),
                        "summary": summary,
                        "responses": {
                            "200": {"description": "OK", "content": {"text/plain": {}}},
                            **errors("GET or HEAD", 401, 405, 503),
                        },
                        **secured(switch),
                    }
                }
                for path, switch, summary in (
                    ("/livez", "health", "Whether the process lives"),
                    ("/readyz", "health", "Whether it can answer"),
                    ("/metrics", "metrics", "Metrics for Prometheus"),
                )
            },
        },
        "components": {
            "schemas": {
                "Row": reader.model.model_json_schema(),
                **schemas,
                "Problem": PROBLEM,
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def title(spec: ServingSpec) -> str:
    """The service's name, and what it predicts."""
    name = (spec.name or "predictions").replace("_", " ").capitalize()
    # what follows a semicolon is said of missing values
    return f"{name}: {spec.predicts.partition(';')[0] or 'predictions of the champion'}"


def _listed(name: str, schema: str, **bounds: int) -> dict[str, Any]:
    """An object with a list."""
    items = {"type": "array", "items": {"$ref": f"{REF}{schema}"}, **bounds}
    return {"type": "object", "required": [name], "properties": {name: items}}


def _problem(status: int, example: dict[str, Any]) -> dict[str, Any]:
    said = {"schema": {"$ref": f"{REF}Problem"}, "example": example}
    return {"description": ERRORS[status], "content": {"application/problem+json": said}}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
