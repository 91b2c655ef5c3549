"""From model input to a candidate: split, fit, package."""

import hashlib
import logging
from dataclasses import astuple
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
from pydantic import TypeAdapter

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.sample import draw
from kedro_mlops.contract.splits import Side
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.time_params import AsOf, Window
from kedro_mlops.core.wording import some_of_text
from kedro_mlops.measures.drift_profile import profile
from kedro_mlops.measures.drift_reference import Reference
from kedro_mlops.measures.evaluation import Evaluation, Measured, RowSample
from kedro_mlops.measures.metrics import Scored
from kedro_mlops.models.metadata import Metadata
from kedro_mlops.models.package import ModelPackage, content_hash
from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.task import Costs

from .fitting import Fitted
from .parameters import Modelling
from .parts import cut_folds

logger = logging.getLogger(__name__)


def split_windows(
    contract: Columns, model_input: ir.Table, as_of: AsOf, params: Modelling, seed: int = 0
) -> list[pd.DataFrame]:
    """Cut the labelled rows into train, validation and test windows; see ``contract.timeline``.

    Where they are few they are cross-validated: all are test rows, but those before the first fold.
    Of more than ``max_rows`` that many are drawn, before they come into memory.

    Returns:
        Train, validation and test rows in the contract's columns, ordered by event time, or else
        as if shuffled.

    Raises:
        ProjectError: if a window has too few rows or only one class, or if there are so few rows
            that nothing can be learned from those of other folds.
    """
    timeline = timeline_of(contract)
    if params.cross_validation is not None:
        learned = timeline.learned(model_input, as_of, params, seed)
        n_rows = _count(learned)
        n_taken = min(n_rows, params.max_rows or n_rows)
        if n_taken < params.cross_validation.below_rows:
            rows = timeline.in_order(draw(contract, learned, n_taken, seed))
            return cut_folds(contract, rows.to_pandas(), params.cross_validation.folds)
    sides = timeline.split(model_input, as_of, params, seed)
    windows = [side.rows.to_pandas() for side in sides.values()]
    for (name, side), rows in zip(sides.items(), windows, strict=True):
        _check_window(contract, name, rows, side, params)
    return windows


def _count(rows: ir.Table) -> int:
    return int(rows.count().to_pyarrow().as_py())


def count_rows(
    contract: Columns,
    model_input: ir.Table,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    as_of: AsOf,
    params: Modelling,
) -> RowSample:
    """How many labelled rows there are in each window, and how many of them were taken."""
    windows = {"train": train, "validation": validation, "test": test}
    n_taken = {name: len(rows) for name, rows in windows.items()}
    timeline = timeline_of(contract)
    if validation.empty:
        # of folds, the rows of all of them have been drawn alike
        n_rows = timeline.n_learned(model_input, as_of, params)
        n_train = round(n_rows * n_taken["train"] / sum(n_taken.values()))
        n_known = {"train": n_train, "validation": 0, "test": n_rows - n_train}
    else:
        n_known = timeline.n_labelled(model_input, as_of, params)
    if params.max_rows is None or sum(n_known.values()) <= params.max_rows:
        n_known = n_taken
    sample = RowSample(n_known=n_known, n_taken=n_taken)
    if sample.all_drawn_from is not None:
        logger.info(
            "%s rows were drawn by their keys, as modelling.max_rows says; %s",
            some_of_text(sum(n_taken.values()), sample.all_drawn_from),
            ", ".join(
                f"{name} {some_of_text(n, sample.drawn_from(name))}" for name, n in n_taken.items()
            ),
        )
    return sample


def _check_window(
    contract: Columns, name: str, rows: pd.DataFrame, side: Side, params: Modelling
) -> None:
    n_classes = rows[contract.label].nunique()
    if len(rows) < params.min_rows or n_classes < 2:
        fewer = ", or a smaller modelling.min_rows" if len(rows) < params.min_rows else ""
        raise ProjectError(
            f"The {name} window{side.end} has {len(rows)} labelled rows of {n_classes} classes; "
            f"it needs {params.min_rows} rows of 2. Choose {side.remedy}{fewer}."
        )


def choose_rule(
    contract: Columns, validation_predictions: pd.DataFrame, costs: Costs
) -> DecisionRule:
    """How to decide, by the validation window.

    Raises:
        ProjectError: if the costs are not those of such a task.
    """
    contract.task.check_costs(costs)
    scored = Scored.of_scores(contract, validation_predictions)
    return contract.task.choose_rule(scored.label, scored.score, costs)


def profile_reference(
    contract: Columns,
    model_input: ir.Table,
    test_predictions: pd.DataFrame,
    as_of: AsOf,
    window: Window,
    params: Modelling,
    seed: int = 0,
) -> Reference:
    """What the features looked like in training, and the scores and classes on the test window.

    Both with how much windows of that time differed, or random parts of rows without a date, which
    is what monitoring calls normal.
    """
    scored, timeline = Scored.of_scores(contract, test_predictions), timeline_of(contract)
    known = timeline.known(model_input, as_of, params, seed)
    task = contract.task
    columns, taken = task.output().score_columns(), task.output().share_columns
    scores = ibis.memtable(test_predictions[[*contract.ordered_by, *columns, *taken]])
    numeric = contract.features_of_kind("numeric")
    categorical = contract.features_of_kind("categorical", "boolean")
    of_rows, of_scores = (timeline.parts(table, as_of, window.days) for table in (known, scores))
    return Reference(
        n_days=timeline.n_days(known),
        features=profile(known, numeric, categorical, of_rows),
        score=profile(scores, columns, taken, of_scores),
        calibration=task.calibrate(scored.label, scored.score),
    )


def package_candidate(
    contract: Columns,
    fitted: Fitted,
    rule: DecisionRule,
    metrics: Measured,
    reference: Reference,
    evaluation: Evaluation,
    as_of: AsOf,
    parameters: dict[str, Any],
) -> ModelPackage:
    """Put the model together with all that must travel with it.

    Raises:
        ProjectError: if that is of another day: another training has begun since.
    """
    task, fitted_hash = contract.task, content_hash(fitted.final)
    identity = hashlib.sha256(f"{fitted_hash} {_in_short(rule)}".encode()).hexdigest()
    metadata = Metadata(
        **({"evaluated_until": as_of.moment} | fitted.recorded | fitted.searched),
        version=f"{as_of.root:%Y%m%d}-{identity[:12]}",
        content_hash=fitted_hash,
        task=task.name,
        classes=list(task.classes),
        unit=task.unit,
        rule=rule,
        as_of=as_of.moment,
        trained_until=as_of.moment,
        metrics=metrics.candidate,
        parameters=TypeAdapter(dict[str, Any]).dump_python(parameters, mode="json"),
    )
    package = ModelPackage(
        fitted.final,
        metadata,
        reference,
        evaluated=fitted.evaluated,
        evaluation=evaluation,
        loss_estimate=fitted.loss_estimate,
    )
    package.check_dates()
    return package


def _in_short(rule: DecisionRule) -> str:
    """What the rule has."""
    return " ".join(repr(value) for value in astuple(rule) if value is not None)
