"""Batch scoring: the champion predicts the rows that come after those it has learned from."""

from functools import partial

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from kedro_mlops.contract.batches import batches_of
from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.names import own
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.models.package import ModelPackage

from .parallel import in_order
from .scorer import Scorer

ROWS_A_BATCH = 65_536


def score(
    contract: Columns,
    logged: Columns,
    champion: ModelPackage,
    model_input: ir.Table,
    as_of: AsOf,
    horizon: Horizon,
) -> pa.RecordBatchReader:
    """Score the rows of the horizon, each with what was known when its day began.

    Of rows without a date, those are scored that have no label, and those that were set aside.

    Returns:
        The prediction log of the horizon, in the order of the model input; no rows where there is
        nothing to score. They are scored as they are read, which can be done once; meanwhile
        nothing else may be asked of the engine that has the model input.
    """
    timeline = timeline_of(contract)
    due = timeline.due(model_input, champion.metadata.trained_places, as_of, horizon)
    rows = due.select(*contract.inputs.names, predicted_at=timeline.predicted_at(due, as_of))
    types = {column.name: column.engine_type for column in logged.all}
    schema: pa.Schema = ibis.schema(types).to_pyarrow()
    judge = partial(_predict, contract, champion, Scorer(contract, champion), schema)
    predictions = in_order(judge, batches_of(rows, ROWS_A_BATCH))
    return pa.RecordBatchReader.from_batches(schema, predictions)


def _predict(
    contract: Columns,
    champion: ModelPackage,
    scorer: Scorer,
    schema: pa.Schema,
    rows: pa.RecordBatch,
) -> pa.RecordBatch:
    """The rows as they are logged."""
    found = {name: rows.column(name) for name in rows.schema.names}
    found |= champion.metadata.output.of_rows(scorer(rows))
    found["prediction_id"] = _identify(contract.keys, rows, champion.version)
    for name, value in {"model_version": champion.version, "variant": "champion"}.items():
        found[name] = pa.repeat(value, len(rows))
    found["missing_features"] = pa.nulls(len(rows))
    arrays = [pa.array(found[field.name]).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _identify(keys: list[str], rows: pa.RecordBatch, version: str) -> pa.Array:
    """The same row and model always get the same id."""
    values = {name: rows.column(name) for name in keys}
    # categories have the hashes of their values, each computed once
    coded = {
        name: array.dictionary_encode() if pa.types.is_string(array.type) else array
        for name, array in values.items()
    }
    nothing = pa.array(np.zeros(len(rows), np.int8))
    coded[own("version")] = pa.DictionaryArray.from_arrays(nothing, [version])
    hashes = pd.util.hash_pandas_object(pa.table(coded).to_pandas(), index=False)
    return pa.array(hashes).cast(pa.string())
