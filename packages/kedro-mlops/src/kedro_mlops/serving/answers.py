"""What is answered, declared once, and what is logged of it, of one row and of many.

The fields of ``Answer``, in their order, are those of the answer in JSON and in Arrow, and of the
OpenAPI document; the first of them, those of ``Prediction``, also of the prediction log.
"""

import itertools
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter, itemgetter
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from kedro_mlops.feature_store.reader import MISSING
from kedro_mlops.runtime.serving_spec import ServingSpec

from .model import ServedModel


class Prediction(msgspec.Struct):
    """What is predicted for a row, as the caller is told and the log says."""

    prediction_id: Annotated[str, Meta(description="Identifies the prediction in the log")]
    probability: Annotated[
        float, Meta(ge=0, le=1, description="Estimated probability of the positive class")
    ]
    decision: Annotated[
        bool, Meta(description="Whether the probability reaches the decision threshold")
    ]
    model_version: Annotated[str, Meta(description="The model that answered")]
    missing_features: Annotated[
        dict[str, Annotated[str, Meta(extra_json_schema={"enum": list(MISSING)})]],
        Meta(description="Looked-up features that were not found, and why"),
    ]


class Answer(Prediction):
    """The answer to one row."""

    unseen_categories: Annotated[
        list[str], Meta(description="Fields whose category the model has not seen in training")
    ]


# what the log says of a prediction besides its inputs
LOGGED = (*Prediction.__struct_fields__, "predicted_at", "variant")

Answering = Callable[[Sequence[Any], dict[str, str]], Answer]
# the time is the same for all rows of a request
Recorder = Callable[[Sequence[Any], Answer, str, datetime], Any]


def answering(model: ServedModel) -> Answering:
    """A function that answers a completed row, given with what is missing in it."""
    new_id, version, threshold = identifiers(), model.spec.model_version, model.spec.threshold

    def answer(values: Sequence[Any], missing: dict[str, str]) -> Answer:
        probability, unseen = model.score(values)
        return Answer(new_id(), probability, probability >= threshold, version, missing, unseen)

    return answer


def recorder(spec: ServingSpec) -> Recorder:
    """A function that makes a record of the prediction log, without personal data."""
    # what is missing is a text in the log
    *plain, _missing_features = Prediction.__struct_fields__
    record: Any = msgspec.defstruct("Record", [*logged_inputs(spec), *LOGGED])
    places = [i for i, field in enumerate(spec.fields) if not field.personal]
    inputs: Callable[[Sequence[Any]], tuple[Any, ...]] = itemgetter(*places)
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
