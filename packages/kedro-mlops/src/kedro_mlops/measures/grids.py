"""Numbers as small integers: the narrow cells of a grid, in which a table is counted at once.

A cell is told from a number by arithmetic alone, so counting costs little more than reading. What
is made of the counts is as exact as the cells are narrow: bins between quantiles begin where a cell
does, and a distance is that between the middles of cells. Integers of few values, and a constant,
have cells of their own.
"""

import math
from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

# cells from the least to the greatest number
N_CELLS = 512
# numbers that lie too far away for cells of 16 bits
BELOW, ABOVE = -(2**15), 2**15 - 1
# of numbers whose squares are numbers, too
MOST = 1e150
# of a constant, from which any other number is far
FINEST = 1000
NARROWEST = 2.0**-FINEST
PER_OCTAVE = 8
# beyond the exponents of the smallest numbers
SHIFT = 1080 * PER_OCTAVE

Cells = NDArray[np.int64]
Numbers = NDArray[np.float64]


class _Grid(BaseModel, ABC):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def middles(self, cells: Cells) -> Numbers:
        """The number in the middle of each cell."""

    @abstractmethod
    def starts(self, cells: list[int]) -> list[float]:
        """Where each cell begins."""

    def _far_or(self, cells: Cells, middles: NDArray[Any]) -> Numbers:
        found: Numbers = np.select([cells <= BELOW, cells >= ABOVE], [-MOST, MOST], middles)
        return found


class EvenGrid(_Grid):
    """Cells of equal width, a power of two, so that they begin at exact numbers.

    Attributes:
        zero: Where cell 0 begins.
        scale: Cells by unit.
        whole: Whether the numbers are integers.
    """

    kind: Literal["even"] = "even"
    zero: float
    scale: float
    whole: bool

    @classmethod
    def covering(
        cls, low: float, high: float, *, whole: bool, n_cells: int = N_CELLS
    ) -> "EvenGrid":
        """A grid of half as many cells at least from the least to the greatest number."""
        span = high - low + whole
        if not span:
            return cls(zero=low, scale=1 / NARROWEST, whole=whole)
        octaves = math.floor(math.log2(n_cells) - math.log2(span))
        scale = 2.0 ** min(octaves, 0 if whole else FINEST)
        beyond = max(abs(low), abs(high)) * scale > ABOVE / 2
        return cls(
            zero=math.floor(low * scale) / scale if beyond else 0.0, scale=scale, whole=whole
        )

    @property
    def is_exact(self) -> bool:
        """Whether each cell is of one number."""
        return self.scale == 1 / NARROWEST or (self.whole and self.scale == 1)

    def reaches(self, low: float, high: float) -> bool:
        """Whether none of the numbers between two is far away."""
        ends = ((end - self.zero) * self.scale for end in (low, high))
        return all(BELOW < end < ABOVE for end in ends)

    def middles(self, cells: Cells) -> Numbers:
        """The number in the middle of each cell."""
        within = (cells + 0.5) / self.scale - (0.5 if self.whole else 0.0)
        return self._far_or(cells, self.zero + within)

    def starts(self, cells: list[int]) -> list[float]:
        """Where each cell begins."""
        return [self.zero + cell / self.scale for cell in cells]

    def halved(self) -> "EvenGrid":
        """Cells twice as wide: of each, the number is half that of the two."""
        return self.model_copy(update={"scale": self.scale / 2})


class LogGrid(_Grid):
    """Cells as wide as their numbers are large, 9 %; for what spans many orders of magnitude."""

    kind: Literal["log"] = "log"

    def middles(self, cells: Cells) -> Numbers:
        """The number in the middle of each cell."""
        octaves = (np.abs(cells).clip(max=2 * SHIFT) - SHIFT + 0.5) / PER_OCTAVE
        size = np.exp2(octaves.clip(max=math.log2(MOST)))
        return self._far_or(cells, np.sign(cells) * size)

    def starts(self, cells: list[int]) -> list[float]:
        """Where each cell begins."""
        places = np.asarray(cells)
        # below zero, cells begin where they are largest
        octaves = (np.where(places > 0, places, 1 - places) - SHIFT) / PER_OCTAVE
        sizes = np.sign(places) * np.exp2(octaves.clip(max=math.log2(MOST)))
        return [float(size) for size in sizes]


class EdgeGrid(_Grid):
    """Cells between given edges: the ten bins of references that were made before there were grids.

    Attributes:
        edges: Where all cells but the first begin.
        means: The mean of the numbers in each cell.
    """

    kind: Literal["edges"] = "edges"
    edges: list[float]
    means: list[float]

    def middles(self, cells: Cells) -> Numbers:
        """The mean of the numbers that the reference had in each cell."""
        return np.asarray(self.means, np.float64)[cells]

    def starts(self, cells: list[int]) -> list[float]:
        """Where each cell begins."""
        return [self.edges[cell - 1] for cell in cells]


Grid = Annotated[EvenGrid | LogGrid | EdgeGrid, Field(discriminator="kind")]
