"""What is answered and what is logged, of one row and of many."""

import itertools
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import msgspec

from kedro_mlops.runtime.serving_spec import ServingSpec


class Answer(msgspec.Struct):
    """The prediction for one row."""

    prediction_id: str
    probability: float
    decision: bool
    model_version: str
    missing_features: dict[str, str]
    unseen_categories: list[str]


class Answers(msgspec.Struct):
    """One answer per row, in the order of the rows."""

    predictions: list[Answer]


# what the log says of a prediction besides its inputs
MADE = (
    "prediction_id",
    "predicted_at",
    "model_version",
    "probability",
    "decision",
    "variant",
    "missing_features",
)

# the time is the same for all rows of a request
Recorder = Callable[[Sequence[Any], Answer, str, datetime], Any]


def recorder(spec: ServingSpec) -> Recorder:
    """A function that makes a record of the prediction log, without personal data."""
    logged = [field.name for field in spec.fields if not field.personal]
    places = [i for i, field in enumerate(spec.fields) if not field.personal]
    record: Any = msgspec.defstruct("Record", [*logged, *MADE])
    pick: Callable[[Sequence[Any]], tuple[Any, ...]] = itemgetter(*places)

    def make(values: Sequence[Any], answer: Answer, variant: str, now: datetime) -> Any:
        return record(
            *pick(values),
            answer.prediction_id,
            now,
            answer.model_version,
            answer.probability,
            answer.decision,
            variant,
            missing_text(answer.missing_features),
        )

    return make


def missing_text(missing: dict[str, str]) -> str | None:
    """Missing features and their reasons in one text, as the log has them."""
    if not missing:
        return None
    return ",".join(f"{name}={reason}" for name, reason in missing.items())


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
