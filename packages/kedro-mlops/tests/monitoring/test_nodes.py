from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd
import pytest
from example.contracts import Inputs, Observation
from example.factories import screened, skew_of, with_compared
from example.history import History
from example.scoring import labelled_rows
from pydantic import ValidationError

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.screening_account import ScreeningAccount
from kedro_mlops.contract.tables import TableDataset
from kedro_mlops.contract.validation import ContractValidator
from kedro_mlops.core import engine
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.time_params import AsOf, Horizon, Window
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.monitoring import labels as joining
from kedro_mlops.monitoring.drift import measure_drift
from kedro_mlops.monitoring.findings import Quality, Skew
from kedro_mlops.monitoring.labels import count_new_labels
from kedro_mlops.monitoring.nodes import measure_quality, take_predictions
from kedro_mlops.monitoring.parameters import Drift, Monitoring
from kedro_mlops.monitoring.skew import measure_skew

COLUMNS, INPUTS = Columns.of(Observation), Columns.of(Inputs)
Y = COLUMNS.label
CLEAN, NO_SKEW = screened(), skew_of()


@pytest.fixture(scope="module")
def served(history: History, package: ModelPackage) -> pd.DataFrame:
    """60 rows as a service that looks up what training had would log them."""
    rows = history.model_input.order_by(INPUTS.keys).limit(60).select(INPUTS.names).to_pandas()
    return rows.assign(
        predicted_at=pd.Timestamp("2013-04-02"),
        model_version=package.version,
        variant="champion",
    )


def after(history: History, as_of: AsOf, n: int) -> ir.Table:
    """The first labelled rows of the horizon."""
    table = history.model_input
    due = table.filter(table[COLUMNS.event_time] >= ibis.literal(as_of.moment), table[Y].notnull())
    return due.order_by(COLUMNS.event_time).limit(n).cache()


def joined_rows(contract: Columns, *asked: Any) -> tuple[pd.DataFrame, dict[str, int]]:
    """What ``join_labels`` gives, the rows in memory, ordered by key."""
    labelled, account = labelled_rows(contract, *asked)
    return labelled.order_by(contract.keys).to_pandas(), account


def same_with(rows: ir.Table, **changed: ir.Value) -> ir.Table:
    """The rows, with columns changed, in the types of the table."""
    return rows.mutate(**changed).cast(rows.schema())


def test_the_champions_predictions_of_the_horizon_are_watched(
    predictions: ir.Table, package: ModelPackage, as_of: AsOf, horizon: Horizon
) -> None:
    watched = take_predictions(COLUMNS, predictions, package, as_of, horizon)
    none = take_predictions(COLUMNS, predictions.limit(0), package, as_of, horizon)

    assert watched.count().execute() == predictions.count().execute() > 0
    assert none.count().execute() == 0


def test_predictions_of_other_days_or_by_another_model_are_not(
    predictions: ir.Table, package: ModelPackage, as_of: AsOf, horizon: Horizon
) -> None:
    another = package.with_record(version="another")
    earlier = AsOf(as_of.before(1).date())

    for champion, day, days in (
        (package, earlier, horizon),
        (package, as_of, Horizon(days=3)),
        (another, as_of, horizon),
    ):
        with pytest.raises(ProjectError, match="pipelines=data_engineering,scoring,monitoring"):
            take_predictions(COLUMNS, predictions, champion, day, days)


def test_no_prediction_is_lost_or_doubled_by_its_label(
    labelled: pd.DataFrame, account: dict[str, int], predictions: ir.Table
) -> None:
    n_predictions = predictions.count().execute()

    assert len(labelled) == n_predictions
    assert not labelled[COLUMNS.keys].duplicated().any()
    assert account["predictions"] == n_predictions
    assert account["known"] == labelled[Y].notna().sum() > 0
    assert account["known"] + account["pending"] == n_predictions
    assert account["repeated"] == account["contradicting"] == account["unknown"] == 0


