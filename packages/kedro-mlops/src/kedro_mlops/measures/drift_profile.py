"""What a table looks like, as one small table of counts, and how far two such tables differ.

Numbers fall into bins between the quantiles of the reference, categories are bins of their own,
missing values share one. Counting is pushed down to the engine: one query, with one group-by a
column, however many windows are told apart.

How far is far is not the same for every column: what is sold changes with the season, the size of
the shops does not. So a profile says how far windows of the reference itself were from all that
preceded them, which is just what monitoring measures later.

Sources: population stability index, Siddiqi (2006), "Credit Risk Scorecards"; Jensen-Shannon
distance, Lin (1991), base 2, Wasserstein distance (earth mover's) and the chi-square test of
homogeneity by SciPy.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, wasserstein_distance

from .drift_reference import Profile

N_BINS = 10
# of numbers whose squares are numbers, too
MOST = 1e150
MISSING = "missing"
MEASURES = ("psi", "jensen_shannon", "wasserstein", "missing_increase")
# sums of floats differ in their last digits with the number of threads
SIGNIFICANT_DIGITS = 9
SMALLEST = float(np.finfo(np.float64).tiny)


class Bin(NamedTuple):
    """The rows of one bin, and the mean of their values; nan where these are not numbers."""

    n: int
    mean: float


BinCounts = dict[str, dict[str, Bin]]


def profile(
    table: ir.Table,
    numeric: list[str],
    categorical: list[str],
    window: ir.IntegerValue | None = None,
) -> Profile:
    """Profile a reference table.

    Args:
        table: The reference rows.
        numeric: Columns whose values fall into bins between their quantiles.
        categorical: Columns whose values are bins of their own.
        window: The window that each row belongs to, 0 the newest; see ``Timeline.parts``.
    """
    edges, spread = _quantiles(table, numeric)
    windows = tally_windows(table, edges, categorical, window)
    whole = _total(list(windows.values()), [*edges, *categorical])
    return Profile(
        n_rows=int(table.count().to_pyarrow().as_py()),
        edges=edges,
        counts={name: {key: n for key, (n, _) in bins.items()} for name, bins in whole.items()},
        means={
            name: {key: _rounded(mean) for key, (_, mean) in whole[name].items() if key != MISSING}
            for name in edges
        },
        spread=spread,
        normal=_normal([windows[number] for number in sorted(windows, reverse=True)], spread),
    )


def tally_windows(
    table: ir.Table,
    edges: dict[str, list[float]],
    categorical: list[str],
    window: ir.IntegerValue | None = None,
) -> dict[int, BinCounts]:
    """Count a table in the bins of a reference, window by window, in one query.

    Returns:
        By window, then by column, the bins that have rows.
    """
    window = ibis.literal(0, "int32") if window is None else window
    binned = {
        **{name: (_numeric_bin(table[name], inner), table[name]) for name, inner in edges.items()},
        **{name: (_category_bin(table[name]), ibis.null("float64")) for name in categorical},
    }
    parts = [
        table.select(window=window, bin=bins.fill_null(MISSING), value=values.cast("float64"))
        .group_by("window", "bin")
        .aggregate(n=ibis._.count(), mean=ibis._.value.mean())
        .mutate(column=ibis.literal(name))
        for name, (bins, values) in binned.items()
    ]
    names = [*edges, *categorical]
    tallies: dict[int, BinCounts] = {}
    for row in ibis.union(*parts).order_by("window", "column", "bin").to_pyarrow().to_pylist():
        tally = tallies.setdefault(row["window"], {name: {} for name in names})
        mean = np.nan if row["mean"] is None else float(row["mean"])
        tally[row["column"]][row["bin"]] = Bin(row["n"], mean)
    return tallies


def compare(reference: Profile, tally: BinCounts) -> pd.DataFrame:
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
        means = reference.means.get(name, {})
        expected = {key: Bin(n, means.get(key, np.nan)) for key, n in counts.items()}
        difference = _difference(expected, tally[name], reference.spread.get(name))
        p_value = _p_value(expected, tally[name])
        rows.append({"column": name, **difference, "p_value": p_value})
    return pd.DataFrame(rows).sort_values("psi", ascending=False, ignore_index=True)


def bin_labels(edges: list[float]) -> list[str]:
    """A readable name for each bin between inner edges."""
    if not edges:
        return ["all"]
    if edges == _around(edges[0]):
        return [f"below {edges[0]:.4g}", f"{edges[0]:.4g}", f"above {edges[0]:.4g}"]
    middle = [f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)]
    return [f"below {edges[0]:.4g}", *middle, f"{edges[-1]:.4g} and more"]


def population_stability_index(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> float:
    """Sum over bins of (actual - expected) * ln(actual / expected); shares of shape (n_bins,)."""
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def _quantiles(
    table: ir.Table, names: list[str]
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Inner bin edges, and standard deviations."""
    if not names:
        return {}, {}
    shares = [i / N_BINS for i in range(1, N_BINS)]
    aggregates = {f"{name} edges": table[name].quantile(shares) for name in names}
    numbers = {name: table[name].cast("float64").clip(-MOST, MOST) for name in names}
    aggregates |= {f"{name} spread": each.std(how="pop") for name, each in numbers.items()}
    [row] = table.aggregate(aggregates).to_pyarrow().to_pylist()
    edges = {name: sorted({float(edge) for edge in row[f"{name} edges"] or []}) for name in names}
    for name, inner in edges.items():
        if inner and not row[f"{name} spread"]:
            edges[name] = _around(inner[0])
    return edges, {name: _rounded(row[f"{name} spread"] or 0.0) for name in names}


