import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from kedro_mlops.contract.dated import windows_back
from kedro_mlops.measures.drift_profile import (
    MEASURES,
    N_BINS,
    bin_labels,
    compare,
    population_stability_index,
    profile,
)
from kedro_mlops.measures.drift_reference import MISSING
from kedro_mlops.measures.grids import EvenGrid
from kedro_mlops.measures.tally import tally_windows, total

END = pd.Timestamp("2013-02-01")
NUMBERS = pd.DataFrame({"x": np.random.default_rng(0).normal(0, 1, 1000)})
quick = settings(max_examples=60, deadline=None)


def profiled(numbers: pd.DataFrame, **categories):
    """The reference profile of columns of numbers, and of columns of categories."""
    rows = numbers.assign(**categories)
    return profile(ibis.memtable(rows), list(numbers), list(categories))


def compared_with(reference, rows):
    """The comparison of rows with a reference, by column."""
    categorical = [name for name in reference.counts if name not in reference.grids]
    tally = tally_windows(ibis.memtable(rows), reference.grids, categorical)
    return compare(reference, tally[0]).set_index("column")


def normal_of(**columns):
    """What is normal of a column, by measure, given its values window by window, oldest first."""
    [(name, windows)] = columns.items()
    numbers = [len(windows) - 1 - i for i, values in enumerate(windows) for _ in values]
    rows = pd.DataFrame({"window": numbers, name: [v for values in windows for v in values]})
    table = ibis.memtable(rows)
    numeric = [name] if rows[name].dtype == float else []
    return profile(table, numeric, [] if numeric else [name], table["window"]).normal[name]


@st.composite
def two_shares(draw):
    """Two distributions over the same bins, none of them empty."""
    n_bins = draw(st.integers(1, 12))
    counts = st.lists(st.integers(1, 10_000), min_size=n_bins, max_size=n_bins)
    p, q = np.array(draw(counts), dtype=float), np.array(draw(counts), dtype=float)
    return p / p.sum(), q / q.sum()


def test_the_bins_of_numbers_lie_between_about_the_deciles():
    reference = profiled(NUMBERS)

    deciles = np.quantile(NUMBERS["x"], np.arange(1, N_BINS) / N_BINS)
    assert reference.edges["x"] == pytest.approx(deciles, abs=1 / reference.grids["x"].scale)
    assert reference.in_bins("x") == pytest.approx([100] * N_BINS, abs=8)
    assert sum(reference.in_bins("x")) == reference.n_rows == 1000


@given(values=st.lists(st.none() | st.integers(-5, 5).map(float), min_size=1, max_size=40))
@settings(deadline=None, max_examples=25, phases=[Phase.reuse, Phase.generate])
def test_every_row_is_in_the_bin_of_its_number_or_missing(values):
    rows = pd.DataFrame({"x": pd.Series(values, dtype=float)})
    reference = profiled(rows)

    positions = np.digitize([v for v in values if v is not None], reference.edges["x"])
    counted = np.bincount(positions.astype(int), minlength=len(reference.edges["x"]) + 1)
    assert reference.in_bins("x") == counted.tolist()
    assert reference.counts["x"].get(MISSING, 0) == values.count(None)


def test_numbers_with_few_values_have_few_bins():
    reference = profiled(pd.DataFrame({"x": [0.0] * 95 + [1.0] * 5}))

    assert len(reference.edges["x"]) == 2
    assert reference.in_bins("x") == [0, 95, 5]


def test_categories_are_bins_of_their_own_and_missing_ones_share_one():
    reference = profiled(NUMBERS.head(5), shop=["a", "b", "a", None, None])

    assert reference.counts["shop"] == {"a": 2, "b": 1, MISSING: 2}
    assert list(reference.edges) == ["x"]


def test_a_profile_comes_back_from_json_unchanged():
    reference = profiled(NUMBERS.head(50), shop=["a", None] * 25)

    back = type(reference).model_validate_json(reference.model_dump_json())

    assert back == reference


def test_a_table_does_not_differ_from_itself():
    rows = NUMBERS.assign(shop="a")
    reference = profiled(NUMBERS, shop="a")

    compared = compared_with(reference, rows)

    distances = compared[[*MEASURES, "unseen_share", "missing_share"]].fillna(0)
    assert distances.to_numpy() == pytest.approx(0, abs=1e-8)
    assert (compared["p_value"] == 1).all()


