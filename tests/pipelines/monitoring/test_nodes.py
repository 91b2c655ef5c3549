from typing import Any

import ibis
import pandas as pd
import pytest

from flight_delays.columns import Columns
from flight_delays.contracts import Observation
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
    measure_weeks,
)
from flight_delays.pipelines.scoring.nodes import score
from tests.conftest import Engineered

COLUMNS = Columns.of(Observation)


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
    return measure_quality(predictions, drift, package, params)


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

    quality = measure_quality(broken, measure_drift(broken, package), package, params)

    failed = {check["name"] for check in quality["checks"] if not check["passed"]}
    assert failed == {"volume", "missing values", "unseen categories"}
    assert not quality["passed"]


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
