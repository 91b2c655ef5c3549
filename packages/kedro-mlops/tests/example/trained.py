"""What the modelling nodes make of the example."""

from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from example.factories import COLUMNS, screened
from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.time_params import AsOf, Window
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.modelling import evaluation, tuning
from kedro_mlops.modelling import nodes as modelling
from kedro_mlops.modelling.fitting import Fitted, fit_winner
from kedro_mlops.modelling.learning_curve import measure_learning_curve
from kedro_mlops.modelling.parameters import CodeVersion, Modelling
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.task.task import Costs

CODE = CodeVersion(git_commit="0" * 40, lock_hash="1" * 64)
SCREENING = screened(("Raw", 1200, 7))


@dataclass(frozen=True)
class Trained:
    """What the modelling nodes made of the windows."""

    recipe: dict[str, Any]
    trials: pd.DataFrame
    validation_predictions: pd.DataFrame
    predictions: pd.DataFrame
    fitted: Fitted
    packaged: dict[str, Any]
    candidate: ModelPackage


def model(
    model_input: ir.Table,
    windows: list[pd.DataFrame],
    as_of: AsOf,
    window: Window,
    modelling_params: Modelling,
    bootstrap: Bootstrap,
    costs: Costs,
    columns: Columns = COLUMNS,
) -> Trained:
    """The modelling nodes, in the order of their pipeline; ``packaged`` is what they packaged."""
    seed = 0
    train, validation, test = windows
    recipe, trials, tuned, _ = tuning.tune(
        columns,
        FAMILIES,
        train,
        validation,
        test,
        pd.DataFrame(),
        None,
        modelling_params,
        bootstrap,
        seed,
        CODE,
    )
    fitted = fit_winner(columns, FAMILIES, *windows, recipe, None, modelling_params, seed, CODE)
    rule = modelling.choose_rule(columns, tuned, costs)
    predictions = evaluation.predict_test(columns, fitted, train, validation, test, rule, seed)
    metrics = evaluation.evaluate(columns, predictions, bootstrap)
    slices = evaluation.evaluate_slices(columns, predictions, bootstrap)
    importance = evaluation.measure_importance(columns, fitted, test, modelling_params, seed)
    learning_curve = measure_learning_curve(
        columns,
        FAMILIES,
        fitted,
        *windows,
        predictions,
        recipe,
        modelling_params,
        bootstrap,
        seed,
    )
    packaged = {
        "contract": columns,
        "fitted": fitted,
        "rule": rule,
        "metrics": metrics,
        "reference": modelling.profile_reference(
            columns, model_input, predictions, as_of, window, modelling_params
        ),
        "evaluation": evaluation.collect_evaluation(
            columns,
            SCREENING,
            predictions,
            metrics,
            slices,
            importance,
            fitted,
            costs,
            learning_curve,
        ),
        "as_of": as_of,
        "parameters": {"as_of": as_of, "modelling": modelling_params, "seed": seed},
    }
    candidate = modelling.package_candidate(**packaged)
    return Trained(recipe, trials, tuned, predictions, fitted, packaged, candidate)
