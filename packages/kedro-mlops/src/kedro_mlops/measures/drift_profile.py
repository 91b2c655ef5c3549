"""What a table looks like, as one small table of counts, and how far two such tables differ.

Numbers are counted in the cells of a grid (``grids``), from which all else follows: bins between
about the quantiles of the reference, distances, the spread. Categories are bins of their own,
missing values share one. Counting is pushed down to the engine (``tally``).

How far is far is not the same for every column: what is sold changes with the season, the size of
the shops does not. So a profile says how far windows of the reference itself were from all that
preceded them, which is just what monitoring measures later.

Sources: population stability index, Siddiqi (2006), "Credit Risk Scorecards"; Jensen-Shannon
distance, Lin (1991), base 2, Wasserstein distance (earth mover's) and the chi-square test of
homogeneity by SciPy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, wasserstein_distance

from .cells import cells
from .drift_reference import Profile
from .grids import ABOVE, MOST, NARROWEST, EvenGrid, Grid, LogGrid
from .tally import Bounds, Counts, Tally, bounds_of, tally_windows, total

N_BINS = 10
# cells that are not too many to be kept, where a grid has more
MOST_CELLS = 1024
# to see whether the numbers of a cell differ
ROWS_LOOKED_AT = 10_000
MEASURES = ("psi", "jensen_shannon", "wasserstein", "missing_increase")
# sums of floats differ in their last digits with the number of threads
SIGNIFICANT_DIGITS = 9


@dataclass(frozen=True)
class Scale:
    """How the numbers of a column are told apart: in cells, in bins of these, and how they spread.

    Attributes:
        grid: The cells.
        cuts: The cells at which bins begin, but for the first.
        spread: The standard deviation.
    """

    grid: Grid
    cuts: list[int]
    spread: float

    @classmethod
    def of(cls, reference: Profile, name: str) -> "Scale | None":
        """Of a column of a reference, if it is one of numbers."""
        if name not in reference.grids:
            return None
        return cls(reference.grids[name], reference.cuts[name], reference.spread[name])

    @classmethod
    def fitted(cls, grid: Grid, counts: Counts) -> "Scale":
        """With bins of about as many rows each, and a cell that has more for itself."""
        return cls(grid, _cuts(counts), _spread(counts, grid))

    def in_bins(self, counts: Counts) -> NDArray[np.float64]:
        """The rows in each bin, shape (n_bins,)."""
        bins = np.searchsorted(self.cuts, counts.keys, side="right")
        rows = np.bincount(bins, counts.n, minlength=len(self.cuts) + 1)
        return rows.astype(np.float64)


def profile(
    table: ir.Table,
    numeric: list[str],
    categorical: list[str],
    window: ir.IntegerValue | None = None,
) -> Profile:
    """Profile a reference table.

    Args:
        table: The reference rows.
        numeric: Columns of numbers.
        categorical: Columns whose values are bins of their own.
        window: The window that each row belongs to, 0 the newest; see ``Timeline.parts``.
    """
    bounds = bounds_of(table, numeric)
    grids = _even_grids(table, numeric, bounds)
    windows = tally_windows(table, grids, categorical, window, bounds)
    whole = _whole(windows, numeric, categorical)
    for name in _too_coarse(table, grids, whole):
        grids[name], finer = _sharper(table, name, grids[name], window)
        windows = {number: {**tally, name: finer[number]} for number, tally in windows.items()}
        whole[name] = total({name: counts} for counts in finer.values())[name]
    scales = {name: Scale.fitted(grid, whole[name]) for name, grid in grids.items()}
    n_rows = [counts.n_rows for counts in whole.values()]
    return Profile(
        n_rows=n_rows[0] if n_rows else int(table.count().to_pyarrow().as_py()),
        grids=grids,
        cuts={name: scale.cuts for name, scale in scales.items()},
        counts={name: counts.by_key() for name, counts in whole.items()},
        spread={name: scale.spread for name, scale in scales.items()},
        normal=_normal([windows[number] for number in sorted(windows, reverse=True)], scales),
    )


def compare(reference: Profile, tally: Tally) -> pd.DataFrame:
    """Compare the rows that were counted with a reference profile, column by column.

    Returns:
        One row per column, most drifted first: ``psi``, ``jensen_shannon``, ``wasserstein`` (in
        standard deviations of the reference; nan for categories), ``p_value`` (of the chi-square
        test that both are drawn from one distribution), ``missing_share``,
        ``reference_missing_share``, ``missing_increase`` and ``unseen_share`` (categories the
        reference does not have).
    """
    rows = []
    for name, counts in reference.counts.items():
        scale = Scale.of(reference, name)
        expected = Counts.of(counts, numeric=scale is not None)
        difference = _difference(expected, tally[name], scale)
        p_value = _p_value(_in_bins(expected, tally[name], scale))
        rows.append({"column": name, **difference, "p_value": p_value})
    return pd.DataFrame(rows).sort_values("psi", ascending=False, ignore_index=True)


def bin_labels(edges: list[float]) -> list[str]:
    """A readable name for each bin between inner edges."""
    if not edges:
        return ["all"]
    if len(edges) == 2 and edges[1] <= max(np.nextafter(edges[0], np.inf), edges[0] + NARROWEST):
        return [f"below {edges[0]:.4g}", f"{edges[0]:.4g}", f"above {edges[0]:.4g}"]
    middle = [f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)]
    return [f"below {edges[0]:.4g}", *middle, f"{edges[-1]:.4g} and more"]


def population_stability_index(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> float:
    """Sum over bins of (actual - expected) * ln(actual / expected); shares of shape (n_bins,)."""
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def _even_grids(table: ir.Table, names: list[str], bounds: Bounds) -> dict[str, Grid]:
    """Cells of equal width from the least to the greatest number of each column."""
    far = [name for name in names if not all(abs(end) <= MOST for end in bounds[name])]
    bounds = {**bounds, **(bounds_of(table, far, within=True) if far else {})}
    return {
        name: EvenGrid.covering(*bounds[name], whole=table[name].type().is_integer())
        for name in names
    }


def _too_coarse(table: ir.Table, grids: Mapping[str, Grid], whole: Tally) -> list[str]:
    """Columns of which different numbers are in one cell that has half the rows of a bin.

    By the first rows in such cells: where each is of one number, all others would have to be read.
    """
    heavy = {}
    for name, grid in grids.items():
        counts = whole[name]
        many = counts.keys[counts.n > counts.n.sum() / N_BINS / 2]
        if len(many) and isinstance(grid, EvenGrid) and not grid.is_exact:
            heavy[name] = [int(cell) for cell in many]
    if not heavy:
        return []
    parts = []
    for name, found in heavy.items():
        cell, x = cells(grids[name], table[name]), table[name].cast("float64")
        numbers = table.select(name=ibis.literal(name), cell=cell, x=x)
        parts.append(numbers.filter(numbers["cell"].isin(found)).limit(ROWS_LOOKED_AT))
    by_cell = ibis.union(*parts).group_by("name", "cell")
    unlike = by_cell.aggregate(differ=ibis._.x.min() < ibis._.x.max()).filter("differ")
    differ = set(unlike.to_pyarrow()["name"].to_pylist())
    return [name for name in heavy if name in differ]


def _sharper(
    table: ir.Table, name: str, coarse: Grid, window: ir.IntegerValue | None
) -> tuple[Grid, dict[int, Counts]]:
    """The grid that tells most rows apart, of many cells of equal width or of relative width."""
    assert isinstance(coarse, EvenGrid)
    [bounds] = bounds_of(table, [name], within=True).values()
    even = EvenGrid.covering(*bounds, whole=coarse.whole, n_cells=ABOVE)
    found: list[tuple[Grid, dict[int, Counts]]] = [
        (
            grid,
            {n: tally[name] for n, tally in tally_windows(table, {name: grid}, [], window).items()},
        )
        for grid in (even, LogGrid())
    ]
    found[0] = _coarsened(*found[0])
    return min(found, key=lambda each: _clumped(each[1]))


def _coarsened(grid: Grid, windows: dict[int, Counts]) -> tuple[Grid, dict[int, Counts]]:
    """Wider cells, until those that have rows are few enough to be kept."""
    assert isinstance(grid, EvenGrid)
    while len({*np.concatenate([counts.keys for counts in windows.values()])}) > MOST_CELLS:
        grid, windows = grid.halved(), {n: _halved(counts) for n, counts in windows.items()}
    return grid, windows


def _halved(counts: Counts) -> Counts:
    merged = Counts(counts.keys // 2, counts.n, counts.missing)
    return merged + Counts(counts.keys[:0], counts.n[:0])


def _clumped(windows: dict[int, Counts]) -> float:
    """The chance of two rows to be in the same cell."""
    n = total({"": counts} for counts in windows.values())[""].n
    return float(np.sum((n / max(n.sum(), 1)) ** 2))


def _whole(windows: dict[int, Tally], numeric: list[str], categorical: list[str]) -> Tally:
    """The tally of all rows; there may be none."""
    nothing = {name: Counts.of({}, numeric=True) for name in numeric}
    nothing |= {name: Counts.of({}, numeric=False) for name in categorical}
    return total([nothing, *windows.values()])


def _cuts(counts: Counts) -> list[int]:
    """The cells at which bins of a tenth of the rows begin most nearly; the first begins nowhere.

    A cell of more rows is a bin for itself.
    """
    if not len(counts.keys):
        return []
    before = np.concatenate([[0], np.cumsum(counts.n)])
    starts = [*counts.keys.tolist(), int(counts.keys[-1]) + 1]
    shares = before[-1] * np.arange(1, N_BINS) / N_BINS
    nearest = np.abs(before[:, None] - shares).argmin(axis=0)
    return [starts[i] for i in np.unique(nearest)]


def _spread(counts: Counts, grid: Grid) -> float:
    """The standard deviation, shape of the cells aside."""
    if len(counts.keys) < 2:
        return 0.0
    middles = grid.middles(counts.keys)
    mean = np.average(middles, weights=counts.n)
    return _rounded(np.sqrt(np.average((middles - mean) ** 2, weights=counts.n)))


def _normal(windows: list[Tally], scales: Mapping[str, Scale]) -> dict[str, dict[str, float]]:
    """How far windows were from all that preceded them, at most; the oldest only precede."""
    if len(windows) < 2:
        return {}
    names = list(windows[0])
    farthest: dict[str, dict[str, float]] = {name: dict.fromkeys(MEASURES, 0.0) for name in names}
    first = max(1, len(windows) // 3)
    before = total(windows[:first])
    for window in windows[first:]:
        for name in names:
            found = _difference(before[name], window[name], scales.get(name))
            for measure in MEASURES:
                # nan for categories, and then the level stays 0
                farthest[name][measure] = _rounded(max(farthest[name][measure], found[measure]))
        before = total([before, window])
    return farthest


def _difference(reference: Counts, current: Counts, scale: Scale | None) -> dict[str, float]:
    # half a row is added to each bin, so that an empty one is not infinitely far
    smoothed = _in_bins(reference, current, scale) + 0.5
    expected, actual = smoothed / smoothed.sum(axis=1, keepdims=True)
    missing, missing_before = (side.missing / side.n_rows for side in (current, reference))
    unseen = 0 if scale else current.n[~np.isin(current.keys, reference.keys)].sum()
    return {
        "psi": population_stability_index(expected, actual),
        "jensen_shannon": float(np.nan_to_num(jensenshannon(expected, actual, base=2))),
        "wasserstein": np.nan if scale is None else _wasserstein(reference, current, scale),
        "missing_share": missing,
        "reference_missing_share": missing_before,
        "missing_increase": missing - missing_before,
        "unseen_share": float(unseen / current.n_rows),
    }


def _in_bins(reference: Counts, current: Counts, scale: Scale | None) -> NDArray[np.float64]:
    """The rows of each side in every bin that either has, shape (2, n_bins); missing ones last."""
    sides = (reference, current)
    if scale is None:
        keys = np.union1d(reference.keys, current.keys)
        rows = np.zeros((2, len(keys)))
        for row, side in zip(rows, sides, strict=True):
            row[np.searchsorted(keys, side.keys)] = side.n
    else:
        rows = np.stack([scale.in_bins(side) for side in sides])
    rows = np.column_stack([rows, [side.missing for side in sides]])
    return rows[:, rows.any(axis=0)]


def _wasserstein(reference: Counts, current: Counts, scale: Scale) -> float:
    """Between the middles of the cells, in standard deviations; 0 where a side has no numbers."""
    if not (len(reference.keys) and len(current.keys)):
        return 0.0
    numbers = [_middles(side, scale.grid) for side in (reference, current)]
    distance = wasserstein_distance(*numbers, reference.n, current.n)
    return float(distance / (scale.spread or 1.0))


def _middles(counts: Counts, grid: Grid) -> NDArray[np.float64]:
    """The number that stands for each cell: its middle, or of those beyond all, their mean."""
    middles = grid.middles(counts.keys)
    for side, mean in counts.far.items():
        middles[counts.keys == side] = mean
    return middles


def _p_value(counts: NDArray[np.float64]) -> float:
    if counts.shape[1] < 2 or not counts.any(axis=1).all():
        return 1.0
    return float(chi2_contingency(counts).pvalue)


def _rounded(value: Any) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
