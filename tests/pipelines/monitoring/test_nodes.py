from typing import Any

import ibis
import pandas as pd
import pytest

from flight_delays.columns import Columns
from flight_delays.contracts import Inputs, Observation
from flight_delays.metrics import Bootstrap
from flight_delays.model_package import ModelPackage
from flight_delays.moments import AsOf, Horizon
from flight_delays.pipelines.monitoring.nodes import (
    Monitoring,
    decide,
    join_labels,
    measure_drift,
    measure_performance,
    measure_quality,
    measure_skew,
    measure_weeks,
)
from flight_delays.pipelines.scoring.nodes import score
from tests.conftest import Engineered

COLUMNS, INPUTS = Columns.of(Observation), Columns.of(Inputs)
CLEAN = {"largest_share": 0.0, "max_quarantine_share": 0.01}
NO_SKEW = {"share": 0.0}


@pytest.fixture(scope="module")
def params(configured: Any) -> Monitoring:
    return Monitoring(**(configured("monitoring") | {"min_labelled_rows": 100}))


@pytest.fixture(scope="module")
def predictions(
    package: ModelPackage, engineered: Engineered, as_of: AsOf, horizon: Horizon
) -> ibis.Table:
    return score(package, engineered.model_input, as_of, horizon).cache()


@pytest.fixture(scope="module")
def labelled(
    predictions: ibis.Table, engineered: Engineered, as_of: AsOf, horizon: Horizon
) -> pd.DataFrame:
    return join_labels(predictions, engineered.model_input, as_of, horizon)


@pytest.fixture(scope="module")
def drift(predictions: ibis.Table, package: ModelPackage) -> pd.DataFrame:
    return measure_drift(predictions, package)


@pytest.fixture(scope="module")
def quality(
    predictions: ibis.Table, drift: pd.DataFrame, package: ModelPackage, params: Monitoring
) -> dict[str, Any]:
    return measure_quality(predictions, drift, CLEAN, NO_SKEW, package, params)


@pytest.fixture(scope="module")
def served(engineered: Engineered, package: ModelPackage) -> pd.DataFrame:
    """60 rows as a service that looks up what training had would log them."""
    rows = engineered.model_input.order_by(INPUTS.keys).limit(60).select(INPUTS.names).to_pandas()
    return rows.assign(predicted_at=pd.Timestamp("2013-04-02"), model_version=package.version)


