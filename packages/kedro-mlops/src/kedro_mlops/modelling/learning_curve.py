"""What more rows would be worth: the loss of the winner by the rows that it has learned from."""

import logging
from dataclasses import replace
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
from kedro_mlops.models.families import Families, Hyperparameters
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

    def known(part: Part, share: float) -> pd.DataFrame:
        # by another seed than ``alike``: by the same one, rows that it has left would come first
        return some_of(contract, part.known, round(len(part.known) * share), seed + 1)

    def tell(part: Part, share: float) -> Floats:
        family, hyperparameters = families[recipe["family"]], recipe["hyperparameters"]
        model = fit(contract, family, hyperparameters, seed, known(part, share))
        with one_thread():
            return scores_of(contract.task.output(), model, part.asked[contract.features])

    shares = [
        share
        for share in sorted({*params.learning_curve})
        if all(_has_all_classes(contract, known(part, share), part.known) for part in parts)
    ]
    if not shares:
        return pd.DataFrame(columns=COLUMNS)
    # what takes longest first
    with Parallel(params.n_workers, backend="threading") as parallel:
        found = reversed(
            parallel(
                delayed(by_parts)(parts, partial(tell, share=share)) for share in reversed(shares)
            )
        )
    whole = Scored.of_scores(contract, predictions)
    curve = [*(replace(whole, score=scores) for scores in found), whole]
    gains = [paired_difference(few, more.score, bootstrap) for few, more in pairwise(curve)]
    n_known = np.mean([len(part.known) for part in parts])
    table = pd.DataFrame(
        {
            "n_rows": [round(n_known * share) for share in (*shares, 1)],
            "loss": [float(scored.row_loss.mean()) for scored in curve],
            **{
                name: [np.nan, *(getattr(gain, end) for gain in gains)]
                for name, end in GAIN.items()
            },
        }
    )
    logger.info(worth_of_more_rows(json_records(table), contract.task.loss))
    return table


def _has_all_classes(contract: Columns, some: pd.DataFrame, known: pd.DataFrame) -> bool:
    """Whether some rows have all classes of those that are known; of numbers, two are enough."""
    n_values, n_known = (rows[contract.label].nunique() for rows in (some, known))
    return bool(n_values == n_known if contract.task.classes else n_values > 1)
