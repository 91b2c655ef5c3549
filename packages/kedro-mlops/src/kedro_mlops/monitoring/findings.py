"""What monitoring finds: skew, the quality of the data, and how the champion does."""

from typing import Literal

from pydantic import Field

from kedro_mlops.core.artefacts import Artefact, CheckResult, Interval, is_empty, is_none
from kedro_mlops.measures.evaluation import Table
from kedro_mlops.models.metadata import Lineage


class Answered(Artefact):
    """Who gave the answers of the last hour in which there were some; in words if another did."""

    n_rows: int
    by_another: int
    models: list[str]
    in_words: str


class ColumnSkew(Artefact):
    """In how many of the compared rows a column differs."""

    column: str
    source: Literal["looked up", "sent"]
    n_differ: int


class Skew(Artefact):
    """The inputs that the champion was served with, against those built offline.

    ``share`` is that of the compared rows whose looked-up features differ; ``n_unknown`` rows are
    not in the model input.
    """

    n_served: int
    n_compared: int
    n_unknown: int
    share: float
    answered: Answered
    columns: list[ColumnSkew]


class Quality(Artefact):
    """Whether the data of a horizon is fit to be judged by."""

    n_rows: int
    n_days: int
    passed: bool
    checks: list[CheckResult]

    @property
    def failed(self) -> list[CheckResult]:
        """The checks that it did not pass."""
        return [check for check in self.checks if not check.passed]


class Watched(Artefact):
    """The model that was watched; another one may be champion when it is read."""

    version: str
    family: str
    as_of: str
    release: str | None
    lineage: Lineage


class Performance(Artefact):
    """How the champion does in the days of a horizon.

    Attributes:
        labels: The account of them, by ``join_labels``.
        new_labels: Labels that became known since the champion was trained, if that is known.
        loss: The metric that decides.
        listed: Those that are named first.
        metrics: Empty, as is ``confusion``, where ``unknown_because`` says why.
        estimated: Without labels; empty where there are too few predictions even for that.
        tested_on: The rows that the champion was measured on, in words.
        reference: On these.
        groups: The rates of every group of every protected column, with intervals.
        fairness: How far they lie apart, and whether that is within the gate's limits.
        n_drawn: Rows, drawn by their keys, that stand for all in what does not follow from counts:
            losses that a model expects, and metrics of the owner's. None where all are counted.
    """

    model: Watched
    first_day: str
    last_day: str
    n_predictions: int
    n_labelled: int
    label_coverage: float
    labels: dict[str, int]
    new_labels: int | None
    unknown_because: str | None
    loss: str = "log_loss"
    listed: list[str] = Field(default_factory=list)
    metrics: dict[str, Interval]
    confusion: dict[str, int]
    estimated: dict[str, Interval]
    tested_on: str = "test window"
    reference: dict[str, Interval]
    groups: Table = Field(default_factory=list, exclude_if=is_empty)
    fairness: list[CheckResult] = Field(default_factory=list, exclude_if=is_empty)
    n_drawn: int | None = Field(None, exclude_if=is_none)