def test_predictions_keep_the_label_that_the_source_gives_them(
    labelled: pd.DataFrame, history: History
) -> None:
    truth = history.model_input.select(*COLUMNS.keys, Y).to_pandas().set_index(COLUMNS.keys)[Y]

    known = labelled.dropna(subset=[Y]).set_index(COLUMNS.keys)[Y]

    assert (known == truth.loc[known.index].astype(int)).all()
    assert set(known) == {0, 1}


def test_only_labels_known_at_the_end_of_the_horizon_are_joined(
    predictions: ir.Table, history: History, as_of: AsOf
) -> None:
    two_days = Horizon(days=2)
    end = as_of.after(2)
    known = history.model_input.to_pandas().set_index(COLUMNS.keys)[COLUMNS.label_time]

    labelled, account = joined_rows(COLUMNS, predictions, history.model_input, as_of, two_days)

    with_label = labelled.dropna(subset=[Y]).set_index(COLUMNS.keys).index
    assert len(with_label) == account["known"] > 0
    assert (known.loc[with_label] < end).all()


def test_a_label_that_came_twice_counts_once(
    predictions: ir.Table,
    labelled: pd.DataFrame,
    history: History,
    as_of: AsOf,
    horizon: Horizon,
) -> None:
    table = history.model_input
    ten, three = after(history, as_of, 10), after(history, as_of, 3)

    again, account = joined_rows(
        COLUMNS, predictions, ibis.union(table, ten, three), as_of, horizon
    )

    pd.testing.assert_frame_equal(again, labelled)
    assert (account["repeated"], account["contradicting"]) == (13, 0)


def test_what_is_only_compared_is_not_predicted_and_comes_with_the_label(
    predictions: ir.Table, labelled: pd.DataFrame, history: History, as_of: AsOf, horizon: Horizon
) -> None:
    table = history.model_input.mutate(size=ibis.ifelse(ibis._.distance_km > 1000, "far", "near"))

    rows, _account = joined_rows(with_compared(COLUMNS, "size"), predictions, table, as_of, horizon)

    known = rows[Y].notna()
    sizes = table.select(*COLUMNS.keys, "size").to_pandas()
    expected = rows[COLUMNS.keys].merge(sizes, on=COLUMNS.keys, how="left")["size"]
    assert rows.loc[known, "size"].tolist() == expected[known].tolist()
    pd.testing.assert_frame_equal(rows.drop(columns="size"), labelled)


def test_labels_that_contradict_each_other_count_as_none(
    predictions: ir.Table,
    account: dict[str, int],
    history: History,
    as_of: AsOf,
    horizon: Horizon,
) -> None:
    table, ten = history.model_input, after(history, as_of, 10)
    otherwise = ibis.union(table, same_with(ten, **{Y: ~ten[Y]}))

    labelled, counted = joined_rows(COLUMNS, predictions, otherwise, as_of, horizon)

    keys = ten.select(COLUMNS.keys).to_pandas()
    assert labelled.merge(keys, on=COLUMNS.keys)[Y].isna().tolist() == [True] * 10
    assert len(labelled) == account["predictions"]
    assert (counted["contradicting"], counted["repeated"]) == (20, 0)
    assert counted["known"] == account["known"] - 10


def test_labels_of_rows_that_nobody_predicted_are_counted_and_left_out(
    predictions: ir.Table,
    labelled: pd.DataFrame,
    history: History,
    as_of: AsOf,
    horizon: Horizon,
) -> None:
    ten = after(history, as_of, 10)
    predicted = predictions.anti_join(ten, COLUMNS.keys)

    kept, account = joined_rows(COLUMNS, predicted, history.model_input, as_of, horizon)

    assert account["unknown"] == 10
    assert len(kept) == account["predictions"] == len(labelled) - 10


