"""How good the candidate is: on the test window, against baselines, by slice, and at what cost."""

import tempfile
import time
import timeit
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from joblib import Parallel, delayed
from numpy.typing import NDArray

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.screening_account import ScreeningAccount
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.json_records import json_records
from kedro_mlops.core.threads import one_thread
from kedro_mlops.export.serving_form import export
from kedro_mlops.measures.evaluation import (
    Evaluation,
    Footprint,
    Measured,
    MeasuredRows,
    RowSample,
)
from kedro_mlops.measures.fairness import measure_groups
from kedro_mlops.measures.metrics import (
    Bootstrap,
    Scored,
    columns_of,
    flatten,
    measure,
)
from kedro_mlops.models.contributions import origins
from kedro_mlops.models.families import shallow_tree
from kedro_mlops.models.folded import asked, in_order, scores_of_rows
from kedro_mlops.models.package import ModelPackage, dump_estimator, scores_of
from kedro_mlops.models.preprocessing import informative
from kedro_mlops.reporting import charts
from kedro_mlops.serving.model import ServedModel
from kedro_mlops.task.metrics import NO_MORE, Metrics
from kedro_mlops.task.outputs import Floats
from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.task import Costs

from .fitting import Fitted
from .parameters import Modelling
from .parts import Part, alike, by_parts, folds_of, parts_by

TREE = "shallow_tree"
# the models whose ROC curves are kept, and what their scores are called
CURVES = {"model": "", TREE: TREE}
DIGITS = 6
# of a curve; as many as can be told apart in a picture
MAX_POINTS = 200
LATENCY_ROWS, LATENCY_REPEATS = 5, 10


def predict_test(
    contract: Columns,
    fitted: Fitted,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    rule: DecisionRule,
    seed: int,
    sample: RowSample | None = None,
) -> pd.DataFrame:
    """Score the test rows once, with the candidate and with the baselines.

    Where they are cross-validated, each by what was learned from others.

    Returns:
        Keys, segments, protected columns and label of each row, what is predicted, and the scores
        of each baseline.
    """
    task, output = contract.task, contract.task.output(rule)
    train, validation, _ = alike(contract, sample, train, validation, test, seed)
    parts = parts_by(contract, fitted.folds, train, validation, test)
    scores = scores_of_rows(contract, output, fitted.evaluated, contract.features, test)
    of_tree = by_parts(parts, lambda part: _scores_of_tree(contract, part, seed))
    mean = by_parts(parts, lambda part: _mean(contract, part))
    compared = [*contract.segments, *contract.protected]
    kept = list(dict.fromkeys([*contract.row_index, *compared, contract.label]))
    return test[kept].assign(
        **output.of_rows(scores), **output.named(mean, task.baseline), **output.named(of_tree, TREE)
    )


def _scores_of_tree(contract: Columns, part: Part, seed: int) -> Floats:
    """What a shallow tree says."""
    known, features = part.known, contract.features
    tree = shallow_tree(contract.task, informative(contract, known), len(known), seed)
    tree.fit(known[features], known[contract.label])
    return scores_of(contract.task.output(), tree, part.asked[features])


def _scores_of_single(contract: Columns, part: Part, seed: int) -> dict[str, Floats]:
    """Likewise, of a tree on each feature alone of which anything can be learned."""
    known, features = part.known, contract.features
    labels, output = known[contract.label], contract.task.output()
    learned = informative(contract, known)
    encode, tree = shallow_tree(contract.task, learned, len(known), seed)
    encoded = np.asarray(encode.fit_transform(known[features], labels))
    asked_of = np.asarray(encode.transform(part.asked[features]))
    made_of, found = origins(encode, len(features)), {}
    for place, name in enumerate(features):
        columns = np.flatnonzero(made_of == place)
        if name in learned.features and len(columns):
            tree.fit(encoded[:, columns], labels)
            found[name] = output.ask(tree, asked_of[:, columns])
    return found


def _mean(contract: Columns, part: Part) -> Floats:
    """What the simplest baseline says, which is the same of every row."""
    mean = contract.task.mean(contract.task.labels(part.known[contract.label]))
    return np.broadcast_to(mean, (len(part.asked), *mean.shape))


