"""Which fold of a cross-validation rows are in, those that come later among them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Folds:
    """Folds by a mark of each row, which is text: its day, or else its place.

    In the order of marks folds are steps. So a row that was in a fold stays in it, whatever other
    rows there are and whatever its label is said to be, and one that comes later is in one, too.

    Attributes:
        starts: The first mark of each step, ascending.
        numbers: The fold that each step is part of, from 0.
    """

    starts: NDArray[np.str_]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.numbers.max(initial=-1)) + 1

    def of(self, marks: NDArray[np.str_]) -> NDArray[np.int64]:
        """The fold of each row; -1 before the first step, from which models only learn."""
        step = np.searchsorted(self.starts, marks, side="right") - 1
        return np.append(self.numbers, -1)[step]


NO_FOLDS = Folds(np.array([], np.str_), np.array([], np.int64))
