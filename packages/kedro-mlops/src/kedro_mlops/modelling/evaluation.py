"""How good the candidate is: on the test window, against baselines, by slice, and at what cost."""

import tempfile
import time
import timeit
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from joblib import parallel_config
from sklearn.inspection import permutation_importance
from sklearn.metrics import roc_auc_score, roc_curve
from threadpoolctl import threadpool_limits

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.screening_account import ScreeningAccount
from kedro_mlops.core.json_records import json_records
from kedro_mlops.export.serving_form import export
from kedro_mlops.measures.evaluation import Evaluation, Footprint, Measured, MeasuredRows
from kedro_mlops.measures.fairness import measure_groups
from kedro_mlops.measures.metrics import (
    MAIN_METRICS,
    METRICS,
    SCORE,
    Bootstrap,
    Costs,
    Floats,
    Metrics,
    Scored,
    calibration_curve,
    columns_of,
    confusion,
    cost_curve,
    flatten,
    measure,
)
from kedro_mlops.models.families import shallow_tree
from kedro_mlops.models.package import ModelPackage, dump_estimator, probability
from kedro_mlops.models.preprocessing import informative
from kedro_mlops.reporting import charts
from kedro_mlops.serving.model import ServedModel

from .nodes import Fitted, Modelling

BASELINES = ["base_rate", "shallow_tree"]
# the models whose ROC curve is kept, and the columns of their scores
CURVES = {"model": SCORE, "shallow_tree": "shallow_tree"}
DIGITS = 6
SLICE_COLUMNS = ["segment", "value", "n_rows", "positive_share", *columns_of(MAIN_METRICS.names)]
# rows of either class, fewer than which say nothing of a slice
MIN_CLASS_ROWS = 10
# of a curve; as many as can be told apart in a picture
MAX_POINTS = 200
LATENCY_ROWS, LATENCY_REPEATS = 5, 10


def predict_test(
    contract: Columns,
    fitted: Fitted,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    threshold: float,
    seed: int,
) -> pd.DataFrame:
    """Score the test window once, with the candidate and with the baselines.

    Returns:
        Keys, segments, protected columns and label of each row, ``probability``, the ``decision``
        that it leads to, and a column per baseline.
    """
    known = pd.concat([train, validation], ignore_index=True)
    tree = shallow_tree(informative(contract, known), seed).fit(
        known[contract.features], known[contract.label]
    )
    compared = [*contract.segments, *contract.protected]
    kept = list(dict.fromkeys([*contract.row_index, *compared, contract.label]))
    scores = probability(fitted.evaluated, test[contract.features])
    return test[kept].assign(
        probability=scores,
        decision=scores >= threshold,
        base_rate=known[contract.label].mean(),
        shallow_tree=probability(tree, test[contract.features]),
    )


def evaluate(
    contract: Columns,
    predictions: pd.DataFrame,
    bootstrap: Bootstrap,
    metrics: Metrics = METRICS,
) -> Measured:
    """Metrics with intervals for the candidate and the baselines, and the candidate's confusion."""
    scored = Scored.of(contract, predictions)
    baselines = {name: Scored.of(contract, predictions, name) for name in BASELINES}
    return Measured(
        candidate=measure(scored, bootstrap, metrics),
        **{name: measure(rows, bootstrap, metrics) for name, rows in baselines.items()},
        window=MeasuredRows(
            n_rows=len(scored),
            positive_share=scored.label.mean(),
            first_day=str(scored.day.min().date()),
            last_day=str(scored.day.max().date()),
        ),
        confusion=confusion(scored),
        groups=measure_groups(contract, predictions, bootstrap),
    )


