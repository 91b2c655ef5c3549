"""Metrics of a binary classifier, with intervals that respect days.

Rows of one day share their circumstances, so they are not independent. The bootstrap therefore
draws whole days (the block bootstrap of Künsch, 1989, with days as blocks). A resample is then a
weight for every row, and a metric takes all resamples at once: ``weights`` has shape
``(n_resamples, n_rows)``, the result ``(n_resamples,)``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.artefacts import Interval
from kedro_mlops.core.time_params import Parameters

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats, Floats], Floats]

SCORE = "probability"
CALIBRATION_BINS = 10


class Bootstrap(Parameters):
    """How intervals are computed."""

    n_resamples: int = Field(ge=20)
    confidence: float = Field(gt=0, lt=1)
    seed: int


class Costs(Parameters):
    """What a wrong decision costs, in any unit."""

    false_negative: float = Field(gt=0)
    false_positive: float = Field(gt=0)


@dataclass(frozen=True)
class Scored:
    """Rows that a model has scored, and what really happened.

    Attributes:
        label: 0 or 1, or the chance of 1, shape (n_rows,).
        score: Probabilities of class 1.
        day: The day of each row.
        decided: 1 where a row is flagged, else 0; none where nothing was decided.
    """

    label: Floats
    score: Floats
    day: pd.Series
    decided: Floats | None = None

    @classmethod
    def of(cls, contract: Columns, rows: pd.DataFrame, score: str = SCORE) -> Self:
        """Rows as scored by the model that decides, or in the column of another."""
        return cls(
            rows[contract.label].to_numpy(np.float64, na_value=np.nan),
            rows[score].to_numpy(np.float64),
            rows[contract.event_time].dt.normalize(),
            rows["decision"].to_numpy(np.float64) if score == SCORE else None,
        )

    def __len__(self) -> int:
        return len(self.label)


def log_loss(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Mean negative log-likelihood."""
    return _weighted_mean(row_log_loss(y, p), weights)


