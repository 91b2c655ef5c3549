"""Several classes, counted: the loss, who was taken for whom, and the scores of each class."""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .metrics import CALIBRATION_BINS, area_under, divided, mean_by_bin
from .multiclass import SMALLEST, Multiclass, mean_of_classes
from .outputs import PREDICTION, Floats
from .tally import Asked, ByCell, Part, Sums, Tally
from .task import Calibration

if TYPE_CHECKING:
    import ibis.expr.types as ir

# of a probability, narrower towards 0 and 1, where those of rare classes are
CELLS = 2000
# an exponent whose power is a number
LARGEST = 700
TAKEN, TOP = "taken", "top"

Columns = Sequence["ir.NumericValue"]


class ClassTally(Tally):
    """One of several classes."""

    def __init__(self, task: Multiclass) -> None:
        self._task, self._n = task, len(task.classes)
        self.formulas = {
            "log_loss": lambda counted: counted.mean("loss"),
            "roc_auc": self._roc_auc,
            "calibration_error": self._calibration_error,
            "accuracy": self._accuracy,
            "balanced_accuracy": self._balanced_accuracy,
            "macro_f1": self._macro_f1,
        }

    def known(self, rows: "ir.Table") -> Asked:
        """The loss, the cells of each class, those of the most probable one, and who was taken."""
        found = self._of_labels(rows, self._labels(rows))
        return Asked(found.parts, {**found.by_cell, TOP: self._by_top(rows), **self._taken(rows)})

    def expected(self, rows: "ir.Table", calibration: Calibration | None) -> Asked | None:
        """Likewise by the chances of each class; see ``Multiclass.expected``."""
        if calibration is None:
            return None
        biases = np.asarray(calibration.intercept).tolist()
        odds = [
            (log * calibration.slope + bias).clip(-LARGEST, LARGEST).exp()
            for log, bias in zip(self._logs(rows), biases, strict=True)
        ]
        return self._of_labels(rows, [each / reduce(add, odds) for each in odds])

    def curve(self, rows: "ir.Table") -> Asked:
        """The most probable class."""
        return Asked(by_cell={TOP: self._by_top(rows)})

    def calibration_curve(self, counted: Sums) -> pd.DataFrame:
        """Mean probability of the most probable class, and how often it is true."""
        top = counted.cells[TOP]
        n, hit, score = (each.sum(axis=0) for each in (top.n, top.sums["hit"], top.sums["score"]))
        bins, there = np.arange(CALIBRATION_BINS), n > 0
        predicted, observed = (divided(each, n)[there] for each in (score, hit))
        return mean_by_bin(bins[there], predicted, observed, n[there])

    def confusion(self, counted: Sums) -> dict[str, int]:
        """Rows by the true class and the one that is taken."""
        matrix = self._matrix(counted).sum(axis=0).ravel()
        pairs = np.arange(self._n**2)
        true, taken = (np.eye(self._n)[codes] for codes in np.divmod(pairs, self._n))
        return self._task.confusion(true, taken, matrix)

    def varies(self, counted: Sums) -> bool:
        """Whether there are several classes."""
        return bool((self._matrix(counted).sum(axis=(0, 2)) > 0).sum() > 1)

    def _of_labels(self, rows: "ir.Table", labels: Columns) -> Asked:
        logs, scores = self._logs(rows), self._scores(rows)
        loss = reduce(add, [-label * log for label, log in zip(labels, logs, strict=True)])
        by_cell = {
            str(code): ByCell(_cell(score), CELLS, {"true": Part(label)})
            for code, (label, score) in enumerate(zip(labels, scores, strict=True))
        }
        return Asked({"loss": Part(loss, -np.log(SMALLEST))}, by_cell)

    def _by_top(self, rows: "ir.Table") -> ByCell:
        scores, labels = self._scores(rows), self._labels(rows)
        # the first of those that none exceeds
        is_top = [
            reduce(
                lambda one, other: one & other,
                [mine > his if j < i else mine >= his for j, his in enumerate(scores) if j != i],
            ).cast("float64")
            for i, mine in enumerate(scores)
        ]
        score, hit = (
            reduce(add, [top * each for top, each in zip(is_top, of, strict=True)])
            for of in (scores, labels)
        )
        bins = (score * CALIBRATION_BINS).floor().cast("int32").clip(0, CALIBRATION_BINS - 1)
        return ByCell(bins, CALIBRATION_BINS, {"hit": Part(hit), "score": Part(score)})

    def _taken(self, rows: "ir.Table") -> dict[str, ByCell]:
        codes = [(value, code) for code, value in enumerate(self._task.classes)]
        taken = rows[PREDICTION].cases(*codes).cast("int32")
        true = rows[self._task.label].cast("int32")
        return {TAKEN: ByCell(true * self._n + taken, self._n**2)}

    def _scores(self, rows: "ir.Table") -> Columns:
        return [rows[name].clip(0, 1) for name in self._task.output().score_columns()]

    def _logs(self, rows: "ir.Table") -> Columns:
        return [score.clip(float(SMALLEST), 1).ln() for score in self._scores(rows)]

    def _labels(self, rows: "ir.Table") -> Columns:
        label = rows[self._task.label]
        return [(label == code).cast("float64") for code in range(self._n)]

    def _matrix(self, counted: Sums) -> Floats:
        return counted.cells[TAKEN].n.reshape(-1, self._n, self._n)

    def _roc_auc(self, counted: Sums) -> Floats:
        areas = []
        for code in range(self._n):
            found = counted.cells[str(code)]
            true, others = found.sums["true"], found.n - found.sums["true"]
            areas.append(area_under(*(_from_the_top(each) for each in (true, others))))
        return mean_of_classes(np.array(areas))

    def _calibration_error(self, counted: Sums) -> Floats:
        top = counted.cells[TOP]
        return np.asarray(np.abs(top.sums["hit"] - top.sums["score"]).sum(axis=1) / counted.n)

    def _accuracy(self, counted: Sums) -> Floats:
        return np.asarray(np.trace(self._matrix(counted), axis1=1, axis2=2) / counted.n)

    def _balanced_accuracy(self, counted: Sums) -> Floats:
        matrix = self._matrix(counted)
        right = np.diagonal(matrix, axis1=1, axis2=2)
        return np.asarray(np.nanmean(divided(right, matrix.sum(axis=2)), axis=1))

    def _macro_f1(self, counted: Sums) -> Floats:
        matrix = self._matrix(counted)
        right = np.diagonal(matrix, axis1=1, axis2=2)
        return np.asarray(
            np.nanmean(divided(2 * right, matrix.sum(axis=2) + matrix.sum(axis=1)), axis=1)
        )


def _cell(score: "ir.NumericValue") -> "ir.IntegerValue":
    place = (score < 0.5).ifelse((score * 2).sqrt(), 2 - ((1 - score) * 2).sqrt())
    return (place * (CELLS / 2)).floor().cast("int32").clip(0, CELLS - 1)


def _from_the_top(counted: Floats) -> Floats:
    """At or above each cell, from none to all, shape (n_resamples, 1 + n_cells)."""
    above = np.cumsum(counted[:, ::-1], axis=1)
    return np.hstack([np.zeros((len(above), 1)), above])