def test_a_label_that_is_late_is_pending_and_known_when_looked_at_again(
    predictions: ir.Table, history: History, as_of: AsOf, horizon: Horizon
) -> None:
    table, ten = history.model_input, after(history, as_of, 10)
    soon, late = ibis.literal(as_of.after(1)), ibis.literal(as_of.after(horizon.days + 3))
    is_late = table[COLUMNS.keys[0]].isnull()
    for key in ten.select(COLUMNS.keys).to_pandas().itertuples(index=False):
        is_one = [table[name] == value for name, value in key._asdict().items()]
        is_late = is_late | ibis.and_(*is_one)
    when = ibis.ifelse(is_late, late, ibis.least(table[COLUMNS.label_time], soon))
    slow = same_with(table, **{COLUMNS.label_time: when}).cache()

    now, pending = joined_rows(COLUMNS, predictions, slow, as_of, horizon)
    later, _ = joined_rows(COLUMNS, predictions, slow, as_of, Horizon(days=horizon.days + 7))

    keys = ten.select(COLUMNS.keys).to_pandas()
    assert now.merge(keys, on=COLUMNS.keys)[Y].isna().all()
    assert pending["pending"] == later[Y].isna().sum() + 10
    assert later.merge(keys, on=COLUMNS.keys)[Y].notna().all()
    assert len(now) == len(later) == pending["predictions"]


def test_labels_that_came_on_a_later_day_are_counted(
    history: History, account: dict[str, int], as_of: AsOf, horizon: Horizon
) -> None:
    rows = history.model_input.to_pandas()
    due = rows[COLUMNS.event_time].between(as_of.moment, as_of.after(14), inclusive="left")
    known = due & rows[Y].notna() & (rows[COLUMNS.label_time] < as_of.after(horizon.days))

    later = rows[COLUMNS.label_time].dt.normalize() > rows[COLUMNS.event_time].dt.normalize()

    assert account["later"] == (known & later).sum() > 0


def test_where_no_label_is_known_all_are_pending(
    predictions: ir.Table, history: History, as_of: AsOf, horizon: Horizon
) -> None:
    silent = same_with(history.model_input, **{Y: ibis.null("boolean")})

    labelled, account = joined_rows(COLUMNS, predictions, silent, as_of, horizon)

    assert labelled[Y].isna().all()
    assert labelled[Y].dtype == "float64"
    assert (account["known"], account["pending"]) == (0, len(labelled))


def test_new_labels_are_those_that_training_did_not_know(
    package: ModelPackage, history: History, as_of: AsOf, horizon: Horizon
) -> None:
    rows = history.model_input.to_pandas()
    since = rows[COLUMNS.label_time].between(as_of.moment, as_of.after(14), inclusive="left")

    n_new = count_new_labels(COLUMNS, history.model_input, package, as_of, horizon)

    assert n_new == (since & rows[Y].notna()).sum()
    # those that landed after midnight began before it, and training did not know them
    assert rows.loc[since, COLUMNS.event_time].min() < as_of.moment


def test_good_data_passes(quality: Quality, horizon: Horizon) -> None:
    assert quality.passed
    assert quality.n_days == horizon.days
    assert len(quality.checks) == 6


NOTHING_CAME = {"rows a day against the reference's", "days since the newest row"}


@pytest.fixture
def faults_of(
    package: ModelPackage, as_of: AsOf, horizon: Horizon, window: Window, params: Monitoring
) -> Callable[..., set[str]]:
    """The checks that predictions, screening or skew fail."""

    def judge(
        predictions: ir.Table,
        screening: ScreeningAccount = CLEAN,
        skew: Skew = NO_SKEW,
    ) -> set[str]:
        drift = measure_drift(COLUMNS, predictions, package, as_of, horizon, window, params)
        quality = measure_quality(
            COLUMNS, predictions, drift, screening, skew, package, as_of, horizon, params
        )
        failed = {check.name for check in quality.checks if not check.passed}
        assert quality.passed == (not failed)
        return failed

    return judge