def evaluate(
    contract: Columns,
    predictions: pd.DataFrame,
    bootstrap: Bootstrap,
    more: Metrics = NO_MORE,
    sample: RowSample | None = None,
) -> Measured:
    """Metrics with intervals for the candidate and the baselines, and the candidate's confusion.

    They are the task's, and more of the project's own.
    """
    scored, task = Scored.of(contract, predictions), contract.task
    baselines = {name: Scored.of(contract, predictions, name) for name in (task.baseline, TREE)}
    assert scored.decided is not None
    return Measured(
        loss=task.loss,
        listed=task.listed,
        candidate=measure(scored, bootstrap, more=more),
        **{name: measure(rows, bootstrap, more=more) for name, rows in baselines.items()},
        window=MeasuredRows(
            n_rows=len(scored),
            drawn_from=sample.drawn_from("test") if sample else None,
            label=task.describe(scored.label),
            **timeline_of(contract).days(predictions),
        ),
        confusion=task.confusion(scored.label, scored.decided),
        groups=measure_groups(contract, predictions, bootstrap),
    )


def evaluate_slices(
    contract: Columns, predictions: pd.DataFrame, bootstrap: Bootstrap
) -> pd.DataFrame:
    """The main metrics, with intervals, for every value of every segment.

    Returns:
        One row per segment and value, largest slices first; without metrics where there are too
        few rows, or too few of each class.
    """
    rows = [
        {"segment": segment, "value": value, **_slice(contract, part, bootstrap)}
        for segment in contract.segments
        for value, part in predictions.groupby(segment, sort=True)
    ]
    metrics = columns_of(contract.task.main_metrics.names)
    known = contract.task.describe(Scored.of(contract, predictions).label)
    table = pd.DataFrame(rows, columns=["segment", "value", "n_rows", *known, *metrics])
    return table.sort_values(["segment", "n_rows"], ascending=[True, False], ignore_index=True)


def _slice(contract: Columns, rows: pd.DataFrame, bootstrap: Bootstrap) -> dict[str, Any]:
    scored = Scored.of(contract, rows)
    task = contract.task
    known = {"n_rows": len(scored), **task.describe(scored.label)}
    if not task.is_enough(scored.label):
        return known
    return known | flatten(measure(scored, bootstrap, task.main_metrics))


def measure_importance(
    contract: Columns, fitted: Fitted, test: pd.DataFrame, params: Modelling, seed: int
) -> pd.DataFrame:
    """How much the loss grows when one feature is shuffled, on rows of the test window.

    Or among the rows of each fold, on average.
    """
    rows = test.sample(min(params.importance.n_rows, len(test)), random_state=seed)
    parts = list(asked(contract, fitted.evaluated, rows))
    results = [_importances(contract, model, rows.iloc[at], params, seed) for model, at in parts]
    found = np.average(results, axis=0, weights=[len(at) / len(rows) for _, at in parts])
    importance = pd.DataFrame(
        {
            "feature": contract.features,
            "importance": found.mean(axis=1),
            "spread": found.std(axis=1),
        }
    )
    return importance.sort_values("importance", ascending=False, ignore_index=True)


def _importances(
    contract: Columns, model: Any, rows: pd.DataFrame, params: Modelling, seed: int
) -> Floats:
    """By how much the loss grows, of shape (n_features, n_repeats).

    Shuffled are the columns that a feature was made into, so that rows are encoded only once.
    """
    output, labels = contract.task.output(), contract.task.labels(rows[contract.label])
    n_features = len(contract.features)
    asked_of, encoded, made_of = model, rows[contract.features], np.arange(n_features)
    # of a project's own family it may not be known
    with suppress(ProjectError):
        made_of = origins(model[:-1], n_features)
        asked_of, encoded = model[-1], model[:-1].transform(encoded)

    def loss(table: Any) -> float:
        return float(contract.task.row_loss(labels, output.ask(asked_of, table)).mean())

    def grown(feature: int) -> list[float]:
        columns, draw = np.flatnonzero(made_of == feature), np.random.default_rng([seed, feature])
        if not len(columns):
            return [0.0] * params.importance.n_repeats
        orders = (draw.permutation(len(rows)) for _ in range(params.importance.n_repeats))
        return [loss(_shuffled(encoded, columns, order)) - before for order in orders]

    with one_thread():
        before = loss(encoded)
    shares = np.array_split(np.arange(n_features), min(params.n_workers, n_features))
    with Parallel(params.n_workers, backend="threading") as parallel:
        return np.concatenate(parallel(delayed(_alone)(grown, share) for share in shares))


