import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedro_mlops.measures.cells import cells, near_cells
from kedro_mlops.measures.drift_profile import N_BINS, compare, profile
from kedro_mlops.measures.drift_reference import Profile
from kedro_mlops.measures.grids import ABOVE, BELOW, EdgeGrid, EvenGrid, LogGrid
from kedro_mlops.measures.tally import tally_windows

quick = settings(max_examples=25, deadline=None)
RNG = np.random.default_rng(0)
N = 20_000


def cells_of(grid, values, dtype="float64"):
    """The cell of each value, None where it has none."""
    table = ibis.memtable({"x": values}, schema={"x": dtype})
    found = table.select(
        cell=cells(grid, table["x"]), near=near_cells(grid, table["x"])
    ).to_pyarrow()
    return found["cell"].to_pylist(), found["near"].to_pylist()


def profiled(values):
    return profile(ibis.memtable(pd.DataFrame({"x": values})), ["x"], [])


def compared(reference, values):
    rows = ibis.memtable(pd.DataFrame({"x": values}))
    return compare(reference, tally_windows(rows, reference.grids, [])[0]).iloc[0]


@given(values=st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=20))
@quick
def test_a_number_lies_in_its_cell_and_all_are_near(values):
    grid = EvenGrid.covering(min(values), max(values), whole=False)

    found, near = cells_of(grid, values)

    assert found == near
    off = np.abs(grid.middles(np.array(found)) - values)
    assert (off <= 0.51 / grid.scale).all()
    assert max(found) - min(found) <= 512
    assert grid.reaches(min(values), max(values))


@pytest.mark.parametrize(
    ("start", "dtype"),
    [(-40, "int8"), (0, "int64"), (10**6, "int64"), (2**40, "int64"), (2**40, "float64")],
)
def test_integers_of_few_values_have_cells_of_their_own(start, dtype):
    values = list(range(start, start + 100))
    grid = EvenGrid.covering(values[0], values[-1], whole=True)

    found, _ = cells_of(grid, values, dtype)

    assert grid.is_exact
    assert grid.middles(np.array(found)).tolist() == values


def test_what_is_too_far_for_a_cell_is_told_by_its_side_and_no_number_is_missing():
    grid = EvenGrid.covering(0, 1, whole=False)
    values = [0.5, 1e9, -1e9, 1e300, float("inf"), -float("inf"), float("nan"), None]

    found, near = cells_of(grid, values)

    assert found == [256, ABOVE, BELOW, ABOVE, ABOVE, BELOW, None, None]
    assert near == [256, *[None] * 7]
    assert not grid.reaches(0, 1e9)
    assert not grid.reaches(-float("inf"), 1)
    assert not grid.reaches(0, float("nan"))


def test_cells_of_any_size_are_in_the_order_of_their_numbers():
    sizes = [5e-324, 1e-300, 0.001, 1.0, 1.2, 1e9, 1.7e308]
    values = [*(-size for size in reversed(sizes)), 0.0, *sizes]

    found, _ = cells_of(LogGrid(), [*values, float("inf"), float("nan"), None])

    assert found[:15] == sorted(set(found[:15]))
    assert found[15:] == [ABOVE, None, None]
    middles = LogGrid().middles(np.array(found[2:13]))
    assert middles == pytest.approx(values[2:13], rel=0.05)
    starts = LogGrid().starts(found[7:15])
    assert all(start <= value for start, value in zip(starts, values[7:], strict=True))


@pytest.mark.parametrize(
    "values",
    [
        RNG.lognormal(0, 1, N),
        RNG.lognormal(0, 3, N),
        -RNG.lognormal(10, 2, N),
        RNG.standard_cauchy(N),
        np.append(RNG.random(N), [1e6, -1e6]),
        np.append(RNG.normal(1013, 5, N), -9999.0),
        RNG.lognormal(8, 2, N).astype(int),
    ],
)
def test_bins_have_about_a_tenth_of_the_rows_each_however_long_the_tails(values):
    reference = profiled(values)

    shares = np.array(reference.in_bins("x")) / len(values)

    assert len(shares) == N_BINS
    assert shares == pytest.approx(0.1, abs=0.05)
    assert len(reference.counts["x"]) < 2000
    moved = compared(reference, values * 1.5)
    assert moved["psi"] > 0.01


def test_amounts_that_are_mostly_nothing_are_told_from_nothing_and_from_each_other():
    amounts = np.where(RNG.random(N) < 0.6, 0, RNG.lognormal(3, 2, N))

    reference = profiled(amounts)

    shares = np.array(reference.in_bins("x")) / N
    assert max(shares) == pytest.approx(0.6, abs=0.01)
    assert (shares > 0.05).sum() >= 4
    fewer = np.where(RNG.random(N) < 0.8, 0, amounts)
    assert compared(reference, fewer)["psi"] > 0.2


def test_numbers_that_are_far_away_are_as_far_as_they_are():
    reference = profiled(np.linspace(0, 1, 1001))

    found = compared(reference, [0.5, 1e6, 3e6, float("nan")])

    far = (1e6 + 3e6 + 0.5) / 3 - 0.5
    assert found["wasserstein"] == pytest.approx(far / reference.spread["x"], rel=1e-3)
    assert found["missing_share"] == 0.25


def test_a_reference_that_has_infinite_numbers_is_compared_with():
    reference = profiled([1.0, 2.0, 3.0, float("inf"), -float("inf"), 1e200])

    assert sum(reference.in_bins("x")) == reference.n_rows == 6
    assert np.isfinite(reference.spread["x"])
    assert compared(reference, [1.0, 2.0, 3.0, 4.0])["psi"] > 0


def test_a_reference_of_an_earlier_version_is_compared_with_in_its_bins():
    kept = {
        "n_rows": 11,
        "edges": {"x": [1.0, 2.0], "flat": []},
        "counts": {"x": {"0": 2, "1": 3, "2": 5, "missing": 1}, "flat": {"missing": 11}},
        "means": {"x": {"0": 0.5, "1": 1.5, "2": 4.0}, "flat": {}},
        "spread": {"x": 1.0, "flat": 0.0},
        "normal": {"x": {"psi": 0.1}, "flat": {"psi": 0.0}},
    }

    reference = Profile.model_validate(kept)

    assert reference.edges == {"x": [1.0, 2.0], "flat": []}
    assert reference.in_bins("x") == [2, 3, 5]
    assert Profile.model_validate_json(reference.model_dump_json()) == reference
    rows = {"x": [0.0, 0.9, 1.0, 1.1, 1.9, 2.0, 5.0, 5.0, 5.0, 9.0, None], "flat": [None] * 11}
    table = ibis.memtable(rows, schema={"x": "float64", "flat": "float64"})
    same = compare(reference, tally_windows(table, reference.grids, [])[0]).set_index("column")
    assert same["psi"].to_dict() == {"x": 0.0, "flat": 0.0}
    assert same.loc["x", "wasserstein"] == 0
    assert isinstance(reference.grids["x"], EdgeGrid)
    moved = ibis.memtable({"x": [4.0] * 10, "flat": [1.0] * 10})
    found = compare(reference, tally_windows(moved, reference.grids, [])[0]).set_index("column")
    assert found.loc["x", "wasserstein"] == pytest.approx(2 / 10 * 3.5 + 3 / 10 * 2.5)
    assert found.loc["flat", "missing_share"] == 0