def test_missing_values_unseen_categories_and_lost_rows_fail(
    predictions: ir.Table,
    faults_of: Callable[..., set[str]],
) -> None:
    category = COLUMNS.features_of_kind("categorical")[0]
    number = COLUMNS.features_of_kind("numeric")[0]
    few = predictions.filter(ibis._.prediction_id.endswith("7")).mutate(
        **{category: ibis.literal("never seen"), number: ibis.null("float64")}
    )

    assert faults_of(few) == {
        "rows a day against the reference's",
        f"more missing values of {number}",
        "unseen categories",
    }


def test_one_bad_window_among_good_ones_is_found(
    predictions: ir.Table,
    as_of: AsOf,
    faults_of: Callable[..., set[str]],
) -> None:
    number = COLUMNS.features_of_kind("numeric")[0]
    in_first = predictions[COLUMNS.event_time] < ibis.literal(as_of.after(7))
    half = predictions.mutate(
        **{number: ibis.ifelse(in_first, ibis.null("float64"), predictions[number])}
    ).filter(~in_first | ibis._.prediction_id.substr(18, 1).isin(list("012")))

    assert faults_of(half) == {
        "rows a day against the reference's",
        f"more missing values of {number}",
    }


@pytest.mark.parametrize(("first", "last"), [(0, 7), (1, 5)])
def test_days_on_which_nothing_came_count_as_empty(
    predictions: ir.Table,
    as_of: AsOf,
    faults_of: Callable[..., set[str]],
    first: int,
    last: int,
) -> None:
    moment = predictions[COLUMNS.event_time]
    before, after = ibis.literal(as_of.after(first)), ibis.literal(as_of.after(last))
    gap = predictions.filter((moment < before) | (moment >= after))

    assert faults_of(gap) == {"rows a day against the reference's"}


@pytest.mark.parametrize(("n_days", "stale"), [(13, False), (11, True)])
def test_data_that_stopped_coming_is_stale(
    predictions: ir.Table,
    as_of: AsOf,
    faults_of: Callable[..., set[str]],
    n_days: int,
    stale: bool,
) -> None:
    until = predictions.filter(predictions[COLUMNS.event_time] < ibis.literal(as_of.after(n_days)))

    assert faults_of(until) == ({"days since the newest row"} if stale else set())


@pytest.mark.parametrize(
    ("screening", "skew", "expected"),
    [
        (screened(largest_share=0.02), NO_SKEW, "rows in quarantine"),
        (CLEAN, skew_of(0.001), "training-serving skew"),
    ],
)
def test_rows_in_quarantine_and_skew_fail(
    predictions: ir.Table,
    faults_of: Callable[..., set[str]],
    screening: ScreeningAccount,
    skew: Skew,
    expected: str,
) -> None:
    found = faults_of(predictions, screening, skew)
    found_on_nothing = faults_of(predictions.limit(0), screening, skew)

    assert found == {expected}
    assert found_on_nothing == {expected} | NOTHING_CAME


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_that_nothing_came_or_next_to_nothing_fails(
    predictions: ir.Table, faults_of: Callable[..., set[str]], n_rows: int
) -> None:
    oldest = predictions.order_by(COLUMNS.event_time).limit(n_rows)

    assert faults_of(oldest) >= NOTHING_CAME


@pytest.mark.parametrize("days", [1, 2])
def test_that_nothing_came_fails_also_where_it_would_not_be_stale(
    predictions: ir.Table,
    drift: pd.DataFrame,
    package: ModelPackage,
    as_of: AsOf,
    params: Monitoring,
    days: int,
) -> None:
    quality = measure_quality(
        COLUMNS,
        predictions.limit(0),
        drift.head(0),
        CLEAN,
        NO_SKEW,
        package,
        as_of,
        Horizon(days=days),
        params,
    )

    assert not quality.passed
    assert quality.n_rows == 0


