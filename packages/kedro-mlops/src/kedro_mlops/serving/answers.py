"""What is answered, declared once, and what is logged of it, of one row and of many.

The fields of an answer, in their order, are those of the answer in JSON and in Arrow, and of the
OpenAPI document: what identifies it, what is predicted (``Output.told``), and what else there is to
say. All but the last are logged.
"""

import itertools
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter, itemgetter
from typing import Annotated, Any

from msgspec import Meta

from kedro_mlops.core.structs import members_of, record_of, struct_of
from kedro_mlops.feature_store.missing import MISSING
from kedro_mlops.runtime.serving_spec import ServingSpec
from kedro_mlops.task.outputs import Output, Told

from .model import ServedModel

ID: tuple[str, Any] = (
    "prediction_id",
    Annotated[str, Meta(description="Identifies the prediction in the log")],
)
BESIDES: list[tuple[str, Any]] = [
    ("model_version", Annotated[str, Meta(description="The model that answered")]),
    (
        "missing_features",
        Annotated[
            dict[str, Annotated[str, Meta(extra_json_schema={"enum": list(MISSING)})]],
            Meta(description="Looked-up features that were not found, and why"),
        ],
    ),
]
# of an answer that is asked to be explained
EXPLANATION = "explanation"
NOT_LOGGED: tuple[str, Any] = (
    "unseen_categories",
    Annotated[
        list[str], Meta(description="Fields whose category the model has not seen in training")
    ],
)
# what the log says of a prediction besides its answer
ALSO_LOGGED = ("predicted_at", "variant")

# one of ``answer_type``
Answer = Any
Answering = Callable[[Sequence[Any], dict[str, str]], Answer]
# the time is the same for all rows of a request
Recorder = Callable[[Sequence[Any], Answer, str, datetime], Any]


def answer_type(output: Output) -> Any:
    """The type of an answer, a ``msgspec.Struct``."""
    return struct_of("Answer", [ID, *map(described, output.told), *BESIDES, NOT_LOGGED])


def fields_of(answer: Any) -> list[str]:
    """What the fields of an answer, or of its type, are called by who reads it."""
    return list(answer.__struct_encode_fields__)


def told_by(output: Output) -> Callable[[Answer], tuple[Any, ...]]:
    """A function that takes what is predicted out of an answer."""
    got: Callable[[Answer], tuple[Any, ...]] = attrgetter(
        *members_of(each.name for each in output.told)
    )
    return got


def answering(model: ServedModel) -> Answering:
    """A function that answers a completed row, given with what is missing in it."""
    new_id, version, output = identifiers(), model.spec.model_version, model.spec.output
    made, told_of = answer_type(output), output.of_row

    def answer(values: Sequence[Any], missing: dict[str, str]) -> Answer:
        score, unseen = model.score(values)
        return made(new_id(), *told_of(score), version, missing, unseen)

    return answer


def logged_of_answers(output: Output) -> list[str]:
    """What the log says of a prediction besides its inputs."""
    answered = [ID, *map(described, output.told), *BESIDES]
    return [*(name for name, _ in answered), *ALSO_LOGGED]


def recorder(spec: ServingSpec) -> Recorder:
    """A function that makes a record of the prediction log, without personal data."""
    logged = logged_of_answers(spec.output)
    record = record_of([*logged_inputs(spec), *logged])
    places = [i for i, field in enumerate(spec.fields) if not field.personal]
    inputs: Callable[[Sequence[Any]], tuple[Any, ...]] = itemgetter(*places)
    # what is missing is a text in the log
    plain = members_of(logged[: logged.index("missing_features")])
    predicted: Callable[[Answer], tuple[Any, ...]] = attrgetter(*plain)

    def make(values: Sequence[Any], answer: Answer, variant: str, now: datetime) -> Any:
        missing = as_text(answer.missing_features) if answer.missing_features else None
        return record(*inputs(values), *predicted(answer), missing, now, variant)

    return make


def logged_inputs(spec: ServingSpec) -> list[str]:
    """The inputs that are logged: all that are not personal."""
    return [field.name for field in spec.fields if not field.personal]


def as_text(value: str | dict[str, str] | list[str] | None) -> str | None:
    """A value in one text, as log and Arrow have it; None where there is nothing to be said."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict):
        value = [f"{name}={reason}" for name, reason in value.items()]
    return ",".join(value) or None


def identifiers() -> Callable[[], str]:
    """A source of ids that no other process has: quicker than a random one for each."""
    prefix = uuid.uuid4().hex[:20]
    count = itertools.count().__next__

    def new() -> str:
        return f"{prefix}{count():012x}"

    return new


def utc_now() -> datetime:
    """The present moment in UTC, without a time zone, as the log has it."""
    return datetime.now(UTC).replace(tzinfo=None)


def described(told: Told) -> tuple[str, Any]:
    """A field of an answer."""
    named = {"enum": list(told.classes)} if told.classes else None
    limits = Meta(
        ge=told.least, le=told.most, description=told.description, extra_json_schema=named
    )
    return told.name, Annotated[told.type, limits]
