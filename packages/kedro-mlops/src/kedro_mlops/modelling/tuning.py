"""The search for the family and the hyperparameters with the lowest loss."""

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.sample import some_of
from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.core.json_records import hash_rows
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.models.families import Families, Hyperparameters
from kedro_mlops.runtime.serving_spec import hash_of

from .choice import choose
from .parameters import CodeVersion, Modelling
from .parts import folds_of, parts_to_tune
from .search import ALL_MADE, Search, Trial

logger = logging.getLogger(__name__)

# parameters on which a search does not depend, its rows and its time being known
NOT_OF_A_SEARCH = {"max_tuning_seconds", "max_rows", "learning_curve"}


def tune(
    contract: Columns,
    families: Families,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    known_trials: pd.DataFrame,
    known_predictions: pd.DataFrame | None,
    params: Modelling,
    bootstrap: Bootstrap,
    seed: int,
    code: CodeVersion,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Hyperparameters, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Search each family for the lowest loss on the validation window.

    Or, where test rows are cross-validated, out of fold; else they are not looked at.

    A search of the same features and rows, by the same parameters, seed and code, is not made
    again. Of its trials, only the one taken is, unless its predictions are those that are known.
    One that the time has cut is known to those of the same time alone.

    Returns:
        The winning recipe; one row per trial; the winner's predictions of the rows that decided;
        and the trials, to be known by the next search.
    """
    _check_families(contract, families, params)
    folds = folds_of(contract, train, validation, test, params.cross_validation)
    parts = [
        replace(part, known=some_of(contract, part.known, params.max_tuning_rows, seed))
        for part in parts_to_tune(contract, folds, train, validation, test)
    ]
    rows, params = (test, params.for_folds()) if folds else (validation, params)
    search = Search(contract, families, parts, params, seed, clock)
    whole, in_time = (
        _identity(search, bootstrap, code, seconds) for seconds in (None, params.max_tuning_seconds)
    )
    trials = [] if code.is_uncertain else _known(known_trials, whole, in_time)
    if not trials:
        where = "out of fold" if folds else "on the validation window"
        trials = choose(contract, families, rows, search.run(), params, bootstrap, where)
    [best] = (trial for trial in trials if trial.choice)
    predictions = best.predictions
    if predictions is None:
        logger.info("These rows have been searched; the best of %d trials is known", len(trials))
        predictions = _as_said_by(contract, best, known_predictions)
    if predictions is None:
        predictions = search.attempt(best.family, best.hyperparameters).predictions
    for trial in trials:
        if trial.end and not trial.end.endswith(ALL_MADE):
            logger.info("%s: %s", trial.family_in_words.capitalize(), trial.end)
    logger.info(best.choice)
    predicted = rows[[*contract.row_index, contract.label]].assign(
        **contract.task.output().named(np.asarray(predictions))
    )
    identity = in_time if any(trial.is_cut for trial in trials) else whole
    table = _table_of(trials, contract.task.loss)
    return _recipe(best, trials), table, predicted, _remember(trials, identity)


def _check_families(contract: Columns, families: Families, params: Modelling) -> None:
    for family in params.n_trials:
        fit = [name for name, family in families.items() if family.learns(contract.task)]
        if family not in fit:
            raise ProjectError(
                f"modelling.n_trials: no family '{family}' of {contract.task.estimator}s. "
                f"{suggestion(family, fit)}"
            )


def _recipe(best: Trial, trials: list[Trial]) -> Hyperparameters:
    return {
        "family": best.family,
        "hyperparameters": best.hyperparameters,
        "validation_loss": best.loss,
        "n_trials": dict(Counter(trial.family for trial in trials)),
        "choice": best.choice,
    }


def _table_of(trials: list[Trial], loss: str) -> pd.DataFrame:
    """One row per trial, as people read them."""
    return pd.DataFrame(
        {
            "family": trial.family,
            loss: trial.loss,
            "seconds": trial.seconds,
            "end": trial.end,
            "is_pruned": trial.is_pruned,
            **trial.hyperparameters,
        }
        for trial in trials
    )


def _identity(
    search: Search, bootstrap: Bootstrap, code: CodeVersion, max_seconds: float | None
) -> str:
    """SHA-256 of all that a search depends on, if it takes some time at most."""
    said = (
        *(search.contract.features, search.task),
        *(hash_rows(rows) for part in search.parts for rows in (part.known, part.asked)),
        *(search.params.model_dump(exclude=NOT_OF_A_SEARCH), max_seconds),
        *(bootstrap.model_dump(), search.seed, code.model_dump()),
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _known(trials: pd.DataFrame, *searches: str) -> list[Trial]:
    """The trials that are known of the first of some searches that is known."""
    known = trials.reindex(columns=["search", "trial"])
    found = (known.loc[known["search"] == search, "trial"] for search in searches)
    first = next((rows for rows in found if not rows.empty), ())
    return [Trial(**json.loads(trial)) for trial in first]


def _as_said_by(
    contract: Columns, trial: Trial, known: pd.DataFrame | None
) -> NDArray[np.float64] | None:
    """The predictions that are known, if they are the trial's."""
    output = contract.task.output()
    if known is None or not {*output.score_columns()} <= {*known}:
        return None
    predictions = output.scores_in(known)
    return predictions if hash_of(predictions.tobytes()) == trial.predictions_hash else None


def _remember(trials: list[Trial], search: str) -> pd.DataFrame:
    """The trials as text, which keeps every digit."""
    said = [{**asdict(trial), "predictions": None} for trial in trials]
    return pd.DataFrame(
        {"search": search, "number": number, "trial": json.dumps(trial)}
        for number, trial in enumerate(said)
    )
