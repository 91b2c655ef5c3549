"""Two models on rows of one environment, which neither has learned from."""

from dataclasses import dataclass

import ibis.expr.types as ir
import pandas as pd

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.sample import digest
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.gate.checks import compare
from kedro_mlops.measures.metrics import Bootstrap, Scored
from kedro_mlops.models.package import ModelPackage, is_mute

from .history import Catalog

ROWS = "model_input"
# more say little more, and have to come into memory; fewer say nothing
MOST_ROWS, LEAST_ROWS = 100_000, 200


@dataclass(frozen=True)
class Limits:
    """By which the gate of an environment compares.

    Attributes:
        max_loss_increase: By how much a loss may exceed the champion's, unless it surely does.
        bootstrap: Of the interval.
    """

    max_loss_increase: float
    bootstrap: Bootstrap

    def compare(
        self, catalog: Catalog, chosen: ModelPackage, current: ModelPackage | None
    ) -> CheckResult | None:
        """The loss of a model minus that of the champion, on rows that are new to both.

        Nothing where there is no champion that can be asked, or there are too few such rows.
        """
        if current is None or is_mute(current.estimator) or not catalog.exists(ROWS):
            return None
        contract, table = catalog.load("contract"), catalog.load(ROWS)
        known, asked = (chosen.metadata, current.metadata), contract.task.output()
        if not all(
            {*each.features} <= {*table.columns} and each.output.answers_as(asked) for each in known
        ):
            return None  # of a contract that is no more
        rows = _unseen(contract, table, chosen, current)
        if len(rows) < LEAST_ROWS:
            return None
        limit = self.max_loss_increase
        return compare(
            f"with {current.version}, on {len(rows):,} rows that are new to both:",
            Scored.of_scores(contract, rows.assign(**chosen.predict(rows))),
            current.score(rows),
            limit,
            self.bootstrap,
            lambda found: found.value <= limit and found.low <= 0,
        )


def _unseen(
    contract: Columns, model_input: ir.Table, chosen: ModelPackage, current: ModelPackage
) -> pd.DataFrame:
    """Rows that have a label and that neither has learned from, drawn by their keys."""
    known = [chosen.metadata, current.metadata]
    table = contract.outcomes(model_input)
    table = table.filter(table[contract.label].notnull())
    if contract.has_time:
        table = table.filter(
            table[contract.event_time] >= max(each.trained_until for each in known)
        )
    rows: pd.DataFrame = table.order_by(digest(table, contract.keys)).limit(MOST_ROWS).to_pandas()
    timeline = timeline_of(contract)
    for each in known:
        rows = rows[timeline.unseen(rows, each.trained_until, each.trained_places).to_numpy()]
    return rows.reset_index(drop=True)
