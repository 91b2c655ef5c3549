"""The service's OpenAPI document, made from the serving spec: what is really taken and answered."""

from typing import Any

import msgspec

from kedro_mlops.runtime.serving_spec import ServingSpec

from . import examples
from .additions import Additions
from .paths import EXPLAIN, INFO, PREDICT, READY, switch_of
from .problem_details import ARROW, HEADERS, JSON, PROBLEM, TITLES, Problem
from .reading import RowReader
from .settings import Settings

DESCRIPTION = """`POST /predict` takes rows, each with what the caller knows, and answers each with
what is predicted, the model's version and the prediction's id. What the
caller does not know is looked up in the online feature store; what is not found there is listed in
`missing_features` with the reason, and treated by the model as missing; so is what breaks the
contract there. `unseen_categories` are those that the model has not met in training. Every
prediction is logged before it is answered.

With `?explain=true`, `explanation` tells what each feature contributed to the raw score, from which
the prediction follows. In Arrow it is columns: `explanation_base`, and `contribution_` with the
name of each feature. The contributions are Shapley values (path-dependent TreeSHAP) of trees,
and the terms of linear models; where they are not known, the request is refused."""

REF = "#/components/schemas/"
TEXT = {"type": "string"}
JSON_TYPE, ARROW_TYPE, PROBLEM_TYPE = (kind.decode() for kind in (JSON, ARROW, PROBLEM))
EXPLAINED = {
    "name": EXPLAIN[0],
    "in": "query",
    "description": "Whether each prediction is explained",
    "schema": TEXT | {"enum": [EXPLAIN[1]]},
}
STREAM = "An Arrow IPC stream, without compression"
TABLE = {ARROW_TYPE: {"schema": TEXT | {"format": "binary", "description": STREAM}}}
MODEL = {"description": "The model", "content": {JSON_TYPE: {"schema": {"type": "object"}}}}
OK = {"description": "OK", "content": {"text/plain": {}}}
PLAIN = {
    "/livez": "Whether the process lives",
    READY: "Whether it can answer",
    "/metrics": "Metrics for Prometheus",
}


def document(
    spec: ServingSpec, reader: RowReader, settings: Settings, additions: Additions
) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    types = [additions.answer, Problem]
    _, schemas = msgspec.json.schema_components(types, ref_template=f"{REF}{{name}}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title(spec),
            "version": spec.model_version,
            "description": f"{spec.predicts}\n\n{_said_of_label(spec)}{DESCRIPTION}",
        },
        "paths": _paths(spec, reader, settings, additions),
        "components": {
            "schemas": {"Row": reader.model.model_json_schema(), **schemas},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths(
    spec: ServingSpec, reader: RowReader, settings: Settings, additions: Additions
) -> dict[str, Any]:
    """What can be asked."""

    def operation(path: str, summary: str, answer: Any, methods: str, *statuses: int) -> Any:
        said = examples.errors(spec, reader, settings, methods)
        errors = {str(status): _problem(status, said[status]) for status in statuses}
        return {
            "operationId": path.strip("/"),
            "summary": summary,
            "responses": {"200": answer, **errors},
            "security": [] if switch_of(path) in settings.opened else [{"key": []}],
        }

    predict = operation(
        PREDICT,
        "A prediction for each row",
        _predicted(spec, additions),
        "POST",
        *(400, 401, 405, 408, 413, 415, 422, 431, 500, 501, 503),
    )
    predict |= {"parameters": [EXPLAINED], "requestBody": _rows(spec, settings.max_rows)}
    model = "The model that serves, and its metrics, on rows that it had not learned from"
    info = operation(INFO, model, MODEL, "GET or POST", 401, 405, 503)
    plain = {
        path: {"get": operation(path, summary, OK, "GET or HEAD", 401, 405, 503)}
        for path, summary in PLAIN.items()
    }
    return {PREDICT: {"post": predict}, INFO: {"get": info}, **plain}


def _rows(spec: ServingSpec, max_rows: int) -> dict[str, Any]:
    """What a request for predictions has."""
    rows = _listed("rows", "Row", minItems=1, maxItems=max_rows)
    asked = {"schema": rows | {"additionalProperties": False}, "examples": examples.requests(spec)}
    return {"required": True, "content": {JSON_TYPE: asked, **TABLE}}


def _predicted(spec: ServingSpec, additions: Additions) -> dict[str, Any]:
    """What it is answered."""
    told = {"schema": _listed("predictions", "Answer"), "example": examples.answer(spec, additions)}
    return {
        "description": "One prediction per row, in the order of the rows",
        "content": {JSON_TYPE: told, **TABLE},
    }


def title(spec: ServingSpec) -> str:
    """The service's name, and what it predicts."""
    name = (spec.name or "predictions").replace("_", " ").capitalize()
    # what follows a semicolon is said of missing values
    return f"{name}: {spec.predicts.partition(';')[0] or 'predictions of the champion'}"


def _said_of_label(spec: ServingSpec) -> str:
    """Which value of the label the probability is of, where the spec says it."""
    if not spec.label:
        return ""
    about = spec.output.about
    if "positive" not in about:
        return f"What is predicted is `{spec.label}`.\n\n"
    positive = msgspec.json.encode(about["positive"]).decode()
    return f"The probability is that of `{spec.label}` being `{positive}`.\n\n"


def _listed(name: str, schema: str, **bounds: int) -> dict[str, Any]:
    """An object with a list."""
    items = {"type": "array", "items": {"$ref": f"{REF}{schema}"}, **bounds}
    return {"type": "object", "required": [name], "properties": {name: items}}


def _problem(status: int, example: dict[str, Any]) -> dict[str, Any]:
    headers = {
        name.decode(): {"schema": TEXT, "example": value.decode()}
        for name, value in HEADERS.get(status, ())
    }
    said = {"schema": {"$ref": f"{REF}Problem"}, "example": example}
    return {"description": TITLES[status], "headers": headers, "content": {PROBLEM_TYPE: said}}
