"""What a table looks like, as one small table of counts, and how far two such tables differ.

A profile has one row per column and bin: ``column, bin, n``. Numbers fall into bins between the
quantiles of the reference, categories are bins of their own, missing values share one. Counting is
pushed down to the engine, one group-by a column in one query.

Sources: population stability index, Siddiqi (2006), "Credit Risk Scorecards"; Jensen-Shannon
distance, Lin (1991), base 2, by SciPy.
"""

from itertools import pairwise
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon

from flight_delays.reference import Profile

N_BINS = 10
MISSING = "missing"


def profile(table: ir.Table, numeric: list[str], categorical: list[str]) -> Profile:
    """Profile a reference table.

    Args:
        table: The reference rows.
        numeric: Columns whose values fall into bins between their quantiles.
        categorical: Columns whose values are bins of their own.
    """
    edges = _quantile_edges(table, numeric)
    counts = _count(table, edges, categorical)
    n_rows = int(table.count().to_pyarrow().as_py())
    return Profile(n_rows=n_rows, edges=edges, counts=counts)


def compare(reference: Profile, table: ir.Table) -> pd.DataFrame:
    """Compare a table with a reference profile, column by column.

    Returns:
        One row per column: ``psi``, ``jensen_shannon``, ``missing_share``,
        ``reference_missing_share``, ``unseen_share`` (categories the reference does not have),
        most drifted first.
    """
    counts = recount(reference, table)
    rows = [
        {"column": name, **_difference(expected, counts[name], name not in reference.edges)}
        for name, expected in reference.counts.items()
    ]
    return pd.DataFrame(rows).sort_values("psi", ascending=False, ignore_index=True)


def recount(reference: Profile, table: ir.Table) -> dict[str, dict[str, int]]:
    """Count a table in the bins of a reference: per column, bin to number of rows."""
    categorical = [name for name in reference.counts if name not in reference.edges]
    return _count(table, reference.edges, categorical)


def bin_labels(edges: list[float]) -> list[str]:
    """A readable name for each bin between inner edges."""
    if not edges:
        return ["all"]
    middle = [f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)]
    return [f"below {edges[0]:.4g}", *middle, f"{edges[-1]:.4g} and more"]


def _quantile_edges(table: ir.Table, names: list[str]) -> dict[str, list[float]]:
    if not names:
        return {}
    shares = [i / N_BINS for i in range(1, N_BINS)]
    quantiles = table.aggregate(**{name: table[name].quantile(shares) for name in names})
    [row] = quantiles.to_pyarrow().to_pylist()
    return {name: sorted({float(edge) for edge in row[name] or []}) for name in names}


def _count(
    table: ir.Table, edges: dict[str, list[float]], categorical: list[str]
) -> dict[str, dict[str, int]]:
    bins = {
        **{name: _numeric_bin(table[name], inner) for name, inner in edges.items()},
        **{name: table[name].cast("string") for name in categorical},
    }
    parts = [
        table.select(bin=values.fill_null(MISSING))
        .group_by("bin")
        .aggregate(n=ibis._.count())
        .mutate(column=ibis.literal(name))
        for name, values in bins.items()
    ]
    counts: dict[str, dict[str, int]] = {name: {} for name in bins}
    for row in ibis.union(*parts).order_by("column", "bin").to_pyarrow().to_pylist():
        counts[row["column"]][row["bin"]] = row["n"]
    return counts


def _numeric_bin(values: ir.NumericColumn, edges: list[float]) -> ir.StringColumn:
    """The number of inner edges at or below the value, as text; null stays null."""
    below = [(values >= edge).cast("int16") for edge in edges]
    position = sum(below[1:], start=below[0]) if below else ibis.literal(0, "int16")
    return ibis.ifelse(values.isnull(), ibis.null("string"), position.cast("string"))


def _difference(
    reference: dict[str, int], current: dict[str, int], categorical: bool
) -> dict[str, float]:
    bins = sorted({*reference, *current})
    expected = _shares(reference, bins)
    actual = _shares(current, bins)
    n = max(sum(current.values()), 1)
    new = current.keys() - reference.keys() - {MISSING} if categorical else ()
    return {
        "psi": population_stability_index(expected, actual),
        "jensen_shannon": float(np.nan_to_num(jensenshannon(expected, actual, base=2))),
        "missing_share": current.get(MISSING, 0) / n,
        "reference_missing_share": reference.get(MISSING, 0) / max(sum(reference.values()), 1),
        "unseen_share": sum(current[name] for name in new) / n,
    }


def _shares(counts: dict[str, int], bins: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Shares per bin; half a row is added to each, so that an empty bin is not infinitely far."""
    smoothed = np.array([counts.get(name, 0) + 0.5 for name in bins], dtype=np.float64)
    return np.asarray(smoothed / smoothed.sum(), dtype=np.float64)


def population_stability_index(
    expected: np.ndarray[Any, np.dtype[np.float64]], actual: np.ndarray[Any, np.dtype[np.float64]]
) -> float:
    """Sum over bins of (actual - expected) * ln(actual / expected); shares of shape (n_bins,)."""
    return float(np.sum((actual - expected) * np.log(actual / expected)))
