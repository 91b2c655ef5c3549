import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from example.contracts import Observation
from example.factories import protected
from pandas.testing import assert_frame_equal, assert_series_equal
from sklearn.metrics import log_loss, precision_score, recall_score, roc_auc_score

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.names import own
from kedro_mlops.measures.evaluation import Evaluation, Measured, MeasuredRows
from kedro_mlops.measures.metrics import columns_of
from kedro_mlops.modelling.evaluation import (
    MAX_POINTS,
    TREE,
    draw_evaluation,
    evaluate,
    evaluate_slices,
    measure_footprint,
    measure_importance,
    measure_single_features,
    predict_test,
)
from kedro_mlops.models.package import scores_of
from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.task import MIN_ROWS

COLUMNS = Columns.of(Observation)
TASK = COLUMNS.task
BASELINES = [TASK.baseline, TREE]
X, Y = COLUMNS.features, COLUMNS.label
RULE = DecisionRule(threshold=0.25)


@pytest.fixture(scope="module")
def importance(trained, windows, modelling_params):
    return measure_importance(COLUMNS, trained.fitted, windows[2], modelling_params, 0)


@pytest.fixture(scope="module")
def slices(trained, bootstrap):
    return evaluate_slices(COLUMNS, trained.predictions, bootstrap)


def test_predictions_are_those_of_the_model_measured_and_of_the_baselines(trained, windows):
    train, validation, test = windows
    model = trained.fitted.evaluated

    predictions = predict_test(COLUMNS, trained.fitted, train, validation, test, RULE, seed=0)

    np.testing.assert_array_equal(
        predictions["probability"], scores_of(TASK.output(), model, test[X])
    )
    assert_series_equal(
        predictions["decision"], predictions["probability"] >= 0.25, check_names=False
    )
    known_share = pd.concat([train, validation])[Y].mean()
    assert predictions[own("base_rate")].to_numpy() == pytest.approx(known_share)
    assert 2 <= predictions[own("shallow_tree")].nunique() <= 8
    assert_series_equal(predictions[Y], test[Y])
    assert set(COLUMNS.keys) | set(COLUMNS.segments) <= set(predictions.columns)


def test_baselines_do_not_depend_on_the_labels_of_the_test_window(trained, windows):
    train, validation, test = windows
    flipped = test.assign(**{Y: 1 - test[Y]})

    predictions = predict_test(COLUMNS, trained.fitted, train, validation, flipped, RULE, seed=0)

    scores = [own(name) for name in BASELINES]
    assert_frame_equal(predictions[scores], trained.predictions[scores])


def test_evaluation_measures_candidate_and_baselines_with_intervals(trained, bootstrap):
    rows = trained.predictions

    metrics = evaluate(COLUMNS, rows, bootstrap)

    candidate = metrics.candidate
    assert set(metrics.baselines) == {*BASELINES}
    assert set(candidate) == {*TASK.metrics.of_scores, *TASK.metrics.of_decisions}
    assert all(
        set(measured) == {*TASK.metrics.of_scores} for measured in metrics.baselines.values()
    )
    for measured in (candidate, *metrics.baselines.values()):
        assert all(m.low <= m.value <= m.high for m in measured.values())
    assert candidate["log_loss"].value == pytest.approx(log_loss(rows[Y], rows["probability"]))
    assert candidate["roc_auc"].value == pytest.approx(roc_auc_score(rows[Y], rows["probability"]))
    assert candidate["precision"].value == precision_score(rows[Y], rows["decision"])
    assert candidate["recall"].value == recall_score(rows[Y], rows["decision"])
    assert metrics.confusion == {
        "true_positives": int((rows["decision"] & (rows[Y] == 1)).sum()),
        "false_positives": int((rows["decision"] & (rows[Y] == 0)).sum()),
        "false_negatives": int((~rows["decision"] & (rows[Y] == 1)).sum()),
        "true_negatives": int((~rows["decision"] & (rows[Y] == 0)).sum()),
    }
    assert metrics.baselines["base_rate"]["roc_auc"].value == 0.5
    assert metrics.window == MeasuredRows(
        n_rows=len(rows),
        label={"positive_share": rows[Y].mean()},
        first_day="2013-03-18",
        last_day="2013-03-31",
    )


