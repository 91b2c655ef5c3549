"""What monitoring compares with, as it travels with a model."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

# scores of exactly 0 or 1 have no logit
MARGIN = 1e-9


class Profile(BaseModel):
    """A table of counts, and how much windows of that table differed.

    Attributes:
        n_rows: Number of rows.
        edges: Inner bin edges per numeric column, ascending.
        counts: Per column, bin to number of rows; numeric bins are numbered from 0.
        means: Per numeric column, bin to the mean of its values.
        spread: Standard deviation per numeric column.
        normal: Per column and measure, the farthest that a window was from all that preceded it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_rows: int
    edges: dict[str, list[float]]
    counts: dict[str, dict[str, int]]
    means: dict[str, dict[str, float]]
    spread: dict[str, float]
    normal: dict[str, dict[str, float]]


class Calibration(BaseModel):
    """A logistic map from scores to the probabilities that were observed (Platt, 1999).

    ``logit(calibrated) = intercept + slope * logit(score)``
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intercept: float
    slope: float

    def apply(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probabilities to expect behind the scores, shape (n_rows,)."""
        return np.asarray(1 / (1 + np.exp(-(self.intercept + self.slope * logit(scores)))))


class Reference(BaseModel):
    """What monitoring compares with: the training rows, and the scores on the test window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_days: int
    features: Profile
    score: Profile
    calibration: Calibration


def logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of probabilities, shape (n_rows,)."""
    inside = np.clip(p, MARGIN, 1 - MARGIN)
    return np.asarray(np.log(inside) - np.log1p(-inside))
