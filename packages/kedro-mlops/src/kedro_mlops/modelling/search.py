"""Trials of families: until enough were made, none is better any more, or the time is over."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import optuna
from joblib import Parallel, delayed
from numpy.typing import NDArray
from tqdm import tqdm

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.threads import one_thread
from kedro_mlops.models.families import Families, Hyperparameters
from kedro_mlops.models.folded import in_order
from kedro_mlops.models.package import scores_of
from kedro_mlops.runtime.serving_spec import hash_of
from kedro_mlops.task.task import Task

from .fitting import fit
from .parameters import Modelling
from .parts import Part

logger = logging.getLogger(__name__)

# share of a family's best loss by which a trial must be below it to count as better
BETTER_BY = 0.001
# why no other trial of a family followed
ALL_MADE, NOTHING_BETTER, OUT_OF_TIME = "all were made", "nothing better came", "out of time"
AS_MANY_AS_BEFORE = "as many as the time before allowed"


@dataclass(frozen=True)
class Trial:
    """One attempt: what was tried, and how it did on the validation window, or out of fold.

    Attributes:
        predictions: Of those rows; only their hash is kept for a later search.
        end: Of the last of its family, how many were made, and why no other was.
        choice: Of the one that is taken, why, in one sentence.
        is_pruned: Whether it was given up after some folds, the loss being that of these.
    """

    family: str
    hyperparameters: Hyperparameters
    loss: float
    seconds: float
    predictions_hash: str
    predictions: NDArray[np.float64] | None = None
    end: str = ""
    choice: str = ""
    is_pruned: bool = False

    @property
    def family_in_words(self) -> str:
        """What its family is called."""
        return self.family.replace("_", " ")

    @property
    def is_cut(self) -> bool:
        """Whether others of its family would have followed, had there been time."""
        return self.end.endswith(OUT_OF_TIME)


@dataclass(frozen=True)
class Search:
    """What a search is of.

    Attributes:
        parts: What trials learn from, and are measured on.
        clock: Tells seconds, of which only differences mean something.
    """

    contract: Columns
    families: Families
    parts: list[Part]
    params: Modelling
    seed: int
    clock: Callable[[], float]

    @property
    def task(self) -> Task:
        """What the models are asked."""
        return self.contract.task

    def run(self) -> list[Trial]:
        """Search one family after the other."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        trials: list[Trial] = []
        quiet = not logger.isEnabledFor(logging.INFO)
        n_trials = self.params.n_trials
        with tqdm(
            total=sum(n_trials.values()), desc="Tuning", unit="trial", disable=quiet
        ) as progress:
            for trial in self._trials():
                trials.append(trial)
                best = min(trials, key=lambda tried: (tried.is_pruned, tried.loss))
                progress.set_postfix_str(f"best {best.family}, {self.task.loss} {best.loss:.4f}")
                progress.update()
        return trials

    def _trials(self) -> Iterator[Trial]:
        """Those of each family in turn.

        The time that is left is shared, in proportion to their trials, by the families that are
        still to come; what one of them leaves is the others'.
        """
        n_trials, max_seconds = self.params.n_trials, self.params.max_tuning_seconds
        # one that is made again ends where it ended, however long that takes
        if max_seconds is None or self.params.n_trials_made is not None:
            max_seconds = np.inf
        end, n_left = self.clock() + max_seconds, sum(n_trials.values())
        for family in n_trials:
            now = self.clock()
            yield from self._of_family(family, now + (end - now) * n_trials[family] / n_left)
            n_left -= n_trials[family]

    def _of_family(self, family: str, end: float) -> Iterator[Trial]:
        """Try a family's defaults, then what Optuna asks for, ``n_workers`` trials at a time.

        After the ``end`` no trial begins, but that of the defaults.
        """
        n_trials, n_workers = self.params.n_trials[family], self.params.n_workers
        n_made = min((self.params.n_trials_made or {}).get(family, n_trials), n_trials)
        sampler = optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=n_trials // 2)
        pruner = optuna.pruners.MedianPruner()
        study = optuna.create_study(study_name=family, sampler=sampler, pruner=pruner)
        study.enqueue_trial(self.families[family].default)
        at_once = n_workers if self.clock() < end else 1
        losses: list[float] = []
        why = ""
        with Parallel(n_workers, backend="threading") as parallel:
            while not why:
                asked = [study.ask() for _ in range(min(at_once, n_made - len(losses)))]
                *others, last = parallel(
                    delayed(self.attempt)(family, self._suggest(family, trial), trial)
                    for trial in asked
                )
                # told in the order asked, so that it does not depend on who finished first; nor
                # does who is pruned, which follows from those that were told
                for trial, result in zip(asked, [*others, last], strict=True):
                    if result.is_pruned:
                        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                    else:
                        study.tell(trial, result.loss)
                    losses.append(np.inf if result.is_pruned else result.loss)
                why = self._why_no_more(losses, n_trials, n_made, end)
                said = f"{len(losses)} of {n_trials} trials, {why}" if why else ""
                yield from [*others, replace(last, end=said)]

    def _why_no_more(self, losses: list[float], n_trials: int, n_made: int, end: float) -> str:
        """Why no other trial follows those with these losses; nothing if one does."""
        if len(losses) == n_trials:
            return ALL_MADE
        if self.params.patience is not None and _since_better(losses) >= self.params.patience:
            return NOTHING_BETTER
        if len(losses) == n_made:
            return AS_MANY_AS_BEFORE
        return OUT_OF_TIME if self.clock() >= end else ""

    def _suggest(self, family: str, trial: optuna.Trial) -> Hyperparameters:
        found = self.families[family]
        suggest = found.suggest_broadly if self.params.broad_search else None
        if len(self.parts) > 1:
            suggest = found.suggest_few or suggest
        return (suggest or found.suggest)(trial)

    def attempt(
        self, family: str, hyperparameters: Hyperparameters, trial: optuna.Trial | None = None
    ) -> Trial:
        """Fit on what is known, and see how well that does on the rows asked, part by part.

        A trial of Optuna's is given up as soon as its loss so far is above the median of others.
        """
        start = time.perf_counter()
        output, is_pruned = self.task.output(), False
        predictions: list[NDArray[np.float64]] = []
        losses: list[NDArray[np.float64]] = []
        for n_done, part in enumerate(self.parts, 1):
            model = fit(
                self.contract, self.families[family], hyperparameters, self.seed, part.known
            )
            with one_thread():
                predictions.append(scores_of(output, model, part.asked[self.contract.features]))
            labels = self.task.labels(part.asked[self.contract.label])
            losses.append(self.task.row_loss(labels, predictions[-1]))
            if trial is not None and n_done < len(self.parts):
                trial.report(float(np.concatenate(losses).mean()), n_done)
                if trial.should_prune():
                    is_pruned = True
                    break
        positions = tuple(part.at for part in self.parts)[: len(losses)]
        told = in_order(positions, tuple(predictions))
        return Trial(
            family,
            hyperparameters,
            loss=float(in_order(positions, tuple(losses)).mean()),
            seconds=time.perf_counter() - start,
            predictions_hash=hash_of(told.tobytes()),
            predictions=None if is_pruned else told,
            is_pruned=is_pruned,
        )


def _since_better(losses: list[float]) -> int:
    """How many trials were made since the last that was better than those before it."""
    best, since = np.inf, 0
    for loss in losses:
        if loss < best * (1 - BETTER_BY):
            best, since = loss, 0
        else:
            since += 1
    return since