@pytest.fixture(scope="module")
def performance(
    labelled: pd.DataFrame,
    package: ModelPackage,
    as_of: AsOf,
    params: Monitoring,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    return measure_performance(labelled, package, as_of, params, bootstrap)


def test_no_prediction_is_lost_or_doubled_by_its_label(
    labelled: pd.DataFrame, predictions: ibis.Table
) -> None:
    keys = labelled[COLUMNS.keys]

    assert len(labelled) == predictions.count().execute()
    assert not keys.duplicated().any()


def test_only_labels_known_at_the_end_of_the_horizon_are_joined(
    predictions: ibis.Table, engineered: Engineered, as_of: AsOf
) -> None:
    two_days = Horizon(days=2)
    end = as_of.after(2)
    known = engineered.model_input.to_pandas().set_index(COLUMNS.keys)[COLUMNS.label_time]

    labelled = join_labels(predictions, engineered.model_input, as_of, two_days)

    with_label = labelled.dropna(subset=[COLUMNS.label]).set_index(COLUMNS.keys).index
    assert len(with_label) > 0
    assert (known.loc[with_label] < end).all()


def test_rows_like_the_reference_do_not_drift(
    engineered: Engineered, package: ModelPackage, as_of: AsOf
) -> None:
    reference = engineered.model_input.filter(
        engineered.model_input[COLUMNS.label_time] < ibis.literal(as_of.moment)
    ).mutate(probability=0.5)

    drift = measure_drift(reference, package)

    features = drift[drift["kind"] == "feature"]
    assert set(features["column"]) == set(COLUMNS.features) - {COLUMNS.event_time}
    assert features["psi"].max() < 0.01


def test_good_data_passes(quality: dict[str, Any], horizon: Horizon) -> None:
    assert quality["passed"]
    assert quality["n_days"] == horizon.days


def test_missing_values_unseen_categories_and_lost_rows_fail(
    predictions: ibis.Table, package: ModelPackage, params: Monitoring
) -> None:
    category = COLUMNS.features_of_kind("categorical")[0]
    number = COLUMNS.features_of_kind("numeric")[0]
    broken = predictions.filter(ibis._.prediction_id.endswith("7")).mutate(
        **{category: ibis.literal("never seen"), number: ibis.null("float64")}
    )

    drift = measure_drift(broken, package)
    quality = measure_quality(broken, drift, CLEAN, NO_SKEW, package, params)

    failed = {check["name"] for check in quality["checks"] if not check["passed"]}
    assert failed == {"volume", "missing values", "unseen categories"}
    assert not quality["passed"]


@pytest.mark.parametrize(
    ("screening", "skew", "expected"),
    [
        (CLEAN | {"largest_share": 0.02}, NO_SKEW, "rows in quarantine"),
        (CLEAN, {"share": 0.001}, "training-serving skew"),
    ],
)
def test_rows_in_quarantine_and_skew_fail(
    predictions: ibis.Table,
    drift: pd.DataFrame,
    package: ModelPackage,
    params: Monitoring,
    screening: dict[str, Any],
    skew: dict[str, Any],
    expected: str,
) -> None:
    quality = measure_quality(predictions, drift, screening, skew, package, params)

    failed = [check["name"] for check in quality["checks"] if not check["passed"]]
    assert failed == [expected]


def test_a_service_that_looks_up_what_training_had_is_not_skewed(
    served: pd.DataFrame, engineered: Engineered, package: ModelPackage, params: Monitoring
) -> None:
    skew = measure_skew(ibis.memtable(served), engineered.model_input, package, params)

    assert (skew["n_served"], skew["n_compared"], skew["n_unknown"]) == (60, 60, 0)
    assert skew["share"] == 0
    assert [column["column"] for column in skew["columns"]] == INPUTS.names
    assert not any(column["n_differ"] for column in skew["columns"])


def test_a_look_up_that_says_something_else_is_skew(
    served: pd.DataFrame, engineered: Engineered, package: ModelPackage, params: Monitoring
) -> None:
    name = INPUTS.looked_up[0].name
    wrong = served.copy()
    wrong.loc[:11, name] = 0.123456
    wrong.loc[12:14, name] = None

    skew = measure_skew(ibis.memtable(wrong), engineered.model_input, package, params)

    changed = int((served[name].notna() & (wrong[name] != served[name])).sum())
    assert skew["share"] == pytest.approx(
        (changed + served.loc[:11, name].isna().sum()) / len(served)
    )
    assert skew["share"] > 0.1
    assert {c["column"] for c in skew["columns"] if c["n_differ"]} == {name}


def test_what_callers_know_otherwise_is_shown_and_is_no_skew(
    served: pd.DataFrame, engineered: Engineered, package: ModelPackage, params: Monitoring
) -> None:
    sent = next(c.name for c in INPUTS.sent if c.kind == "numeric" and not c.role.key)

    skew = measure_skew(
        ibis.memtable(served.assign(**{sent: served[sent] + 1})),
        engineered.model_input,
        package,
        params,
    )

    [differing] = [column for column in skew["columns"] if column["n_differ"]]
    assert skew["share"] == 0
    assert (differing["column"], differing["source"]) == (sent, "sent")


def test_only_the_newest_served_rows_are_built_again(
    served: pd.DataFrame, engineered: Engineered, package: ModelPackage, params: Monitoring
) -> None:
    name = INPUTS.looked_up[0].name
    old = served.assign(predicted_at=pd.Timestamp("2013-04-01"), **{name: 0.123456})
    few = params.model_copy(update={"skew_sample_rows": 60})

    skew = measure_skew(
        ibis.memtable(pd.concat([old, served])), engineered.model_input, package, few
    )

    assert (skew["n_served"], skew["n_compared"]) == (120, 60)
    assert skew["share"] == 0


def test_rows_that_another_model_was_served_with_are_left_out(
    served: pd.DataFrame, engineered: Engineered, package: ModelPackage, params: Monitoring
) -> None:
    another = served.assign(model_version="another", **{INPUTS.looked_up[0].name: None})

    skew = measure_skew(ibis.memtable(another), engineered.model_input, package, params)

    assert (skew["n_served"], skew["share"]) == (0, 0)


def test_rows_that_training_does_not_know_are_counted(
    served: pd.DataFrame, engineered: Engineered, package: ModelPackage, params: Monitoring
) -> None:
    number = next(name for name in INPUTS.keys if INPUTS[name].kind == "numeric")
    unknown = served.assign(**{number: served[number] + 100_000})

    skew = measure_skew(ibis.memtable(unknown), engineered.model_input, package, params)

    assert (skew["n_compared"], skew["n_unknown"], skew["share"]) == (0, 60, 0)


def test_before_anything_is_served_there_is_no_skew(
    served: pd.DataFrame, engineered: Engineered, package: ModelPackage, params: Monitoring
) -> None:
    nothing = ibis.memtable(served).limit(0)

    skew = measure_skew(nothing, engineered.model_input, package, params)

    assert (skew["n_served"], skew["n_compared"], skew["share"]) == (0, 0, 0)


def test_performance_says_its_coverage(
    performance: dict[str, Any], labelled: pd.DataFrame, package: ModelPackage
) -> None:
    known = labelled[COLUMNS.label].notna().sum()

    assert performance["n_labelled"] == known
    assert performance["label_coverage"] == known / len(labelled)
    assert performance["metrics"]["roc_auc"]["low"] < performance["metrics"]["roc_auc"]["value"]
    assert performance["reference"] == package.metadata.metrics


def test_too_few_labels_say_nothing(
    labelled: pd.DataFrame,
    package: ModelPackage,
    as_of: AsOf,
    params: Monitoring,
    bootstrap: Bootstrap,
) -> None:
    few = labelled.dropna(subset=[COLUMNS.label]).head(params.min_labelled_rows - 1)

    performance = measure_performance(few, package, as_of, params, bootstrap)

    assert "99 labelled rows, 100 are needed" in performance["unknown_because"]
    assert performance["metrics"] == {}


def test_a_champion_that_has_learned_from_the_rows_is_not_judged_by_them(
    labelled: pd.DataFrame, package: ModelPackage, params: Monitoring, bootstrap: Bootstrap
) -> None:
    before_it_was_trained = AsOf("2013-03-20")

    performance = measure_performance(labelled, package, before_it_was_trained, params, bootstrap)

    assert "trained as of 2013-04-01" in performance["unknown_because"]
    assert performance["metrics"] == {}


def test_weeks_cover_every_prediction(
    labelled: pd.DataFrame, as_of: AsOf, bootstrap: Bootstrap
) -> None:
    weekly = measure_weeks(labelled, as_of, bootstrap)

    assert weekly["n_predictions"].sum() == len(labelled)
    assert weekly["week_of"].tolist() == ["2013-04-01", "2013-04-08"]
    assert (weekly["log_loss_low"] <= weekly["log_loss"]).all()


def test_an_empty_horizon_has_no_weeks(
    labelled: pd.DataFrame, as_of: AsOf, bootstrap: Bootstrap
) -> None:
    weekly = measure_weeks(labelled.head(0), as_of, bootstrap)

    assert len(weekly) == 0
    assert "log_loss" in weekly


@pytest.fixture
def decided(
    quality: dict[str, Any],
    drift: pd.DataFrame,
    performance: dict[str, Any],
    package: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    params: Monitoring,
) -> Any:
    """Decide, with some of the inputs replaced."""

    def run(**replaced: Any) -> dict[str, Any]:
        given = {
            "quality": quality,
            "drift": drift,
            "performance": performance,
            "champion": package,
            "as_of": as_of,
            "horizon": horizon,
            "params": params,
        }
        return decide(**(given | replaced))

    return run


def as_expected(performance: dict[str, Any], log_loss: float) -> dict[str, Any]:
    interval = {"value": log_loss, "low": log_loss - 0.01, "high": log_loss + 0.01}
    reference = {"log_loss": {"value": 0.5, "low": 0.45, "high": 0.55}}
    return performance | {"metrics": {"log_loss": interval}, "reference": reference}


def test_a_champion_that_does_as_expected_is_left_alone(
    decided: Any, performance: dict[str, Any]
) -> None:
    decision = decided(performance=as_expected(performance, 0.52))

    assert decision["outcome"] == "wait"
    assert len(decision["reasons"]) == 2


def test_performance_lost_beyond_its_interval_retrains(
    decided: Any, performance: dict[str, Any]
) -> None:
    decision = decided(performance=as_expected(performance, 0.60))

    assert decision["outcome"] == "retrain"
    assert "worse than" in decision["reasons"][0]


def test_an_old_champion_is_retrained_on_schedule(
    decided: Any, performance: dict[str, Any], params: Monitoring
) -> None:
    strict = params.model_copy(update={"max_age_days": 3})

    decision = decided(performance=as_expected(performance, 0.5), params=strict)

    assert decision["outcome"] == "retrain"
    assert "14 days old" in decision["reasons"][0]


def test_bad_data_vetoes_retraining(
    decided: Any, performance: dict[str, Any], quality: dict[str, Any]
) -> None:
    failed = {"name": "volume", "passed": False, "value": 0.1, "limit": 0.5}
    bad = quality | {"passed": False, "checks": [failed]}

    decision = decided(performance=as_expected(performance, 0.60), quality=bad)

    assert decision["outcome"] == "wait"
    assert decision["reasons"] == ["Bad data vetoes retraining: volume 0.1, limit 0.5."]
    assert decision["vetoes"] == [failed]


def test_drift_alone_never_retrains(
    decided: Any, performance: dict[str, Any], drift: pd.DataFrame
) -> None:
    drifted = drift.assign(psi=9.0)

    decision = decided(performance=as_expected(performance, 0.5), drift=drifted)

    assert decision["outcome"] == "wait"
    assert set(decision["drifted"]) == set(drift["column"])


def test_without_enough_labels_the_decision_says_so(
    decided: Any, performance: dict[str, Any]
) -> None:
    unknown = performance | {"metrics": {}, "unknown_because": "Not enough data: 7 rows."}

    decision = decided(performance=unknown)

    assert decision["outcome"] == "wait"
    assert decision["reasons"][0] == "Not enough data: 7 rows."