def test_a_margin_below_one_and_a_distance_that_is_unknown_are_refused(
    params: Monitoring,
) -> None:
    given = params.drift.model_dump()

    with pytest.raises(ValidationError) as refused:
        Drift(**(given | {"margin": 0.9, "measure": "kolmogorov_smirnov"}))

    assert {error["loc"][0] for error in refused.value.errors()} == {"margin", "measure"}


def test_a_service_that_looks_up_what_training_had_is_not_skewed(
    served: pd.DataFrame, history: History, package: ModelPackage, params: Monitoring
) -> None:
    skew = measure_skew(COLUMNS, ibis.memtable(served), history.model_input, package, params)

    assert (skew.n_served, skew.n_compared, skew.n_unknown) == (60, 60, 0)
    assert skew.share == 0
    assert [column.column for column in skew.columns] == INPUTS.names
    assert not any(column.n_differ for column in skew.columns)


def test_a_look_up_that_says_something_else_is_skew(
    served: pd.DataFrame, history: History, package: ModelPackage, params: Monitoring
) -> None:
    name = INPUTS.looked_up[0].name
    wrong = served.copy()
    wrong.loc[:11, name] = 0.123456
    wrong.loc[12:14, name] = None

    skew = measure_skew(COLUMNS, ibis.memtable(wrong), history.model_input, package, params)

    changed = int((served[name].notna() & (wrong[name] != served[name])).sum())
    assert skew.share == pytest.approx((changed + served.loc[:11, name].isna().sum()) / len(served))
    assert skew.share > 0.1
    assert {c.column for c in skew.columns if c.n_differ} == {name}


def test_what_callers_know_otherwise_is_shown_and_is_no_skew(
    served: pd.DataFrame, history: History, package: ModelPackage, params: Monitoring
) -> None:
    sent = next(c.name for c in INPUTS.sent if c.kind == "numeric" and not c.role.key)

    skew = measure_skew(
        COLUMNS,
        ibis.memtable(served.assign(**{sent: served[sent] + 1})),
        history.model_input,
        package,
        params,
    )

    [differing] = [column for column in skew.columns if column.n_differ]
    assert skew.share == 0
    assert (differing.column, differing.source) == (sent, "sent")


def test_rows_of_a_challenger_are_not_the_champions(
    served: pd.DataFrame, history: History, package: ModelPackage, params: Monitoring
) -> None:
    name = INPUTS.looked_up[0].name
    others = [
        served.assign(**{name: 0.123456, "variant": variant, "model_version": version})
        for variant, version in [
            ("shadow", "another"),
            ("canary", "another"),
            # before it became champion
            ("canary", package.version),
        ]
    ]
    before_variants = served.assign(variant=None)

    skew = measure_skew(
        COLUMNS,
        ibis.memtable(pd.concat([served, before_variants, *others])),
        history.model_input,
        package,
        params,
    )

    assert (skew.n_served, skew.share) == (120, 0)


BEFORE, SINCE = "2013-04-01T23.00.00.000Z", "2013-04-02T00.30.00.000Z"


@pytest.mark.parametrize(
    ("base", "others", "by_another"),
    [
        (BEFORE, {"model_version": "old", "predicted_at": "2013-04-02 00:10"}, 60),
        (BEFORE, {"model_version": "old", "predicted_at": "2013-04-01 23:10"}, 60),
        # restarted, more than an hour before the last answer
        (BEFORE, {"model_version": "old", "predicted_at": "2013-04-01 22:59"}, 0),
        (BEFORE, {"model_version": "tried", "variant": "canary"}, 0),
        (SINCE, {"model_version": "old"}, 0),
        (None, {"model_version": "old"}, 0),
    ],
)
def test_who_answers_instead_of_the_champion_since_it_is_one_is_counted_by_the_last_hour(
    served: pd.DataFrame,
    history: History,
    package: ModelPackage,
    params: Monitoring,
    base: str | None,
    others: dict[str, str],
    by_another: int,
) -> None:
    moment = pd.Timestamp(others.get("predicted_at", "2013-04-02"))
    rows = pd.concat([served, served.assign(**{**others, "predicted_at": moment})])
    champion = replace(package, base=base)

    skew = measure_skew(COLUMNS, ibis.memtable(rows), history.model_input, champion, params)

    answered = skew.answered
    assert answered.by_another == by_another
    assert ("came from old" in answered.in_words) == bool(by_another)


