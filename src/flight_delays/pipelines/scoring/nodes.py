"""Batch scoring: the champion predicts the rows after the as-of moment."""

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from flight_delays.columns import Columns
from flight_delays.contracts import Inputs, Prediction
from flight_delays.model_package import ModelPackage
from flight_delays.moments import AsOf, Horizon

INPUTS, PREDICTION = Columns.of(Inputs), Columns.of(Prediction).without_personal()


def score(champion: ModelPackage, model_input: ir.Table, as_of: AsOf, horizon: Horizon) -> ir.Table:
    """Score the rows of the horizon, each with what was known when its day began.

    Returns:
        The prediction log of the horizon; no rows where there is nothing to score.
    """
    event_time = model_input[INPUTS.event_time]
    due = model_input.filter(
        event_time >= ibis.literal(as_of.moment),
        event_time < ibis.literal(as_of.after(horizon.days)),
    )
    rows = due.select(INPUTS.names).order_by(INPUTS.keys).to_pandas()
    probabilities = champion.predict(rows) if len(rows) else np.empty(0)
    predictions = rows.assign(
        prediction_id=_identify(rows, champion.version),
        predicted_at=rows[INPUTS.event_time].dt.normalize(),
        model_version=pd.Series(champion.version, index=rows.index, dtype="str"),
        variant=pd.Series("champion", index=rows.index, dtype="str"),
        probability=probabilities,
        decision=champion.decide(probabilities),
        missing_features=pd.Series(None, index=rows.index, dtype="str"),
    )
    return ibis.memtable(predictions[PREDICTION.names], schema=_schema(model_input))


def _identify(rows: pd.DataFrame, version: str) -> pd.Series:
    """The same row and model always get the same id."""
    hashes = pd.util.hash_pandas_object(rows[INPUTS.keys].assign(version=version), index=False)
    return hashes.astype("str").set_axis(rows.index)


def _schema(model_input: ir.Table) -> ibis.Schema:
    inputs = {name: model_input.schema()[name] for name in INPUTS.without_personal().names}
    return ibis.schema(
        {
            **inputs,
            "prediction_id": "string",
            "predicted_at": "timestamp",
            "model_version": "string",
            "variant": "string",
            "probability": "float64",
            "decision": "boolean",
            "missing_features": "string",
        }
    )
