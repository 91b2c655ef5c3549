"""Of two classes: the probability of the positive one, and a threshold."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .metrics import (
    Metrics,
    calibration_error,
    cumulated,
    divided,
    equal_bins,
    mean_by_bin,
    roc_auc,
    weighted_mean,
)
from .outputs import DECISION, PROBABILITY, Floats
from .record import DecisionRule
from .task import MIN_ROWS, Calibration, Costs, Task

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from kedro_mlops.contract.columns import Column

    from .tally import Part

# scores of exactly 0 or 1 have no logit
MARGIN = 1e-9


def log_loss(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Mean negative log-likelihood."""
    return weighted_mean(row_log_loss(y, p), weights)


def brier_score(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Mean squared difference between probability and label (Brier, 1950)."""
    return weighted_mean((y - p) ** 2, weights)


def average_precision(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Precision averaged over the steps of recall; nan where a resample has no positive."""
    positives, negatives = cumulated(y, p, weights)
    precision = divided(positives, positives + negatives)
    steps = np.diff(positives, axis=1)
    return divided(np.nansum(precision[:, 1:] * steps, axis=1), positives[:, -1])


def precision(y: Floats, decided: Floats, weights: Floats) -> Floats:
    """Share of positives among the rows that are flagged; nan where none is."""
    return divided(weights @ (y * decided), weights @ decided)


def recall(y: Floats, decided: Floats, weights: Floats) -> Floats:
    """Share of the positives that are flagged; nan where there is none."""
    return divided(weights @ (y * decided), weights @ y)


def f1(y: Floats, decided: Floats, weights: Floats) -> Floats:
    """Harmonic mean of precision and recall; nan where nothing is positive or flagged."""
    return divided(2 * weights @ (y * decided), weights @ y + weights @ decided)


def lift(y: Floats, decided: Floats, weights: Floats) -> Floats:
    """How many times more positives there are among the flagged rows than among all."""
    return divided(precision(y, decided, weights), weighted_mean(y, weights))


def flagged_share(y: Floats, decided: Floats, weights: Floats) -> Floats:  # noqa: ARG001
    """Share of the rows that are flagged."""
    return weighted_mean(decided, weights)


def row_log_loss(y: Floats, p: Floats) -> Floats:
    """Negative log-likelihood of each row, shape (n_rows,).

    A label may also be the probability that it is 1; this is the expected loss then.
    """
    clipped = np.clip(p, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    return np.asarray(-(y * np.log(clipped) + (1 - y) * np.log1p(-clipped)), dtype=np.float64)


def cost_curve(y: Floats, p: Floats, costs: Costs) -> tuple[Floats, Floats]:
    """Mean cost per row at every distinct probability taken as the threshold, ascending."""
    order = np.argsort(p, kind="stable")
    labels, scores = y[order], p[order]
    missed = np.concatenate([[0.0], np.cumsum(labels)[:-1]])
    alarms = (1 - labels)[::-1].cumsum()[::-1]
    cost = (costs.false_negative * missed + costs.false_positive * alarms) / len(labels)
    first = np.concatenate([[True], np.diff(scores) > 0])
    return scores[first], cost[first]


def logit(p: Floats) -> Floats:
    """Log-odds of probabilities, shape (n_rows,)."""
    inside = np.clip(p, MARGIN, 1 - MARGIN)
    return np.asarray(np.log(inside) - np.log1p(-inside))


class Binary(Task):
    """One of two classes; see ``Task``."""

    name = "binary"
    priced = ("false_negative", "false_positive")
    estimator = "classifier"
    score = PROBABILITY
    metrics = Metrics(
        {
            "log_loss": log_loss,
            "roc_auc": roc_auc,
            "average_precision": average_precision,
            "brier_score": brier_score,
            "calibration_error": calibration_error,
        },
        {
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "flagged_share": flagged_share,
            "lift": lift,
        },
    )
    # put the chance of 1 in the place of the label, and what these give is their expected value
    main_metrics = estimated_metrics = Metrics({"log_loss": log_loss, "roc_auc": roc_auc})
    # shares that are flagged: of all rows, of the positives, of the negatives
    rates = ("selection_rate", "true_positive_rate", "false_positive_rate")
    baseline = "base_rate"

    @staticmethod
    def fits(label: "Column") -> bool:
        """Two values."""
        return label.kind in ("boolean", "categorical") or label.integer

    @classmethod
    def contradictions(cls, label: "Column") -> Iterator[str]:
        """Also of its two values, or of the one that is positive."""
        yield from super().contradictions(label)
        positive = label.role.positive
        if label.kind == "boolean":
            if positive is not None:
                yield f"is boolean and says positive={positive!r}: the positive value is True"
            return
        classes = list(label.checks.get("isin", []))
        if len(set(classes)) != 2:
            yield (
                f"is {label.kind} and label='binary' with isin={classes}: name the two values "
                'that it has, and the positive one, as in `isin=["no", "yes"], positive="yes"`'
            )
        if positive is None:
            yield f"does not say which of its values {classes} is the `positive` one"
        elif not any(value == positive and type(value) is type(positive) for value in classes):
            yield f"says positive={positive!r}, which is none of its values {classes}"

    def labels(self, values: pd.Series) -> Floats:
        """1 where it is positive, else 0."""
        return values.to_numpy(np.float64, na_value=np.nan)

    def mean(self, labels: Floats) -> Floats:
        """The share of positives."""
        return np.asarray(labels.mean())

    def row_loss(self, labels: Floats, scores: Floats) -> Floats:
        """Its negative log-likelihood."""
        return row_log_loss(labels, scores)

    def choose_rule(self, labels: Floats, scores: Floats, costs: Costs) -> DecisionRule:
        """The threshold with the lowest total cost on these rows.

        That is one of the probabilities given, so that at least one row is decided positive; ties
        go to the higher threshold.
        """
        thresholds, cost = cost_curve(labels, scores, costs)
        return DecisionRule(threshold=float(thresholds[::-1][np.argmin(cost[::-1])]))

    def decided(self, rows: Any) -> Floats:
        """1 where a row is flagged, else 0."""
        return np.asarray(rows[DECISION], dtype=np.float64)

    def costs_of_rows(self, labels: Floats, decided: Floats, costs: Costs) -> Floats:
        """That of a positive that was missed, or of a false alarm."""
        missed, alarms = labels * (1 - decided), (1 - labels) * decided
        return costs.false_negative * missed + costs.false_positive * alarms

    def calibrate(self, labels: Floats, scores: Floats) -> Calibration:
        """The logistic map from scores to labels."""
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - seconds

        fitted = LogisticRegression(C=np.inf).fit(logit(scores)[:, None], labels)
        return Calibration(intercept=float(fitted.intercept_[0]), slope=float(fitted.coef_[0, 0]))

    def expected(
        self, scores: Floats, calibration: Calibration | None, losses: Floats | None
    ) -> Floats:
        """The chances of a positive; see ``Task.expected``."""
        assert calibration is not None
        log_odds = calibration.intercept + calibration.slope * logit(scores)
        return np.asarray(1 / (1 + np.exp(-log_odds)))

    def describe(self, labels: Floats) -> dict[str, float]:
        """The share of positives."""
        return {"positive_share": float(labels.mean())}

    def is_enough(self, labels: Floats) -> bool:
        """Whether there are some of either class."""
        return bool(min(labels.sum(), (1 - labels).sum()) >= MIN_ROWS)

    def tells(self, labels: Floats, scores: Floats) -> float:
        """The area under the ROC curve."""
        return float(roc_auc(labels, scores, np.ones((1, len(labels))))[0])

    def confusion(
        self, labels: Floats, decided: Floats, times: Floats | None = None
    ) -> dict[str, int]:
        """How many rows of either class are flagged, and how many are not."""
        positive, flagged = labels == 1, decided == 1
        counted = np.ones(len(labels)) if times is None else times
        return {
            "true_positives": int(counted[positive & flagged].sum()),
            "false_positives": int(counted[~positive & flagged].sum()),
            "false_negatives": int(counted[positive & ~flagged].sum()),
            "true_negatives": int(counted[~positive & ~flagged].sum()),
        }

    def calibration_curve(
        self, labels: Floats, scores: Floats, times: Floats | None = None
    ) -> pd.DataFrame:
        """Mean probability and share of positives, in the bins of ``calibration_error``."""
        return mean_by_bin(equal_bins(scores), scores, labels, times)

    def roc_curves(self, labels: Floats, scores: Floats) -> dict[str, tuple[Floats, Floats]]:
        """That of the positive class."""
        return {"": roc_curve(labels, scores)}

    def cost_curve(self, labels: Floats, scores: Floats, costs: Costs) -> tuple[Floats, Floats]:
        """See ``cost_curve``."""
        return cost_curve(labels, scores, costs)

    def row_rates(
        self, labels: Floats, scores: Floats, decided: Floats
    ) -> dict[str, tuple[Floats, Floats]]:
        """Those that are flagged, of all, of the positives, of the negatives."""
        of = (np.ones(len(labels)), labels, 1 - labels)
        return {
            rate: (decided * counted, counted) for rate, counted in zip(self.rates, of, strict=True)
        }

    def rate_parts(self, rows: "ir.Table") -> "dict[str, tuple[Part, Part | None]]":
        """Likewise."""
        from .tally import Part  # noqa: PLC0415 - which is made of tasks

        flagged, label = rows[DECISION].cast("int64"), rows[self.label].cast("int64")
        counted = (None, label, 1 - label)
        return {
            rate: (Part(flagged if of is None else flagged * of), None if of is None else Part(of))
            for rate, of in zip(self.rates, counted, strict=True)
        }


def roc_curve(labels: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """False and true positive rates at every distinct score."""
    positives, negatives = cumulated(labels, scores, np.ones((1, len(labels))))
    return negatives[0] / negatives[0, -1], positives[0] / positives[0, -1]
