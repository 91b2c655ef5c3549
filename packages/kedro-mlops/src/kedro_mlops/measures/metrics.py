"""Metrics of a binary classifier, with intervals that respect days.

Rows of one day share their circumstances, so they are not independent. The bootstrap therefore
draws whole days (the block bootstrap of Künsch, 1989, with days as blocks). A resample is then a
weight for every row, and a metric takes all resamples at once: ``weights`` has shape
``(n_resamples, n_rows)``, the result ``(n_resamples,)``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from kedro_mlops.core.artefacts import Interval
from kedro_mlops.core.time_params import Parameters

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats, Floats], Floats]
Rows = tuple[pd.Series, Floats, pd.Series]

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
    return _divided(area, positives[:, -1] * negatives[:, -1])


def average_precision(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Precision averaged over the steps of recall; nan where a resample has no positive."""
    positives, negatives = _cumulated(y, p, weights)
    precision = _divided(positives, positives + negatives)
    steps = np.diff(positives, axis=1)
    return _divided(np.nansum(precision[:, 1:] * steps, axis=1), positives[:, -1])


def precision(y: Floats, decided: Floats, weights: Floats) -> Floats:
    """Share of positives among the rows that are flagged; nan where none is."""
    return _divided(weights @ (y * decided), weights @ decided)


def recall(y: Floats, decided: Floats, weights: Floats) -> Floats:
    """Share of the positives that are flagged; nan where there is none."""
    return _divided(weights @ (y * decided), weights @ y)


def f1(y: Floats, decided: Floats, weights: Floats) -> Floats:
    """Harmonic mean of precision and recall; nan where nothing is positive or flagged."""
    return _divided(2 * weights @ (y * decided), weights @ y + weights @ decided)


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
    of_decisions: Mapping[str, Metric]

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return [*self.of_probabilities, *self.of_decisions]


METRICS = Metrics(PROBABILITY_METRICS, DECISION_METRICS)


def measure(
    y: pd.Series,
    p: Floats,
    days: pd.Series,
    bootstrap: Bootstrap,
    metrics: Mapping[str, Metric] = PROBABILITY_METRICS,
) -> dict[str, Interval]:
    """Metrics with bootstrap intervals.

    Args:
        y: Labels, 0 or 1, shape (n_rows,).
        p: Probabilities of class 1, shape (n_rows,).
        days: The day of each row, shape (n_rows,).
        bootstrap: Number of resamples, confidence and seed.
        metrics: The metrics wanted.

    Returns:
        For each metric ``value``, ``low`` and ``high``. A metric that these rows do not define,
        such as ROC AUC on one class, is left out, and so is one without an interval.
    """
    return _measured(metrics, y, p, days, bootstrap)


def measure_decisions(
    y: pd.Series,
    decided: NDArray[np.bool_],
    days: pd.Series,
    bootstrap: Bootstrap,
    metrics: Mapping[str, Metric] = DECISION_METRICS,
) -> dict[str, Interval]:
    """Precision, recall, F1 and share flagged, or what else is wanted, as ``measure`` does.

    Args:
        y: Labels, 0 or 1, shape (n_rows,).
        decided: Whether each row is flagged, shape (n_rows,).
        days: The day of each row.
        bootstrap: Number of resamples, confidence and seed.
        metrics: The metrics wanted.
    """
    return _measured(metrics, y, decided.astype(np.float64), days, bootstrap)


def _measured(
    metrics: Mapping[str, Metric], y: pd.Series, p: Floats, days: pd.Series, bootstrap: Bootstrap
) -> dict[str, Interval]:
    if len(y) == 0:
        return {}
    labels = y.to_numpy(np.float64)
    weights = resample_days(days, bootstrap)
    measured = {
        name: percentile_interval(metric(labels, p, weights), bootstrap)
        for name, metric in metrics.items()
    }
    return {name: ends for name, ends in measured.items() if ends.is_finite}


def confusion(y: pd.Series, decided: NDArray[np.bool_]) -> dict[str, int]:
    """How many rows of either class are flagged, and how many are not."""
    positive = y.to_numpy() == 1
    return {
        "true_positives": int((positive & decided).sum()),
        "false_positives": int((~positive & decided).sum()),
        "false_negatives": int((positive & ~decided).sum()),
        "true_negatives": int((~positive & ~decided).sum()),
    }


