from collections.abc import Callable
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
from example.contracts import Observation
from example.factories import protected, tiny_package

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.monitoring.findings import Performance
from kedro_mlops.monitoring.parameters import Monitoring
from kedro_mlops.monitoring.performance import WINDOW_COLUMNS, measure_performance, measure_windows
from kedro_mlops.task.task import Calibration

COLUMNS = Columns.of(Observation)
TIME, Y = COLUMNS.event_time, COLUMNS.label
ACCOUNT = {"predictions": 0, "known": 0, "pending": 0}
NOT_ENOUGH = "Not enough data to judge performance"


@pytest.fixture(scope="module")
def champion() -> ModelPackage:
    """Its scores are too sure, and its calibration knows how much."""
    package = tiny_package(as_of=AsOf("2013-04-01").moment, trained_until=AsOf("2013-04-01").moment)
    calibration = Calibration(intercept=-0.7, slope=0.6)
    reference = package.reference.model_copy(update={"calibration": calibration})
    return ModelPackage(package.estimator, package.metadata, reference, evaluated=None)


@pytest.fixture(scope="module")
def calibrated(champion: ModelPackage) -> pd.DataFrame:
    """30,000 scores of 30 days, and labels that are drawn with their calibrated chance."""
    rng = np.random.default_rng(0)
    scores = rng.beta(1, 2, 30_000)
    chance = COLUMNS.task.expected(scores, champion.reference.calibration, None)
    keys = {name: np.arange(len(scores)) for name in COLUMNS.keys if name != TIME}
    return pd.DataFrame(
        {
            **keys,
            TIME: np.repeat(pd.date_range("2013-04-01", periods=30), 1000),
            "probability": scores,
            "decision": scores >= 0.5,
            Y: pd.array((rng.random(len(scores)) < chance).astype(int), dtype="Int8"),
        }
    )


@pytest.fixture
def judge(
    champion: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    params: Monitoring,
    bootstrap: Bootstrap,
    fairness: dict[str, Any],
) -> Callable[..., Performance]:
    def run(labelled: pd.DataFrame, contract: Columns = COLUMNS, **replaced: Any) -> Performance:
        given = {
            "labelled": ibis.memtable(labelled),
            "labels": ACCOUNT,
            "new_labels": 0,
            "champion": champion,
            "as_of": as_of,
            "horizon": horizon,
            "params": params,
            "bootstrap": bootstrap,
            "fairness": fairness,
        }
        return measure_performance(contract, **(given | replaced))

    return run


@pytest.mark.parametrize("flagged", ["alike", "unlike"])
def test_groups_of_protected_columns_are_compared_within_the_limits_of_the_gate(
    judge: Callable[..., Performance], calibrated: pd.DataFrame, flagged: str
) -> None:
    small = np.arange(len(calibrated)) % 3 == 0
    chance = np.where(small & (flagged == "unlike"), 0.7, 0.4)
    rows = calibrated.assign(
        van=np.where(small, "small", "large"),
        decision=np.random.default_rng(0).random(len(small)) < chance,
    )

    found = judge(rows, protected(COLUMNS, "van"))

    assert [(row["protected"], row["group"]) for row in found.groups] == [
        ("van", "large"),
        ("van", "small"),
    ]
    assert len(found.fairness) == 3
    assert all(check.passed == (flagged == "alike") for check in found.fairness)
    assert Performance.model_validate_json(found.model_dump_json()) == found


def test_groups_are_not_compared_where_performance_is_unknown(
    judge: Callable[..., Performance], calibrated: pd.DataFrame
) -> None:
    few = calibrated.assign(van="v", **{Y: calibrated[Y].where(calibrated.index < 10)})

    found = judge(few, protected(COLUMNS, "van"))

    assert found.unknown_because
    assert found.groups == found.fairness == []


def test_without_a_protected_column_nothing_is_said_of_groups(
    judge: Callable[..., Performance], calibrated: pd.DataFrame
) -> None:
    assert not {"groups", "fairness"} & set(judge(calibrated).model_dump())


