"""The model that is measured where rows are cross-validated: one for each fold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.folds import Folds
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.task.outputs import Floats, Output

from .package import Model, scores_of

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True, eq=False)
class Folded:
    """One recipe fitted once for each fold, without the rows of that fold, and none after it.

    So each row is scored by a model that has not learned from it, also when rows have come since.
    What remains optimistic: the recipe and the decision rule were chosen by the same predictions,
    as the best of several.

    Attributes:
        models: In the order of the folds' numbers.
        folds: Which of them scores a row.
    """

    models: list["Pipeline"]
    folds: Folds


def asked(
    contract: Columns, model: "Model | Folded", rows: pd.DataFrame
) -> Iterator[tuple[Model, NDArray[np.intp]]]:
    """Each model, and the positions of the rows that it is to be asked about."""
    if not isinstance(model, Folded):
        yield model, np.arange(len(rows))
        return
    fold = model.folds.of(timeline_of(contract).marks(rows))
    for number, of_fold in enumerate(model.models):
        [found] = np.nonzero(fold == number)
        if len(found):
            yield of_fold, found


def scores_of_rows(
    contract: Columns,
    output: Output,
    model: "Model | Folded",
    features: list[str],
    rows: pd.DataFrame,
) -> Floats:
    """What a model, or that of its fold, says of each row, given all that is known of it."""
    parts = [
        (at, scores_of(output, one, rows.iloc[at][features]))
        for one, at in asked(contract, model, rows)
    ]
    return in_order(*zip(*parts, strict=True))


def in_order(positions: tuple[NDArray[np.intp], ...], values: tuple[Floats, ...]) -> Floats:
    """Values of parts of rows, in the order of the rows."""
    found = np.concatenate(values)
    return np.asarray(found[np.argsort(np.concatenate(positions))])
