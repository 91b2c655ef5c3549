"""Metrics: what they are functions of, and what they share.

A metric takes labels, what was said of them, and ``weights`` of shape ``(n_resamples, n_rows)``; it
returns a figure for each resample, shape ``(n_resamples,)``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .outputs import Floats

Metric = Callable[[Floats, Floats, Floats], Floats]
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Metrics:
    """What models are measured by.

    Attributes:
        of_scores: Functions of labels, scores and weights, by their names.
        of_decisions: Functions of labels, decisions and weights.
    """

    of_scores: Mapping[str, Metric] = field(default_factory=dict)
    of_decisions: Mapping[str, Metric] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return [*self.of_scores, *self.of_decisions]

    def __or__(self, others: "Metrics") -> "Metrics":
        """These, and others."""
        return Metrics(
            {**self.of_scores, **others.of_scores}, {**self.of_decisions, **others.of_decisions}
        )


# none besides those of the task
NO_MORE = Metrics()


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """The mean of each resample."""
    return np.asarray(weights @ values / weights.sum(axis=1))


def divided(numerator: Floats, denominator: Floats) -> Floats:
    """One by the other; nan where there is nothing to divide by."""
    nothing = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=nothing, where=denominator > 0)


def roc_auc(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve; nan where a resample has only one class."""
    return area_under(*cumulated(y, p, weights))


def area_under(positives: Floats, negatives: Floats) -> Floats:
    """Area under the ROC curve of what is at or above each score, from none to all."""
    area = np.asarray(np.trapezoid(positives, negatives, axis=1))
    return divided(area, positives[:, -1] * negatives[:, -1])


def cumulated(y: Floats, p: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Positives and negatives at or above each distinct score, from none to all of them."""
    order = np.argsort(-p, kind="stable")
    last_of_score = np.append(np.diff(p[order]) != 0, True)
    sorted_weights, labels = weights[:, order], y[order]
    start = np.zeros((len(weights), 1))
    positives = np.cumsum(sorted_weights * labels, axis=1)[:, last_of_score]
    negatives = np.cumsum(sorted_weights * (1 - labels), axis=1)[:, last_of_score]
    return np.hstack([start, positives]), np.hstack([start, negatives])


def calibration_error(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Expected calibration error over bins of equal width (Naeini et al., 2015)."""
    members = np.eye(CALIBRATION_BINS)[equal_bins(p)]
    gaps = weights @ (members * (y - p)[:, None])
    return np.asarray(np.abs(gaps).sum(axis=1) / weights.sum(axis=1))


def equal_bins(p: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The bin of each probability, of ``CALIBRATION_BINS`` of equal width."""
    return np.minimum((p * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def mean_by_bin(
    bins: np.ndarray[tuple[int], np.dtype[np.int64]],
    predicted: Floats,
    observed: Floats,
    times: Floats | None = None,
) -> pd.DataFrame:
    """What was predicted and observed, on average, and ``n_rows`` of each bin that has rows."""
    n_rows = np.ones(len(bins)) if times is None else times
    rows = pd.DataFrame({"predicted": predicted, "observed": observed}).mul(n_rows, axis=0)
    sums = rows.assign(n_rows=n_rows).groupby(bins).sum()
    means = sums[["predicted", "observed"]].div(sums["n_rows"], axis=0)
    return means.assign(n_rows=sums["n_rows"].astype(int)).reset_index(drop=True)
