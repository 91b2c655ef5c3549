"""Which trial is taken, and why: the best, or one of a simpler family that may be as good."""

from dataclasses import replace

import numpy as np
import pandas as pd

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.wording import interval_text, metric_name
from kedro_mlops.measures.metrics import Bootstrap, Scored, paired_difference
from kedro_mlops.models.families import Families

from .parameters import Modelling
from .search import Trial


def choose(
    contract: Columns,
    families: Families,
    rows: pd.DataFrame,
    trials: list[Trial],
    params: Modelling,
    bootstrap: Bootstrap,
    where: str,
) -> list[Trial]:
    """The trials, of which the one that is taken says why.

    That is the one with the lowest loss on the rows they were asked about. Or, where simpler
    families are preferred, the best one of the simplest family that it is not surely better than:
    families are declared in the order of their complexity.
    """
    best = _best(trials)
    taken = best
    loss = metric_name(contract.task.loss)
    why = f"its {loss} {where} is the lowest of {len(trials)} trials"
    beaten = []
    for simpler in _of_simpler(families, best, trials) if params.prefer_simpler else ():
        difference = paired_difference(
            Scored(
                contract.task,
                contract.task.labels(rows[contract.label]),
                np.asarray(best.predictions),
                contract.blocks(rows),
            ),
            np.asarray(simpler.predictions),
            bootstrap,
        )
        differs = f"{loss} differs by {interval_text(difference, '+.4f')}"
        if difference.high >= 0:
            taken = simpler
            why = (
                f"it is simpler than {best.family_in_words}, which is not surely better {where} "
                f"({differs})"
            )
            break
        beaten.append(f"{simpler.family_in_words}, which is simpler ({differs})")
        why = f"{where} it is surely better than {' and '.join(beaten)}"
    choice = f"{taken.family_in_words.capitalize()} was taken: {why}."
    return [replace(trial, choice=choice) if trial is taken else trial for trial in trials]


def _best(trials: list[Trial]) -> Trial:
    return min((trial for trial in trials if not trial.is_pruned), key=lambda trial: trial.loss)


def _of_simpler(families: Families, best: Trial, trials: list[Trial]) -> list[Trial]:
    """The best trial of each family that is simpler and was tried, the simplest first."""
    declared = [*families]
    tried = [
        [trial for trial in trials if trial.family == family]
        for family in declared[: declared.index(best.family)]
    ]
    return [_best(of_family) for of_family in tried if of_family]
