"""The search for the family and the hyperparameters with the lowest log loss."""

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import optuna
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from tqdm import tqdm

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.core.json_records import hash_rows
from kedro_mlops.measures.metrics import SCORE
from kedro_mlops.models.families import Families, Hyperparameters
from kedro_mlops.models.package import probability
from kedro_mlops.runtime.serving_spec import hash_of

from .nodes import CodeVersion, Modelling, fit

logger = logging.getLogger(__name__)


def tune(
    contract: Columns,
    families: Families,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    known_trials: pd.DataFrame,
    known_predictions: pd.DataFrame | None,
    params: Modelling,
    seed: int,
    code: CodeVersion,
) -> tuple[Hyperparameters, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Search each family for the lowest log loss on the validation window.

    A search of the same features and rows, by the same parameters, seed and code, is not made
    again. Of its trials, only the best one is, unless its predictions are those that are known.

    Returns:
        The winning recipe; one row per trial; the winner's predictions on the validation window;
        and the trials, to be known by the next search.
    """
    for family in params.n_trials:
        if family not in families:
            raise ProjectError(
                f"modelling.n_trials: no family '{family}'. {suggestion(family, [*families])}"
            )
    search = Search(contract, families, train, validation, params, seed)
    identity = search.identity(code)
    known = known_trials.reindex(columns=["search", "trial"])
    found = known.loc[known["search"] == identity, "trial"]
    trials = [Trial(**json.loads(trial)) for trial in found]
    if not trials or code.is_uncertain:
        trials = search.run()
    best = min(trials, key=lambda trial: trial.log_loss)
    predictions = best.predictions
    if predictions is None:
        logger.info("These rows have been searched; the best of %d trials is known", len(trials))
        predictions = _as_said_by(best, known_predictions)
    if predictions is None:
        predictions = search.attempt(best.family, best.hyperparameters).predictions
    recipe = {
        "family": best.family,
        "hyperparameters": best.hyperparameters,
        "validation_log_loss": best.log_loss,
    }
    table = pd.DataFrame(
        {"family": t.family, "log_loss": t.log_loss, "seconds": t.seconds, **t.hyperparameters}
        for t in trials
    )
    predicted = validation[[*contract.keys, contract.label]].assign(probability=predictions)
    return recipe, table, predicted, _remember(trials, identity)


@dataclass(frozen=True)
class Trial:
    """One attempt: what was tried, and how it did on the validation window.

    Of its predictions, only the hash is kept for a later search.
    """

    family: str
    hyperparameters: Hyperparameters
    log_loss: float
    seconds: float
    predictions_hash: str
    predictions: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Search:
    """What a search is of."""

    contract: Columns
    families: Families
    train: pd.DataFrame
    validation: pd.DataFrame
    params: Modelling
    seed: int

    def identity(self, code: CodeVersion) -> str:
        """SHA-256 of all that the search depends on."""
        said = (
            *(self.contract.features, self.contract.label),
            *(hash_rows(self.train), hash_rows(self.validation)),
            *(self.params.model_dump(), self.seed, code.model_dump()),
        )
        return hashlib.sha256(repr(said).encode()).hexdigest()

    def run(self) -> list[Trial]:
        """Search one family after the other."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        trials: list[Trial] = []
        quiet = not logger.isEnabledFor(logging.INFO)
        n_trials = self.params.n_trials
        with tqdm(
            total=sum(n_trials.values()), desc="Tuning", unit="trial", disable=quiet
        ) as progress:
            for trial in (t for family in n_trials for t in self._of_family(family)):
                trials.append(trial)
                best = min(trials, key=lambda tried: tried.log_loss)
                progress.set_postfix_str(f"best {best.family}, log loss {best.log_loss:.4f}")
                progress.update()
        return trials

    def _of_family(self, family: str) -> Iterator[Trial]:
        """Try a family's defaults, then what Optuna asks for, ``n_workers`` trials at a time."""
        n_trials, n_workers = self.params.n_trials[family], self.params.n_workers
        sampler = optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=n_trials // 2)
        study = optuna.create_study(study_name=family, sampler=sampler)
        study.enqueue_trial(self.families[family].default)
        with Parallel(n_workers, backend="threading") as parallel:
            for start in range(0, n_trials, n_workers):
                asked = [study.ask() for _ in range(min(n_workers, n_trials - start))]
                tried = parallel(
                    delayed(self.attempt)(family, suggested)
                    for suggested in map(self.families[family].suggest, asked)
                )
                # told in the order asked, so that it does not depend on who finished first
                for trial, result in zip(asked, tried, strict=True):
                    study.tell(trial, result.log_loss)
                    yield result

    def attempt(self, family: str, hyperparameters: Hyperparameters) -> Trial:
        """Fit on the training window, and see how well that does on the validation window."""
        start = time.perf_counter()
        model = fit(self.contract, self.families[family], hyperparameters, self.seed, self.train)
        predictions = probability(model, self.validation[self.contract.features])
        loss = float(log_loss(self.validation[self.contract.label], predictions, labels=[0, 1]))
        return Trial(
            family,
            hyperparameters,
            log_loss=loss,
            seconds=time.perf_counter() - start,
            predictions_hash=hash_of(predictions.tobytes()),
            predictions=predictions,
        )


def _as_said_by(trial: Trial, known: pd.DataFrame | None) -> NDArray[np.float64] | None:
    """The predictions that are known, if they are the trial's."""
    if known is None or SCORE not in known:
        return None
    predictions = known[SCORE].to_numpy()
    return predictions if hash_of(predictions.tobytes()) == trial.predictions_hash else None


def _remember(trials: list[Trial], search: str) -> pd.DataFrame:
    """The trials as text, which keeps every digit."""
    said = [{**asdict(trial), "predictions": None} for trial in trials]
    return pd.DataFrame(
        {"search": search, "number": number, "trial": json.dumps(trial)}
        for number, trial in enumerate(said)
    )
