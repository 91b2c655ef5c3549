"""A number, and an interval around it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from .intervals import conformal_margin, margins_by_prediction
from .metrics import Metric, Metrics, divided, mean_by_bin, weighted_mean
from .outputs import PREDICTION, Floats
from .record import DecisionRule
from .task import MIN_ROWS, Calibration, Costs, Task

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from kedro_mlops.contract.columns import Column

    from .tally import Part, Tally

CURVE_BINS = 10
# share of a square that is left of it by rounding
ROUNDED = 1e-12
# share of the intervals that hold the label, unless another is declared
COVERAGE = 0.9


def mean_squared_error(y: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean squared difference."""
    return weighted_mean((y - predicted) ** 2, weights)


def root_mean_squared_error(y: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Root of the mean squared difference, in the label's unit."""
    return np.sqrt(mean_squared_error(y, predicted, weights))


def mean_absolute_error(y: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean absolute difference."""
    return weighted_mean(np.abs(y - predicted), weights)


def median_absolute_error(y: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Median absolute difference: half of the rows are not further off."""
    errors = np.abs(y - predicted)
    order = np.argsort(errors, kind="stable")
    below = np.cumsum(weights[:, order], axis=1)
    half = below[:, -1:] / 2
    ends = [(below < half).sum(axis=1), (below <= half).sum(axis=1)]
    return np.asarray(errors[order][ends].mean(axis=0))


def r2(y: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Share of the variance that is explained; nan where the label does not vary."""
    # digits are lost where the mean is much larger than what varies around it
    centred = y - np.median(y)
    square = weighted_mean(centred**2, weights)
    variance = square - weighted_mean(centred, weights) ** 2
    varying = np.where(variance > ROUNDED * square, variance, 0)
    return 1 - divided(mean_squared_error(y, predicted, weights), varying)


def bias(y: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean of prediction minus label: positive where too much is predicted."""
    return weighted_mean(predicted - y, weights)


def interval_coverage(y: Floats, ends: Floats, weights: Floats) -> Floats:
    """Share of the rows whose interval holds the label."""
    return weighted_mean(((ends[:, 0] <= y) & (y <= ends[:, 1])).astype(np.float64), weights)


def interval_width(y: Floats, ends: Floats, weights: Floats) -> Floats:  # noqa: ARG001
    """Mean width of the intervals."""
    return weighted_mean(ends[:, 1] - ends[:, 0], weights)


LOSSES = {"mean_squared_error": mean_squared_error, "mean_absolute_error": mean_absolute_error}


class Regression(Task):
    """A number; see ``Task``."""

    name = "regression"
    priced = ()
    estimator = "regressor"
    score = PREDICTION
    metrics = Metrics(
        {
            "mean_squared_error": mean_squared_error,
            "root_mean_squared_error": root_mean_squared_error,
            "mean_absolute_error": mean_absolute_error,
            "median_absolute_error": median_absolute_error,
            "r2": r2,
            "bias": bias,
        },
        {"interval_coverage": interval_coverage, "interval_width": interval_width},
    )
    rates = ("mean_absolute_error", "mean_error")
    estimates_loss = True

    @classmethod
    def of(cls, label: "Column") -> Self:
        """The task of a label."""
        role = label.role
        return cls(
            label.name,
            unit=role.unit,
            coverage=role.coverage or COVERAGE,
            loss=role.loss or "mean_squared_error",
        )

    @staticmethod
    def fits(label: "Column") -> bool:
        """A number."""
        return label.kind == "numeric"

    @classmethod
    def contradictions(cls, label: "Column") -> Iterator[str]:
        """Also of the intervals."""
        yield from super().contradictions(label)
        role = label.role
        if role.loss is not None and role.loss not in LOSSES:
            yield f"says loss={role.loss!r}: use one of {', '.join(LOSSES)}"
        if role.coverage is not None and not 0 < role.coverage < 1:
            yield f"says coverage={role.coverage:g}: it is a share, between 0 and 1"

    @property
    def main_metrics(self) -> Metrics:  # type: ignore[override]
        """The loss that decides, and the share of variance."""
        return self.estimated_metrics | Metrics({"r2": r2})

    @property
    def estimated_metrics(self) -> Metrics:  # type: ignore[override]
        """The loss that decides."""
        return Metrics({self.loss: LOSSES[self.loss]})

    @property
    def baseline(self) -> str:
        """The median has the lowest absolute errors, the mean the lowest squared ones."""
        return "median" if self.loss == "mean_absolute_error" else "mean"

    def tally(self) -> "Tally":
        """See ``NumberTally``."""
        from .number_tally import NumberTally  # noqa: PLC0415 - which is made of this module

        return NumberTally(self)

    def labels(self, values: pd.Series) -> Floats:
        """The numbers."""
        return values.to_numpy(np.float64, na_value=np.nan)

    def mean(self, labels: Floats) -> Floats:
        """The mean, or the median."""
        return np.asarray(np.median(labels) if self.baseline == "median" else labels.mean())

    def row_loss(self, labels: Floats, scores: Floats) -> Floats:
        """Its squared or absolute error."""
        errors = np.abs(labels - scores)
        return errors if self.loss == "mean_absolute_error" else errors**2

    def choose_rule(self, labels: Floats, scores: Floats, costs: Costs) -> DecisionRule:
        """Intervals as wide as their coverage asks: all alike, unless errors go with scores."""
        errors = np.abs(labels - scores)
        margins = margins_by_prediction(errors, scores, self.coverage)
        if margins is not None:
            return DecisionRule(margins=margins, coverage=self.coverage)
        return DecisionRule(margin=conformal_margin(errors, self.coverage), coverage=self.coverage)

    def decided(self, rows: Any) -> Floats:
        """The ends of the interval, shape (n_rows, 2)."""
        ends = [np.asarray(rows[f"{PREDICTION}_{end}"], np.float64) for end in ("low", "high")]
        return np.column_stack(ends)

    def costs_of_rows(self, labels: Floats, decided: Floats, costs: Costs) -> Floats:
        """Nothing: no decision is taken."""
        return np.zeros(len(labels))

    def cost_metric(self, costs: Costs) -> dict[str, Metric]:
        """None: no decision is priced."""
        return {}

    def calibrate(self, labels: Floats, scores: Floats) -> None:
        """There are no chances."""
        return

    def expected(
        self, scores: Floats, calibration: Calibration | None, losses: Floats | None
    ) -> Floats:
        """Numbers that are as far off as the scores are expected to be; see ``Task.expected``."""
        if losses is None:
            return np.full(len(scores), np.nan)
        return scores + (losses if self.loss == "mean_absolute_error" else np.sqrt(losses))

    def describe(self, labels: Floats) -> dict[str, float]:
        """Mean and standard deviation."""
        return {"mean": float(labels.mean()), "standard_deviation": float(labels.std())}

    def is_enough(self, labels: Floats) -> bool:
        """Whether there are some rows."""
        return len(labels) >= MIN_ROWS

    def tells(self, labels: Floats, scores: Floats) -> float:
        """By the correlation of the two."""
        if np.ptp(labels) == 0 or np.ptp(scores) == 0:
            return 0.5
        return float(0.5 + abs(np.corrcoef(labels, scores)[0, 1]) / 2)

    def confusion(
        self, labels: Floats, decided: Floats, times: Floats | None = None
    ) -> dict[str, int]:
        """Nothing: no decision is taken."""
        return {}

    def calibration_curve(
        self, labels: Floats, scores: Floats, times: Floats | None = None
    ) -> pd.DataFrame:
        """Means of predictions and labels, in bins of as many of these."""
        parts = np.linspace(0, 1, CURVE_BINS + 1)[1:-1]
        edges = np.unique(np.quantile(scores, parts) if len(scores) else scores)
        bins = np.searchsorted(edges, scores, side="right")
        return mean_by_bin(bins, scores, labels, times)

    def roc_curves(self, labels: Floats, scores: Floats) -> dict[str, tuple[Floats, Floats]]:
        """There is none."""
        return {}

    def cost_curve(self, labels: Floats, scores: Floats, costs: Costs) -> None:
        """There is no threshold."""
        return

    def row_rates(
        self, labels: Floats, scores: Floats, decided: Floats
    ) -> dict[str, tuple[Floats, Floats]]:
        """Absolute errors, and prediction minus label, of all."""
        one = np.ones(len(labels))
        return dict(
            zip(self.rates, ((np.abs(labels - scores), one), (scores - labels, one)), strict=True)
        )

    def rate_parts(self, rows: "ir.Table") -> "dict[str, tuple[Part, Part | None]]":
        """Likewise."""
        from .number_tally import NumberTally  # noqa: PLC0415 - which is made of this module

        parts = NumberTally(self).known(rows).parts
        return {
            "mean_absolute_error": (parts["absolute"], None),
            "mean_error": (parts["error"], None),
        }
