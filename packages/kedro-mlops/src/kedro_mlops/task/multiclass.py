"""Of several classes: the probability of each."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kedro_mlops.core.errors import ProjectError, suggestion

from .binary import roc_curve
from .metrics import (
    Metrics,
    calibration_error,
    divided,
    equal_bins,
    mean_by_bin,
    roc_auc,
    weighted_mean,
)
from .outputs import PREDICTION, PROBABILITY, Floats
from .record import DecisionRule
from .task import MIN_ROWS, Calibration, Costs, Task

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from kedro_mlops.contract.columns import Column

    from .tally import Part, Tally

SMALLEST = np.finfo(np.float64).eps


def log_loss(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Mean negative log-likelihood."""
    return weighted_mean(row_log_loss(y, p), weights)


def row_log_loss(y: Floats, p: Floats) -> Floats:
    """Negative log-likelihood of each row, or its expected value, shape (n_rows,)."""
    return np.asarray(-(y * np.log(np.clip(p, SMALLEST, 1))).sum(axis=1))


def one_vs_rest_auc(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve of each class against the others, averaged over the classes.

    Of those classes that a resample has; nan where it has only one.
    """
    return mean_of_classes(
        np.array([roc_auc(y[:, i], p[:, i], weights) for i in range(y.shape[1])])
    )


def mean_of_classes(figures: Floats) -> Floats:
    """The mean of those that there are, of shape (n_classes, n_resamples)."""
    known = np.isfinite(figures)
    return divided(np.where(known, figures, 0).sum(axis=0), known.sum(axis=0))


def top_calibration_error(y: Floats, p: Floats, weights: Floats) -> Floats:
    """Expected calibration error of the most probable class (Guo et al., 2017)."""
    return calibration_error(*_top(y, p), weights)


def accuracy(y: Floats, decided: Floats, weights: Floats) -> Floats:
    """Share of the rows whose class is taken."""
    return weighted_mean((y * decided).sum(axis=1), weights)


def balanced_accuracy(y: Floats, decided: Floats, weights: Floats) -> Floats:
    """Recall, averaged over the classes that a resample has."""
    recalls = divided(weights @ (y * decided), weights @ y)
    return np.asarray(np.nanmean(recalls, axis=1))


def macro_f1(y: Floats, decided: Floats, weights: Floats) -> Floats:
    """F1, averaged over the classes that are true or taken in a resample."""
    of_classes = divided(2 * weights @ (y * decided), weights @ y + weights @ decided)
    return np.asarray(np.nanmean(of_classes, axis=1))


class Multiclass(Task):
    """One of several classes; see ``Task``."""

    name = "multiclass"
    priced = ("of_classes",)
    estimator = "classifier"
    score = PROBABILITY
    metrics = Metrics(
        {
            "log_loss": log_loss,
            "roc_auc": one_vs_rest_auc,
            "calibration_error": top_calibration_error,
        },
        {
            "accuracy": accuracy,
            "balanced_accuracy": balanced_accuracy,
            "macro_f1": macro_f1,
        },
    )
    main_metrics = estimated_metrics = Metrics({"log_loss": log_loss, "roc_auc": one_vs_rest_auc})
    rates = ("error_rate",)
    baseline = "base_rates"

    @staticmethod
    def fits(label: "Column") -> bool:
        """Text, of values that are named."""
        return label.kind == "categorical" and "isin" in label.checks

    @classmethod
    def contradictions(cls, label: "Column") -> Iterator[str]:
        """Also of the number of its values."""
        yield from super().contradictions(label)
        classes = label.classes
        if len(set(classes)) < max(len(classes), 3):
            yield f"is label='multiclass' with isin={[*classes]}: name three values at least"
        texts = [value for value in classes if isinstance(value, str)]
        unfit = [value for value in texts if not value.isprintable() or {*value} & {'"', "\\"}]
        if unfit:
            yield (
                f"has the value {unfit[0]!r}, which is to be part of a column's name: quotation "
                "marks, backslashes and what is not printed have no place there"
            )
        # columns of the engine's tables are not told from each other by capitals
        if len({value.lower() for value in texts}) < len({*texts}):
            yield f"has values that differ by capitals alone: {[*classes]}"

    def tally(self) -> "Tally":
        """See ``ClassTally``."""
        from .class_tally import ClassTally  # noqa: PLC0415 - which is made of this module

        return ClassTally(self)

    def labels(self, values: pd.Series) -> Floats:
        """1 for the class that it is, 0 for the others, shape (n_rows, n_classes)."""
        codes = values.to_numpy(np.float64, na_value=np.nan)[:, None]
        of_classes = (codes == np.arange(len(self.classes))).astype(np.float64)
        return np.where(np.isnan(codes), np.nan, of_classes)

    def mean(self, labels: Floats) -> Floats:
        """The share of each class."""
        return np.asarray(labels.mean(axis=0))

    def row_loss(self, labels: Floats, scores: Floats) -> Floats:
        """Its negative log-likelihood."""
        return row_log_loss(labels, scores)

    def choose_rule(self, labels: Floats, scores: Floats, costs: Costs) -> DecisionRule:
        """The most probable class is taken, or the one that is expected to cost least."""
        return DecisionRule(costs=self._matrix(costs).tolist() if costs.of_classes else None)

    def decided(self, rows: Any) -> Floats:
        """1 for the class that is taken, 0 for the others."""
        taken = np.asarray(rows[PREDICTION], dtype=object)[:, None]
        return np.asarray(taken == np.array(self.classes, dtype=object), dtype=np.float64)

    def costs_of_rows(self, labels: Floats, decided: Floats, costs: Costs) -> Floats:
        """That of the class that is taken where another is true."""
        return np.asarray(((labels @ self._matrix(costs)) * decided).sum(axis=1))

    def calibrate(self, labels: Floats, scores: Floats) -> Calibration:
        """The slope and the intercepts of log-probabilities with the lowest log loss.

        How far they are from those that leave scores as they are costs as much as one row could:
        where few rows are told apart perfectly, none would be sure enough otherwise.
        """
        from scipy.optimize import minimize  # noqa: PLC0415 - a service has none
        from scipy.special import logsumexp  # noqa: PLC0415

        logs = np.log(np.clip(scores, SMALLEST, 1))

        def loss(found: Floats) -> tuple[float, Floats]:
            logits = found[0] * logs + found[1:]
            losses, off = logsumexp(logits, axis=1), _softmax(logits) - labels
            mean, away = (losses - (labels * logits).sum(axis=1)).mean(), found - start
            slopes = np.array([(off * logs).sum(axis=1).mean(), *off.mean(axis=0)])
            return float(mean + away @ away / (2 * len(labels))), slopes + away / len(labels)

        start = np.array([1.0, *[0.0] * len(self.classes)])
        found = minimize(loss, start, jac=True, method="L-BFGS-B").x
        return Calibration(intercept=found[1:].tolist(), slope=float(found[0]))

    def expected(
        self, scores: Floats, calibration: Calibration | None, losses: Floats | None
    ) -> Floats:
        """The chance of each class; see ``Task.expected``."""
        assert calibration is not None
        logs = np.log(np.clip(scores, SMALLEST, 1))
        return _softmax(calibration.slope * logs + np.asarray(calibration.intercept))

    def describe(self, labels: Floats) -> dict[str, float]:
        """The share of each class."""
        shares = labels.mean(axis=0).tolist()
        return {f"share_{name}": share for name, share in zip(self.classes, shares, strict=True)}

    def is_enough(self, labels: Floats) -> bool:
        """Whether there are some of two classes at least."""
        return bool((labels.sum(axis=0) >= MIN_ROWS).sum() >= 2)

    def tells(self, labels: Floats, scores: Floats) -> float:
        """The area under the ROC curve of the class that is told best."""
        one = np.ones((1, len(labels)))
        areas = [roc_auc(labels[:, i], scores[:, i], one)[0] for i in range(len(self.classes))]
        return float(np.nanmax([0.5, *areas]))

    def confusion(
        self, labels: Floats, decided: Floats, times: Floats | None = None
    ) -> dict[str, int]:
        """Rows by the true class and the one that is taken."""
        counted = decided if times is None else decided * times[:, None]
        counts = (labels.T @ counted).astype(int).tolist()
        return {
            f"{true} taken for {taken}" if true != taken else f"{true}": n
            for true, row in zip(self.classes, counts, strict=True)
            for taken, n in zip(self.classes, row, strict=True)
        }

    def calibration_curve(
        self, labels: Floats, scores: Floats, times: Floats | None = None
    ) -> pd.DataFrame:
        """Mean probability of the most probable class, and how often it is true."""
        observed, top = _top(labels, scores)
        return mean_by_bin(equal_bins(top), top, observed, times)

    def roc_curves(self, labels: Floats, scores: Floats) -> dict[str, tuple[Floats, Floats]]:
        """That of each class that is there, against the others."""
        found = enumerate(self.classes)
        return {
            str(name): roc_curve(labels[:, i], scores[:, i])
            for i, name in found
            if 0 < labels[:, i].sum() < len(labels)
        }

    def cost_curve(self, labels: Floats, scores: Floats, costs: Costs) -> None:
        """There is no threshold."""
        return

    def row_rates(
        self, labels: Floats, scores: Floats, decided: Floats
    ) -> dict[str, tuple[Floats, Floats]]:
        """Those whose class is not taken, of all."""
        return {"error_rate": (1 - (labels * decided).sum(axis=1), np.ones(len(labels)))}

    def rate_parts(self, rows: "ir.Table") -> "dict[str, tuple[Part, Part | None]]":
        """Likewise."""
        from .tally import Part  # noqa: PLC0415 - which is made of tasks

        codes = ((value, code) for code, value in enumerate(self.classes))
        wrong = rows[self.label] != rows[PREDICTION].cases(*codes)
        return {"error_rate": (Part(wrong.cast("int64")), None)}

    def _matrix(self, costs: Costs) -> Floats:
        """What it costs to say a class (column) where another is true (row)."""
        names = [str(name) for name in self.classes]
        priced = costs.of_classes
        for name in [*priced, *(said for of_one in priced.values() for said in of_one)]:
            if name not in names:
                raise ProjectError(
                    f"costs: of_classes names '{name}', which is no class of '{self.label}'. "
                    f"{suggestion(name, names)}"
                )
        return np.array(
            [[priced.get(true, {}).get(said, float(true != said)) for said in names]
             for true in names]
        )  # fmt: skip


def _top(y: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Whether the most probable class is true (or the chance that it is), and its probability."""
    most = p.argmax(axis=1)[:, None]
    return np.take_along_axis(y, most, 1)[:, 0], np.take_along_axis(p, most, 1)[:, 0]


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
