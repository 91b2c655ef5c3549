import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from flight_delays.profiles import (
    MISSING,
    N_BINS,
    bin_labels,
    compare,
    population_stability_index,
    profile,
    recount,
)

NUMBERS = pd.DataFrame({"x": np.random.default_rng(0).normal(0, 1, 1000)})
quick = settings(max_examples=60, deadline=None)


def profiled(numbers: pd.DataFrame, **categories):
    """The reference profile of columns of numbers, and of columns of categories."""
    rows = numbers.assign(**categories)
    return profile(ibis.memtable(rows), list(numbers), list(categories))


@st.composite
def two_shares(draw):
    """Two distributions over the same bins, none of them empty."""
    n_bins = draw(st.integers(1, 12))
    counts = st.lists(st.integers(1, 10_000), min_size=n_bins, max_size=n_bins)
    p, q = np.array(draw(counts), dtype=float), np.array(draw(counts), dtype=float)
    return p / p.sum(), q / q.sum()


def test_the_bins_of_numbers_lie_between_the_deciles():
    reference = profiled(NUMBERS)

    deciles = np.quantile(NUMBERS["x"], np.arange(1, N_BINS) / N_BINS)
    assert reference.edges["x"] == pytest.approx(deciles)
    assert reference.counts["x"] == {str(i): 100 for i in range(N_BINS)}
    assert reference.n_rows == 1000


@given(values=st.lists(st.none() | st.integers(-5, 5).map(float), min_size=1, max_size=40))
@settings(deadline=None, max_examples=25, phases=[Phase.reuse, Phase.generate])
def test_every_row_is_in_the_bin_of_its_number_or_missing(values):
    reference = profiled(pd.DataFrame({"x": np.arange(-5.0, 6.0)}))

    counts = recount(reference, ibis.memtable(pd.DataFrame({"x": pd.Series(values, dtype=float)})))

    positions = np.digitize([v for v in values if v is not None], reference.edges["x"])
    expected = pd.Series(positions).value_counts().rename(index=str).to_dict()
    missing = {MISSING: values.count(None)} if None in values else {}
    assert counts["x"] == expected | missing


def test_numbers_with_few_values_have_few_bins():
    reference = profiled(pd.DataFrame({"x": [0.0] * 95 + [1.0] * 5}))

    assert reference.edges["x"] == [0.0]
    assert sum(reference.counts["x"].values()) == 100


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

    compared = compare(reference, ibis.memtable(rows)).set_index("column")

    assert (compared[["psi", "jensen_shannon", "unseen_share", "missing_share"]] == 0).all(
        axis=None
    )


def test_the_column_that_drifted_most_comes_first():
    rows = NUMBERS.assign(y=NUMBERS["x"], z=NUMBERS["x"])
    reference = profiled(rows)

    compared = compare(reference, ibis.memtable(rows.assign(y=rows["y"] + 2, z=rows["z"] + 1)))

    assert compared["column"].tolist() == ["y", "z", "x"]
    assert compared["psi"].is_monotonic_decreasing
    assert compared["jensen_shannon"].is_monotonic_decreasing


def test_missing_values_and_categories_never_met_are_told_as_shares():
    reference = profiled(NUMBERS.head(4), shop=["a", "a", "b", None])
    rows = NUMBERS.head(10).assign(shop=["a"] * 4 + [None] * 3 + ["new"] * 2 + ["newer"])

    compared = compare(reference, ibis.memtable(rows)).set_index("column").loc["shop"]

    assert compared["reference_missing_share"] == 0.25
    assert compared["missing_share"] == 0.3
    assert compared["unseen_share"] == 0.3


def test_a_category_that_vanished_is_far_away_but_not_infinitely():
    reference = profiled(NUMBERS.head(100), shop=["a"] * 50 + ["b"] * 50)

    compared = compare(reference, ibis.memtable(NUMBERS.head(100).assign(shop="a")))

    psi = compared.set_index("column").loc["shop", "psi"]
    before, after = np.array([50.5, 50.5]) / 101, np.array([100.5, 0.5]) / 101
    assert psi == pytest.approx(sum((after - before) * np.log(after / before)))


def test_tables_that_share_nothing_are_one_apart():
    reference = profiled(NUMBERS, shop="a")

    compared = compare(reference, ibis.memtable(NUMBERS.assign(shop="b")))

    distance = compared.set_index("column").loc["shop", "jensen_shannon"]
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
    assert bin_labels([0, 1 / 3, 12345.678]) == [
        *("below 0", "0 to 0.3333", "0.3333 to 1.235e+04", "1.235e+04 and more")
    ]


def test_only_categories_can_be_unseen():
    reference = profiled(NUMBERS.head(4).assign(flat=5.0), shop=["a", "a", "b", "b"])
    rows = NUMBERS.head(4).assign(flat=4.9, shop=["a", None, "b", "b"])

    compared = compare(reference, ibis.memtable(rows))

    assert compared["unseen_share"].max() == 0


def test_a_table_without_numbers_has_a_profile():
    counted = profile(ibis.memtable({"shop": ["a", "b", "a"]}), [], ["shop"])

    assert counted.counts == {"shop": {"a": 2, "b": 1}}