def test_groups_of_a_protected_column_are_measured_though_it_is_neither_feature_nor_segment(
    trained, windows, bootstrap
):
    columns, (train, validation, test) = protected(COLUMNS, "van"), windows
    sizes = pd.Series(np.where(np.arange(len(test)) % 3, "large", "small"), index=test.index)
    rows = test.assign(van=sizes)

    predictions = predict_test(columns, trained.fitted, train, validation, rows, RULE, seed=0)
    measured = evaluate(columns, predictions, bootstrap)

    assert_series_equal(predictions["van"], sizes, check_names=False)
    assert [(row["protected"], row["group"]) for row in measured.groups] == [
        ("van", "large"),
        ("van", "small"),
    ]
    share = predictions["decision"][sizes == "small"].mean()
    assert measured.groups[1]["selection_rate"] == pytest.approx(share)
    assert Measured.model_validate_json(measured.model_dump_json()) == measured


def test_without_a_protected_column_files_say_nothing_of_groups(trained, bootstrap):
    measured = evaluate(COLUMNS, trained.predictions, bootstrap)
    evaluation: Evaluation = trained.candidate.evaluation

    assert measured.groups == evaluation.groups == []
    assert "groups" not in measured.model_dump()
    assert "groups" not in evaluation.model_dump()


def test_slices_divide_the_rows_by_every_segment_largest_first(trained, slices):
    n_rows = len(trained.predictions)

    by_segment = slices.groupby("segment")

    assert list(by_segment.groups) == sorted(COLUMNS.segments)
    assert (by_segment["n_rows"].sum() == n_rows).all()
    assert all(part["n_rows"].is_monotonic_decreasing for _, part in by_segment)


def test_a_slice_is_measured_on_its_own_rows(trained, slices):
    rows = trained.predictions[trained.predictions["depot"] == "NORTH"]

    measured = slices.query("segment == 'depot' and value == 'NORTH'").squeeze()

    assert measured["n_rows"] == len(rows)
    assert measured["positive_share"] == rows[Y].mean()
    assert measured["roc_auc"] == pytest.approx(roc_auc_score(rows[Y], rows["probability"]))
    assert measured["log_loss"] == pytest.approx(log_loss(rows[Y], rows["probability"]))
    assert measured["roc_auc_low"] <= measured["roc_auc"] <= measured["roc_auc_high"]


@pytest.mark.parametrize("n_late", [0, 1, MIN_ROWS - 1])
def test_a_slice_with_too_few_rows_of_a_class_has_no_figures(trained, bootstrap, n_late):
    rows = trained.predictions
    late = rows[(rows["depot"] == "NORTH") & (rows[Y] == 1)]
    punctual = rows.drop(late.index[n_late:])

    slices = evaluate_slices(COLUMNS, punctual, bootstrap)

    measured = slices.query("segment == 'depot' and value == 'NORTH'").squeeze()
    assert measured[columns_of(TASK.main_metrics.names)].isna().all()
    assert measured["n_rows"] == (punctual["depot"] == "NORTH").sum()


def test_importance_names_every_feature_the_most_important_first(importance):
    features = importance["feature"]

    values = importance["importance"]

    assert sorted(features) == sorted(X)
    assert values.is_monotonic_decreasing
    assert values.iloc[0] > 0


def test_a_feature_that_says_nothing_has_no_importance(trained, windows, modelling_params):
    constant = windows[2].assign(distance_km=1000.0)

    importance = measure_importance(COLUMNS, trained.fitted, constant, modelling_params, seed=0)

    distance = importance.set_index("feature").loc["distance_km"]
    assert distance["importance"] == pytest.approx(0, abs=1e-12)
    assert distance["spread"] == pytest.approx(0, abs=1e-12)


def test_importance_with_one_seed_is_one_result(trained, windows, modelling_params, importance):
    again = measure_importance(COLUMNS, trained.fitted, windows[2], modelling_params, 0)

    assert_frame_equal(again, importance)


@pytest.fixture
def footprint_of(trained):
    """Measure what a candidate takes, on rows of the test window."""
    return lambda candidate, test: measure_footprint(
        COLUMNS, candidate, test, trained.fitted, tolerance=1e-9
    )


def test_the_footprint_says_what_the_candidate_takes(footprint_of, trained, windows, tmp_path):
    trained.candidate.write(tmp_path)

    footprint = footprint_of(trained.candidate, windows[2])

    assert footprint.training_seconds == trained.fitted.training_seconds
    assert footprint.n_training_rows == sum(len(rows) for rows in windows)
    assert footprint.model_bytes == (tmp_path / "model.skops").stat().st_size


