from collections.abc import Callable

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
from example.contracts import Observation
from example.factories import COLUMNS, tiny_package

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.dated import windows_back
from kedro_mlops.core.time_params import AsOf, Horizon, Window
from kedro_mlops.measures.drift_profile import profile
from kedro_mlops.measures.drift_reference import Reference
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.monitoring.drift import DRIFT_COLUMNS, measure_drift
from kedro_mlops.monitoring.parameters import DISTANCES, Monitoring
from kedro_mlops.task.task import Calibration

TIME = Columns.of(Observation).event_time
AS_OF, WEEK = AsOf("2013-04-01"), Window(days=7)
ROWS_A_DAY = 100
SEASON = (0.0, 3.0, 0.0, -3.0)


def weeks(start: pd.Timestamp, levels: dict[str, tuple[float, ...]], seed: int) -> pd.DataFrame:
    """Rows of some weeks whose numbers vary by 1 around each week's level."""
    n_weeks = len(next(iter(levels.values())))
    rng = np.random.default_rng(seed)
    n_rows = n_weeks * 7 * ROWS_A_DAY
    rows = pd.DataFrame(
        {name: np.repeat(level, n_rows // n_weeks) for name, level in levels.items()}
    )
    minutes = np.linspace(0, n_weeks * 7 * 24 * 60 - 1, n_rows).astype(int)
    return (rows + rng.normal(0, 1, rows.shape)).assign(
        **{TIME: start + pd.to_timedelta(minutes, unit="min")},
        probability=rng.random(n_rows),
        kind=rng.choice(["a", "b"], n_rows),
    )


@pytest.fixture(scope="module")
def champion() -> ModelPackage:
    """Trained on twelve weeks of one column that swings and one that does not."""
    levels = {"seasonal": SEASON * 3, "steady": (0.0,) * 12}
    rows = ibis.memtable(weeks(AS_OF.before(84), levels, seed=0))
    week = windows_back(rows[TIME], AS_OF.moment, WEEK.days)
    package = tiny_package()
    reference = Reference(
        n_days=84,
        features=profile(rows, ["seasonal", "steady"], ["kind"], week),
        score=profile(rows, ["probability"], [], week),
        calibration=Calibration(intercept=0, slope=1),
    )
    return ModelPackage(package.estimator, package.metadata, reference, evaluated=None)


@pytest.fixture
def drift_of(champion: ModelPackage, params: Monitoring) -> Callable[..., pd.DataFrame]:
    """The drift of one week in which both columns are as high as they are given."""

    def measure(seasonal: float, steady: float, **drift: object) -> pd.DataFrame:
        rows = weeks(AS_OF.moment, {"seasonal": (seasonal,), "steady": (steady,)}, seed=1)
        given = params.model_copy(update={"drift": params.drift.model_copy(update=drift)})
        table = ibis.memtable(rows)
        found = measure_drift(COLUMNS, table, champion, AS_OF, Horizon(days=7), WEEK, given)
        return found.set_index("column")

    return measure


@pytest.mark.parametrize("measure", DISTANCES)
@pytest.mark.parametrize("level", [-3.0, 3.0])
def test_what_swings_as_it_did_in_training_has_not_drifted_and_what_never_did_has(
    drift_of: Callable[..., pd.DataFrame], measure: str, level: float
) -> None:
    drift = drift_of(seasonal=level, steady=level, measure=measure)

    assert drift.loc["steady", "drifted"]
    assert not drift.loc["seasonal", "drifted"]
    # and not for being near: the usual limit would have flagged it
    assert drift.loc["seasonal", measure] > drift.loc["steady", f"{measure}_limit"]


def test_a_large_distance_that_is_normal_is_explained_and_a_drift_is_named(
    drift_of: Callable[..., pd.DataFrame], champion: ModelPackage
) -> None:
    swing = champion.reference.features.normal["seasonal"]["psi"]

    words = drift_of(seasonal=3.0, steady=3.0, measure="psi")["in_words"]

    assert words["steady"].startswith("Drifted: PSI ")
    assert words["seasonal"].startswith("Not drifted, though PSI ")
    assert f"were up to {swing:.3g} from what preceded them." in words["seasonal"]
    assert words["kind"] == words["probability"] == ""


def test_by_significance_everything_has_drifted(drift_of: Callable[..., pd.DataFrame]) -> None:
    by_test = drift_of(seasonal=3.0, steady=0.3, measure="p_value")
    by_effect = drift_of(seasonal=3.0, steady=0.3, measure="psi")

    assert by_test.loc[["seasonal", "steady"], "drifted"].all()
    assert not by_effect.loc[["seasonal", "steady"], "drifted"].any()


def test_what_swings_farther_than_it_ever_did_has_drifted(
    drift_of: Callable[..., pd.DataFrame],
) -> None:
    drift = drift_of(seasonal=8, steady=0, measure="wasserstein")

    assert drift["drifted"].to_dict() == {
        "seasonal": True,
        "steady": False,
        "kind": False,
        "probability": False,
    }


def test_no_limit_is_below_the_floor_or_the_margin_of_what_is_normal(
    drift_of: Callable[..., pd.DataFrame], champion: ModelPackage
) -> None:
    floors = {"psi": 0.3, "jensen_shannon": 0.01, "wasserstein": 0.0}
    normal = champion.reference.features.normal

    drift = drift_of(seasonal=0, steady=0, margin=2, floors=floors)

    assert drift.loc["steady", "psi_limit"] == 0.3 > 2 * normal["steady"]["psi"]
    for column, distance in (("seasonal", "psi"), ("steady", "jensen_shannon")):
        limit = drift.loc[column, f"{distance}_limit"]
        assert limit == pytest.approx(2 * normal[column][distance])


def test_the_column_farthest_for_its_limit_comes_first_of_the_features(
    drift_of: Callable[..., pd.DataFrame],
) -> None:
    drift = drift_of(seasonal=3, steady=1.5)

    assert drift.index[:3].tolist() == ["probability", "steady", "seasonal"]
    assert drift.loc["seasonal", "psi"] > drift.loc["steady", "psi"]


def test_missing_values_have_a_limit_of_their_own(
    champion: ModelPackage, params: Monitoring
) -> None:
    rows = weeks(AS_OF.moment, {"seasonal": (0.0,), "steady": (0.0,)}, seed=1)
    rows.loc[rows.index % 2 == 0, "steady"] = np.nan
    limited = params.model_copy(update={"max_missing_share_increase": 0.25})

    drift = measure_drift(
        COLUMNS, ibis.memtable(rows), champion, AS_OF, Horizon(days=7), WEEK, limited
    ).set_index("column")

    assert drift.loc["steady", "missing_share"] == 0.5
    assert drift.loc["steady", "missing_increase"] == 0.5
    assert (drift["missing_limit"] == 0.25).all()


def test_a_horizon_that_is_no_multiple_of_a_window_has_a_longer_oldest_one(
    champion: ModelPackage, params: Monitoring
) -> None:
    levels = {"seasonal": (0.0,) * 5, "steady": (0.0,) * 5}
    rows = weeks(AS_OF.moment, levels, seed=1)
    month = rows[rows[TIME] < AS_OF.after(31)]

    drift = measure_drift(
        COLUMNS, ibis.memtable(month), champion, AS_OF, Horizon(days=31), WEEK, params
    )

    windows = drift.drop_duplicates("window_start")
    assert list(zip(windows["window_start"], windows["window_end"], strict=True)) == [
        ("2013-04-25", "2013-05-02"),
        ("2013-04-18", "2013-04-25"),
        ("2013-04-11", "2013-04-18"),
        ("2013-04-01", "2013-04-11"),
    ]
    assert windows["n_days"].tolist() == [7, 7, 7, 10]
    assert windows["n_rows"].sum() == len(month)
    assert windows["n_rows"].iloc[-1] == pytest.approx(10 * ROWS_A_DAY, rel=0.01)


def test_a_horizon_shorter_than_a_window_is_one(champion: ModelPackage, params: Monitoring) -> None:
    rows = weeks(AS_OF.moment, {"seasonal": (0.0,), "steady": (0.0,)}, seed=1)
    three_days = rows[rows[TIME] < AS_OF.after(3)]

    drift = measure_drift(
        COLUMNS, ibis.memtable(three_days), champion, AS_OF, Horizon(days=3), WEEK, params
    )

    assert set(drift["window_start"]) == {"2013-04-01"}
    assert set(drift["window_end"]) == {"2013-04-04"}


def test_windows_without_predictions_are_left_out(
    champion: ModelPackage, params: Monitoring
) -> None:
    rows = weeks(AS_OF.moment, {"seasonal": (0.0,) * 3, "steady": (0.0,) * 3}, seed=1)
    gap = rows[(rows[TIME] < AS_OF.after(7)) | (rows[TIME] >= AS_OF.after(14))]

    drift = measure_drift(
        COLUMNS, ibis.memtable(gap), champion, AS_OF, Horizon(days=21), WEEK, params
    )

    assert drift["window_start"].unique().tolist() == ["2013-04-15", "2013-04-01"]


def test_where_nothing_was_predicted_the_table_has_its_columns_and_no_rows(
    predictions: ir.Table,
    package: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    window: Window,
    params: Monitoring,
) -> None:
    drift = measure_drift(COLUMNS, predictions.limit(0), package, as_of, horizon, window, params)

    assert drift.empty
    assert drift.columns.tolist() == DRIFT_COLUMNS


def test_a_reference_too_short_for_windows_leaves_the_floors(
    champion: ModelPackage, params: Monitoring
) -> None:
    alone = champion.reference.features.model_copy(update={"normal": {}})
    reference = champion.reference.model_copy(update={"features": alone})
    package = ModelPackage(champion.estimator, champion.metadata, reference, evaluated=None)
    rows = ibis.memtable(weeks(AS_OF.moment, {"seasonal": (3.0,), "steady": (0.0,)}, seed=1))

    drift = measure_drift(COLUMNS, rows, package, AS_OF, Horizon(days=7), WEEK, params)

    features = drift[drift["kind"] == "feature"].set_index("column")
    assert (features["psi_limit"] == params.drift.floors["psi"]).all()
    assert features["drifted"].to_dict() == {"seasonal": True, "steady": False, "kind": False}


def test_every_feature_of_real_rows_is_compared_in_every_window(
    drift: pd.DataFrame, predictions: ir.Table
) -> None:
    expected = {*Columns.of(Observation).features, "probability"} - {TIME}

    by_window = drift.groupby("window_start")["column"].agg(set)

    assert by_window.to_dict() == {"2013-04-01": expected, "2013-04-08": expected}
    assert drift.columns.tolist() == DRIFT_COLUMNS
    counted = drift.drop_duplicates("window_start")["n_rows"].sum()
    assert counted == predictions.count().execute()


def test_tests_of_significance_flag_most_real_columns_and_the_limits_few(
    drift: pd.DataFrame,
) -> None:
    features = drift[drift["kind"] == "feature"]

    significant = (features["p_value"] < 0.01).mean()
    beyond_common_floor = (features["psi"] > 0.2).mean()
    drifted = features["drifted"].mean()

    assert significant > 0.5
    assert beyond_common_floor > 0.35
    assert drifted < 0.1


def test_rows_of_training_itself_have_not_drifted(
    package: ModelPackage, history, as_of: AsOf, window: Window, params: Monitoring
) -> None:
    table = history.model_input
    known = table.filter(table[Columns.of(Observation).label_time] < ibis.literal(as_of.moment))
    start = AsOf("2013-01-01")

    drift = measure_drift(
        COLUMNS,
        known.mutate(probability=0.5),
        package,
        start,
        Horizon(days=90),
        Window(days=90),
        params,
    )

    features = drift[drift["kind"] == "feature"]
    assert features["psi"].max() < 0.01
    assert features["wasserstein"].max() < 0.01
    assert features["p_value"].min() > 0.9
