"""Batch scoring: the champion predicts the rows that come after those it has learned from."""

import ibis
import ibis.expr.types as ir
import pandas as pd

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.timeline import timeline_of
from kedro_mlops.core.names import own
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.models.package import ModelPackage


def score(
    contract: Columns,
    logged: Columns,
    champion: ModelPackage,
    model_input: ir.Table,
    as_of: AsOf,
    horizon: Horizon,
) -> ir.Table:
    """Score the rows of the horizon, each with what was known when its day began.

    Of rows without a date, those are scored that have no label, and those that were set aside.

    Returns:
        The prediction log of the horizon; no rows where there is nothing to score.
    """
    timeline = timeline_of(contract)
    due = timeline.due(model_input, champion.metadata.trained_places, as_of, horizon)
    rows = due.select(contract.inputs.names).order_by(contract.keys).to_pandas()
    told = champion.predict(rows) if len(rows) else dict.fromkeys(_told(champion))
    predictions = rows.assign(
        prediction_id=_identify(contract, rows, champion.version),
        predicted_at=timeline.predicted_at(rows, as_of),
        model_version=champion.version,
        variant="champion",
        missing_features=None,
        **told,
    )
    schema = {column.name: column.engine_type for column in logged.all}
    return ibis.memtable(predictions[logged.names], schema=schema)


def _told(champion: ModelPackage) -> list[str]:
    return [each.name for each in champion.metadata.output.told]


def _identify(contract: Columns, rows: pd.DataFrame, version: str) -> pd.Series:
    """The same row and model always get the same id."""
    hashes = pd.util.hash_pandas_object(
        rows[contract.keys].assign(**{own("version"): version}), index=False
    )
    return hashes.astype("str").set_axis(rows.index)
