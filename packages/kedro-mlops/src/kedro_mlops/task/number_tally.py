"""Numbers, counted: their errors, what varies, and how many labels their intervals hold."""

from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from .metrics import divided, mean_by_bin
from .outputs import PREDICTION, Floats
from .regression import CURVE_BINS, ROUNDED, Regression
from .tally import Asked, ByCell, Cells, Part, Sums, Tally

if TYPE_CHECKING:
    import ibis.expr.types as ir

# of errors, by their sizes: each is so much of an octave
PER_OCTAVE = 2048
# below that of any other number
ZERO = -(2**30)
# of numbers whose squares are numbers, too; beyond, there is no telling them apart
MOST = 1e100
ERRORS, SCORES = "errors", "scores"


class NumberTally(Tally):
    """A number, and an interval around it."""

    def __init__(self, task: Regression) -> None:
        self._task = task
        self.formulas = {
            "mean_squared_error": lambda counted: counted.mean("squared"),
            "root_mean_squared_error": lambda counted: np.sqrt(counted.mean("squared")),
            "mean_absolute_error": lambda counted: counted.mean("absolute"),
            "median_absolute_error": _median_error,
            "r2": _r2,
            "bias": lambda counted: counted.mean("error"),
            "interval_coverage": lambda counted: counted.mean("covered"),
            "interval_width": lambda counted: counted.mean("width"),
        }

    def known(self, rows: "ir.Table") -> Asked:
        """Errors, labels around their middle, and intervals."""
        label, score, low, high = self._read(rows)
        error, width = score - label, high - low
        middle, far = self._spread(rows)
        around = label - middle
        parts = {
            "error": Part(error, far["error"]),
            "absolute": Part(error.abs(), far["error"]),
            "squared": Part(error * error, far["error"] ** 2),
            "label": Part(around, far["label"]),
            "label_squared": Part(around * around, far["label"] ** 2),
            "width": Part(width, far["width"]),
            "covered": Part(label.between(low, high).cast("int64")),
        }
        return Asked(parts, {ERRORS: ByCell(_octaves(error.abs()), ends=error.abs())})

    def curve(self, rows: "ir.Table") -> Asked:
        """Predictions and labels by the cell of the prediction."""
        middle, far = self._spread(rows)
        label, score = (each - middle for each in self._read(rows)[:2])
        places = _octaves(score.abs()) - ZERO
        cell = (score < 0).ifelse(-places, places).cast("int64")
        parts = {
            "label": Part(label, far["label"]),
            "score": Part(score, far["label"] + far["error"]),
        }
        return Asked(
            {"middle": Part(label * 0 + middle, abs(middle))}, {SCORES: ByCell(cell, parts=parts)}
        )

    def calibration_curve(self, counted: Sums) -> pd.DataFrame:
        """Means of predictions and labels, in bins of about as many of these."""
        found = counted.cells[SCORES]
        n, label, score = (
            each.sum(axis=0) for each in (found.n, found.sums["label"], found.sums["score"])
        )
        before = (np.cumsum(n) - n / 2) / max(n.sum(), 1)
        bins = (before * CURVE_BINS).astype(np.int64)
        middle = counted.sums["middle"].sum() / max(counted.n.sum(), 1)
        predicted, observed = (middle + divided(each, n) for each in (score, label))
        return mean_by_bin(bins, predicted, observed, n)

    def confusion(self, counted: Sums) -> dict[str, int]:
        """Nothing: no decision is taken."""
        return {}

    def varies(self, counted: Sums) -> bool:
        """Whether they lie around their mean."""
        total = counted.weighed(np.ones((1, len(counted.n))))
        return bool(_variance(total)[0] > 0)

    def _read(self, rows: "ir.Table") -> list["ir.NumericValue"]:
        names = [self._task.label, PREDICTION, f"{PREDICTION}_low", f"{PREDICTION}_high"]
        return [cast("ir.NumericValue", rows[name]).clip(-MOST, MOST) for name in names]

    def _spread(self, rows: "ir.Table") -> tuple[float, dict[str, float]]:
        """The middle of the labels, and how far numbers are from 0, or from it, at most.

        Digits are lost where the mean is much larger than what varies around it.
        """
        label, score, low, high = self._read(rows)
        [found] = rows.aggregate(
            mean=label.mean(), least=label.min(), most=label.max(),
            error=(score - label).abs().max(), width=(high - low).abs().max(),
        ).to_pyarrow().to_pylist()  # fmt: skip
        if found["mean"] is None:
            return 0.0, {"label": 0.0, "error": 0.0, "width": 0.0}
        # what depends on the order of rows is far behind
        middle = float(f"{found['mean']:.6g}")
        if found["least"] == found["most"]:
            middle = found["least"]
        furthest = max(abs(found[end] - middle) for end in ("least", "most"))
        return middle, {"label": furthest, "error": found["error"], "width": found["width"]}


def _octaves(sizes: "ir.NumericValue") -> "ir.IntegerValue":
    """The cell of each number that is not below 0."""
    cells = (sizes > 0).ifelse(sizes, 1).log2() * PER_OCTAVE
    return (sizes > 0).ifelse(cells.floor().cast("int64"), ZERO)


def _median_error(counted: Sums) -> Floats:
    """Half of the rows are not further off; of an even number, between the two in the middle."""
    found = counted.cells[ERRORS]
    below = np.cumsum(found.n, axis=1)
    half = below[:, -1] / 2
    middle = [_at(found, below, place) for place in (np.ceil(half), np.floor(half) + 1)]
    return np.asarray(np.mean(middle, axis=0))


def _at(found: Cells, below: Floats, place: Floats) -> Floats:
    """The error of the row at a place, from 1 on; those of a cell are as far from each other."""
    cell = (below < place[:, None]).sum(axis=1)
    n, until = (np.take_along_axis(of, cell[:, None], axis=1)[:, 0] for of in (found.n, below))
    share = np.where(n > 1, divided(place - 1 - (until - n), n - 1), 0.5)
    return np.asarray(found.low[cell] + share * (found.high[cell] - found.low[cell]))


def _variance(counted: Sums) -> Floats:
    square = counted.mean("label_squared")
    variance = square - counted.mean("label") ** 2
    return np.where(variance > ROUNDED * square, variance, 0)


def _r2(counted: Sums) -> Floats:
    return 1 - divided(counted.mean("squared"), _variance(counted))
