"""The winner, fitted to be measured and to serve."""

import logging
import time
from dataclasses import dataclass
from typing import Any

import pandas as pd
from joblib import Parallel, delayed
from sklearn.pipeline import Pipeline

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.folds import Folds
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.json_records import hash_rows
from kedro_mlops.core.threads import one_thread
from kedro_mlops.measures.evaluation import RowSample
from kedro_mlops.models.families import Families, Family, Hyperparameters, loss_estimate
from kedro_mlops.models.folded import Folded, scores_of_rows
from kedro_mlops.models.package import ModelPackage, Unloadable
from kedro_mlops.models.preprocessing import informative, left_out, n_coefficients

from .parameters import CodeVersion, Modelling
from .parts import alike, folds_of, parts_by

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """The winner, fitted to be measured and to serve, and what it was fitted by and to.

    Attributes:
        evaluated: The model that is measured, fitted on all that precedes the test window; or
            one for each fold, fitted on others.
        final: The one that would serve, fitted up to the as-of moment.
        loss_estimate: What the loss of a row is expected to be, if the task needs it.
        training_seconds: What its fit took.
        recorded: What the model's metadata say of the fit, and it is known again by.
        searched: What they say of the search, of which others may end in the same fit.
    """

    evaluated: Pipeline | Folded
    final: Pipeline
    training_seconds: float
    recorded: dict[str, Any]
    searched: dict[str, Any]
    loss_estimate: Pipeline | None = None

    @property
    def folds(self) -> Folds | None:
        """Those of the rows it is measured on, if they are cross-validated."""
        return self.evaluated.folds if isinstance(self.evaluated, Folded) else None


def fit(
    contract: Columns,
    family: Family,
    hyperparameters: Hyperparameters,
    seed: int,
    *windows: pd.DataFrame,
) -> Pipeline:
    """Fit one model on the rows of all the windows, which follow each other in time."""
    rows = pd.concat(windows, ignore_index=True)
    known = informative(contract, rows)
    width = n_coefficients(known, rows)
    model = family.build(contract.task, known, hyperparameters, seed, width)
    # sums depend, in their last digits, on the number of threads that share them
    with one_thread():
        return model.fit(rows[contract.features], rows[contract.label])


def fit_winner(
    contract: Columns,
    families: Families,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    recipe: Hyperparameters,
    known_candidate: ModelPackage | None,
    params: Modelling,
    seed: int,
    code: CodeVersion,
    sample: RowSample | None = None,
) -> Fitted:
    """Refit the winner to be measured and to serve, at the same time if there are workers for it.

    Unless the candidate that is known is of the same features, rows, recipe, seed and code: then
    its models are taken as they were fitted.
    """
    windows = (train, validation, test)
    folds = folds_of(contract, *windows, params.cross_validation)
    train, validation, of_test = alike(contract, sample, *windows, seed)
    known = pd.concat([train, validation, of_test], ignore_index=True)
    recorded = {
        "family": recipe["family"],
        "hyperparameters": recipe["hyperparameters"],
        "loss": contract.task.loss,
        "features": contract.features,
        "left_out": left_out(contract, known),
        "n_folds": len(folds) if folds else None,
        **timeline_of(contract).record(*windows),
        "n_training_rows": len(known),
        "n_known_rows": sample.all_drawn_from if sample else None,
        "lineage": code.lineage_of(hash_rows(*windows)),
        "seed": seed,
    }
    searched = {name: recipe[name] for name in ("n_trials", "choice")}
    if known_candidate is not None and not code.is_uncertain:
        fitted = _fitted_before(known_candidate, recorded, searched)
        if fitted is not None:
            return fitted
    parts = parts_by(contract, folds, train, validation, test)
    with Parallel(min(params.n_workers, 1 + len(parts)), backend="threading") as parallel:
        *measured, (final, seconds) = parallel(
            delayed(_fit_timed)(contract, families[recipe["family"]], recipe, seed, rows)
            for rows in (*(part.known for part in parts), known)
        )
    models = [model for model, _ in measured]
    evaluated = Folded(models, folds) if folds else models[0]
    estimate = fit_loss_estimate(contract, evaluated, test, seed)
    return Fitted(evaluated, final, seconds, recorded, searched, estimate)


def fit_loss_estimate(
    contract: Columns, evaluated: Pipeline | Folded, test: pd.DataFrame, seed: int
) -> Pipeline | None:
    """Learn what the loss of a row is, by what is known of it and what is predicted.

    From rows of the test window, from which the model that predicts has not learned: its errors
    on others would be too small. None where the task needs no such model.

    What it tells of new rows is right as long as the loss of a row, given what is known of it, is
    what it was on the test window (NannyML calls that direct loss estimation): it sees that more
    rows are hard to predict, and not that the world has changed.
    """
    task = contract.task
    if not task.estimates_loss:
        return None
    output = task.output()
    scores = scores_of_rows(contract, output, evaluated, contract.features, test)
    rows = test[contract.features].assign(**output.named(scores))
    known = informative(contract, rows)
    model = loss_estimate(known, output.score_columns(), len(rows), seed)
    # sums depend, in their last digits, on the number of threads that share them
    with one_thread():
        return model.fit(rows, task.row_loss(task.labels(test[contract.label]), scores))


def _fitted_before(
    known: ModelPackage, recorded: dict[str, Any], searched: dict[str, Any]
) -> Fitted | None:
    """A candidate's models, if just they would be fitted, and what the fit took is known."""
    evaluated, final = known.evaluated, known.estimator
    seconds = known.evaluation.training_seconds if known.evaluation else None
    same = all(getattr(known.metadata, name) == value for name, value in recorded.items())
    loaded = isinstance(evaluated, Pipeline | Folded) and isinstance(final, Pipeline)
    estimate = known.loss_estimate
    if not (same and loaded and seconds is not None) or isinstance(estimate, Unloadable):
        return None
    logger.info("The winner has been fitted to these rows: it is %s", known.version)
    return Fitted(evaluated, final, seconds, recorded, searched, estimate)


def _fit_timed(
    contract: Columns,
    family: Family,
    recipe: Hyperparameters,
    seed: int,
    rows: pd.DataFrame,
) -> tuple[Pipeline, float]:
    start = time.perf_counter()
    model = fit(contract, family, recipe["hyperparameters"], seed, rows)
    return model, time.perf_counter() - start
