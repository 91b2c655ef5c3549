"""What more rows would be worth: the loss of the winner by the rows that it has learned from."""

import logging
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.sample import some_of
from kedro_mlops.core.json_records import json_records
from kedro_mlops.core.threads import one_thread
from kedro_mlops.measures.evaluation import RowSample, worth_of_more_rows
from kedro_mlops.measures.metrics import Bootstrap, Scored, paired_difference
from kedro_mlops.models.families import Families, Family, Hyperparameters
from kedro_mlops.models.package import scores_of
from kedro_mlops.task.outputs import Floats

from .fitting import Fitted, fit
from .parameters import Modelling
from .parts import Part, alike, by_parts, parts_by

logger = logging.getLogger(__name__)

GAIN = {"gain": "value", "gain_low": "low", "gain_high": "high"}
COLUMNS = ["n_rows", "loss", *GAIN]


def measure_learning_curve(
    contract: Columns,
    families: Families,
    fitted: Fitted,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
    recipe: Hyperparameters,
    params: Modelling,
    bootstrap: Bootstrap,
    seed: int,
    sample: RowSample | None = None,
) -> pd.DataFrame:
    """Learn the winner from shares of the rows, and measure it on the rows it is measured on.

    Those are the test window, or all folds: there it is known already what the model of all rows
    says. Nothing is chosen by the curve.

    Returns:
        One row per share and one for all rows, ascending: rows learned from (on average of folds),
        the loss, and by how much it is below that of the row before, with an interval. Shares whose
        rows lack a class are left out; without shares there is no row.
    """
    train, validation, _ = alike(contract, sample, train, validation, test, seed)
    parts = parts_by(contract, fitted.folds, train, validation, test)
    family = families[recipe["family"]]
    winner = _Winner(contract, family, recipe["hyperparameters"], seed)
    shares = [
        share
        for share in sorted({*params.learning_curve})
        if all(winner.knows_all_classes(part, share) for part in parts)
    ]
    if not shares:
        return pd.DataFrame(columns=COLUMNS)
    # what takes longest first
    with Parallel(params.n_workers, backend="threading") as parallel:
        found = parallel(
            delayed(by_parts)(parts, partial(winner.scores, share=share))
            for share in reversed(shares)
        )
    whole = Scored.of_scores(contract, predictions)
    curve = [*(replace(whole, score=scores) for scores in reversed(found)), whole]
    n_known = np.mean([len(part.known) for part in parts])
    table = _table_of(curve, [round(n_known * share) for share in (*shares, 1)], bootstrap)
    logger.info(worth_of_more_rows(json_records(table), contract.task.loss))
    return table


@dataclass(frozen=True)
class _Winner:
    """What is learned once more, from shares of the rows."""

    contract: Columns
    family: Family
    hyperparameters: Hyperparameters
    seed: int

    def known(self, part: Part, share: float) -> pd.DataFrame:
        """The rows to learn from."""
        # by another seed than ``alike``: by the same one, rows that it has left would come first
        n_rows = round(len(part.known) * share)
        return some_of(self.contract, part.known, n_rows, self.seed + 1)

    def knows_all_classes(self, part: Part, share: float) -> bool:
        """Whether they have all classes of the part; of numbers, two are enough."""
        label = self.contract.label
        n_values, n_all = (rows[label].nunique() for rows in (self.known(part, share), part.known))
        return bool(n_values == n_all if self.contract.task.classes else n_values > 1)

    def scores(self, part: Part, share: float) -> Floats:
        """What is said of the rows of the part that it is asked about."""
        contract, known = self.contract, self.known(part, share)
        model = fit(contract, self.family, self.hyperparameters, self.seed, known)
        with one_thread():
            return scores_of(contract.task.output(), model, part.asked[contract.features])


def _table_of(curve: list[Scored], n_rows: list[int], bootstrap: Bootstrap) -> pd.DataFrame:
    gains = [paired_difference(few, more.score, bootstrap) for few, more in pairwise(curve)]
    return pd.DataFrame(
        {
            "n_rows": n_rows,
            "loss": [float(scored.row_loss.mean()) for scored in curve],
            **{
                name: [np.nan, *(getattr(gain, end) for gain in gains)]
                for name, end in GAIN.items()
            },
        }
    )