def _alone(ask: Callable[[int], list[float]], features: NDArray[np.intp]) -> Floats:
    """Ask in a thread of several, each of which has a core."""
    with one_thread():
        return np.array([ask(feature) for feature in features])


def _shuffled(table: Any, columns: NDArray[np.intp], order: NDArray[np.intp]) -> Any:
    """A table in which some columns are in another order."""
    if isinstance(table, pd.DataFrame):
        return table.assign(**{table.columns[i]: table.iloc[order, i].array for i in columns})
    changed = table.copy()
    changed[:, columns] = table[order][:, columns]
    return changed


def measure_single_features(
    contract: Columns,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    params: Modelling,
    seed: int,
) -> pd.DataFrame:
    """How well each feature alone tells the label: one that tells it (nearly) all is a leak.

    Returns:
        How well a shallow tree on each feature tells the label of test rows, from 0.5 to 1, highest
        first; 0.5 where there was nothing to learn. See ``Task.tells``.
    """
    task, found = contract.task, dict.fromkeys(contract.features, 0.5)
    labels = task.labels(test[contract.label])
    folds = folds_of(contract, train, validation, test, params.cross_validation)
    # of windows, the first alone is enough
    parts = parts_by(contract, folds, train, validation.iloc[:0], test)
    scores = [_scores_of_single(contract, part, seed) for part in parts]
    positions = tuple(part.at for part in parts)
    for name in contract.features:
        if all(name in of_part for of_part in scores):
            told = tuple(of_part[name] for of_part in scores)
            found[name] = task.tells(labels, in_order(positions, told))
    table = pd.DataFrame({"feature": found.keys(), "tells": found.values()})
    return table.sort_values("tells", ascending=False, ignore_index=True)


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
    with one_thread(None):
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
    learning_curve: pd.DataFrame | None = None,
) -> Evaluation:
    """What was found of the data and of the candidate, and is to travel with it."""
    scored = Scored.of(contract, predictions)
    task = contract.task
    cost = task.cost_curve(scored.label, scored.score, costs)
    counts = {"contract", "n_read", "n_quarantined"}
    return Evaluation(
        screened=[table.model_dump(include=counts) for table in screening.tables],
        window=metrics.window,
        baselines=metrics.baselines,
        calibration=json_records(task.calibration_curve(scored.label, scored.score)),
        slices=json_records(slices),
        importance=json_records(importance),
        confusion=metrics.confusion,
        roc=_roc_curves(contract, predictions),
        cost=_thinned(threshold=cost[0], cost=cost[1]) if cost else [],
        costs=costs.model_dump(exclude_unset=True),
        training_seconds=fitted.training_seconds,
        groups=metrics.groups,
        learning_curve=[] if learning_curve is None else json_records(learning_curve),
    )


def _roc_curves(contract: Columns, predictions: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Those of the model and of the shallow tree, of each class where there are several."""
    found = {}
    for model, name in CURVES.items():
        scored = Scored.of_scores(contract, predictions, name)
        for told, (false, true) in contract.task.roc_curves(scored.label, scored.score).items():
            curve = _thinned(false_positive_rate=false, true_positive_rate=true)
            found[f"{model}: {told}" if told else model] = curve
    return found


def _thinned(**columns: Floats) -> list[dict[str, Any]]:
    """Some points of a curve, its ends among them."""
    table = pd.DataFrame(columns)
    kept = np.linspace(0, len(table) - 1, min(len(table), MAX_POINTS)).astype(int)
    return json_records(table.iloc[kept].round(DIGITS))


def draw_evaluation(
    contract: Columns, evaluation: Evaluation, metrics: Measured, rule: DecisionRule
) -> list[go.Figure]:
    """Pictures of the evaluation, an empty one where it does not have what would be drawn.

    See ``charts.evaluation``.
    """
    loss, nothing = contract.task.loss, charts.figure("There is none", "", "")
    drawn = charts.evaluation(evaluation, metrics.candidate, rule.threshold, loss, "candidate")
    return [nothing if picture is None else picture for picture in drawn]
