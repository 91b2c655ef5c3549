"""Rows without a date: which side they are on, and what a model has not learned from."""

import hashlib
from typing import Annotated

import ibis
import numpy as np
import pandas as pd
import pytest
from example.factories import COLUMNS, observations
from example.undated import LOANS, READINGS, loans, readings
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kedro_mlops.contract.columns import Columns, Contract, Lookup, column
from kedro_mlops.contract.dated import Dated
from kedro_mlops.contract.splits import Splits
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.contract.undated import Undated
from kedro_mlops.core.errors import ContractError
from kedro_mlops.core.time_params import AsOf, Horizon

AS_OF, HORIZON, NEVER = AsOf("2024-05-01"), Horizon(days=7), pd.Timestamp("2024-05-01")
SPLITS = Splits(validation_days=1, test_days=1)
SIDES = ["train", "validation", "test", "later"]
few = settings(max_examples=12, deadline=None)


def md5(*keys):
    return hashlib.md5("\x1f".join(keys).encode(), usedforsecurity=False).hexdigest()


def sides(contract, rows, splits=SPLITS):
    """By side, the rows on it, those that are set aside among them."""
    table, timeline = ibis.memtable(rows), Undated(contract)
    found = {n: s.rows.to_pandas() for n, s in timeline.split(table, AS_OF, splits, 0).items()}
    known = timeline.known(table, AS_OF, splits, 0).to_pandas()
    keys = contract.keys
    aside = rows.dropna(subset=[contract.label]).merge(
        known[keys], on=keys, how="left", indicator=True
    )
    later = aside[aside["_merge"] == "left_only"].drop(columns="_merge")
    found["later"] = contract.outcomes(ibis.memtable(later)).to_pandas() if len(later) else later
    return found


def test_a_contract_with_a_date_is_split_by_it_and_another_by_places():
    assert isinstance(timeline_of(COLUMNS), Dated)
    assert isinstance(timeline_of(LOANS), Undated)
    assert not LOANS.has_time
    assert LOANS.row_index == ["loan"]
    assert READINGS.row_index == ["patient", "number"]
    assert (LOANS.ordered_by, READINGS.ordered_by) == (["loan"], ["patient"])


@few
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)),
    number=st.integers(-(2**62), 2**62),
)
def test_a_place_is_the_md5_of_the_keys_text(texts, number):
    class Item(Contract):
        name: str = column("Name", key=True)
        number: int = column("Number", key=True)
        good: bool = column("Whether it is good", label="binary")

    texts = [*texts, "always one"]
    table = ibis.memtable(pd.DataFrame({"name": texts, "number": number, "good": True}))

    found = table.mutate(place=Undated(Columns.of(Item)).place(table)).to_pandas()

    assert found["place"].tolist() == [md5(name, str(number)) for name in found["name"]]


def test_the_place_of_a_moment_is_that_of_its_seconds():
    class Item(Contract):
        made: Annotated[pd.DatetimeTZDtype, "us", "UTC"] = column("When", key=True)
        good: bool = column("Whether it is good", label="binary")

    moments = pd.to_datetime(["1969-12-31 23:59:58.75", "2024-05-01"], format="ISO8601", utc=True)
    table = ibis.memtable(pd.DataFrame({"made": moments, "good": True}))

    found = table.mutate(place=Undated(Columns.of(Item)).place(table)).to_pandas()

    assert found["place"].tolist() == [md5("-2"), md5("1714521600")]


@few
@given(
    n_rows=st.integers(1, 300),
    positive=st.floats(0.02, 0.98),
    shares=st.tuples(*[st.sampled_from([0.05, 0.1, 0.2, 0.3])] * 3),
    seed=st.integers(0, 9),
)
def test_sides_are_disjoint_and_each_has_its_share_of_every_class(n_rows, positive, shares, seed):
    rows = loans(n_rows, positive, seed=seed)
    splits = SPLITS.model_copy(
        update=dict(zip(("validation_share", "test_share", "later_share"), shares, strict=True))
    )

    found = sides(LOANS, rows, splits)

    together = pd.concat([found[side]["loan"] for side in SIDES])
    assert sorted(together) == sorted(rows["loan"])
    wanted = dict(zip(SIDES, (1 - sum(shares), *shares), strict=True))
    for code, name in enumerate((False, True)):
        of_class = (rows["defaulted"] == name).sum()
        for side in SIDES:
            there = (found[side]["defaulted"].astype(int) == code).sum()
            assert abs(there - wanted[side] * of_class) <= 1 + 1e-6
        if of_class:
            assert (found["train"]["defaulted"] == code).any()


