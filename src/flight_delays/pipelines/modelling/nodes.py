"""From model input to a candidate: split by time, tune, fit."""

import hashlib
import logging
import time
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import optuna
import pandas as pd
from ibis import _
from pydantic import Field
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline

from flight_delays.columns import Columns
from flight_delays.contracts import Observation
from flight_delays.errors import ProjectError
from flight_delays.metrics import cheapest_threshold
from flight_delays.model_package import Lineage, Metadata, ModelPackage, content_hash, probability
from flight_delays.moments import AsOf, Parameters
from flight_delays.profiles import profile

from .families import FAMILIES, Hyperparameters

logger = logging.getLogger(__name__)

COLUMNS = Columns.of(Observation)
X, Y = COLUMNS.features, COLUMNS.label


class Costs(Parameters):
    """What a wrong decision costs, in any unit."""

    false_negative: float = Field(gt=0)
    false_positive: float = Field(gt=0)


class Importance(Parameters):
    """How permutation importance is measured."""

    n_rows: int = Field(gt=0)
    n_repeats: int = Field(gt=0)


class Modelling(Parameters):
    """Parameters of the modelling pipeline."""

    validation_days: int = Field(gt=0, description="Days before the test window, for tuning")
    test_days: int = Field(gt=0, description="Last days before as-of, measured once")
    min_rows: int = Field(gt=0, description="Labelled rows that every window must have")
    n_trials: dict[str, int] = Field(min_length=1, description="Trials for each family of models")
    costs: Costs
    importance: Importance


class CodeVersion(Parameters):
    """Which code and which locked packages are running."""

    git_commit: str
    lock_hash: str


def split_windows(model_input: ir.Table, as_of: AsOf, params: Modelling) -> list[pd.DataFrame]:
    """Cut the labelled rows into train, validation and test windows, by time.

    A row belongs to a window only if its label was known when the window ended, so that training
    never sees a label that was not there yet.

    Returns:
        Train, validation and test rows in the contract's columns, ordered by event time.

    Raises:
        ProjectError: if a window has too few rows or only one class.
    """
    test_start = as_of.before(params.test_days)
    validation_start = test_start - pd.Timedelta(days=params.validation_days)
    bounds = {
        "train": (pd.Timestamp.min, validation_start),
        "validation": (validation_start, test_start),
        "test": (test_start, as_of.moment),
    }
    windows = [_labelled_rows(model_input, start, end) for start, end in bounds.values()]
    for name, rows in zip(bounds, windows, strict=True):
        _check_window(name, rows, bounds[name][1], params)
    return windows


