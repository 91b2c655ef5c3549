"""How far intervals reach to both sides of a number: split conformal prediction."""

import numpy as np

from .outputs import Floats

N_FOLDS = 5
MAX_BINS, MIN_ROWS_OF_BIN = 10, 20
# rows of the mean error that are added to those of each bin
PRIOR_ROWS = 20
# standard errors from which a difference is no chance
SURELY = 2


def conformal_margin(errors: Floats, coverage: float) -> float:
    """How far intervals reach so that a share of them holds the label, whatever the model is.

    Split conformal prediction (Lei et al., 2018): the ⌈(n + 1) · coverage⌉-th smallest absolute
    error of n rows that the model has not learned from; the largest, where these are too few.
    """
    # less what rounding adds to a whole number
    rank = int(np.ceil((len(errors) + 1) * coverage - 1e-9))
    return float(np.sort(errors)[min(rank, len(errors)) - 1])


def margins_by_prediction(
    errors: Floats, predicted: Floats, coverage: float
) -> list[tuple[float, float]] | None:
    """Predictions, and margins at each, if these surely make better intervals than one margin.

    Locally weighted conformal prediction (Lei et al., 2018, section 5.2), whose estimate of the
    error is one by the prediction alone: so what serves needs no second model. The errors by which
    it is scaled are those of other rows; which is better is told by the score of intervals.
    """
    at, sizes = typical_errors(errors, predicted)
    if len(at) < 2 or not errors.any():
        return None
    # neighbours by their predictions are in different folds
    folds = np.argsort(np.argsort(predicted, kind="stable")) % N_FOLDS
    expected = np.empty(len(errors))
    for fold in range(N_FOLDS):
        asked = folds == fold
        expected[asked] = np.interp(
            predicted[asked], *typical_errors(errors[~asked], predicted[~asked])
        )
    factor = conformal_margin(errors / expected, coverage)
    saved = interval_score(errors, conformal_margin(errors, coverage), coverage)
    saved -= interval_score(errors, factor * expected, coverage)
    if saved.mean() <= SURELY * saved.std() / np.sqrt(len(saved)):
        return None
    return [*zip(at.tolist(), (factor * sizes).tolist(), strict=True)]


def typical_errors(errors: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    """The median prediction and the mean error of bins of as many rows, in the order of the former.

    Means of bins are drawn to that of all, the more the fewer rows there are.
    """
    n_bins = max(1, min(MAX_BINS, len(errors) // MIN_ROWS_OF_BIN))
    bins = np.array_split(np.argsort(predicted, kind="stable"), n_bins)
    prior = PRIOR_ROWS * errors.mean()
    medians = np.array([np.median(predicted[rows]) for rows in bins])
    sizes = np.array([(errors[rows].sum() + prior) / (len(rows) + PRIOR_ROWS) for rows in bins])
    # of many equal predictions there are several bins
    distinct, first = np.unique(medians, return_index=True)
    return distinct, sizes[first]


def interval_score(errors: Floats, margins: Floats | float, coverage: float) -> Floats:
    """The width of intervals, and 2 / (1 - coverage) times how far labels are outside of them.

    Less is better. From Gneiting and Raftery, 2007, "Strictly proper scoring rules, prediction,
    and estimation", section 6.2.
    """
    return 2 * margins + 2 / (1 - coverage) * np.maximum(errors - margins, 0)
