"""What every task says of itself."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.time_params import Parameters

from .metrics import Metric, Metrics
from .outputs import OUTPUTS, Floats, Output
from .record import LISTED, Class, DecisionRule, TaskName

if TYPE_CHECKING:
    import ibis.expr.types as ir

    # whose rooms are above this one
    from kedro_mlops.contract.columns import Column, Role

    from .tally import Part, Tally

# rows of a class, or of numbers, fewer than which say nothing of a part of the rows
MIN_ROWS = 10

Loss = Literal["log_loss", "mean_squared_error", "mean_absolute_error"]


class Costs(Parameters):
    """What a wrong decision costs, in any unit."""

    false_negative: float = Field(1, gt=0, description="Of two classes: a positive that is missed")
    false_positive: float = Field(1, gt=0, description="Of two classes: a false alarm")
    of_classes: dict[str, dict[str, float]] = Field(
        {}, description="Of several: what it costs to say a class where another is true, by the "
        "true one and the one that is said; a wrong one of which nothing is said costs 1"
    )  # fmt: skip


class Calibration(BaseModel):
    """How the chances of classes follow from scores, as was observed.

    A logistic map of log-odds (Platt, 1999), or of log-probabilities by one slope and an intercept
    a class (Guo et al., 2017).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intercept: float | list[float]
    slope: float