def brier_score(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Mean squared difference between probability and label (Brier, 1950)."""
    return _weighted_mean((y - p) ** 2, weights)


def calibration_error(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Expected calibration error over bins of equal width (Naeini et al., 2015)."""
    members = np.eye(CALIBRATION_BINS)[_calibration_bins(p)]
    gaps = weights @ (members * (y - p)[:, None])
    return np.asarray(np.abs(gaps).sum(axis=1) / weights.sum(axis=1))


def roc_auc(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve; nan where a resample has only one class."""
    positives, negatives = _cumulated(y, p, weights)
    area = np.asarray(np.trapezoid(positives, negatives, axis=1))
    return divided(area, positives[:, -1] * negatives[:, -1])


def average_precision(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Precision averaged over the steps of recall; nan where a resample has no positive."""
    positives, negatives = _cumulated(y, p, weights)
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


def flagged_share(y: Floats, decided: Floats, weights: Floats) -> Floats:  # noqa: ARG001
    """Share of the rows that are flagged."""
    return _weighted_mean(decided, weights)


PROBABILITY_METRICS: Mapping[str, Metric] = {
    "log_loss": log_loss,
    "roc_auc": roc_auc,
    "average_precision": average_precision,
    "brier_score": brier_score,
    "calibration_error": calibration_error,
}
DECISION_METRICS: Mapping[str, Metric] = {
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "flagged_share": flagged_share,
}


@dataclass(frozen=True)
class Metrics:
    """What models are measured by.

    Attributes:
        of_probabilities: Functions of labels, probabilities and weights, by their names.
        of_decisions: Functions of labels, decisions (0 or 1) and weights.
    """

    of_probabilities: Mapping[str, Metric]
    of_decisions: Mapping[str, Metric] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return [*self.of_probabilities, *self.of_decisions]


METRICS = Metrics(PROBABILITY_METRICS, DECISION_METRICS)
# of parts of the rows, and without labels: put the chance of 1 in the place of the label, and what
# these give is their expected value
MAIN_METRICS = Metrics({"log_loss": log_loss, "roc_auc": roc_auc})


def measure(
    scored: Scored, bootstrap: Bootstrap, metrics: Metrics = METRICS
) -> dict[str, Interval]:
    """Metrics with bootstrap intervals; of decisions where some were taken.

    A metric that these rows do not define, such as ROC AUC on one class, is left out, and so is one
    without an interval.
    """
    if not len(scored):
        return {}
    weights = resample_days(scored.day, bootstrap)
    asked = [(scored.score, metrics.of_probabilities)]
    if scored.decided is not None:
        asked.append((scored.decided, metrics.of_decisions))
    intervals = {
        name: percentile_interval(metric(scored.label, said, weights), bootstrap)
        for said, wanted in asked
        for name, metric in wanted.items()
    }
    return {name: interval for name, interval in intervals.items() if interval.is_finite}


def confusion(scored: Scored) -> dict[str, int]:
    """How many rows of either class are flagged, and how many are not."""
    positive, decided = scored.label == 1, scored.decided == 1
    return {
        "true_positives": int((positive & decided).sum()),
        "false_positives": int((~positive & decided).sum()),
        "false_negatives": int((positive & ~decided).sum()),
        "true_negatives": int((~positive & ~decided).sum()),
    }


def paired_difference(scored: Scored, other: Floats, bootstrap: Bootstrap) -> Interval:
    """Difference in log loss to other scores of the same rows; negative favours the rows' own."""
    difference = row_log_loss(scored.label, scored.score) - row_log_loss(scored.label, other)
    return percentile_interval(resampled_mean(difference, scored.day, bootstrap), bootstrap)


def unpaired_difference(one: Scored, other: Scored, bootstrap: Bootstrap) -> Interval:
    """Difference in log loss between two groups of rows, one minus other, on the same days."""
    weights = resample_days(pd.concat([one.day, other.day], ignore_index=True), bootstrap)
    losses = [
        divided(part @ row_log_loss(rows.label, rows.score), part.sum(axis=1))
        for rows, part in ((one, weights[:, : len(one)]), (other, weights[:, len(one) :]))
    ]
    return percentile_interval(losses[0] - losses[1], bootstrap)


def columns_of(metrics: Iterable[str], prefix: str = "") -> list[str]:
    """The columns of a table that ``flatten`` gives."""
    return [f"{prefix}{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]


def flatten(measured: Mapping[str, Interval], prefix: str = "") -> dict[str, float]:
    """Metrics as columns of a table: each with its name, and its ends as ``_low`` and ``_high``."""
    figures = [figure for interval in measured.values() for _, figure in interval]
    return dict(zip(columns_of(measured, prefix), figures, strict=True))


def resampled_mean(values: Floats, days: pd.Series, bootstrap: Bootstrap) -> Floats:
    """Mean of the rows as they are, and of each resample of days, shape (1 + n_resamples,)."""
    return _weighted_mean(values, resample_days(days, bootstrap))


def percentile_interval(resampled: Floats, bootstrap: Bootstrap) -> Interval:
    """The value on the rows as they are, and the percentile interval of the resamples."""
    value, *others = resampled
    tail = (1 - bootstrap.confidence) / 2
    defined = [other for other in others if np.isfinite(other)] or [np.nan]
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value=value, low=low, high=high)


def calibration_curve(y: Floats, p: Floats) -> pd.DataFrame:
    """What was predicted and what was observed, in the bins of ``calibration_error``.

    Returns:
        ``predicted``, the mean probability, ``observed``, the share of positives, and ``n_rows`` of
        each bin that has rows.
    """
    rows = pd.DataFrame({"predicted": p, "observed": y})
    bins = rows.groupby(_calibration_bins(p))
    return bins.mean().assign(n_rows=bins.size()).reset_index(drop=True)


def resample_days(days: pd.Series, bootstrap: Bootstrap) -> Floats:
    """Row weights of the rows as they are, and of each resample: how often their day was drawn.

    Returns:
        Shape (1 + n_resamples, n_rows); the first row is all ones.
    """
    codes, unique_days = pd.factorize(days)
    n_days = len(unique_days)
    rng = np.random.default_rng(bootstrap.seed)
    drawn = rng.multinomial(n_days, np.full(n_days, 1 / n_days), size=bootstrap.n_resamples)
    weights = np.vstack([np.ones(n_days), drawn])
    return np.asarray(weights[:, codes], dtype=np.float64)


def row_log_loss(y: Floats, p: Floats) -> Floats:
    """Negative log-likelihood of each row, shape (n_rows,).

    A label may also be the probability that it is 1; this is the expected loss then.
    """
    clipped = np.clip(p, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    return np.asarray(-(y * np.log(clipped) + (1 - y) * np.log1p(-clipped)), dtype=np.float64)


def row_costs(y: Floats, decided: Floats, costs: Costs) -> Floats:
    """What the decision on each row cost, shape (n_rows,)."""
    missed, alarms = y * (1 - decided), (1 - y) * decided
    return costs.false_negative * missed + costs.false_positive * alarms


def mean_cost(costs: Costs) -> Metric:
    """The metric of decisions that is what they cost, on average."""
    return lambda y, decided, weights: _weighted_mean(row_costs(y, decided, costs), weights)


def cheapest_threshold(y: Floats, p: Floats, costs: Costs) -> float:
    """The threshold with the lowest total cost on these rows.

    Returns:
        The probability from which a row is decided positive: one of those given, so that at least
        one row is; ties go to the higher threshold.
    """
    thresholds, cost = cost_curve(y, p, costs)
    return float(thresholds[::-1][np.argmin(cost[::-1])])


def cost_curve(y: Floats, p: Floats, costs: Costs) -> tuple[Floats, Floats]:
    """Mean cost per row at every distinct probability taken as the threshold, ascending."""
    order = np.argsort(p, kind="stable")
    labels, scores = y[order], p[order]
    missed = np.concatenate([[0.0], np.cumsum(labels)[:-1]])
    alarms = (1 - labels)[::-1].cumsum()[::-1]
    cost = (costs.false_negative * missed + costs.false_positive * alarms) / len(labels)
    first = np.concatenate([[True], np.diff(scores) > 0])
    return scores[first], cost[first]


def _calibration_bins(p: Floats) -> NDArray[np.int64]:
    return np.minimum((p * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def _cumulated(y: Floats, p: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Positives and negatives at or above each distinct score, from none to all of them."""
    order = np.argsort(-p, kind="stable")
    last_of_score = np.append(np.diff(p[order]) != 0, True)
    sorted_weights, labels = weights[:, order], y[order]
    start = np.zeros((len(weights), 1))
    positives = np.cumsum(sorted_weights * labels, axis=1)[:, last_of_score]
    negatives = np.cumsum(sorted_weights * (1 - labels), axis=1)[:, last_of_score]
    return np.hstack([start, positives]), np.hstack([start, negatives])


def _weighted_mean(values: Floats, weights: Floats) -> Floats:
    return np.asarray(weights @ values / weights.sum(axis=1))


def divided(numerator: Floats, denominator: Floats) -> Floats:
    """One by the other; nan where there is nothing to divide by."""
    nothing = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=nothing, where=denominator > 0)
