"""A table counted: of every column, how many rows are in each cell or category, by window.

All columns are counted in one pass over the rows, by one query with a grouping set for each.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .cells import cells, near_cells
from .drift_reference import MISSING
from .grids import ABOVE, BELOW, MOST, EvenGrid, Grid

# columns that one query counts
AT_ONCE = 32


@dataclass(frozen=True)
class Counts:
    """The rows of one column.

    Attributes:
        keys: Cells, or categories, ascending.
        n: The rows of each, shape (n_keys,).
        missing: Rows without a value.
        far: The mean of the numbers that are beyond all cells, by side.
    """

    keys: NDArray[Any]
    n: NDArray[np.int64]
    missing: int = 0
    far: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, counts: Mapping[Any, int], *, numeric: bool) -> "Counts":
        """By the rows of each cell or category, as a profile says them."""
        there = {key: n for key, n in counts.items() if key != MISSING}
        keys = np.array([*there], np.int64 if numeric else object)
        order = np.argsort(keys)
        n = np.array([*there.values()], np.int64)
        return cls(keys[order], n[order], counts.get(MISSING, 0))

    @property
    def n_rows(self) -> int:
        """All of them."""
        return int(self.n.sum()) + self.missing

    def by_key(self) -> dict[str, int]:
        """The rows of each cell or category, as a profile says them."""
        named = {str(key): n for key, n in zip(self.keys.tolist(), self.n.tolist(), strict=True)}
        return named | ({MISSING: self.missing} if self.missing else {})

    def __add__(self, other: "Counts") -> "Counts":
        keys, places = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)
        n = np.zeros(len(keys), np.int64)
        np.add.at(n, places, np.concatenate([self.n, other.n]))
        return Counts(keys, n, self.missing + other.missing)


Tally = dict[str, Counts]
Bounds = Mapping[str, tuple[float, float]]


def bounds_of(
    table: ir.Table, names: list[str], *, within: bool = False
) -> dict[str, tuple[float, float]]:
    """The least and the greatest number; of those alone whose squares are some, if asked so."""
    if not names:
        return {}
    ends: dict[str, ir.Value] = {}
    for number, name in enumerate(names):
        where = table[name].between(-MOST, MOST) if within else None
        ends[f"low{number}"] = table[name].min(where=where)
        ends[f"high{number}"] = table[name].max(where=where)
    [row] = table.aggregate(**ends).to_pyarrow().to_pylist()
    # a column without a number needs no cells
    found = {name: (row[f"low{i}"] or 0, row[f"high{i}"] or 0) for i, name in enumerate(names)}
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def tally_windows(
    table: ir.Table,
    grids: Mapping[str, Grid],
    categorical: list[str],
    window: ir.IntegerValue | None = None,
    bounds: Bounds | None = None,
) -> dict[int, Tally]:
    """Count a table in the cells of a reference, window by window.

    Args:
        table: The rows.
        grids: The cells of each column of numbers.
        categorical: Columns whose values are counted each.
        window: The window that each row belongs to; all are of one if there is none.
        bounds: The least and the greatest number of each column, if they are known.

    Returns:
        By window, then by column, its counts.
    """
    window = ibis.literal(0, "int32") if window is None else window
    # most files know their bounds, and then it is cheaper to ask for them than to look at each row
    bounds = bounds_of(table, [*grids]) if bounds is None else bounds
    counted = {
        name: (near_cells if _reaches(grid, *bounds[name]) else cells)(grid, table[name])
        for name, grid in grids.items()
    }
    counted |= {name: table[name].cast("string") for name in categorical}
    names = [*counted]
    tallies: dict[int, Tally] = {}
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        for name, found in _count(table, {name: counted[name] for name in some}, window).items():
            for number, counts in _by_window(found, numeric=name in grids):
                tallies.setdefault(number, {})[name] = counts
    return _with_far(table, grids, window, tallies)


def _reaches(grid: Grid, low: float, high: float) -> bool:
    return isinstance(grid, EvenGrid) and grid.reaches(low, high)


def total(tallies: Iterable[Tally]) -> Tally:
    """The tally of all windows together."""
    first, *others = tallies
    return {name: reduce(add, (each[name] for each in others), first[name]) for name in first}


def _count(
    table: ir.Table, columns: dict[str, ir.Value], window: ir.IntegerValue
) -> dict[str, pa.Table]:
    """The rows of each value of each column in each window: ``window``, ``key`` and ``n``."""
    aliases = [f"c{number}" for number in range(len(columns))]
    values = dict(zip(aliases, columns.values(), strict=True))
    part = window.cast("int64")
    counted = ops.AliasedRelation(parent=table.select(part=part, **values), name="counted")
    # a bit of every column that a row is not grouped by
    kind = " + ".join(f"GROUPING({alias}) * {2**bit}" for bit, alias in enumerate(aliases))
    sets = ", ".join(f"(part, {alias})" for alias in aliases)
    asked = f"part, {', '.join(aliases)}, {kind} AS kind, COUNT(*) AS n"
    query = f"SELECT {asked} FROM counted GROUP BY GROUPING SETS ({sets})"  # noqa: S608 - own names
    types = {alias: value.type() for alias, value in values.items()}
    schema = ibis.schema({"part": "int64", **types, "kind": "int64", "n": "int64"})
    rows = ops.SQLStringView(parent=counted, query=query, schema=schema).to_expr().to_pyarrow()
    kinds = {name: 2 ** len(aliases) - 1 - 2**bit for bit, name in enumerate(columns)}
    return {
        name: rows.filter(pc.equal(rows["kind"], kinds[name]))
        .select(["part", alias, "n"])
        .rename_columns(["window", "key", "n"])
        for alias, name in zip(aliases, columns, strict=True)
    }


def _by_window(found: pa.Table, *, numeric: bool) -> Iterable[tuple[int, Counts]]:
    windows = found["window"].to_numpy()
    missing = found["key"].is_null().to_numpy()
    keys, n = found["key"].to_pandas().to_numpy(), found["n"].to_numpy().astype(np.int64)
    for number in np.unique(windows):
        inside = windows == number
        there = inside & ~missing
        named = keys[there].astype(np.int64) if numeric else _marked(keys[there])
        order = np.argsort(named)
        counts = Counts(named[order], n[there][order], int(n[inside & missing].sum()))
        yield int(number), counts


def _marked(categories: NDArray[Any]) -> NDArray[Any]:
    """Categories; one that is called as missing values are is marked, and a bin of its own."""
    marked = [f"\\{each}" if each.endswith(MISSING) else each for each in categories]
    return np.array(marked, object)


def _with_far(
    table: ir.Table,
    grids: Mapping[str, Grid],
    window: ir.IntegerValue,
    tallies: dict[int, Tally],
) -> dict[int, Tally]:
    """The same tallies, and where numbers are beyond all cells, their mean; rarely any are."""
    sides = {
        (name, side)
        for tally in tallies.values()
        for name in grids
        for side in (BELOW, ABOVE)
        if side in tally[name].keys
    }
    if not sides:
        return tallies
    asked = sorted(sides)
    numbers = {name: table[name].cast("float64").clip(-MOST, MOST) for name, _side in asked}
    means = {
        f"mean{i}": numbers[name].mean(where=cells(grids[name], table[name]) == side)
        for i, (name, side) in enumerate(asked)
    }
    by_window = table.mutate(window=window).group_by("window").aggregate(**means)
    for row in by_window.to_pyarrow().to_pylist():
        tally = tallies[row["window"]]
        for i, (name, side) in enumerate(asked):
            counts = tally[name]
            if row[f"mean{i}"] is not None:
                far = {**counts.far, side: row[f"mean{i}"]}
                tally[name] = Counts(counts.keys, counts.n, counts.missing, far)
    return tallies