def test_performance_says_its_coverage_and_what_was_to_be_expected(
    performance: Performance, labelled: pd.DataFrame, account: dict[str, int], package
) -> None:
    known = labelled[Y].notna().sum()

    assert performance.n_labelled == known
    assert performance.label_coverage == known / len(labelled)
    assert performance.metrics["roc_auc"].low < performance.metrics["roc_auc"].value
    assert performance.reference == package.metadata.metrics
    assert performance.labels == account
    assert performance.new_labels == 1234


def test_the_estimate_without_labels_is_what_labels_say_while_the_scores_hold(
    judge: Callable[..., Performance], calibrated: pd.DataFrame
) -> None:
    silent = calibrated.assign(**{Y: pd.array([None] * len(calibrated), dtype="Int8")})

    realised, estimated = judge(calibrated).metrics, judge(silent).estimated

    for metric in ("log_loss", "roc_auc"):
        assert estimated[metric].value == pytest.approx(realised[metric].value, abs=0.01)
        assert realised[metric].low < estimated[metric].value < realised[metric].high
    # the scores as they are would have promised more
    uncalibrated = calibrated["probability"]
    promised = -(uncalibrated * np.log(uncalibrated) + (1 - uncalibrated) * np.log1p(-uncalibrated))
    assert abs(promised.mean() - realised["log_loss"].value) > 0.02


def test_harder_rows_are_seen_by_the_estimate(
    judge: Callable[..., Performance], calibrated: pd.DataFrame
) -> None:
    undecided = calibrated[calibrated["probability"].between(0.4, 0.9)]

    usual, hard = judge(calibrated), judge(undecided)

    assert hard.metrics["log_loss"].low > usual.metrics["log_loss"].high
    assert hard.estimated["log_loss"].low > usual.estimated["log_loss"].high


def test_a_world_that_changed_is_seen_by_the_labels_and_not_by_the_estimate(
    judge: Callable[..., Performance], calibrated: pd.DataFrame
) -> None:
    upside_down = calibrated.assign(**{Y: 1 - calibrated[Y]})

    before, now = judge(calibrated), judge(upside_down)

    assert now.estimated == before.estimated
    assert now.metrics["log_loss"].low > now.estimated["log_loss"].high + 0.2
    assert now.metrics["roc_auc"].high < 0.5 < now.estimated["roc_auc"].low


def test_too_few_labels_say_nothing(
    judge: Callable[..., Performance], calibrated: pd.DataFrame, params: Monitoring
) -> None:
    few = calibrated.head(params.min_labelled_rows - 1)

    performance = judge(few)

    assert performance.unknown_because == (f"{NOT_ENOUGH}: 99 labelled rows, 100 are needed.")
    assert performance.metrics == performance.estimated == {}


def test_labels_of_a_minority_say_nothing_and_the_estimate_is_there(
    judge: Callable[..., Performance], calibrated: pd.DataFrame
) -> None:
    late = calibrated.copy()
    late.loc[9000:, Y] = pd.NA

    performance = judge(late)

    assert performance.unknown_because == (
        f"{NOT_ENOUGH}: 30.0% of the predictions have their label, 50% are needed."
    )
    assert performance.metrics == {}
    assert set(performance.estimated) == {"log_loss", "roc_auc"}


@pytest.mark.parametrize("label", [0, 1])
def test_labels_of_one_class_say_nothing(
    judge: Callable[..., Performance], calibrated: pd.DataFrame, label: int
) -> None:
    performance = judge(calibrated[calibrated[Y] == label])

    assert performance.unknown_because == f"{NOT_ENOUGH}: all labels are the same."
    assert performance.metrics == {}


def test_an_empty_horizon_says_nothing(
    judge: Callable[..., Performance], labelled: pd.DataFrame
) -> None:
    performance = judge(labelled.head(0))

    assert performance.unknown_because.startswith(f"{NOT_ENOUGH}: 0 labelled rows")
    assert performance.label_coverage == 0
    assert performance.metrics == performance.estimated == {}


def test_a_champion_that_has_learned_from_the_rows_is_not_judged_by_them(
    judge: Callable[..., Performance], calibrated: pd.DataFrame
) -> None:
    performance = judge(calibrated, as_of=AsOf("2013-03-20"))

    assert "trained as of 2013-04-01" in performance.unknown_because
    assert performance.metrics == performance.estimated == {}