def _around(constant: float) -> list[float]:
    """Edges that tell what is below or above a value from the value itself."""
    return [constant, float(np.nextafter(constant, np.inf)) if constant else SMALLEST]


def _numeric_bin(values: ir.NumericColumn, edges: list[float]) -> ir.StringColumn:
    """The number of inner edges at or below the value, as text; null stays null."""
    below = [(values >= edge).cast("int16") for edge in edges]
    position = sum(below[1:], start=below[0]) if below else ibis.literal(0, "int16")
    return ibis.ifelse(values.isnull(), ibis.null("string"), position.cast("string"))


def _category_bin(values: ir.Column) -> ir.StringColumn:
    """The category; one that is called as missing values are is marked, and a bin of its own."""
    text = values.cast("string")
    return text.endswith(MISSING).ifelse(ibis.literal("\\") + text, text)


def _total(tallies: list[BinCounts], names: list[str]) -> BinCounts:
    """The tally of all windows together."""
    whole: BinCounts = {name: {} for name in names}
    for tally in tallies:
        for name, bins in tally.items():
            for key, added in bins.items():
                n, mean = whole[name].get(key, Bin(0, 0.0))
                weighted = (n * mean + added.n * added.mean) / (n + added.n)
                whole[name][key] = Bin(n + added.n, weighted)
    return whole


def _normal(windows: list[BinCounts], spread: dict[str, float]) -> dict[str, dict[str, float]]:
    """How far windows were from all that preceded them, at most; the oldest only precede."""
    if len(windows) < 2:
        return {}
    names = list(windows[0])
    farthest: dict[str, dict[str, float]] = {name: dict.fromkeys(MEASURES, 0.0) for name in names}
    first = max(1, len(windows) // 3)
    before = _total(windows[:first], names)
    for window in windows[first:]:
        for name in names:
            found = _difference(before[name], window[name], spread.get(name))
            for measure in MEASURES:
                # nan for categories, and then the level stays 0
                farthest[name][measure] = _rounded(max(farthest[name][measure], found[measure]))
        before = _total([before, window], names)
    return farthest


def _difference(
    reference: dict[str, Bin], current: dict[str, Bin], spread: float | None
) -> dict[str, float]:
    # half a row is added to each bin, so that an empty one is not infinitely far
    smoothed = _counts(reference, current) + 0.5
    expected, actual = smoothed / smoothed.sum(axis=1, keepdims=True)
    missing, missing_before = _share_of(MISSING, current), _share_of(MISSING, reference)
    new = current.keys() - reference.keys() - {MISSING} if spread is None else set()
    return {
        "psi": population_stability_index(expected, actual),
        "jensen_shannon": float(np.nan_to_num(jensenshannon(expected, actual, base=2))),
        "wasserstein": np.nan if spread is None else _wasserstein(reference, current, spread),
        "missing_share": missing,
        "reference_missing_share": missing_before,
        "missing_increase": missing - missing_before,
        "unseen_share": sum(_share_of(key, current) for key in sorted(new)),
    }


def _share_of(key: str, bins: dict[str, Bin]) -> float:
    return bins[key].n / sum(n for n, _ in bins.values()) if key in bins else 0.0


def _counts(*sides: dict[str, Bin]) -> NDArray[np.float64]:
    """The rows of each side in every bin that either has, shape (2, n_bins)."""
    keys = sorted({key for side in sides for key in side})
    return np.array([[side[key].n if key in side else 0.0 for key in keys] for side in sides])


def _wasserstein(reference: dict[str, Bin], current: dict[str, Bin], spread: float) -> float:
    """Between the means of the bins, in standard deviations; 0 where a side has no numbers."""
    sides = [
        [counted for key, counted in side.items() if key != MISSING]
        for side in (reference, current)
    ]
    if not all(sides):
        return 0.0
    (n, mean), (other_n, other_mean) = (zip(*side, strict=True) for side in sides)
    return float(wasserstein_distance(mean, other_mean, n, other_n) / (spread or 1.0))


def _p_value(reference: dict[str, Bin], current: dict[str, Bin]) -> float:
    counts = _counts(reference, current)
    if counts.shape[1] < 2 or not counts.any(axis=1).all():
        return 1.0
    return float(chi2_contingency(counts).pvalue)


def _rounded(value: Any) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