def paired_difference(
    y: pd.Series, p: Floats, q: Floats, days: pd.Series, bootstrap: Bootstrap
) -> Interval:
    """Difference in log loss, p minus q, on the same resampled rows; negative favours p.

    Args:
        y: Labels, 0 or 1, shape (n_rows,).
        p: Probabilities of the one model, shape (n_rows,).
        q: Probabilities of the other.
        days: The day of each row.
        bootstrap: Number of resamples, confidence and seed.
    """
    labels = y.to_numpy(np.float64)
    difference = row_log_loss(labels, p) - row_log_loss(labels, q)
    return percentile_interval(resampled_mean(difference, days, bootstrap), bootstrap)


def unpaired_difference(one: Rows, other: Rows, bootstrap: Bootstrap) -> Interval:
    """Difference in log loss between two groups of rows, one minus other, on the same days.

    Args:
        one: Labels, 0 or 1, probabilities of class 1, and days of the one group.
        other: Likewise; the groups may differ in size.
        bootstrap: Number of resamples, confidence and seed.
    """
    weights = resample_days(pd.concat([one[2], other[2]], ignore_index=True), bootstrap)
    n_one = len(one[2])
    parts = ((one, weights[:, :n_one]), (other, weights[:, n_one:]))
    losses = [
        _divided(part @ row_log_loss(y.to_numpy(np.float64), p), part.sum(axis=1))
        for (y, p, _), part in parts
    ]
    return percentile_interval(losses[0] - losses[1], bootstrap)


def flatten(measured: Mapping[str, Interval], prefix: str = "") -> dict[str, float]:
    """Metrics as columns of a table: each with its name, and its ends as ``_low`` and ``_high``."""
    return {
        f"{prefix}{metric}{'' if end == 'value' else f'_{end}'}": value
        for metric, interval in measured.items()
        for end, value in interval
    }


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


def calibration_curve(y: pd.Series, p: Floats) -> pd.DataFrame:
    """What was predicted and what was observed, in the bins of ``calibration_error``.

    Returns:
        ``predicted``, the mean probability, ``observed``, the share of positives, and ``n_rows`` of
        each bin that has rows.
    """
    rows = pd.DataFrame({"predicted": p, "observed": y.to_numpy(np.float64)})
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


def row_costs(y: NDArray[np.bool_], decided: NDArray[np.bool_], costs: Costs) -> Floats:
    """What the decision on each row cost, shape (n_rows,)."""
    missed, alarms = costs.false_negative * (y & ~decided), costs.false_positive * (~y & decided)
    return np.asarray(missed + alarms, dtype=np.float64)


def cheapest_threshold(
    y: pd.Series, p: Floats, false_negative: float, false_positive: float
) -> float:
    """The threshold with the lowest total cost on these rows.

    Args:
        y: Labels, 0 or 1, shape (n_rows,).
        p: Probabilities of class 1.
        false_negative: Cost of a missed positive.
        false_positive: Cost of a false alarm.

    Returns:
        The probability from which a row is decided positive: one of those given, so that at least
        one row is; ties go to the higher threshold.
    """
    thresholds, costs = cost_curve(y, p, false_negative, false_positive)
    return float(thresholds[::-1][np.argmin(costs[::-1])])


def roc_curve(y: pd.Series, p: Floats) -> tuple[Floats, Floats]:
    """False and true positive rates of every threshold, from none flagged to all of them."""
    labels, whole = y.to_numpy(np.float64), np.ones((1, len(y)))
    [positives], [negatives] = _cumulated(labels, p, whole)
    return negatives / negatives[-1], positives / positives[-1]


def cost_curve(
    y: pd.Series, p: Floats, false_negative: float, false_positive: float
) -> tuple[Floats, Floats]:
    """Mean cost per row at every distinct probability taken as the threshold, ascending."""
    order = np.argsort(p, kind="stable")
    labels, scores = y.to_numpy(np.float64)[order], p[order]
    missed = np.concatenate([[0.0], np.cumsum(labels)[:-1]])
    alarms = (1 - labels)[::-1].cumsum()[::-1]
    cost = (false_negative * missed + false_positive * alarms) / len(labels)
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


def _divided(numerator: Floats, denominator: Floats) -> Floats:
    nothing = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=nothing, where=denominator > 0)