def test_a_row_is_timed_in_the_form_that_would_serve_it(
    footprint_of, trained, boosted, windows, parameters
):
    slow = footprint_of(trained.candidate, windows[2])

    quick = footprint_of(boosted, windows[2])

    assert (slow.engine, quick.engine) == ("scikit-learn", "compiled trees")
    assert 0 < quick.one_row_milliseconds < slow.one_row_milliseconds / 50
    assert slow.one_row_milliseconds < parameters["gate"]["max_one_row_milliseconds"]


def test_what_else_the_machine_does_does_not_decide_how_long_a_row_takes(
    footprint_of, trained, windows
):
    quiet = footprint_of(trained.candidate, windows[2])
    n_busy = 2 * (os.cpu_count() or 1)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_busy)]
    try:
        loaded = footprint_of(trained.candidate, windows[2])
    finally:
        for process in busy:
            process.kill()
            process.wait()

    assert loaded.one_row_milliseconds < 2.5 * quiet.one_row_milliseconds


def test_every_picture_of_the_evaluation_is_drawn(trained):
    evaluation, metrics, rule = (
        trained.packaged[name] for name in ("evaluation", "metrics", "rule")
    )

    figures = draw_evaluation(COLUMNS, evaluation, metrics, rule)

    assert len(figures) == 7
    titles = [figure.layout.title.text for figure in figures]
    assert len(set(titles)) == 7
    assert all(figure.data for figure in figures)


def test_every_feature_is_judged_alone(windows, modelling_params):
    alone = measure_single_features(COLUMNS, *windows, modelling_params, seed=0)

    assert sorted(alone["feature"]) == sorted(X)
    assert alone["tells"].is_monotonic_decreasing
    assert alone["tells"].between(0.3, 0.8).all()


@pytest.mark.parametrize("share_of_truth", [1.0, 0.95])
def test_a_feature_that_is_nearly_the_label_stands_out(windows, modelling_params, share_of_truth):
    rng = np.random.default_rng(0)
    name = COLUMNS.features_of_kind("numeric")[0]
    leaking = [
        rows.assign(**{name: np.where(rng.random(len(rows)) < share_of_truth, rows[Y] * 5.0, 2.0)})
        for rows in windows
    ]

    alone = measure_single_features(COLUMNS, *leaking, modelling_params, seed=0)

    assert alone["feature"].iloc[0] == name
    assert alone["tells"].iloc[0] > 0.95
    assert alone["tells"].iloc[1] < 0.8


def test_missing_values_that_follow_the_label_stand_out(windows, modelling_params):
    name = COLUMNS.features_of_kind("numeric")[0]
    leaking = [rows.assign(**{name: rows[name].where(rows[Y] == 0)}) for rows in windows]

    alone = measure_single_features(COLUMNS, *leaking, modelling_params, seed=0)

    assert alone["feature"].iloc[0] == name
    assert alone["tells"].iloc[0] > 0.95


def test_what_was_found_travels_with_the_candidate(trained, slices, importance):
    found = trained.candidate.evaluation

    measured = trained.packaged["metrics"]
    assert found.screened == [{"contract": "Raw", "n_read": 1200, "n_quarantined": 7}]
    assert found.window == measured.window
    assert found.baselines == measured.baselines
    assert_frame_equal(pd.DataFrame(found.slices), slices, check_dtype=False)
    assert_frame_equal(pd.DataFrame(found.importance), importance, check_dtype=False)
    assert sum(point["n_rows"] for point in found.calibration) == found.window.n_rows
    assert found.confusion == measured.confusion


def test_the_curves_that_travel_are_those_of_the_rows_thinned(trained, costs):
    found, rows = trained.candidate.evaluation, trained.predictions

    roc, cost = pd.DataFrame(found.roc["model"]), pd.DataFrame(found.cost)

    area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
    assert area == pytest.approx(roc_auc_score(rows[Y], rows["probability"]), abs=0.002)
    assert roc.iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [1, 1]]
    assert len(roc) == len(cost) == MAX_POINTS
    all_flagged = (rows[Y] == 0).mean() * costs.false_positive
    assert cost["cost"].iloc[0] == pytest.approx(all_flagged, abs=1e-6)