@few
@given(n_patients=st.integers(3, 120), seed=st.integers(0, 9))
def test_no_group_is_on_two_sides(n_patients, seed):
    rows = readings(n_patients, seed)

    found = sides(READINGS, rows)

    assert sum(map(len, found.values())) == len(rows)
    sets = [set(found[side]["patient"]) for side in SIDES]
    assert sum(map(len, sets)) == n_patients
    assert len(set.union(*sets)) == n_patients


def test_groups_are_shared_out_by_their_rows():
    rows = readings(600)

    found = sides(READINGS, rows)

    for side, share in zip(SIDES, (0.4, 0.2, 0.2, 0.2), strict=True):
        assert len(found[side]) / len(rows) == pytest.approx(share, abs=0.02)


def test_the_sides_depend_on_no_order_and_are_shuffled():
    rows = loans(200).sort_values("income", ignore_index=True)

    one, other = sides(LOANS, rows), sides(LOANS, rows.sample(frac=1, random_state=1))

    for side in SIDES[:3]:
        pd.testing.assert_frame_equal(one[side], other[side])
    assert abs(one["train"]["income"].corr(pd.Series(range(len(one["train"]))))) < 0.3


def test_a_number_has_its_shares_by_place_alone():
    class Home(Contract):
        home: int = column("Number", key=True)
        price: float = column("€", label="regression", nullable=True)

    contract = Columns.of(Home)
    rows = pd.DataFrame({"home": range(50), "price": np.linspace(1, 2, 50)})

    found = sides(contract, rows)

    assert [len(found[side]) for side in SIDES] == [20, 10, 10, 10]
    record = Undated(contract).record(*(found[side] for side in SIDES[:3]))
    assert [*record["trained_places"].last] == ["0"]
    later = found["later"]
    assert Undated(contract).unseen(later, NEVER, record["trained_places"]).all()


@few
@given(n_rows=st.integers(20, 200), n_more=st.integers(1, 200), seed=st.integers(1, 9))
def test_what_was_learned_from_is_known_however_many_rows_are_added(n_rows, n_more, seed):
    before = loans(n_rows)
    after = pd.concat([before, loans(n_more, 0.6, seed=seed)], ignore_index=True)
    then, now = sides(LOANS, before), sides(LOANS, after)

    record = Undated(LOANS).record(*(then[side] for side in SIDES[:3]))

    learned = {
        "evaluated_places": {*then["train"]["loan"], *then["validation"]["loan"]},
        "trained_places": {loan for side in SIDES[:3] for loan in then[side]["loan"]},
    }
    for name, loans_learned in learned.items():
        for side in SIDES:
            unseen = Undated(LOANS).unseen(now[side], NEVER, record[name])
            assert not set(now[side].loc[unseen, "loan"]) & loans_learned
    # on the rows of then nothing is lost
    assert Undated(LOANS).unseen(then["test"], NEVER, record["evaluated_places"]).all()
    assert Undated(LOANS).unseen(then["later"], NEVER, record["trained_places"]).all()


@few
@given(n_patients=st.integers(20, 80), seed=st.integers(1, 9))
def test_no_reading_of_a_patient_that_was_learned_from_counts_as_unseen(n_patients, seed):
    before = readings(n_patients)
    more = readings(n_patients + 30, seed).assign(number=lambda rows: rows["number"] + 100)
    then = sides(READINGS, before)
    now = READINGS.outcomes(ibis.memtable(pd.concat([before, more]))).to_pandas()

    places = Undated(READINGS).record(*(then[side] for side in SIDES[:3]))["evaluated_places"]

    unseen = set(now.loc[Undated(READINGS).unseen(now, NEVER, places), "patient"])
    assert not unseen & {*then["train"]["patient"], *then["validation"]["patient"]}


def test_nothing_counts_as_unseen_where_places_were_others():
    rows = sides(LOANS, loans(50))
    places = Undated(LOANS).record(*(rows[side] for side in SIDES[:3]))["trained_places"]
    others = [None, places.model_copy(update={"by": ["loan", "branch"]})]

    for other in others:
        assert not Undated(LOANS).unseen(rows["later"], NEVER, other).any()