def test_the_column_that_drifted_most_comes_first():
    rows = NUMBERS.assign(y=NUMBERS["x"], z=NUMBERS["x"])
    reference = profiled(rows)

    compared = compared_with(reference, rows.assign(y=rows["y"] + 2, z=rows["z"] + 1))

    assert compared.index.tolist() == ["y", "z", "x"]
    assert compared["psi"].is_monotonic_decreasing
    assert compared["jensen_shannon"].is_monotonic_decreasing
    assert compared["wasserstein"].is_monotonic_decreasing
    assert compared["p_value"].is_monotonic_increasing


def test_missing_values_and_categories_never_met_are_told_as_shares():
    reference = profiled(NUMBERS.head(4), shop=["a", "a", "b", None])
    rows = NUMBERS.head(10).assign(shop=["a"] * 4 + [None] * 3 + ["new"] * 2 + ["newer"])

    compared = compared_with(reference, rows).loc["shop"]

    assert compared["reference_missing_share"] == 0.25
    assert compared["missing_share"] == 0.3
    assert compared["missing_increase"] == pytest.approx(0.05)
    assert compared["unseen_share"] == pytest.approx(0.3)


def test_a_category_that_vanished_is_far_away_but_not_infinitely():
    reference = profiled(NUMBERS.head(100), shop=["a"] * 50 + ["b"] * 50)

    psi = compared_with(reference, NUMBERS.head(100).assign(shop="a")).loc["shop", "psi"]

    before, after = np.array([50.5, 50.5]) / 101, np.array([100.5, 0.5]) / 101
    assert psi == pytest.approx(sum((after - before) * np.log(after / before)))


def test_tables_that_share_nothing_are_one_apart():
    reference = profiled(NUMBERS, shop="a")

    distance = compared_with(reference, NUMBERS.assign(shop="b")).loc["shop", "jensen_shannon"]

    assert distance == pytest.approx(1, abs=0.01)


@given(two_shares())
@quick
def test_the_population_stability_index_is_symmetric_and_not_negative(shares):
    p, q = shares

    index = population_stability_index(p, q)

    assert index >= 0
    assert index == pytest.approx(population_stability_index(q, p))
    assert population_stability_index(p, p) == 0


@given(two_shares())
@quick
def test_the_population_stability_index_is_the_two_relative_entropies(shares):
    p, q = shares

    index = population_stability_index(p, q)

    entropies = [sum(a * np.log(a / b)) for a, b in ((p, q), (q, p))]
    assert index == pytest.approx(sum(entropies), abs=1e-12)


def test_every_bin_has_a_readable_label():
    assert bin_labels([]) == ["all"]
    assert bin_labels([0.5]) == ["below 0.5", "0.5 and more"]
    constant = profiled(pd.DataFrame({"x": [0.0] * 9})).edges["x"]
    assert bin_labels(constant) == ["below 0", "0", "above 0"]
    assert bin_labels([0, 1 / 3, 12345.678]) == [
        *("below 0", "0 to 0.3333", "0.3333 to 1.235e+04", "1.235e+04 and more")
    ]


def test_only_categories_can_be_unseen():
    reference = profiled(NUMBERS.head(4).assign(flat=5.0), shop=["a", "a", "b", "b"])
    rows = NUMBERS.head(4).assign(flat=4.9, shop=["a", None, "b", "b"])

    compared = compared_with(reference, rows)

    assert compared["unseen_share"].max() == 0


def test_a_table_without_numbers_has_a_profile():
    counted = profile(ibis.memtable({"shop": ["a", "b", "a"]}), [], ["shop"])

    assert counted.counts == {"shop": {"a": 2, "b": 1}}


