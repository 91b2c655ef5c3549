"""What is counted of rows where they are, and the metrics that follow from it.

An engine adds up what each row says, by block, and counts rows by narrow cells. Resamples weigh the
blocks, so that no row has to be in memory. What is a mean over rows is what it is by rows.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .outputs import Floats
from .task import Calibration

if TYPE_CHECKING:
    import ibis.expr.types as ir

# units, as a power of two, of the most that a row adds to a sum: small numbers beside a huge one
# are not lost, and of 2**46 rows it is a number of ``WHOLE``
BITS = 80
WHOLE = "decimal(38, 0)"
# a power of two that can be divided by
SMALLEST_UNIT = -1000


@dataclass(frozen=True)
class Part:
    """What each row adds to a sum.

    It is added in whole units: the sum of fractions depends on the order, which is chance.

    Attributes:
        value: A number of each row.
        most: None is further from 0.
    """

    value: "ir.NumericValue"
    most: float = 1

    @property
    def unit(self) -> float:
        """A power of two."""
        return float(2.0 ** max(math.ceil(math.log2(self.most or 1)) - BITS, SMALLEST_UNIT))

    @property
    def units(self) -> "ir.NumericValue":
        """So many of them."""
        found: ir.NumericValue = (self.value * (1 / self.unit)).cast(WHOLE)
        return found.sum().cast("float64")


@dataclass(frozen=True)
class ByCell:
    """What is counted by the cell that rows lie in.

    Attributes:
        cell: Of each row, its cell.
        n_cells: How many there are, from 0 on; if not said, those that have rows.
        parts: What else is added up in each.
        ends: The number whose least and greatest in each cell are looked for.
    """

    cell: "ir.Value"
    n_cells: int | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    ends: "ir.NumericValue | None" = None


@dataclass(frozen=True)
class Asked:
    """What is to be counted of rows."""

    parts: Mapping[str, Part] = field(default_factory=dict)
    by_cell: Mapping[str, ByCell] = field(default_factory=dict)


@dataclass(frozen=True)
class Cells:
    """Rows by the cell that they lie in, ascending, and by block or resample.

    Attributes:
        names: What the cells are called.
        n: Shape (n_blocks, n_cells), as the sums.
        low: The least number in each cell, shape (n_cells,), if it was looked for.
        high: The greatest.
    """

    names: pd.Index
    n: Floats
    sums: Mapping[str, Floats]
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Sums:
    """What was counted, by block or by resample.

    Attributes:
        n: Rows, shape (n_blocks,), as the sums.
    """

    n: Floats
    sums: Mapping[str, Floats]
    cells: Mapping[str, Cells]

    @property
    def width(self) -> int:
        """Numbers of a block, or of a resample."""
        of_cells = [len(found.names) * (1 + len(found.sums)) for found in self.cells.values()]
        return 1 + len(self.sums) + sum(of_cells)

    def mean(self, name: str) -> Floats:
        """By row."""
        return np.asarray(self.sums[name] / self.n)

    def of(self, blocks: NDArray[np.intp]) -> "Sums":
        """Those of some blocks."""
        return self._with(lambda counted: counted[blocks])

    def weighed(self, weights: Floats) -> "Sums":
        """By resample, which says how often it has drawn each block."""
        return self._with(lambda counted: np.asarray(weights @ counted))

    def _with(self, change: Callable[[Floats], Floats]) -> "Sums":
        def changed(sums: Mapping[str, Floats]) -> dict[str, Floats]:
            return {name: change(counted) for name, counted in sums.items()}

        cells = {
            name: replace(found, n=change(found.n), sums=changed(found.sums))
            for name, found in self.cells.items()
        }
        return Sums(change(self.n), changed(self.sums), cells)


Formula = Callable[[Sums], Floats]


class Tally(ABC):
    """How the rows of a task are counted.

    Attributes:
        formulas: By the name of a metric of the task, what it is by resample.
    """

    formulas: Mapping[str, Formula]

    @abstractmethod
    def known(self, rows: "ir.Table") -> Asked:
        """What is counted of rows whose label is known."""

    def expected(self, rows: "ir.Table", calibration: Calibration | None) -> Asked | None:
        """What takes the place of that where it is not, if it follows from scores."""
        return None

    @abstractmethod
    def curve(self, rows: "ir.Table") -> Asked:
        """What ``calibration_curve`` follows from."""

    @abstractmethod
    def calibration_curve(self, counted: Sums) -> pd.DataFrame:
        """See ``Task.calibration_curve``."""

    @abstractmethod
    def confusion(self, counted: Sums) -> dict[str, int]:
        """See ``Task.confusion``; of all blocks together."""

    @abstractmethod
    def varies(self, counted: Sums) -> bool:
        """Whether not all labels are the same."""
