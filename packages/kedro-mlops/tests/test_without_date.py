"""Rows without a date, from the model input to monitoring, through the nodes themselves."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
from example.factories import decided, screened
from example.scoring import labelled_rows, scored
from example.trained import CODE, model
from example.undated import (
    HOMES,
    LOANS,
    LOGGED_HOMES,
    LOGGED_LOANS,
    LOGGED_READINGS,
    READINGS,
    homes,
    loans,
    readings,
)

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.undated import Undated
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.time_params import AsOf, Horizon, Window
from kedro_mlops.documentation.nodes import ModelCard, render_card
from kedro_mlops.gate.behaviour import Behaviour, check_behaviour, read_suite
from kedro_mlops.gate.checks import SliceLimits
from kedro_mlops.gate.nodes import check_candidate, judge
from kedro_mlops.measures.fairness import FairnessLimits
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.modelling.evaluation import (
    evaluate,
    evaluate_slices,
    measure_footprint,
    measure_single_features,
)
from kedro_mlops.modelling.fitting import fit_winner
from kedro_mlops.modelling.nodes import split_windows
from kedro_mlops.modelling.parameters import Modelling
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import ModelPackage, scores_of
from kedro_mlops.monitoring.challenger_review import ChallengerReview, judge_challenger
from kedro_mlops.monitoring.drift import measure_drift
from kedro_mlops.monitoring.labels import count_new_labels
from kedro_mlops.monitoring.nodes import measure_quality, take_predictions
from kedro_mlops.monitoring.parameters import Monitoring
from kedro_mlops.monitoring.performance import measure_performance, measure_windows
from kedro_mlops.monitoring.prometheus_text import expose
from kedro_mlops.monitoring.report import draw_monitoring, render_report
from kedro_mlops.monitoring.skew import measure_skew
from kedro_mlops.monitoring.triggers import Retraining, decide
from kedro_mlops.replay import driver
from kedro_mlops.task.task import Costs

AS_OF, HORIZON, WINDOW = AsOf("2024-05-01"), Horizon(days=14), Window(days=7)
BOOTSTRAP, COSTS = Bootstrap(n_resamples=50, confidence=0.95, seed=0), Costs()
LIMITS = SimpleNamespace(
    min_loss_won=0.0,
    at_least={},
    at_most={},
    fairness=FairnessLimits(min_rows=1000, max_difference={}),
    max_single_feature_auc=1.0,
    max_model_megabytes=10,
    max_one_row_milliseconds=1000,
    max_loss_increase=0.01,
    require_approval=False,
    slices=SliceLimits(min_rows=1000, at_least={}, max_loss_increase=0.05),
)
WORDS = ModelCard(owner="We", intended_use="To lend.", out_of_scope=["All else."], limits=["None."])


LINEAR = {"classifier": {"logistic_regression"}, "regressor": {"ridge"}}


@dataclass(frozen=True)
class Walked:
    """What came of some rows."""

    contract: Columns
    table: ir.Table
    windows: list[pd.DataFrame]
    champion: ModelPackage
    found: dict[str, Any]


def walk(
    contract: Columns, logged: Columns, rows: pd.DataFrame, parameters: dict[str, Any]
) -> Walked:
    """The nodes of modelling, scoring and monitoring, in the order of their pipelines."""
    [family] = {*FAMILIES} & LINEAR[contract.task.estimator]
    small = {"min_rows": 5, "n_trials": {family: 1}, "n_workers": 1}
    params = Modelling(**(parameters["modelling"] | small))
    numeric = contract.features_of_kind("numeric")[0]
    moved = {"name": "It moves", "swap": [numeric], "max_change": 10_000}
    suite = read_suite(contract, Behaviour(n_rows=20, invariance=[moved], direction=[]))
    watching = Monitoring(**(parameters["monitoring"] | {"min_labelled_rows": 5}))
    retraining = Retraining(**parameters["retraining"])
    table = ibis.memtable(rows)
    windows = split_windows(contract, table, AS_OF, params)
    trained = model(table, windows, AS_OF, WINDOW, params, BOOTSTRAP, COSTS, contract)
    behaviour = check_behaviour(contract, trained.candidate, windows[2], suite, 0)
    checks = check_candidate(
        contract,
        trained.candidate,
        trained.predictions,
        trained.packaged["metrics"],
        evaluate_slices(contract, trained.predictions, BOOTSTRAP),
        measure_single_features(contract, *windows, params, 0),
        behaviour,
        measure_footprint(contract, trained.candidate, windows[2], trained.fitted, 1e-6),
        LIMITS,
        BOOTSTRAP,
    )
    champion = trained.candidate.with_record(decision=decided(), release="loans:1")
    moments = (AS_OF, HORIZON)
    predictions = scored(contract, logged, champion, table, *moments).cache()
    passed = take_predictions(contract, predictions, champion, *moments)
    labelled, account = labelled_rows(contract, passed, table, *moments)
    new_labels = count_new_labels(contract, table, champion, *moments)
    drift = measure_drift(contract, passed, champion, *moments, WINDOW, watching)
    skew = measure_skew(contract, predictions, table, champion, watching)
    quality = measure_quality(
        contract, passed, drift, screened(), skew, champion, *moments, watching
    )
    fairness = parameters["gate"]["fairness"] | {"max_difference": {}}
    performance = measure_performance(
        contract, labelled, account, new_labels, champion, *moments, watching, BOOTSTRAP, fairness
    )
    seen = measure_windows(contract, labelled, drift, champion, watching, BOOTSTRAP)
    decision = decide(
        quality, performance, seen, pd.DataFrame(), None, champion, *moments, retraining
    )
    review, _ = judge_challenger(
        contract,
        predictions,
        table,
        champion,
        pd.DataFrame(),
        *moments,
        ChallengerReview(**parameters["challenger_review"]),
        COSTS,
        BOOTSTRAP,
    )
    plots = draw_monitoring(contract, labelled, seen, drift, champion)
    found = {
        "trained": trained,
        "checks": {check.name: check for check in checks},
        "params": params,
        "predictions": predictions.to_pandas(),
        "labelled": labelled,
        "account": account,
        "drift": drift,
        "quality": quality,
        "performance": performance,
        "windows": seen,
        "decision": decision,
        "review": review,
        "report": render_report(
            decision, quality, skew, performance, review, drift, champion, *plots
        ),
        "figures": expose(performance, seen, quality, skew, screened(), decision, champion),
        "card": render_card(contract, champion, WORDS),
    }
    return Walked(contract, table, windows, champion, found)


@pytest.fixture(scope="module")
def walked(parameters: dict[str, Any]) -> Walked:
    return walk(LOANS, LOGGED_LOANS, loans(1000, unlabelled=0.1), parameters)


@pytest.fixture(scope="module")
def of_groups(parameters: dict[str, Any]) -> Walked:
    return walk(READINGS, LOGGED_READINGS, readings(250), parameters)


def test_the_rows_that_were_set_aside_are_scored_and_watched(walked: Walked) -> None:
    rows, found = walked.table.to_pandas(), walked.found
    learned = pd.concat(walked.windows)["loan"]

    scored = found["predictions"]

    assert set(scored["loan"]) == set(rows["loan"]) - set(learned)
    assert set(scored["predicted_at"]) == {AS_OF.moment}
    n_labelled = int(rows["defaulted"].notna().sum()) - len(learned)
    assert 170 < n_labelled < 190
    assert found["account"] == {
        "predictions": len(scored),
        "known": n_labelled,
        "pending": int(rows["defaulted"].isna().sum()),
        "later": 0,
        "repeated": 0,
        "contradicting": 0,
        "unknown": 0,
    }
    assert found["performance"].n_labelled == n_labelled
    assert 0.6 < found["performance"].metrics["roc_auc"].value < 1


def test_the_gate_judges_it_by_the_rows_that_were_set_aside_for_that(walked: Walked) -> None:
    checks = walked.found["checks"]

    assert all(check.passed for check in checks.values())
    assert checks["better than base_rate"].interval.high < 0
    assert "behaviour: It moves" in checks


def test_what_is_known_of_the_model_has_no_days_but_that_of_the_run(walked: Walked) -> None:
    metadata = walked.champion.metadata

    moments = {metadata.as_of, metadata.trained_until, metadata.evaluated_until}

    assert moments == {AS_OF.moment}
    assert metadata.version.startswith("20240501-")
    evaluation = walked.champion.evaluation
    assert evaluation is not None
    assert evaluation.window.days == ""
    assert walked.champion.reference.n_days == 0
    assert "rows of the test window (" in walked.found["card"]
    assert "known before" not in walked.found["card"]


def test_what_needs_time_is_left_out_or_says_that_it_does_not_apply(walked: Walked) -> None:
    names = [check.name for check in walked.found["quality"].checks]
    rules = {rule.rule: rule for rule in walked.found["decision"].rules}

    assert not [name for name in names if "days since" in name or "rows a day" in name]
    assert walked.found["quality"].passed
    assert rules["new labels"].reason.startswith("It does not apply")
    assert not rules["new labels"].fired
    assert walked.found["performance"].new_labels is None
    assert "became known since" not in walked.found["report"]
    assert walked.found["decision"].outcome == "wait"


def test_that_nothing_was_predicted_is_bad_data(walked: Walked, parameters: dict[str, Any]) -> None:
    watching = Monitoring(**parameters["monitoring"])
    none = scored(LOANS, LOGGED_LOANS, walked.champion, walked.table.limit(0), AS_OF, HORIZON)
    skew = measure_skew(LOANS, none, walked.table, walked.champion, watching)
    drift = measure_drift(LOANS, none, walked.champion, AS_OF, HORIZON, WINDOW, watching)

    quality = measure_quality(
        LOANS, none, drift, screened(), skew, walked.champion, AS_OF, HORIZON, watching
    )

    failed = [check.name for check in quality.checks if not check.passed]
    assert failed == ["predictions to look at"]
    assert not quality.passed


def test_one_window_holds_what_was_predicted_and_has_not_drifted(walked: Walked) -> None:
    [window] = walked.found["windows"].to_dict("records")

    assert window["window_start"] == "2024-05-01"
    assert window["n_predictions"] == len(walked.found["predictions"])
    assert not window["drifted"]
    normal = walked.champion.reference.features.normal
    assert all(0 < normal[name]["psi"] < 0.5 for name in ("income", "age", "region"))


def test_other_rows_have_drifted(walked: Walked, parameters: dict[str, Any]) -> None:
    other = loans(300, seed=5).assign(income=lambda rows: rows["income"] * 5, defaulted=pd.NA)
    other = other.astype({"defaulted": "boolean"})
    watching = Monitoring(**parameters["monitoring"])

    predictions = scored(LOANS, LOGGED_LOANS, walked.champion, ibis.memtable(other), AS_OF, HORIZON)

    drift = measure_drift(LOANS, predictions, walked.champion, AS_OF, HORIZON, WINDOW, watching)
    assert set(drift.loc[drift["drifted"], "column"]) >= {"income"}
    assert not set(drift.loc[drift["drifted"], "column"]) & {"age", "region"}


def test_labels_that_a_model_was_not_to_see_change_nothing(
    walked: Walked, parameters: dict[str, Any]
) -> None:
    rows = walked.table.to_pandas()
    seen = rows["loan"].isin(pd.concat(walked.windows)["loan"])
    blind = rows.assign(income=rows["income"].where(seen, 0.0))
    params = walked.found["params"]

    windows = split_windows(LOANS, ibis.memtable(blind), AS_OF, params)

    for one, other in zip(windows, walked.windows, strict=True):
        pd.testing.assert_frame_equal(one, other)
    # and of the test rows the model that is measured knows nothing
    fitted = walked.found["trained"].fitted
    train, validation, test = windows
    noise = test.assign(defaulted=1 - test["defaulted"])
    recipe = walked.found["trained"].recipe
    other_labels = fit_winner(
        LOANS, FAMILIES, train, validation, noise, recipe, None, params, 0, CODE
    )
    one, other = (
        each.evaluated.predict_proba(test[LOANS.features]) for each in (fitted, other_labels)
    )
    np.testing.assert_array_equal(one, other)


@pytest.fixture
def contest(walked: Walked, parameters: dict[str, Any]) -> Any:
    """Trains on more rows, and asks the gate about the champion."""

    def run(rows: pd.DataFrame, champion: ModelPackage) -> tuple[Any, ModelPackage, pd.DataFrame]:
        table, params = ibis.memtable(rows), walked.found["params"]
        windows = split_windows(LOANS, table, AS_OF, params)
        trained = model(table, windows, AS_OF, WINDOW, params, BOOTSTRAP, COSTS, LOANS)
        candidate = trained.candidate.with_record(version="another")
        decision = judge(
            LOANS, candidate, champion, [], windows[2], trained.predictions, LIMITS, BOOTSTRAP
        )  # fmt: skip
        return decision, candidate, windows[2]

    return run


def test_candidate_and_champion_meet_on_rows_that_neither_has_learned_from(
    walked: Walked, contest: Any
) -> None:
    more = pd.concat([walked.table.to_pandas(), loans(500, 0.5, seed=3)], ignore_index=True)

    decision, candidate, test = contest(more, walked.champion)

    learned = set(pd.concat(walked.windows[:2])["loan"])
    unseen = test[~test["loan"].isin(learned)]
    assert 0.5 * len(test) < len(unseen) < len(test)
    [check] = [check for check in decision.checks if "not worse" in check.name]
    places = walked.champion.metadata.evaluated_places
    met = test[Undated(LOANS).unseen(test, AS_OF.moment, places)]
    assert set(met["loan"]) <= set(unseen["loan"])
    scores = {
        each: scores_of(LOANS.task.output(), model.evaluated, met[LOANS.features])
        for each, model in (("one", candidate), ("other", walked.champion))
    }
    losses = {each: LOANS.task.row_loss(met["defaulted"], found) for each, found in scores.items()}
    assert check.value == pytest.approx((losses["one"] - losses["other"]).mean())


def test_a_champion_whose_places_were_others_meets_nobody(walked: Walked, contest: Any) -> None:
    places = walked.champion.metadata.trained_places
    assert places is not None
    other = places.model_copy(update={"by": ["loan", "branch"]})
    champion = walked.champion.with_record(trained_places=other, evaluated_places=other)

    decision, *_ = contest(walked.table.to_pandas(), champion)

    assert decision.outcome == "keep"
    assert decision.reasons == [
        "The champion has learned from every row that the candidate was tested on."
    ]


def test_a_package_keeps_its_places(walked: Walked, tmp_path: Any) -> None:
    walked.champion.write(tmp_path)

    read = ModelPackage.read(tmp_path)

    assert read.metadata == walked.champion.metadata
    assert read.metadata.trained_places is not None
    assert read.metadata.trained_places.by == ["loan"]


def test_rows_of_a_group_stay_together_all_the_way(of_groups: Walked) -> None:
    learned = set(pd.concat(of_groups.windows)["patient"])

    scored = set(of_groups.found["predictions"]["patient"])

    # those count as unseen of which that is sure, by the last places of all their classes
    assert not scored & learned
    assert len(scored | learned) > 0.95 * 250
    metrics = of_groups.found["performance"].metrics
    assert metrics["log_loss"].low < metrics["log_loss"].value < metrics["log_loss"].high
    assert "the rows of one <code>patient</code> belong together" in of_groups.found["card"]


def test_rows_that_belong_together_make_intervals_wider(of_groups: Walked) -> None:
    trained = of_groups.found["trained"]
    metrics = trained.packaged["metrics"].candidate["log_loss"]
    alone = trained.predictions.assign(patient=range(len(trained.predictions)))

    narrow = evaluate(READINGS, alone, BOOTSTRAP).candidate["log_loss"]
    assert narrow.value == metrics.value
    assert narrow.high - narrow.low < metrics.high - metrics.low


@pytest.mark.parametrize(("n_rows", "positive"), [(50, 0.3), (50, 0.1), (60, 0.9)])
def test_fifty_rows_give_wide_intervals(
    parameters: dict[str, Any], n_rows: int, positive: float
) -> None:
    walked = walk(LOANS, LOGGED_LOANS, loans(n_rows, positive), parameters)

    loss = walked.champion.metadata.metrics["log_loss"]

    assert loss.high - loss.low > 0.1
    assert walked.found["performance"].n_predictions == n_rows // 5


def test_numbers_are_asked_for_just_as_well(parameters: dict[str, Any]) -> None:
    walked = walk(HOMES, LOGGED_HOMES, homes(300), parameters)

    assert [len(rows) for rows in walked.windows] == [120, 60, 60]
    assert walked.found["performance"].n_labelled == 60
    assert 0.7 < walked.found["performance"].metrics["r2"].value < 1
    assert walked.found["performance"].estimated


def test_a_class_of_a_single_group_is_trained_on(parameters: dict[str, Any]) -> None:
    rows = readings(120)
    rows = rows[(rows["severity"] != "high") | (rows["patient"] == 7)]
    assert (rows["severity"] == "high").any()

    walked = walk(READINGS, LOGGED_READINGS, rows, parameters)

    high = READINGS.task.classes.index("high")
    assert [(part["severity"] == high).any() for part in walked.windows] == [True, False, False]
    assert np.isfinite(walked.champion.metadata.metrics["log_loss"].high)
    assert walked.found["performance"].metrics["log_loss"].value < 2


def test_a_class_of_too_few_rows_for_each_side_is_refused(
    parameters: dict[str, Any],
) -> None:
    rows = loans(50, positive=0.04)

    with pytest.raises(ProjectError) as refused:
        walk(LOANS, LOGGED_LOANS, rows, parameters)

    assert "The validation window has 10 labelled rows of 1 classes" in str(refused.value)
    assert "Choose a larger validation_share among" in str(refused.value)


def test_a_shadow_is_judged_by_the_days_on_which_it_was_asked(
    walked: Walked, parameters: dict[str, Any]
) -> None:
    params = ChallengerReview(
        **(parameters["challenger_review"] | {"min_labelled_rows": 50, "min_days": 2})
    )
    champion = walked.found["predictions"]
    days = pd.to_timedelta(np.arange(len(champion)) % 3, unit="D")
    champion = champion.assign(predicted_at=champion["predicted_at"] + days)
    shadow = champion.assign(
        model_version="shadow", variant="shadow", probability=1 - champion["probability"]
    )
    served = ibis.memtable(pd.concat([champion, shadow], ignore_index=True))

    decision, _ = judge_challenger(
        LOANS,
        served,
        walked.table,
        walked.champion,
        pd.DataFrame(),
        AS_OF,
        HORIZON,
        params,
        COSTS,
        BOOTSTRAP,
    )

    assert decision.outcome == "stop"
    assert "surely worse" in decision.reasons[0]


def test_a_replay_says_that_it_needs_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    world = SimpleNamespace(configuration=lambda: ({}, {}), contract=LOANS)
    monkeypatch.setattr(driver, "World", lambda *_: world)

    with pytest.raises(ProjectError, match="the rows have no date"):
        driver.replay(tmp_path, "replay", {}, fresh=True)

    assert not [*tmp_path.iterdir()]
