"""Rows drawn by their keys: which, and how many of every class and time."""

import ibis
import numpy as np
import pytest
from example.factories import COLUMNS
from example.history import N_DAYS
from example.undated import LOANS, READINGS, loans, readings

from kedro_mlops.contract.dated import LEAST_OF_WINDOW
from kedro_mlops.contract.sample import LEAST_OF_CLASS, about, draw, shares_of, some_of
from kedro_mlops.contract.splits import Splits
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.time_params import AsOf

AS_OF = AsOf("2013-04-01")
TIME, Y = COLUMNS.event_time, COLUMNS.label


@pytest.fixture(scope="module")
def rows(history):
    """All rows, with labels as codes."""
    table = history.model_input
    return COLUMNS.outcomes(table.filter(table[Y].notnull())).to_pandas()


def drawn(rows, n_rows, seed=0, contract=COLUMNS):
    """The index of the rows that are drawn."""
    numbered = rows.assign(number=np.arange(len(rows)))
    found = draw(contract, ibis.memtable(numbered), n_rows, seed).to_pandas()
    assert [*found.columns] == [*numbered.columns]
    return {*found["number"]}


def keys_of(rows, found):
    return {*map(tuple, rows.iloc[sorted(found)][COLUMNS.keys].to_numpy().tolist())}


def test_the_same_rows_are_drawn_in_whatever_order_they_come(rows):
    shuffled = rows.sample(frac=1, random_state=1)

    found = drawn(rows, 1000)

    assert len(found) in range(990, 1001)
    assert keys_of(rows, found) == keys_of(shuffled, drawn(shuffled, 1000))
    by_chance = len(found & drawn(rows, 1000, seed=1)) / 1000
    assert by_chance == pytest.approx(1000 / len(rows), abs=0.05)


def test_of_rows_that_were_there_before_none_is_drawn_anew_as_others_come(rows):
    before = rows.iloc[: len(rows) // 2]

    assert drawn(rows, 1000) & {*range(len(before))} <= drawn(before, 1000)
    assert drawn(rows, 500) <= drawn(rows, 1000)


def test_every_class_and_every_time_has_its_share(rows):
    found = rows.iloc[sorted(drawn(rows, 3000))]

    assert found[Y].mean() == pytest.approx(rows[Y].mean(), abs=0.005)
    by_month = [part[TIME].dt.month.value_counts(normalize=True) for part in (found, rows)]
    assert (by_month[0] - by_month[1]).abs().max() < 0.03


def test_a_rare_class_is_not_lost(rows):
    rare = rows.assign(**{Y: (np.arange(len(rows)) % 400 == 0).astype(int)})

    found = rare.iloc[sorted(drawn(rare, 1000))]

    n_rare = int(rare[Y].sum())
    assert n_rare > LEAST_OF_CLASS > n_rare * 1000 / len(rows)
    assert found[Y].sum() >= LEAST_OF_CLASS


def test_numbers_are_drawn_whatever_their_label_is(lives):
    life = lives("number")
    rows = life.columns.outcomes(ibis.memtable(life.rows.dropna(subset=[life.columns.label])))

    found = draw(life.columns, rows, 200, 0).to_pandas()

    assert 195 <= len(found) <= 200


def test_all_rows_are_taken_if_there_are_no_more(rows):
    assert drawn(rows, len(rows)) == {*range(len(rows))}


@pytest.mark.parametrize(
    ("n_known", "n_rows", "n_least", "expected"),
    [
        ({"a": 800, "b": 200}, 100, 10, {"a": 74, "b": 25}),
        ({"a": 995, "b": 5}, 100, 10, {"a": 95, "b": 5}),
        ({"a": 10_000, "b": 100, "c": 50}, 1000, 100, {"a": 850, "b": 100, "c": 50}),
    ],
)
def test_shares_of_parts_are_so_many_in_all_at_most(n_known, n_rows, n_least, expected):
    found = shares_of(n_known, n_rows, n_least)

    assert found == expected
    assert n_rows - len(n_known) < sum(found.values()) <= n_rows


def test_about_so_many_rows_are_drawn_by_columns_and_keep_their_order(rows):
    numbered = ibis.memtable(rows.assign(number=np.arange(len(rows))))

    some = about(numbered, COLUMNS.keys, 1000).to_pandas()["number"].tolist()

    assert 1000 <= len(some) < 1300
    assert some == sorted(some)
    assert about(numbered, COLUMNS.keys, len(rows)) is numbered


def test_rows_in_memory_are_drawn_by_their_keys_and_keep_their_order(rows):
    some = some_of(COLUMNS, rows, 100, seed=0)
    of_others = some_of(COLUMNS, rows.sample(frac=1, random_state=1), 100, seed=0)

    assert 98 < len(some) <= 100  # of each class its share, rounded down
    assert some.index.is_monotonic_increasing
    assert {*of_others.index} == {*some.index}
    assert {*some.index} != {*some_of(COLUMNS, rows, 100, seed=1).index}
    assert {*some_of(COLUMNS, rows, 50, seed=0).index} < {*some.index}
    assert 0.35 < some.index.to_numpy().mean() / len(rows) < 0.65
    assert some_of(COLUMNS, rows, None, seed=0) is rows
    assert some_of(COLUMNS, rows, len(rows), seed=0) is rows


def split(contract, table, splits, seed=0):
    sides = timeline_of(contract).split(table, AS_OF, splits, seed)
    return {name: side.rows.to_pandas() for name, side in sides.items()}


def test_windows_of_time_have_their_share_but_short_ones_more(history):
    splits = Splits(validation_days=2, test_days=14)
    table = history.model_input
    whole = split(COLUMNS, table, splits)
    few = split(COLUMNS, table, splits.model_copy(update={"max_rows": 1500}))

    n_labelled = timeline_of(COLUMNS).n_labelled(table, AS_OF, splits)
    assert n_labelled == {name: len(rows) for name, rows in whole.items()}
    assert 1490 <= sum(map(len, few.values())) <= 1500
    # all that there are, of fewer rows than a tenth
    assert len(few["validation"]) == min(len(whole["validation"]), int(1500 * LEAST_OF_WINDOW))
    share = 1500 / sum(map(len, whole.values()))
    assert len(few["test"]) > len(whole["test"]) * share
    for name, rows in few.items():
        assert rows[TIME].is_monotonic_increasing
        assert {*rows[COLUMNS.keys[0]]} <= {*whole[name][COLUMNS.keys[0]]}
    assert N_DAYS > few["train"][TIME].dt.day_of_year.nunique() > 60


@pytest.mark.parametrize(("contract", "make"), [(LOANS, loans), (READINGS, readings)])
def test_rows_without_a_date_are_drawn_before_they_are_split(contract, make):
    splits = Splits(validation_days=1, test_days=1, max_rows=300)
    rows = make(1000)
    table, timeline = ibis.memtable(rows), timeline_of(contract)

    sides = split(contract, table, splits)
    known = timeline.known(table, AS_OF, splits, 0).to_pandas()

    assert 290 <= sum(map(len, sides.values())) <= 305
    assert sum(map(len, sides.values())) == len(known)
    n_labelled = timeline.n_labelled(table, AS_OF, splits)
    n_known = sum(n_labelled.values())
    assert n_known == round(rows[contract.label].notna().sum() * 0.8)
    for name, side in sides.items():
        assert len(side) / len(known) == pytest.approx(n_labelled[name] / n_known, abs=0.05)
    # none of a group is on two sides
    of = contract.ordered_by[0]
    assert not {*sides["train"][of]} & {*sides["test"][of]}
