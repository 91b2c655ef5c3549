"""Examples for the OpenAPI document: the contract's own rows, and errors as they are said."""

import json
from typing import Any

from kedro_mlops.feature_store.missing import UNKNOWN_KEY
from kedro_mlops.runtime.serving_spec import ServingSpec

from .additions import Additions
from .problem_details import problem
from .reading import RowReader
from .refusals import BadRequestError, refused
from .settings import Settings

EXAMPLE_ID = "8f14e45fceea467a9a36dedd00000001"
# one for each status whose body nobody needs to look at
EXAMPLES = (
    "key", "method", "slow", "too_large", "content_type", "headers", "bug", "unexplained",
    "starting",
)  # fmt: skip


def requests(spec: ServingSpec) -> dict[str, Any]:
    """Bodies that are accepted, each with a summary."""
    whole = {field.name: field.example for field in spec.asked}
    needed = {field.name: field.example for field in spec.asked if not field.nullable}
    return {
        "whole": {"summary": "One row, with all that may be sent", "value": {"rows": [whole]}},
        "needed": {"summary": "One row, with what is needed", "value": {"rows": [needed]}},
        "several": {"summary": "Several rows", "value": {"rows": [whole, needed]}},
    }


def answer(spec: ServingSpec, additions: Additions) -> dict[str, Any]:
    """The answer to one row, of which something that is looked up was not found."""
    output, missing = spec.output, {field.name: UNKNOWN_KEY for field in spec.looked_up[:1]}
    said = output.of_row(output.tried[-1].tolist())
    prediction = additions.answer(
        EXAMPLE_ID, *said, spec.model_version, missing, [], **additions.example
    )
    return {"predictions": [prediction]}


def errors(spec: ServingSpec, reader: RowReader, settings: Settings, method: str) -> dict[int, Any]:
    """An error of each status, where the method is the one that is needed."""
    row = {field.name: field.example for field in spec.asked}
    # no field takes a list
    wrong = row | {spec.asked[0].name: []}
    found = [
        _refusal(reader, b'{"rows": ['),
        _refusal(reader, json.dumps({"rows": [wrong, row | {"unknown": 1}]}).encode()),
    ]
    said: dict[str, Any] = {"methods": method, "part": "body", "max_bytes": settings.max_body}
    said["why"] = "KNeighborsClassifier has no coefficients; these explain linear models only."
    found += [refused(reason, **said) for reason in EXAMPLES]
    return {error.status: json.loads(problem(error, EXAMPLE_ID, 0)) for error in found}


def _refusal(reader: RowReader, body: bytes) -> BadRequestError:
    try:
        reader.judged(body)
    except BadRequestError as error:
        # with its frames, it would keep what has just been made until garbage is collected
        return error.with_traceback(None)
    raise AssertionError(body)