def evaluate_slices(
    contract: Columns, predictions: pd.DataFrame, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Log loss and ROC AUC, with intervals, for every value of every segment.

    Returns:
        One row per segment and value, largest slices first; without metrics where there are too
        few rows of either class.
    """
    rows = [
        {"segment": segment, "value": value, **_slice(contract, part, bootstrap)}
        for segment in contract.segments
        for value, part in predictions.groupby(segment, sort=True)
    ]
    table = pd.DataFrame(rows, columns=SLICE_COLUMNS)
    return table.sort_values(["segment", "n_rows"], ascending=[True, False], ignore_index=True)


def _slice(contract: Columns, rows: pd.DataFrame, bootstrap: Bootstrap) -> dict[str, Any]:
    scored = Scored.of(contract, rows)
    known = {"n_rows": len(scored), "positive_share": float(scored.label.mean())}
    if min(scored.label.sum(), (1 - scored.label).sum()) < MIN_CLASS_ROWS:
        return known
    return known | flatten(measure(scored, bootstrap, MAIN_METRICS))


def measure_importance(
    contract: Columns, fitted: Fitted, test: pd.DataFrame, params: Modelling, seed: int
) -> pd.DataFrame:
    """How much log loss grows when one feature is shuffled, on rows of the test window."""
    rows = test.sample(min(params.importance.n_rows, len(test)), random_state=seed)
    with parallel_config("threading", n_jobs=params.n_workers):
        result = permutation_importance(
            fitted.evaluated,
            rows[contract.features],
            rows[contract.label],
            scoring="neg_log_loss",
            n_repeats=params.importance.n_repeats,
            random_state=seed,
        )
    importance = pd.DataFrame(
        {
            "feature": contract.features,
            "importance": result.importances_mean,
            "spread": result.importances_std,
        }
    )
    return importance.sort_values("importance", ascending=False, ignore_index=True)


def measure_single_features(
    contract: Columns, train: pd.DataFrame, test: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """How well each feature alone tells the label: one that tells it (nearly) all is a leak.

    Returns:
        ROC AUC, on the test window, of a shallow tree on each feature, highest first; 0.5 where
        there was nothing to learn.
    """
    aucs = dict.fromkeys(contract.features, 0.5)
    for name in informative(contract, train).features:
        tree = shallow_tree(contract.only(name), seed).fit(train[[name]], train[contract.label])
        aucs[name] = roc_auc_score(test[contract.label], probability(tree, test[[name]]))
    table = pd.DataFrame({"feature": aucs.keys(), "roc_auc": aucs.values()})
    return table.sort_values("roc_auc", ascending=False, ignore_index=True)


def measure_footprint(
    contract: Columns,
    candidate: ModelPackage,
    test: pd.DataFrame,
    fitted: Fitted,
    tolerance: float,
) -> Footprint:
    """Training time, size on disk, and the time that one row takes in the form that would serve.

    That form is proved, by the test rows and within the tolerance.
    """
    with tempfile.TemporaryDirectory() as scratch:
        spec = export(candidate, contract.inputs, test, tolerance, Path(scratch))
        served = ServedModel(Path(scratch), spec, 1, load=lambda _: candidate.estimator)
    rows = test[[field.name for field in spec.fields]].head(LATENCY_ROWS).astype(object)
    seconds = _seconds_a_row(served, rows.where(rows.notna(), None).to_numpy().tolist())
    return Footprint(
        training_seconds=fitted.training_seconds,
        n_training_rows=candidate.metadata.n_training_rows,
        model_bytes=len(dump_estimator(candidate.estimator)),
        engine=spec.engine,
        one_row_milliseconds=seconds * 1000,
    )


def _seconds_a_row(served: ServedModel, rows: list[list[Any]]) -> float:
    """What a row takes of a core, the least of many times.

    What else the machine does only adds to it: waiting for a core is not counted, and the least is
    what it takes where caches and cores are not shared.
    """

    def score() -> None:
        for row in rows:
            served.score(row)

    score()
    with threadpool_limits(1):
        took = timeit.repeat(score, timer=time.thread_time, number=1, repeat=LATENCY_REPEATS)
    return min(took) / len(rows)


def collect_evaluation(
    contract: Columns,
    screening: ScreeningAccount,
    predictions: pd.DataFrame,
    metrics: Measured,
    slices: pd.DataFrame,
    importance: pd.DataFrame,
    fitted: Fitted,
    costs: Costs,
) -> Evaluation:
    """What was found of the data and of the candidate, and is to travel with it."""
    scored = Scored.of(contract, predictions)
    thresholds, cost = cost_curve(scored.label, scored.score, costs)
    counts = {"contract", "n_read", "n_quarantined"}
    return Evaluation(
        screened=[table.model_dump(include=counts) for table in screening.tables],
        window=metrics.window,
        baselines=metrics.baselines,
        calibration=json_records(calibration_curve(scored.label, scored.score)),
        slices=json_records(slices),
        importance=json_records(importance),
        confusion=metrics.confusion,
        roc={name: _roc(scored.label, predictions[score]) for name, score in CURVES.items()},
        cost=_thinned(threshold=thresholds, cost=cost),
        costs=costs.model_dump(),
        training_seconds=fitted.training_seconds,
        groups=metrics.groups,
    )


def _roc(label: Floats, scores: pd.Series) -> list[dict[str, Any]]:
    false, true, _ = roc_curve(label, scores, drop_intermediate=False)
    return _thinned(false_positive_rate=false, true_positive_rate=true)


def _thinned(**columns: Floats) -> list[dict[str, Any]]:
    """Some points of a curve, its ends among them."""
    table = pd.DataFrame(columns)
    kept = np.linspace(0, len(table) - 1, min(len(table), MAX_POINTS)).astype(int)
    return json_records(table.iloc[kept].round(DIGITS))


def draw_evaluation(evaluation: Evaluation, metrics: Measured, threshold: float) -> list[go.Figure]:
    """Pictures of the evaluation; see ``charts.evaluation``."""
    return charts.evaluation(evaluation, metrics.candidate, threshold, "candidate")