@pytest.mark.parametrize(
    ("moment", "window"),
    [
        ("2013-01-31 23:59:59.999", 0),
        ("2013-01-25 00:00:00", 0),
        ("2013-01-24 23:59:59.999", 1),
        ("2013-01-18 00:00:00", 1),
        ("2013-01-17 23:59:59", 2),
        ("2013-02-01 00:00:00", -1),
    ],
)
def test_a_window_of_days_has_its_first_moment_and_not_its_last(moment, window):
    table = ibis.memtable({"at": [pd.Timestamp(moment)]})

    found = windows_back(table["at"], END, days=7)

    assert table.select(window=found).to_pyarrow().to_pylist() == [{"window": window}]


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.none() | st.integers(-5, 5).map(float)), min_size=1
    )
)
@settings(deadline=None, max_examples=15, phases=[Phase.reuse, Phase.generate])
def test_windows_sum_to_the_whole(rows):
    windows, values = zip(*rows, strict=True)
    frame = pd.DataFrame({"window": windows, "x": pd.Series(values, dtype=float)})
    frame["shop"] = frame["x"].map(str)
    table = ibis.memtable(frame)
    grids = {"x": EvenGrid.covering(-2, 3, whole=False)}

    by_window = tally_windows(table, grids, ["shop"], table["window"])

    [whole] = tally_windows(table, grids, ["shop"]).values()
    assert set(by_window) == set(windows)
    together = total(by_window.values())
    for name, counts in whole.items():
        assert together[name].by_key() == counts.by_key()
        assert counts.n_rows == len(rows)


def test_a_reference_of_windows_counts_the_same_as_one_without():
    rows = NUMBERS.assign(window=np.arange(1000) % 4, shop=["a", "b", None, "a"] * 250)
    table = ibis.memtable(rows)

    in_windows = profile(table, ["x"], ["shop"], table["window"])

    at_once = profile(table, ["x"], ["shop"])
    assert in_windows.counts == at_once.counts
    assert in_windows.cuts == at_once.cuts
    assert at_once.normal == {}
    assert in_windows.normal.keys() == {"x", "shop"}


def test_normal_is_the_farthest_that_a_window_was_from_all_before_it():
    normal = normal_of(shop=[["a", "a"], ["a", "b"], ["b", None]])

    # half a row is added to every bin: a, b; then a, b, missing
    second = population_stability_index(np.array([2.5, 0.5]) / 3, np.array([1.5, 1.5]) / 3)
    third = population_stability_index(
        np.array([3.5, 1.5, 0.5]) / 5.5, np.array([0.5, 1.5, 1.5]) / 3.5
    )
    assert third > second
    assert normal["psi"] == pytest.approx(third)
    assert normal["missing_increase"] == 0.5
    assert normal["wasserstein"] == 0


def test_of_numbers_it_is_how_far_their_mass_had_to_move():
    normal = normal_of(x=[[0.0] * 9, [0.0] * 6 + [6.0] * 3, [0.0] * 9])

    spread = np.std([0.0] * 24 + [6.0] * 3)
    assert normal["wasserstein"] == pytest.approx(6 / 3 / spread)


def test_the_first_third_of_the_windows_only_precedes():
    swung, even = [["a"] * 4, ["b"] * 4], [["a", "a", "b", "b"]] * 4

    settled = normal_of(shop=[*swung, *even])
    swinging = normal_of(shop=[*even, *swung])

    assert settled["psi"] == settled["jensen_shannon"] == 0
    assert swinging["psi"] > 0.5


def test_a_window_without_rows_is_left_out_of_what_is_normal():
    table = ibis.memtable({"shop": ["a", "b"] * 2, "window": [9, 9, 0, 0]})

    reference = profile(table, [], ["shop"], table["window"])

    assert reference.normal["shop"] == dict.fromkeys(MEASURES, 0)


@pytest.mark.parametrize("shift", [0.3, 1.0, 3.0])
def test_the_wasserstein_distance_is_that_of_the_rows_but_for_the_width_of_the_bins(shift):
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"x": rng.gamma(2, 10, 4000)})
    moved = pd.DataFrame({"x": rng.gamma(2, 10, 3000) + shift * rows["x"].std()})
    reference = profiled(rows)

    distance = compared_with(reference, moved).loc["x", "wasserstein"]

    exact = wasserstein_distance(rows["x"], moved["x"]) / rows["x"].std(ddof=0)
    assert distance == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize(("value", "distance"), [(5.0, 0), (5.25, 0.25), (1.0, 4)])
def test_a_constant_that_moves_is_as_far_as_it_moved(value, distance):
    reference = profiled(pd.DataFrame({"x": [5.0] * 50}))

    compared = compared_with(reference, pd.DataFrame({"x": [value] * 9}))

    assert reference.spread["x"] == 0
    assert compared.loc["x", "wasserstein"] == distance


