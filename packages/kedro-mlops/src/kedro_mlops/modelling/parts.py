"""Rows to learn from, and others to measure on: windows, or each fold of a cross-validation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.folds import NO_FOLDS, Folds
from kedro_mlops.contract.sample import some_of
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.measures.evaluation import RowSample
from kedro_mlops.models.folded import in_order
from kedro_mlops.task.outputs import Floats

from .parameters import CrossValidation


@dataclass(frozen=True)
class Part:
    """Rows that a model learns from, and those that it is asked about, and has not learned from.

    Attributes:
        at: The positions of the latter, among all that models are asked about.
    """

    known: pd.DataFrame
    asked: pd.DataFrame
    at: NDArray[np.intp]


def cut_folds(contract: Columns, rows: pd.DataFrame, n_folds: int) -> list[pd.DataFrame]:
    """Rows before the first fold, none to validate, and those of all folds.

    Raises:
        ProjectError: if from the rows of other folds there is nothing to learn.
    """
    timeline, labels = timeline_of(contract), rows[contract.label]
    n_classes = labels.nunique()
    folds = timeline.folds(rows, n_folds) if n_classes > 1 else NO_FOLDS
    known = [labels[timeline.before(rows, folds, fold)] for fold in range(len(folds))]
    if min((of_part.nunique() for of_part in known), default=0) < 2:
        raise ProjectError(
            f"The {len(rows)} labelled rows, of {n_classes} classes, are too few to be "
            "cross-validated: without those of a fold, or before the first, there must be rows of "
            "two classes. Have more rows labelled."
        )
    first = folds.of(timeline.marks(rows)) < 0
    train, test = (rows[chosen].reset_index(drop=True) for chosen in (first, ~first))
    return [train, test.iloc[:0], test]


def folds_of(
    contract: Columns,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    params: CrossValidation | None,
) -> Folds | None:
    """The folds of the test rows, if there are none to validate."""
    if params is None or not validation.empty:
        return None
    rows = pd.concat([train, test], ignore_index=True)
    return timeline_of(contract).folds(rows, params.folds)


def parts_by(
    contract: Columns,
    folds: Folds | None,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
) -> list[Part]:
    """The parts on which models are measured: the test window, or each fold."""
    if folds is None:
        known = pd.concat([train, validation], ignore_index=True)
        return [Part(known, test, np.arange(len(test)))]
    timeline = timeline_of(contract)
    rows = pd.concat([train, test], ignore_index=True)
    numbers = folds.of(timeline.marks(test))
    positions = [np.flatnonzero(numbers == fold) for fold in range(len(folds))]
    return [
        Part(rows[timeline.before(rows, folds, fold)], test.iloc[at], at)
        for fold, at in enumerate(positions)
    ]


def alike(
    contract: Columns,
    sample: RowSample | None,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    seed: int,
) -> list[pd.DataFrame]:
    """The rows to learn from: of no window a greater share, of those there are, than of another.

    Of short windows more rows are taken, to measure on. A model that learned from them all would
    take the newest time for more than its share of all time.
    """
    windows = {"train": train, "validation": validation, "test": test}
    if sample is None:
        return [*windows.values()]
    return [some_of(contract, rows, sample.n_alike(name), seed) for name, rows in windows.items()]


def parts_to_tune(
    contract: Columns,
    folds: Folds | None,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
) -> list[Part]:
    """The parts on which trials are compared: the validation window, or each fold."""
    if folds is None:
        return [Part(train, validation, np.arange(len(validation)))]
    return parts_by(contract, folds, train, validation, test)


def by_parts(parts: list[Part], tell: Callable[[Part], Floats]) -> Floats:
    """What is told of each part, in the order of all rows that are asked about."""
    return in_order(tuple(part.at for part in parts), tuple(map(tell, parts)))
