"""The labels of predictions, as far as they are known."""

from collections.abc import Iterator
from contextlib import nullcontext

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from ibis import _

from kedro_mlops.contract import proved
from kedro_mlops.contract.batches import batches_of
from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.key_hashes import by_hashes
from kedro_mlops.contract.repeated import repeated_keys
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.engine import asked_in_less_memory, in_less_memory, is_spark
from kedro_mlops.core.names import own
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.models.package import ModelPackage

# of labelled predictions, as they are read
ROWS_A_BATCH = 2**18
# columns of labels by key, beside those of the contract
N_LABELS, AGREE, N_LATER = map(own, ("labels", "agree", "later labels"))
PREDICTED = own("predicted")


def join_labels(
    contract: Columns, predictions: ir.Table, model_input: ir.Table, as_of: AsOf, horizon: Horizon
) -> tuple[ir.Table | pa.RecordBatchReader, dict[str, int]]:
    """Join the predictions with the labels known at the end of the horizon.

    A label that came twice counts once; labels that contradict each other count as none.

    Returns:
        Moment, segments and all that is told of every prediction, its label, missing where
        it is not known, and protected columns, those that are not logged with the label; also the
        model's inputs, if the loss is estimated by them. They are joined as they are read, which
        can be done once. And an
        account of the labels: those that are ``known``, ``pending`` predictions without one, and
        labels that came ``later``, on another day than the event's, that are ``repeated``,
        ``contradicting`` or of ``unknown`` predictions.
    """
    by_key = known_labels(contract, model_input, as_of, horizon)
    if not contract.has_time:
        # the others are those that models learn from
        by_key = by_key.semi_join(predictions, contract.keys).cache()
    predictions, by_key, key = by_hashes(predictions, by_key, contract.keys)
    joined = predictions.left_join(by_key, key, rname=own("{name}"))
    compared = [*contract.segments, *contract.protected]
    told = [each.name for each in contract.task.output().told]
    moment = timeline_of(contract).moment
    read = contract.features if contract.task.estimates_loss else []
    kept = dict.fromkeys([*contract.row_index, moment, *compared, *read, *told, contract.label])
    labelled = joined.select(*kept).mutate({contract.label: _[contract.label].cast("float64")})
    account, fits = _account(contract.label, by_key, predictions, key)
    if is_spark(labelled):
        return labelled, account
    rows = _joined(labelled, account["predictions"], fits)
    return pa.RecordBatchReader.from_batches(labelled.schema().to_pyarrow(), rows), account


def _joined(labelled: ir.Table, n_rows: int, fits: bool) -> Iterator[pa.RecordBatch]:
    """The rows, as an engine gives them in less memory, time and space than it takes to write."""
    with in_less_memory(labelled) if fits else nullcontext():
        yield from batches_of(labelled, ROWS_A_BATCH, n_rows)


def known_labels(
    contract: Columns, model_input: ir.Table, as_of: AsOf, horizon: Horizon
) -> ir.Table:
    """The labels of the horizon that are known at its end, one row per key.

    Of rows without a date they are all that there are.

    Returns:
        Keys and label (see ``Columns.outcomes``), missing where there are several that contradict
        each other; ``N_LABELS``, how many came, and ``AGREE``, whether all said the same;
        ``N_LATER``, on a later day than the event's; and what is only compared, which no
        prediction has.
    """
    timeline = timeline_of(contract)
    labels = contract.outcomes(timeline.labelled(model_input, as_of, horizon))
    if proved.is_unique(model_input, contract.keys) or not any(
        repeated_keys(labels, contract.keys)
    ):
        # groups would be as many as the rows, and in memory
        alone = {N_LABELS: ibis.literal(1, "int64"), AGREE: ibis.literal(value=True)}
        later = timeline.came_later(labels).cast("int64")
        compared = [contract.label, *contract.only_compared]
        return labels.select(*contract.keys, *compared, **alone, **{N_LATER: later})
    by_key = labels.group_by(contract.keys).aggregate(
        {
            N_LABELS: _.count(),
            # not the number of distinct ones, for which an engine keeps a set of every key
            AGREE: _[contract.label].min() == _[contract.label].max(),
            N_LATER: timeline.came_later(labels).sum(),
            **{name: _[name].max() for name in (contract.label, *contract.only_compared)},
        }
    )
    agreed = {contract.label: _[AGREE].ifelse(_[contract.label], ibis.null())}
    return by_key.mutate(agreed).cache()


def _account(
    label: str, by_key: ir.Table, predictions: ir.Table, key: list[str]
) -> tuple[dict[str, int], bool]:
    """What came of the labels, and whether a part of the memory was enough to join them."""
    predicted = predictions.select(*key, **{PREDICTED: ibis.literal(value=True)})
    labels = by_key.select(*key, label)
    # a constant of the other side would be one of all rows
    met = labels.outer_join(predicted, key, rname=own("{name}")).aggregate(
        n=_[PREDICTED].count(),
        known=_[label].count(where=_[PREDICTED].notnull()),
        unknown=_.count(where=_[PREDICTED].isnull()),
    )
    found = by_key.aggregate(
        later=_[N_LATER].sum(),
        repeated=(_[N_LABELS] - 1).sum(where=_[AGREE]),
        contradicting=_[N_LABELS].sum(where=~_[AGREE]),
    )
    [counted] = found.to_pyarrow().to_pylist()
    joined, fits = asked_in_less_memory(met)
    [matched] = joined.to_pylist()
    n, known = matched["n"], matched["known"]
    account = {"predictions": n, "known": known, "pending": n - known}
    others = counted | {"unknown": matched["unknown"]}
    return account | {name: int(count or 0) for name, count in others.items()}, fits


def count_new_labels(
    contract: Columns, model_input: ir.Table, champion: ModelPackage, as_of: AsOf, horizon: Horizon
) -> int:
    """Labels that could be learned from only since then; 0 if nobody knows when they came."""
    since = pd.Timestamp(champion.metadata.trained_until)
    return timeline_of(contract).n_new(model_input, since, as_of.after(horizon.days))