@pytest.mark.parametrize("constant", [0.0, 5.0, -3e12, 0.1])
@pytest.mark.parametrize("factor", [-1, 0, 1])
def test_a_constant_that_moves_either_way_is_in_another_bin(constant, factor):
    reference = profiled(pd.DataFrame({"x": [constant] * 500}))
    moved = constant + factor * max(abs(constant), 1) * 1e-9

    found = compared_with(reference, pd.DataFrame({"x": [moved] * 500})).loc["x"]

    assert found["psi"] == pytest.approx(0) if moved == constant else found["psi"] > 1
    assert len(bin_labels(reference.edges["x"])) == 3


def test_categories_have_no_wasserstein_distance():
    reference = profiled(NUMBERS.head(4), shop=["a", "a", "b", None])

    compared = compared_with(reference, NUMBERS.head(4).assign(shop="a"))

    assert compared["wasserstein"].isna().to_dict() == {"x": False, "shop": True}


def test_of_many_rows_a_test_of_significance_finds_what_the_effect_sizes_call_nothing():
    x = np.random.default_rng(0).normal(0, 1, 100_000)
    reference = profiled(pd.DataFrame({"x": x}))

    compared = compared_with(reference, pd.DataFrame({"x": x[::-1] + 0.05})).loc["x"]

    assert compared["p_value"] < 1e-12
    assert compared["psi"] < 0.01
    assert compared["jensen_shannon"] < 0.05
    assert compared["wasserstein"] == pytest.approx(0.05, abs=0.01)


def test_few_rows_of_the_same_distribution_are_not_significant():
    reference = profiled(NUMBERS)

    compared = compared_with(reference, NUMBERS.sample(50, random_state=1))

    assert compared.loc["x", "p_value"] > 0.05


def test_the_order_of_the_rows_does_not_show_in_the_last_digit():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.lognormal(0, 3, 5000), "window": rng.integers(0, 3, 5000)})
    tables = [ibis.memtable(rows), ibis.memtable(rows.sample(frac=1, random_state=0))]

    first, second = (profile(table, ["x"], [], table["window"]) for table in tables)

    assert first.model_dump_json() == second.model_dump_json()


@pytest.mark.parametrize("values", [[None] * 6, [3.0] * 6, [None] * 5 + [3.0]])
def test_a_column_that_says_little_is_profiled_and_compared(values):
    rows = pd.DataFrame({"x": pd.Series(values, dtype=float), "shop": pd.Series(values).map(str)})
    rows["shop"] = rows["shop"].where(rows["x"].notna())
    table = ibis.memtable(rows.assign(window=[2, 2, 1, 1, 0, 0]))

    reference = profile(table, ["x"], ["shop"], table["window"])
    itself = compared_with(reference, rows)
    another = compared_with(reference, pd.DataFrame({"x": [1.0, np.nan], "shop": ["new", None]}))

    back = type(reference).model_validate_json(reference.model_dump_json())
    assert back == reference
    assert itself["psi"].to_numpy() == pytest.approx(0)
    assert np.isfinite(another.drop(columns="wasserstein")).all(axis=None)
    assert np.isfinite(another.loc["x", "wasserstein"])


def test_nothing_is_normal_of_one_window_alone():
    table = ibis.memtable(NUMBERS.assign(window=3))

    assert profile(table, ["x"], [], table["window"]).normal == {}


def test_a_category_that_is_called_missing_is_not_missing():
    named = ["missing", "\\missing", "gone missing", "a"]
    reference = profiled(NUMBERS.head(5), shop=[*named, None])

    compared = compared_with(
        reference, pd.DataFrame({"x": [0.0] * 5, "shop": [*named[:3], "b", "b"]})
    )

    shop = compared.loc["shop"]
    assert len(reference.counts["shop"]) == 5
    assert (shop["reference_missing_share"], shop["missing_share"]) == (0.2, 0)
    assert shop["unseen_share"] == 0.4


def test_numbers_whose_squares_are_none_are_profiled():
    far = pd.DataFrame({"x": [1e300, -1e300, np.nan, 1.0]})

    assert np.isfinite(profiled(far).spread["x"])


def test_the_spread_is_that_of_the_numbers_that_are_there():
    some = pd.DataFrame({"x": [1.0, 2.0, np.nan, 6.0]})

    assert profiled(some).spread["x"] == pytest.approx(np.nanstd(some["x"]))