def test_windows_cover_every_prediction_and_are_told_oldest_first(
    labelled: pd.DataFrame,
    drift: pd.DataFrame,
    package: ModelPackage,
    params: Monitoring,
    bootstrap: Bootstrap,
) -> None:
    windows = measure_windows(COLUMNS, ibis.memtable(labelled), drift, package, params, bootstrap)

    assert windows["window_start"].tolist() == ["2013-04-01", "2013-04-08"]
    assert windows["n_predictions"].sum() == len(labelled)
    assert windows["n_labelled"].sum() == labelled[Y].notna().sum()
    for metric in ("log_loss", "estimated_log_loss", "roc_auc", "estimated_roc_auc"):
        assert (windows[f"{metric}_low"] <= windows[metric]).all()
        assert (windows[metric] <= windows[f"{metric}_high"]).all()
    assert set(windows["model_version"]) == {package.version}


@pytest.mark.parametrize(
    ("beyond", "min_features", "drifted"),
    [
        ({"feature": 0, "score": 0}, 1, False),
        ({"feature": 1, "score": 0}, 1, True),
        ({"feature": 1, "score": 0}, 2, False),
        ({"feature": 2, "score": 0}, 2, True),
        ({"feature": 0, "score": 1}, 2, True),
    ],
)
def test_a_window_has_drifted_with_its_score_or_with_enough_features(
    labelled: pd.DataFrame,
    drift: pd.DataFrame,
    package: ModelPackage,
    params: Monitoring,
    bootstrap: Bootstrap,
    beyond: dict[str, int],
    min_features: int,
    drifted: bool,
) -> None:
    newest = drift[drift["window_end"] == drift["window_end"].max()]
    rank = newest.groupby("kind").cumcount()
    marked = newest.assign(drifted=rank < newest["kind"].map(beyond))
    stricter = params.drift.model_copy(update={"min_features": min_features})

    windows = measure_windows(
        COLUMNS,
        ibis.memtable(labelled),
        marked,
        package,
        params.model_copy(update={"drift": stricter}),
        bootstrap,
    )

    [window] = windows.to_dict(orient="records")
    assert window["drifted"] is drifted
    names = marked.loc[marked["drifted"], "column"].tolist()
    assert window["drifted_columns"] == ", ".join(names)


def test_a_window_without_labels_has_only_its_estimate(
    labelled: pd.DataFrame,
    drift: pd.DataFrame,
    package: ModelPackage,
    params: Monitoring,
    bootstrap: Bootstrap,
) -> None:
    late = labelled.copy()
    late.loc[late[TIME] >= pd.Timestamp("2013-04-08"), Y] = pd.NA

    first, second = measure_windows(
        COLUMNS, ibis.memtable(late), drift, package, params, bootstrap
    ).to_dict("records")

    assert first["label_coverage"] == pytest.approx(1, abs=0.1)
    assert np.isfinite(first["log_loss"])
    assert second["label_coverage"] == 0
    assert np.isnan(second["log_loss"])
    assert np.isfinite([second["estimated_log_loss"], second["estimated_roc_auc"]]).all()


def test_windows_that_the_champion_has_learned_from_have_no_figures(
    labelled: pd.DataFrame,
    drift: pd.DataFrame,
    package: ModelPackage,
    params: Monitoring,
    bootstrap: Bootstrap,
) -> None:
    later = package.with_record(trained_until=pd.Timestamp("2013-04-08"))

    first, second = measure_windows(
        COLUMNS, ibis.memtable(labelled), drift, later, params, bootstrap
    ).to_dict("records")

    assert np.isnan([first["log_loss"], first["estimated_log_loss"]]).all()
    assert np.isfinite([second["log_loss"], second["estimated_log_loss"]]).all()


def test_an_empty_horizon_has_no_windows(
    labelled: pd.DataFrame,
    drift: pd.DataFrame,
    package: ModelPackage,
    params: Monitoring,
    bootstrap: Bootstrap,
) -> None:
    windows = measure_windows(
        COLUMNS, ibis.memtable(labelled.head(0)), drift.head(0), package, params, bootstrap
    )

    assert windows.empty
    assert windows.columns.tolist()[: len(WINDOW_COLUMNS)] == WINDOW_COLUMNS
    assert {"log_loss", "estimated_roc_auc_high"} <= {*windows}