def test_rows_are_due_that_have_no_label_or_were_set_aside():
    rows = loans(200, unlabelled=0.2)
    found = sides(LOANS, rows)
    timeline = Undated(LOANS)
    places = timeline.record(*(found[side] for side in SIDES[:3]))["trained_places"]

    due = timeline.due(ibis.memtable(rows), places, AS_OF, HORIZON).to_pandas()
    without = timeline.due(ibis.memtable(rows), None, AS_OF, HORIZON).to_pandas()

    unlabelled = set(rows.loc[rows["defaulted"].isna(), "loan"])
    assert set(due["loan"]) == unlabelled | set(found["later"]["loan"])
    assert set(without["loan"]) == unlabelled
    assert list(due.columns) == list(rows.columns)


def test_the_parts_that_tell_what_is_normal_are_five_random_ones():
    rows = ibis.memtable(loans(103))

    parts = rows.mutate(part=Undated(LOANS).parts(rows, AS_OF, 7)).to_pandas()

    assert parts["part"].value_counts().tolist() == pytest.approx([21] * 5, abs=1)
    assert set(parts["part"]) == set(range(5))


def test_blocks_are_groups_or_else_rows():
    one, several = loans(30), readings(20)

    assert LOANS.blocks(one).nunique() == 30
    blocks = READINGS.blocks(several)
    assert blocks.nunique() == 20
    assert blocks.groupby(several["patient"]).nunique().max() == 1
    # the same row is the same block wherever it is
    assert LOANS.blocks(one.tail(3)).tolist() == LOANS.blocks(one).tail(3).tolist()


def test_shares_that_leave_nothing_to_learn_from_are_refused():
    with pytest.raises(ValidationError, match="leave no rows to train on"):
        Splits(
            validation_days=1, test_days=1, validation_share=0.5, test_share=0.3, later_share=0.2
        )


def labelled(contract, rows):
    return contract.outcomes(ibis.memtable(rows)).to_pandas()


@few
@given(
    n_rows=st.integers(10, 200),
    n_folds=st.integers(2, 10),
    positive=st.floats(0.1, 0.9),
    seed=st.integers(0, 9),
)
def test_every_class_is_shared_out_to_all_folds(n_rows, n_folds, positive, seed):
    rows, timeline = labelled(LOANS, loans(n_rows, positive, seed=seed)), Undated(LOANS)

    folds = timeline.folds(rows, n_folds)

    numbers = folds.of(timeline.marks(rows))
    assert set(numbers) == set(range(len(folds)))
    for code in (0, 1):
        [of_class] = np.nonzero(rows["defaulted"] == code)
        each = np.bincount(numbers[of_class], minlength=n_folds)
        assert np.abs(each - len(of_class) / n_folds).max() <= 1
    for fold in range(len(folds)):
        assert (timeline.before(rows, folds, fold) == (numbers != fold)).all()


@few
@given(n_rows=st.integers(10, 100), n_more=st.integers(1, 100), seed=st.integers(1, 9))
def test_a_row_stays_in_its_fold_whatever_its_label_and_whatever_comes(n_rows, n_more, seed):
    before, timeline = labelled(LOANS, loans(n_rows)), Undated(LOANS)
    folds = timeline.folds(before, 5)
    numbers = dict(zip(before["loan"], folds.of(timeline.marks(before)), strict=True))

    other = timeline.folds(before.sample(frac=1, random_state=seed), 5)
    now = labelled(LOANS, pd.concat([loans(n_rows), loans(n_more, 0.6, seed=seed)]))
    now["defaulted"] = 1 - now["defaulted"]
    found = dict(zip(now["loan"], folds.of(timeline.marks(now)), strict=True))

    assert (other.starts == folds.starts).all()
    assert (other.numbers == folds.numbers).all()
    assert {loan: found[loan] for loan in numbers} == numbers
    # and one that comes is in one, too
    assert set(found.values()) <= set(range(len(folds)))


@few
@given(n_patients=st.integers(10, 80), seed=st.integers(0, 9))
def test_no_group_is_in_two_folds_also_when_it_has_come_to_have_another_class(n_patients, seed):
    rows, timeline = labelled(READINGS, readings(n_patients, seed)), Undated(READINGS)
    folds = timeline.folds(rows, 5)
    more = rows.assign(number=rows["number"] + 100, severity=2)

    together = pd.concat([rows, more], ignore_index=True)
    numbers = pd.Series(folds.of(timeline.marks(together)))

    assert numbers.groupby(together["patient"]).nunique().max() == 1
    shares = np.bincount(numbers[: len(rows)]) / len(rows)
    assert shares == pytest.approx(1 / len(folds), abs=0.1 + 8 / len(rows))


