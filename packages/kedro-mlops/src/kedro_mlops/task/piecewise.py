"""A line that is straight between knots."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class PiecewiseLine:
    """Straight between its knots, level beyond them; of one number as of many, to the last bit.

    ``numpy.interp`` takes several times as long for one number, and may be compiled to round less.
    """

    def __init__(self, knots: Sequence[tuple[float, float]]) -> None:
        """From two knots on, by their places, which ascend, and their values."""
        places, values = np.array(knots, np.float64).T
        slopes = np.diff(values) / np.diff(places)
        self._ends = float(places[0]), float(places[-1])
        self._arrays = places[1:-1], places[:-1], values[:-1], slopes
        self._lists = tuple(array.tolist() for array in self._arrays)

    def of_row(self, place: float) -> float:
        """The value at a place."""
        inner, places, values, slopes = self._lists
        first, last = self._ends
        within = min(max(place, first), last)
        i = bisect_right(inner, within)
        value: float = values[i] + slopes[i] * (within - places[i])
        return value

    def of_rows(self, at: Floats) -> Floats:
        """The values at many places."""
        inner, places, values, slopes = self._arrays
        within = np.clip(at, *self._ends)
        i = np.searchsorted(inner, within, side="right")
        return np.asarray(values[i] + slopes[i] * (within - places[i]))
