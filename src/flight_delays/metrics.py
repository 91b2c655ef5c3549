"""Metrics of a binary classifier, with intervals that respect days.

Rows of one day share their weather, so they are not independent. The bootstrap therefore draws
whole days (the block bootstrap of Künsch, 1989, with days as blocks): each resample gives every
day a weight, and every metric takes row weights.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from flight_delays.moments import Parameters

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats, Floats], float]
Interval = dict[str, float]

CALIBRATION_BINS = 10


class Bootstrap(Parameters):
    """How intervals are computed."""

    n_resamples: int = Field(ge=20)
    confidence: float = Field(gt=0, lt=1)
    seed: int


def calibration_error(y: Floats, p: Floats, weight: Floats) -> float:
    """Expected calibration error over equal-width bins (Naeini et al., 2015)."""
    bins = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gap = np.bincount(bins, weights=weight * (y - p), minlength=CALIBRATION_BINS)
    return float(np.abs(gap).sum() / weight.sum())


METRICS: Mapping[str, Metric] = {
    "log_loss": lambda y, p, w: float(log_loss(y, p, sample_weight=w, labels=[0, 1])),
    "roc_auc": lambda y, p, w: float(roc_auc_score(y, p, sample_weight=w)),
    "average_precision": lambda y, p, w: float(average_precision_score(y, p, sample_weight=w)),
    "brier_score": lambda y, p, w: float(brier_score_loss(y, p, sample_weight=w)),
    "calibration_error": calibration_error,
}
# these need both classes among the rows
RANKING = ("roc_auc", "average_precision")


def measure(
    y: pd.Series,
    p: Floats,
    days: pd.Series,
    bootstrap: Bootstrap,
    names: tuple[str, ...] = tuple(METRICS),
) -> dict[str, Interval]:
    """Metrics with bootstrap intervals.

    Args:
        y: Labels, 0 or 1, shape (n_rows,).
        p: Probabilities of class 1, shape (n_rows,).
        days: The day of each row, shape (n_rows,).
        bootstrap: Number of resamples, confidence and seed.
        names: The metrics wanted.

    Returns:
        For each metric ``value``, ``low`` and ``high``. Metrics that are not defined, because only
        one class is present, are left out.
    """
    labels = y.to_numpy(np.float64)
    defined = [name for name in names if name not in RANKING or len(np.unique(labels)) == 2]
    weights = list(_resampled_weights(days, bootstrap))
    return {name: _interval(METRICS[name], labels, p, weights, bootstrap) for name in defined}


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
    difference = _row_log_loss(labels, p) - _row_log_loss(labels, q)

    def mean_difference(_: Floats, __: Floats, weight: Floats) -> float:
        return float(np.average(difference, weights=weight))

    weights = list(_resampled_weights(days, bootstrap))
    return _interval(mean_difference, labels, p, weights, bootstrap)


def _row_log_loss(y: Floats, p: Floats) -> Floats:
    clipped = np.clip(p, np.finfo(p.dtype).eps, 1 - np.finfo(p.dtype).eps)
    return np.asarray(-np.log(np.where(y == 1, clipped, 1 - clipped)), dtype=np.float64)


def _interval(
    metric: Metric, y: Floats, p: Floats, weights: list[Floats], bootstrap: Bootstrap
) -> Interval:
    resampled = [metric(y, p, w) for w in weights if _defined(metric, y, w)]
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    value = metric(y, p, np.ones_like(p))
    return {"value": value, "low": float(low), "high": float(high)}


def _defined(metric: Metric, y: Floats, weight: Floats) -> bool:
    """Whether a resample holds both classes, where the metric needs them."""
    if metric not in [METRICS[name] for name in RANKING]:
        return True
    positives = float(weight @ y)
    return 0 < positives < float(weight.sum())


def _resampled_weights(days: pd.Series, bootstrap: Bootstrap) -> Iterator[Floats]:
    """Row weights of each resample: how often the row's day was drawn."""
    codes, unique_days = pd.factorize(days)
    rng = np.random.default_rng(bootstrap.seed)
    n_days = len(unique_days)
    for _ in range(bootstrap.n_resamples):
        drawn = np.bincount(rng.integers(n_days, size=n_days), minlength=n_days)
        yield drawn[codes].astype(np.float64)


def cheapest_threshold(y: pd.Series, p: Floats, false_negative: float, false_positive: float) -> float:
    """The threshold with the lowest total cost on these rows.

    Args:
        y: Labels, 0 or 1, shape (n_rows,).
        p: Probabilities of class 1.
        false_negative: Cost of a missed positive.
        false_positive: Cost of a false alarm.

    Returns:
        The probability from which a row is decided positive; ties go to the higher threshold.
    """
    thresholds, costs = cost_curve(y, p, false_negative, false_positive)
    return float(thresholds[::-1][np.argmin(costs[::-1])])


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