def _labelled_rows(table: ir.Table, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    event_time, label_time = table[COLUMNS.event_time], table[COLUMNS.label_time]
    known = table.filter(label_time < ibis.literal(end), table[Y].notnull())
    if start > pd.Timestamp.min:
        known = known.filter(event_time >= ibis.literal(start))
    rows = known.order_by(list(dict.fromkeys([COLUMNS.event_time, *COLUMNS.keys]))).to_pandas()
    return rows.astype({Y: np.int8})


def _check_window(name: str, rows: pd.DataFrame, end: pd.Timestamp, params: Modelling) -> None:
    if len(rows) < params.min_rows or rows[Y].nunique() < 2:
        raise ProjectError(
            f"The {name} window, which ends on {end:%Y-%m-%d}, has {len(rows)} labelled rows of "
            f"{rows[Y].nunique()} classes; it needs {params.min_rows} rows of 2. Choose a later "
            f"as_of, or smaller modelling.validation_days and modelling.test_days."
        )


def tune(
    train: pd.DataFrame, validation: pd.DataFrame, params: Modelling, seed: int
) -> tuple[Hyperparameters, pd.DataFrame, pd.DataFrame]:
    """Search each family for the lowest log loss on the validation window.

    Returns:
        The winning recipe; one row per trial; the winner's predictions on the validation window.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tried = [
        _Search(family, train, validation, seed).run(n_trials)
        for family, n_trials in params.n_trials.items()
    ]
    winner = min(tried, key=lambda search: search.best_loss)
    logger.info("Tuning chose %s: log loss %.4f", winner.family, winner.best_loss)
    recipe = {
        "family": winner.family,
        "hyperparameters": winner.best_hyperparameters,
        "validation_log_loss": winner.best_loss,
    }
    predictions = validation[[*COLUMNS.keys, Y]].assign(probability=winner.best_predictions)
    return recipe, pd.concat([search.trials for search in tried], ignore_index=True), predictions


class _Search:
    """One family's search; remembers the best trial's predictions."""

    def __init__(
        self, family: str, train: pd.DataFrame, validation: pd.DataFrame, seed: int
    ) -> None:
        if family not in FAMILIES:
            raise ProjectError(
                f"modelling.n_trials names the family '{family}'; there are {', '.join(FAMILIES)}."
            )
        self.family, self.seed = family, seed
        self.train, self.validation = train, validation
        self.best_loss = float("inf")
        self.best_hyperparameters: Hyperparameters = {}
        self.best_predictions: Any = None
        self.trials = pd.DataFrame()

    def run(self, n_trials: int) -> "_Search":
        logger.info("Tuning %s: %d trials", self.family, n_trials)
        sampler = optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=n_trials // 2)
        study = optuna.create_study(study_name=self.family, sampler=sampler)
        study.enqueue_trial(FAMILIES[self.family].default)
        study.optimize(self._objective, n_trials=n_trials, show_progress_bar=True)
        self.trials = pd.DataFrame(
            {
                "family": self.family,
                "trial": trial.number,
                "log_loss": trial.value,
                "seconds": trial.duration.total_seconds() if trial.duration else None,
                **trial.params,
            }
            for trial in study.trials
        )
        return self

    def _objective(self, trial: optuna.Trial) -> float:
        hyperparameters = FAMILIES[self.family].suggest(trial)
        model = fit(self.family, hyperparameters, self.seed, self.train)
        predictions = probability(model, self.validation[X])
        loss = float(log_loss(self.validation[Y], predictions, labels=[0, 1]))
        if loss < self.best_loss:
            self.best_loss, self.best_hyperparameters = loss, hyperparameters
            self.best_predictions = predictions
        return loss


def fit(
    family: str, hyperparameters: Hyperparameters, seed: int, *windows: pd.DataFrame
) -> Pipeline:
    """Fit one model on the rows of all the windows."""
    rows = pd.concat(windows, ignore_index=True)
    return FAMILIES[family].build(COLUMNS, hyperparameters, seed).fit(rows[X], rows[Y])


def fit_evaluated(
    train: pd.DataFrame, validation: pd.DataFrame, recipe: Hyperparameters, seed: int
) -> Pipeline:
    """Refit the winner on all that precedes the test window: the model that is measured."""
    return fit(recipe["family"], recipe["hyperparameters"], seed, train, validation)


def fit_final(
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    recipe: Hyperparameters,
    seed: int,
) -> tuple[Pipeline, float]:
    """Refit the winner on everything known as of the moment: the model that would serve.

    Returns:
        The model, and the seconds it took to train.
    """
    start = time.perf_counter()
    model = fit(recipe["family"], recipe["hyperparameters"], seed, train, validation, test)
    return model, time.perf_counter() - start


def choose_threshold(validation_predictions: pd.DataFrame, params: Modelling) -> float:
    """The decision threshold with the lowest cost on the validation window."""
    return cheapest_threshold(
        validation_predictions[Y],
        validation_predictions["probability"].to_numpy(),
        params.costs.false_negative,
        params.costs.false_positive,
    )


def profile_reference(
    model_input: ir.Table, test_predictions: pd.DataFrame, as_of: AsOf
) -> dict[str, Any]:
    """What the features looked like in training, and the scores on the test window."""
    known = model_input.filter(_[COLUMNS.label_time] < ibis.literal(as_of.moment))
    return {
        "features": profile(
            known,
            COLUMNS.features_of_kind("numeric"),
            COLUMNS.features_of_kind("categorical", "boolean"),
        ),
        "score": profile(ibis.memtable(test_predictions[["probability"]]), ["probability"], []),
    }


def package_candidate(
    final_model: Pipeline,
    evaluated_model: Pipeline,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    recipe: Hyperparameters,
    threshold: float,
    metrics: dict[str, Any],
    reference: dict[str, Any],
    as_of: AsOf,
    code: CodeVersion,
    seed: int,
) -> ModelPackage:
    """Put the model together with all that must travel with it."""
    fitted_hash = content_hash(final_model)
    rows = pd.concat([train, validation, test], ignore_index=True)
    lineage = Lineage(
        git_commit=code.git_commit, lock_hash=code.lock_hash, data_hash=hash_rows(rows)
    )
    identity = hashlib.sha256(f"{fitted_hash} {threshold!r}".encode()).hexdigest()
    metadata = Metadata(
        version=f"{as_of.root:%Y%m%d}-{identity[:12]}",
        content_hash=fitted_hash,
        family=recipe["family"],
        hyperparameters=recipe["hyperparameters"],
        features=X,
        threshold=threshold,
        as_of=as_of.moment,
        trained_until=as_of.moment,
        evaluated_until=test[COLUMNS.event_time].min().normalize(),
        n_training_rows=len(rows),
        metrics=metrics["candidate"],
        lineage=lineage,
        seed=seed,
    )
    return ModelPackage(final_model, metadata, reference, evaluated=evaluated_model)


def hash_rows(rows: pd.DataFrame) -> str:
    """SHA-256 of the rows' values, in their order."""
    return hashlib.sha256(pd.util.hash_pandas_object(rows, index=False).to_numpy()).hexdigest()