@few
@given(
    n_rows=st.integers(40, 300),
    n_days=st.integers(8, 60),
    n_folds=st.integers(2, 8),
    seed=st.integers(0, 9),
)
def test_by_time_nothing_is_learned_from_the_future_of_a_fold(n_rows, n_days, n_folds, seed):
    contract, timeline = COLUMNS, Dated(COLUMNS)
    rows = labelled(contract, observations(n_rows, n_days, seed)).dropna(subset=[contract.label])
    # some labels are known before the event
    rows.loc[rows.index % 3 == 0, contract.label_time] -= pd.Timedelta(days=n_days / 2)

    folds = timeline.folds(rows, n_folds)

    numbers = folds.of(timeline.marks(rows))
    days = rows[contract.event_time].dt.normalize()
    assert 1 <= len(folds) <= n_folds
    assert set(numbers) == {-1, *range(len(folds))}
    assert pd.Series(numbers).groupby(days.to_numpy()).nunique().max() == 1
    assert (numbers[np.argsort(days, kind="stable")] == np.sort(numbers)).all()
    for fold in range(len(folds)):
        known = rows[timeline.before(rows, folds, fold)]
        assert known[contract.label].nunique() == 2
        assert known[contract.label_time].max() < days[numbers == fold].min()
        assert known[contract.event_time].max() < days[numbers >= fold].min()


def test_a_label_that_is_known_before_its_event_is_of_one_window_and_of_no_future():
    contract, timeline = COLUMNS, Dated(COLUMNS)
    rows = observations(6)
    rows[contract.event_time] = pd.to_datetime(
        ["2024-01-05", "2024-04-29", "2024-04-30", "2024-05-01", "2024-05-20", "2024-04-30"]
    )
    rows[contract.label_time] = pd.to_datetime(
        ["2024-01-01", "2024-01-01", "2024-01-01", "2024-04-20", "2024-01-01", "2024-05-02"]
    )
    table = ibis.memtable(rows)
    days = rows[contract.event_time]

    sides = timeline.split(table, AS_OF, SPLITS, 0)

    found = [side.rows.to_pandas()[contract.event_time].tolist() for side in sides.values()]
    assert found == [[days[0]], [days[1]], [days[2]]]
    assert timeline.n_labelled(table, AS_OF, SPLITS) == dict.fromkeys(SIDES[:3], 1)
    assert timeline.n_learned(table, AS_OF, SPLITS) == 3
    for learned in (timeline.learned, timeline.known):
        assert set(learned(table, AS_OF, SPLITS, 0).to_pandas()[contract.event_time]) == {*days[:3]}
    # what can be learned from only since then
    assert timeline.n_new(table, AS_OF.moment, AS_OF.after(7)) == 2


KEY = column("Key", key=True)
LABEL = column("Label", label="binary")
MOMENT = Annotated[pd.DatetimeTZDtype, "us", "UTC"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"at": (MOMENT, column("At", event_time=True))}, "none with `label_time`"),
        ({"at": (MOMENT, column("At", label_time=True))}, "none with `event_time`"),
        (
            {
                "at": (MOMENT, column("At", event_time=True)),
                "known": (MOMENT, column("Known", label_time=True)),
                "who": (str, column("Who", group=True)),
            },
            "split by it",
        ),
        (
            {"who": (str, column("Who", group=True)), "where": (str, column("Where", group=True))},
            "several columns with `group`, who, where",
        ),
        ({"who": (str, column("Who", group=True, nullable=True))}, "may be missing"),
        ({"who": (str, column("Who", group=True, personal=True))}, "personal data and group"),
        ({"well": (bool, column("Well", group=True, label="binary"))}, "the label and a group"),
        ({"size": (float, column("Size", key=True))}, "or a fraction"),
        (
            {"rate": (float, column("Rate", feature=True, lookup=Lookup("t", "key", "rate")))},
            "say `daily=False`",
        ),
    ],
)
def test_a_contract_that_contradicts_itself_in_time_is_refused(columns, said):
    types = {name: kind for name, (kind, _) in columns.items()}
    fields = {name: field for name, (_, field) in columns.items()}
    body = {"key": KEY, "good": LABEL, **fields}
    body["__annotations__"] = {"key": str, "good": bool, **types}
    contract = type("Odd", (Contract,), body)

    with pytest.raises(ContractError) as refused:
        Columns.of(contract)

    assert said in str(refused.value)
    assert "Odd" in str(refused.value)