def test_only_the_newest_served_rows_are_built_again(
    served: pd.DataFrame, history: History, package: ModelPackage, params: Monitoring
) -> None:
    name = INPUTS.looked_up[0].name
    old = served.assign(predicted_at=pd.Timestamp("2013-04-01"), **{name: 0.123456})
    few = params.model_copy(update={"skew_sample_rows": 60})

    skew = measure_skew(
        COLUMNS, ibis.memtable(pd.concat([old, served])), history.model_input, package, few
    )

    assert (skew.n_served, skew.n_compared) == (120, 60)
    assert skew.share == 0


def test_rows_that_another_model_was_served_with_are_left_out(
    served: pd.DataFrame, history: History, package: ModelPackage, params: Monitoring
) -> None:
    another = served.assign(model_version="another", **{INPUTS.looked_up[0].name: None})

    skew = measure_skew(COLUMNS, ibis.memtable(another), history.model_input, package, params)

    assert (skew.n_served, skew.share) == (0, 0)


def test_rows_that_training_does_not_know_are_counted(
    served: pd.DataFrame, history: History, package: ModelPackage, params: Monitoring
) -> None:
    number = next(name for name in INPUTS.keys if INPUTS[name].kind == "numeric")
    unknown = served.assign(**{number: served[number] + 100_000})

    skew = measure_skew(COLUMNS, ibis.memtable(unknown), history.model_input, package, params)

    assert (skew.n_compared, skew.n_unknown, skew.share) == (0, 60, 0)


def test_before_anything_is_served_there_is_no_skew(
    served: pd.DataFrame, history: History, package: ModelPackage, params: Monitoring
) -> None:
    nothing = ibis.memtable(served).limit(0)

    skew = measure_skew(COLUMNS, nothing, history.model_input, package, params)

    assert (skew.n_served, skew.n_compared, skew.share) == (0, 0, 0)


def test_keys_that_the_contract_check_has_asked_are_not_asked_again(
    predictions: ir.Table,
    history: History,
    as_of: AsOf,
    horizon: Horizon,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    dataset = TableDataset(filepath=str(tmp_path / "model_input.parquet"))
    dataset.save(history.model_input.to_pyarrow().to_reader())
    model_input = dataset.load()
    labels = dataset.connection.read_parquet(dataset._filepath)
    predicted = dataset.connection.create_table("predicted", predictions.to_pyarrow())
    asked = COLUMNS, predicted, model_input, as_of, horizon
    expected, counted = joined_rows(COLUMNS, predicted, labels, as_of, horizon)

    ContractValidator("example.contracts.Observation").validate(model_input)
    monkeypatch.setattr(joining, "repeated_keys", None)
    labelled, account = joined_rows(*asked)

    assert account == counted
    pd.testing.assert_frame_equal(labelled, expected)


def test_labels_that_do_not_join_in_a_part_of_the_memory_join_in_all_of_it(
    predictions: ir.Table,
    history: History,
    as_of: AsOf,
    horizon: Horizon,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = COLUMNS, predictions, history.model_input, as_of, horizon
    expected, counted = joined_rows(*asked)

    @contextmanager
    def too_little(_: ir.Table) -> Iterator[None]:
        yield
        raise duckdb.OutOfMemoryException

    monkeypatch.setattr(engine, "in_less_memory", too_little)
    labelled, account = joined_rows(*asked)

    assert account == counted
    pd.testing.assert_frame_equal(labelled, expected)
