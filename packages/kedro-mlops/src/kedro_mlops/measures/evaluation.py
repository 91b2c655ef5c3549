"""What was measured of a candidate: for the gate, and for those who read about it."""

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from kedro_mlops.core.artefacts import Artefact, Interval, is_empty, is_none
from kedro_mlops.core.wording import interval_text, metric_name, some_of_text


class RowSample(Artefact):
    """How many labelled rows there are to learn from and to measure on, and how many were taken.

    Attributes:
        n_known: Rows by window, whose label was known.
        n_taken: Of these, the rows that came into memory.
    """

    n_known: dict[str, int]
    n_taken: dict[str, int]

    @property
    def all_drawn_from(self) -> int | None:
        """How many rows there are, if not all were taken."""
        return None if self.n_known == self.n_taken else sum(self.n_known.values())

    def drawn_from(self, window: str) -> int | None:
        """How many rows a window has, if not all were taken."""
        n_known = self.n_known[window]
        return None if n_known == self.n_taken[window] else n_known

    def n_alike(self, window: str) -> int:
        """Rows of a window, if of none a greater share is learned from than of another."""
        share = min(self.n_taken[name] / n for name, n in self.n_known.items() if n)
        return min(self.n_taken[window], round(self.n_known[window] * share))


class MeasuredRows(Artefact):
    """The rows that a model was measured on, and what their labels are in a few figures.

    They have no days if rows have no date.

    Attributes:
        drawn_from: How many there are, if not all were taken.
    """

    n_rows: int
    drawn_from: int | None = Field(None, exclude_if=is_none)
    label: dict[str, float] = Field(default_factory=dict)
    first_day: str = ""
    last_day: str = ""

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, data: Any) -> Any:
        """They knew just two classes."""
        if isinstance(data, dict) and "positive_share" in data:
            return {**data, "label": {"positive_share": data["positive_share"]}}
        return data

    @property
    def n_in_words(self) -> str:
        """How many they are."""
        return some_of_text(self.n_rows, self.drawn_from)

    @property
    def days(self) -> str:
        """From when until when they are, as it follows their number, if they have days."""
        return f", {self.first_day} to {self.last_day}" if self.first_day else ""


# one dictionary a row
Table = list[dict[str, str | int | float | None]]


def worth_of_more_rows(curve: Table, loss: str) -> str:
    """What a learning curve says of more rows, in one sentence; nothing if there is none."""
    if len(curve) < 2:
        return ""
    fewer, all_rows = ({name: float(row[name] or 0) for name in row} for row in curve[-2:])
    gain = Interval(value=all_rows["gain"], low=all_rows["gain_low"], high=all_rows["gain_high"])
    fell = f"{metric_name(loss)} fell by {interval_text(gain, '.4f')}"
    worth = ", which may be chance: more rows like these would be worth little"
    if gain.low > 0:
        worth = "; as many rows again would be worth no more than that"
    elif gain.high < 0:
        worth = ", so that it surely rose: more rows like these would be worth nothing"
    return (
        f"With {all_rows['n_rows']:,.0f} rows to learn from instead of {fewer['n_rows']:,.0f}, "
        f"{fell}{worth}."
    )


class Evaluation(Artefact):
    """What was found of the data and of the model, beyond its metrics, for those who read about it.

    Attributes:
        screened: Rows read, and put into quarantine, of every raw table.
        window: The rows of the test window, on which all the rest was measured.
        baselines: The metrics of each baseline on them, with intervals.
        calibration: Mean probability, share of positives and rows of every bin.
        confusion: Rows by what they are and whether they are flagged at the threshold.
        roc: The ROC curve of each model: false and true positive rates.
        cost: The mean cost of a row at every threshold, by ``costs``.
        slices: The metrics of every value of every segment, with intervals.
        importance: What each feature is worth to the model, highest first.
        groups: The rates of every group of every protected column, with intervals.
        training_seconds: What the fit of the model that serves took.
        learning_curve: The loss by the rows that were learned from, and what the last ones won,
            with intervals; see ``modelling.learning_curve``.
    """

    screened: Table
    window: MeasuredRows
    baselines: dict[str, dict[str, Interval]]
    calibration: Table
    slices: Table
    importance: Table
    # younger than some champions
    confusion: dict[str, int] = Field(default_factory=dict)
    roc: dict[str, Table] = Field(default_factory=dict)
    cost: Table = Field(default_factory=list)
    costs: dict[str, Any] = Field(default_factory=dict)
    groups: Table = Field(default_factory=list, exclude_if=is_empty)
    training_seconds: float | None = None
    learning_curve: Table = Field(default_factory=list, exclude_if=is_empty)


class Measured(Artefact):
    """Metrics on the test window: of the candidate, and of each baseline under its own name.

    Attributes:
        loss: The metric that decides.
        listed: Those that are named first.
        groups: How the candidate treats each group of every protected column; none without one.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, Interval]]

    loss: str = "log_loss"
    listed: list[str] = Field(default_factory=list)
    candidate: dict[str, Interval]
    window: MeasuredRows
    confusion: dict[str, int]
    groups: Table = Field(default_factory=list, exclude_if=is_empty)

    @property
    def baselines(self) -> dict[str, dict[str, Interval]]:
        """The metrics of each baseline."""
        return self.__pydantic_extra__


class Footprint(Artefact):
    """What a candidate takes to train, to keep, and to ask, by the engine that would serve."""

    training_seconds: float
    n_training_rows: int
    model_bytes: int
    engine: str
    one_row_milliseconds: float