@dataclass(frozen=True)
class Task(ABC):
    """What the stages of a model's life need to know of what it is asked.

    Labels are arrays: numbers, or the chance of each class, of shape (n_rows, n_classes); of two
    classes just the chance of the positive one. A label that is known is a chance of 0 or 1.

    Attributes:
        name: What the task is called.
        estimator: The kind of scikit-learn's estimators that learn it.
        score: What scores are called, in tables.
        loss: The metric that decides; less is better.
        baseline: What the simplest baseline is called, which says the same of every row.
        metrics: All that it is measured by.
        main_metrics: Those of parts of the rows.
        estimated_metrics: Those that are right on average where labels are expected ones.
        priced: The costs that its decisions have.
        estimates_loss: Whether expected labels need a model of the loss.
        label: The column of the label.
        classes: Its values, in the order of their codes; of two, the positive is last.
        unit: Of a number.
        coverage: Share of the intervals of numbers that are to hold what really happens.
    """

    name: ClassVar[TaskName]
    estimator: ClassVar[Literal["classifier", "regressor"]]
    score: ClassVar[str]
    metrics: ClassVar[Metrics]
    main_metrics: ClassVar[Metrics]
    estimated_metrics: ClassVar[Metrics]
    priced: ClassVar[tuple[str, ...]]
    estimates_loss: ClassVar[bool] = False

    label: str
    classes: tuple[Class, ...] = ()
    unit: str = ""
    coverage: float = 0.9
    loss: Loss = "log_loss"

    @classmethod
    def of(cls, label: "Column") -> Self:
        """The task of a label."""
        return cls(label.name, label.classes)

    @classmethod
    def contradictions(cls, label: "Column") -> Iterator[str]:
        """What is said of a label that contradicts its being one of such a task."""
        if not cls.fits(label):
            yield (
                f"is {label.kind} and label={cls.name!r}: a boolean column, or text or whole "
                "numbers of two values, is 'binary', a text column with `isin` 'multiclass', a "
                "number 'regression'"
            )
        yield from misplaced(label.role, cls.name)

    @staticmethod
    @abstractmethod
    def fits(label: "Column") -> bool:
        """Whether a column can be the label of such a task."""

    @property
    @abstractmethod
    def baseline(self) -> str:
        """What the baseline is called that says the same of every row."""

    def output(self, rule: DecisionRule | None = None) -> Output:
        """What is answered, by a rule of deciding."""
        return OUTPUTS[self.name](rule or DecisionRule(), list(self.classes), self.unit)

    @property
    def listed(self) -> list[str]:
        """The metrics that are named first."""
        return [*LISTED[self.name]]

    def check_costs(self, costs: Costs) -> None:
        """Refuse costs of decisions that such a task does not take.

        Raises:
            ProjectError: naming them.
        """
        said = costs.model_dump(exclude_defaults=True)
        foreign = [name for name in said if name not in self.priced]
        if foreign:
            raise ProjectError(
                f"costs.{foreign[0]} is not a cost of a {self.name} task, which '{self.label}' "
                f"declares; it has {' and '.join(self.priced) or 'none: say `costs: {}`'}."
            )

    def tally(self) -> "Tally | None":
        """How rows are counted where they are; none where few cells of the score tell all of it."""
        return None

    @abstractmethod
    def labels(self, values: pd.Series) -> Floats:
        """The labels of a column of numbers or of codes."""

    @abstractmethod
    def mean(self, labels: Floats) -> Floats:
        """What the baseline says of every row, as one score."""

    @abstractmethod
    def row_loss(self, labels: Floats, scores: Floats) -> Floats:
        """The loss of each row, shape (n_rows,)."""

    @abstractmethod
    def choose_rule(self, labels: Floats, scores: Floats, costs: Costs) -> DecisionRule:
        """How to decide, by rows that the scores were not learned from.

        Raises:
            ProjectError: if the costs are not those of such a task.
        """

    @abstractmethod
    def decided(self, rows: Any) -> Floats:
        """The decisions of predictions, as metrics take them."""

    @abstractmethod
    def costs_of_rows(self, labels: Floats, decided: Floats, costs: Costs) -> Floats:
        """What the decision on each row cost, shape (n_rows,); nothing where none is priced."""

    @abstractmethod
    def calibrate(self, labels: Floats, scores: Floats) -> Calibration | None:
        """How labels follow from scores that were not learned from them, if it is estimated."""

    @abstractmethod
    def expected(
        self, scores: Floats, calibration: Calibration | None, losses: Floats | None
    ) -> Floats:
        """Labels that take the place of unknown ones, so that losses are as they are expected.

        Args:
            scores: What was said of the rows.
            calibration: How chances follow from scores.
            losses: The loss of each row that is expected, where a model of it was fitted.
        """

    @abstractmethod
    def describe(self, labels: Floats) -> dict[str, float]:
        """What the labels are, in a few figures."""

    @abstractmethod
    def is_enough(self, labels: Floats) -> bool:
        """Whether rows with these labels say something."""

    @abstractmethod
    def tells(self, labels: Floats, scores: Floats) -> float:
        """How well scores tell labels: 0.5 not at all, 1 entirely."""

    @abstractmethod
    def confusion(
        self, labels: Floats, decided: Floats, times: Floats | None = None
    ) -> dict[str, int]:
        """Rows by what they are and what was decided; each stands for some, or for itself."""

    @abstractmethod
    def calibration_curve(
        self, labels: Floats, scores: Floats, times: Floats | None = None
    ) -> pd.DataFrame:
        """What was ``predicted`` and ``observed``, on average, and ``n_rows`` of bins of rows.

        Each row stands for some, or for itself.
        """

    @abstractmethod
    def roc_curves(self, labels: Floats, scores: Floats) -> dict[str, tuple[Floats, Floats]]:
        """False and true positive rates of each class that is told from the others, by a name."""

    @abstractmethod
    def cost_curve(
        self, labels: Floats, scores: Floats, costs: Costs
    ) -> tuple[Floats, Floats] | None:
        """Thresholds, and the mean cost of a row at each, if there is a threshold."""

    @property
    @abstractmethod
    def rates(self) -> tuple[str, ...]:
        """By which groups of rows are compared."""

    @abstractmethod
    def row_rates(
        self, labels: Floats, scores: Floats, decided: Floats
    ) -> dict[str, tuple[Floats, Floats]]:
        """By rate, what it counts in each row, and of what: it is the sum of one by the other."""

    @abstractmethod
    def rate_parts(self, rows: "ir.Table") -> "dict[str, tuple[Part, Part | None]]":
        """The same as an engine adds it up, of rows with a label; of all, where nothing is said."""

    def cost_metric(self, costs: Costs) -> dict[str, Metric]:
        """What decisions cost on average, as a metric, if they are priced."""

        def cost(labels: Floats, decided: Floats, weights: Floats) -> Floats:
            of_rows = self.costs_of_rows(labels, decided, costs)
            return np.asarray(weights @ of_rows / weights.sum(axis=1))

        return {"cost": cost}


def misplaced(role: "Role", task: TaskName | None = None) -> Iterator[str]:
    """What is said of a column that is said of the labels of another task alone."""
    said: dict[str, tuple[Any, TaskName]] = {
        "positive": (role.positive, "binary"),
        "loss": (role.loss, "regression"),
        "coverage": (role.coverage, "regression"),
        "unit": (role.unit or None, "regression"),
    }
    for name, (value, of) in said.items():
        if value is not None and of != task:
            yield f"says {name}={value!r}, which is said of a {of} label alone"
