"""The search for the family and the hyperparameters with the lowest log loss."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import optuna
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from tqdm import tqdm

from flight_delays.errors import ProjectError, suggestion
from flight_delays.model_package import probability

from .families import FAMILIES, Hyperparameters
from .nodes import COLUMNS, Modelling, X, Y, fit

logger = logging.getLogger(__name__)


def tune(
    train: pd.DataFrame, validation: pd.DataFrame, params: Modelling, seed: int
) -> tuple[Hyperparameters, pd.DataFrame, pd.DataFrame]:
    """Search each family for the lowest log loss on the validation window.

    Returns:
        The winning recipe; one row per trial; the winner's predictions on the validation window.
    """
    for family in params.n_trials:
        if family not in FAMILIES:
            raise ProjectError(
                f"modelling.n_trials: no family '{family}'. {suggestion(family, [*FAMILIES])}"
            )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials: list[Trial] = []
    quiet = not logger.isEnabledFor(logging.INFO)
    n_trials = sum(params.n_trials.values())
    with tqdm(total=n_trials, desc="Tuning", unit="trial", disable=quiet) as progress:
        for family, n_tried in params.n_trials.items():
            for trial in _search(family, n_tried, train, validation, params.n_workers, seed):
                trials.append(trial)
                best = min(trials, key=lambda tried: tried.log_loss)
                progress.set_postfix_str(f"best {best.family}, log loss {best.log_loss:.4f}")
                progress.update()
    recipe = {
        "family": best.family,
        "hyperparameters": best.hyperparameters,
        "validation_log_loss": best.log_loss,
    }
    table = pd.DataFrame(
        {"family": t.family, "log_loss": t.log_loss, "seconds": t.seconds, **t.hyperparameters}
        for t in trials
    )
    predictions = validation[[*COLUMNS.keys, Y]].assign(probability=best.predictions)
    return recipe, table, predictions


@dataclass(frozen=True)
class Trial:
    """One attempt: what was tried, and how it did on the validation window."""

    family: str
    hyperparameters: Hyperparameters
    predictions: NDArray[np.float64]
    log_loss: float
    seconds: float


def _search(
    family: str,
    n_trials: int,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    n_workers: int,
    seed: int,
) -> Iterator[Trial]:
    """Try a family's defaults, then what Optuna asks for, ``n_workers`` trials at a time."""
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=n_trials // 2)
    study = optuna.create_study(study_name=family, sampler=sampler)
    study.enqueue_trial(FAMILIES[family].default)
    with Parallel(n_workers, backend="threading") as parallel:
        for start in range(0, n_trials, n_workers):
            asked = [study.ask() for _ in range(min(n_workers, n_trials - start))]
            tried = parallel(
                delayed(_try)(family, FAMILIES[family].suggest(trial), train, validation, seed)
                for trial in asked
            )
            # told in the order asked, so that the search does not depend on who finished first
            for trial, result in zip(asked, tried, strict=True):
                study.tell(trial, result.log_loss)
                yield result


def _try(
    family: str,
    hyperparameters: Hyperparameters,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    seed: int,
) -> Trial:
    start = time.perf_counter()
    model = fit(family, hyperparameters, seed, train)
    predictions = probability(model, validation[X])
    loss = float(log_loss(validation[Y], predictions, labels=[0, 1]))
    return Trial(family, hyperparameters, predictions, loss, time.perf_counter() - start)
