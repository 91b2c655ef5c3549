"""Watching the champion: the labels that came in, what it was served with, and the data it met."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Literal, get_args

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from ibis import _
from pydantic import Field

from kedro_mlops.contract import proved
from kedro_mlops.contract.batches import batches_of
from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.key_hashes import by_hashes
from kedro_mlops.contract.repeated import repeated_keys
from kedro_mlops.contract.screening_account import ScreeningAccount
from kedro_mlops.contract.table_diff import differences
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.core.engine import asked_in_less_memory, in_less_memory, is_spark
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.names import own
from kedro_mlops.core.time_params import AsOf, Horizon, Parameters
from kedro_mlops.models.metadata import saved_at
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.prediction_log.parts import Part, Taken, take

from .findings import Answered, ColumnSkew, Quality, Skew

CHAMPION = "champion"
# of labelled predictions, as they are read
ROWS_A_BATCH = 2**18
# columns of labels by key, beside those of the contract
N_LABELS, AGREE, N_LATER = map(own, ("labels", "agree", "later labels"))
PREDICTED = own("predicted")

Distance = Literal["psi", "jensen_shannon", "wasserstein"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)


class Drift(Parameters):
    """How far a window may be from the training rows.

    A column has drifted if its measure is beyond ``margin`` times what was normal in training,
    and beyond the floor.
    """

    margin: float = Field(ge=1, description="Times the farthest that a training window was")
    floors: dict[Distance, float] = Field(description="No limit is below these")
    measure: Distance | Literal["p_value"] = Field(
        description="The measure by which a column is said to have drifted; the significance of a "
        "chi-square test is there to be compared with: with many rows it always is"
    )
    max_p_value: float = Field(gt=0, lt=1, description="Significance, if that is the measure")
    min_features: int = Field(gt=0, description="Drifted features that make a drifted window")


class Monitoring(Parameters):
    """Parameters of the monitoring pipeline."""

    min_labelled_rows: int = Field(gt=0, description="Fewer rows say nothing about performance")
    min_label_coverage: float = Field(
        ge=0, le=1, description="Below it, labels may not speak for all predictions"
    )
    max_missing_share_increase: float = Field(
        ge=0, description="Missing values beyond the reference's share, if more than is normal"
    )
    max_unseen_share: float = Field(ge=0, description="Categories the reference did not have")
    min_volume_share: float = Field(ge=0, description="Rows a day, as a share of the reference's")
    max_staleness_days: float = Field(gt=0, description="Days since the newest row")
    skew_sample_rows: int = Field(gt=0, description="Served rows that are built again offline")
    max_skew_share: float = Field(
        ge=0, le=1, description="Share of them whose looked-up features differ"
    )
    drift: Drift


def take_predictions(
    contract: Columns, predictions: ir.Table, champion: ModelPackage, as_of: AsOf, horizon: Horizon
) -> ir.Table:
    """Let the predictions pass, if they are the champion's and of this horizon; none are, too.

    Raises:
        ProjectError: if they are of other days, or by another model.
    """
    moment = _[timeline_of(contract).moment]
    span = predictions.aggregate(
        first=moment.min(),
        last=moment.max(),
        models=_.model_version.nunique(),
        model=_.model_version.min(),
    )
    [found] = span.to_pyarrow().to_pylist()
    if found["first"] is None:
        return predictions
    in_time = as_of.moment <= found["first"] and found["last"] < as_of.after(horizon.days)
    if not in_time or (found["models"], found["model"]) != (1, champion.version):
        raise ProjectError(
            f"The predictions at hand are of {found['first']:%Y-%m-%d} to "
            f"{found['last']:%Y-%m-%d} by {found['model']}; to be watched are those of the "
            f"{horizon.days} days from {as_of} on, by the champion {champion.version}. Score them "
            f"first: `kedro run --pipelines=data_engineering,scoring,monitoring "
            f"--params=as_of={as_of},horizon.days={horizon.days}`."
        )
    return predictions


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
    """Labels that became known since the champion was trained; 0 if nobody knows when they did."""
    if not contract.has_time:
        return 0
    label_time, now = model_input[contract.label_time], ibis.literal(as_of.after(horizon.days))
    since = ibis.literal(pd.Timestamp(champion.metadata.trained_until))
    new = model_input.filter(
        label_time >= since, label_time < now, model_input[contract.label].notnull()
    )
    return int(new.count().to_pyarrow().as_py())


def ingest(logged: Columns, new: list[Part]) -> dict[str, Callable[[], Taken]]:
    """Take what is new in the prediction log, each part by its name when it is asked for."""
    return {part.name: partial(take, part, logged) for part in new}


def measure_skew(
    contract: Columns,
    served: ir.Table,
    model_input: ir.Table,
    champion: ModelPackage,
    params: Monitoring,
) -> Skew:
    """Compare the inputs that the champion was served with to those built offline.

    Looked-up features must be equal: that is training-serving skew. Sent ones differ where callers
    know other things than the source tables do.
    """
    # before there were variants, only champions answered
    answered = served.filter(_.variant.fill_null(CHAMPION) == CHAMPION)
    logged = answered.filter(_.model_version == champion.version)
    newest = logged.order_by(ibis.desc("predicted_at")).limit(params.skew_sample_rows)
    inputs = contract.inputs.without_personal()
    rows: pd.DataFrame = newest.select(inputs.names).to_pandas()
    offline = find(model_input.select(inputs.names), inputs.keys, rows)
    looked_up = [column.name for column in inputs.looked_up]
    differ = differences(rows, offline, inputs.keys, inputs.names)
    n_compared = len(differ)
    return Skew(
        n_served=int(logged.count().to_pyarrow().as_py()),
        n_compared=n_compared,
        n_unknown=len(rows) - n_compared,
        share=int(differ[looked_up].any(axis=1).sum()) / max(n_compared, 1),
        answered=_who_answered(answered, champion),
        columns=[
            ColumnSkew(
                column=str(name),
                source="looked up" if name in looked_up else "sent",
                n_differ=n_differ,
            )
            for name, n_differ in differ.sum().items()
        ],
    )


def find(table: ir.Table, keys: list[str], rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table that have the keys of other rows."""
    asked = ibis.memtable(rows[keys], schema=table.select(keys).schema())
    found: pd.DataFrame = table.semi_join(asked, keys).to_pandas()
    return found


def _who_answered(answered: ir.Table, champion: ModelPackage) -> Answered:
    """Who gave the answers of the last hour in which there were some, since the champion is one."""
    since = saved_at(champion.base) if champion.base else None
    if since is None:
        return Answered(n_rows=0, by_another=0, models=[], in_words="")
    answers = answered.filter(_.predicted_at > ibis.literal(since))
    recent = answers.filter(_.predicted_at >= _.predicted_at.max() - ibis.interval(hours=1))
    counted = recent.group_by("model_version").aggregate(n=_.count(), last=_.predicted_at.max())
    rows = counted.order_by("model_version").to_pyarrow().to_pylist()
    n_rows = sum(row["n"] for row in rows)
    others = {row["model_version"]: row["n"] for row in rows}
    others.pop(champion.version, None)
    by_another, models, in_words = sum(others.values()), list(others), ""
    if by_another:
        last = max(row["last"] for row in rows)
        in_words = (
            f"{by_another:,} of the {n_rows:,} predictions of the hour until {last:%Y-%m-%d %H:%M} "
            f"UTC came from {', '.join(models)}, and not from {champion.version}, the champion "
            f"since {since:%Y-%m-%d %H:%M} UTC. Start anew what serves: `make serve`, or as "
            "deploy/README.md says."
        )
    return Answered(n_rows=n_rows, by_another=by_another, models=models, in_words=in_words)


def measure_quality(
    contract: Columns,
    predictions: ir.Table,
    drift: pd.DataFrame,
    screening: ScreeningAccount,
    skew: Skew,
    champion: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    params: Monitoring,
) -> Quality:
    """Whether the data is fit to be judged by.

    Rows in quarantine, training-serving skew, volume and freshness: where nothing came at all, they
    fail; of rows without a date, nobody knows more of these than whether there are any. Of what
    came, missing values and unseen categories, by the window that is worst.
    """
    moment = _[timeline_of(contract).moment]
    span = predictions.aggregate(
        n_rows=_.count(), n_days=moment.truncate("D").nunique(), newest=moment.max()
    )
    [found] = span.to_pyarrow().to_pylist()
    checks = [
        CheckResult.at_most(
            "rows in quarantine", screening.largest_share, screening.max_quarantine_share
        ),
        CheckResult.at_most("training-serving skew", skew.share, params.max_skew_share),
    ]
    if contract.has_time:
        newest = pd.Timestamp(found["newest"] or as_of.moment)
        staleness = (as_of.after(horizon.days) - newest) / pd.Timedelta(days=1)
        checks += [
            CheckResult.at_most("days since the newest row", staleness, params.max_staleness_days),
            _volume_check(drift, champion, horizon, params),
        ]
    else:
        checks.append(CheckResult.at_least("predictions to look at", found["n_rows"], 1))
    if found["n_rows"]:
        # what the model does not read makes none of its answers bad
        read = ~drift["column"].isin(champion.metadata.left_out)
        checks += _value_checks(drift[read], params)
    return Quality(
        n_rows=found["n_rows"],
        n_days=found["n_days"],
        passed=all(check.passed for check in checks),
        checks=checks,
    )


def _volume_check(
    drift: pd.DataFrame, champion: ModelPackage, horizon: Horizon, params: Monitoring
) -> CheckResult:
    """The rows a day of the emptiest window; one that has none does not appear in the table."""
    windows = drift.drop_duplicates("window_start")
    reference_rows = champion.reference.features.n_rows / champion.reference.n_days
    all_there = windows["n_days"].sum() == horizon.days
    volume = (windows["n_rows"] / windows["n_days"]).min() / reference_rows if all_there else 0.0
    return CheckResult.at_least(
        "rows a day against the reference's", volume, params.min_volume_share
    )


def _value_checks(drift: pd.DataFrame, params: Monitoring) -> list[CheckResult]:
    excess = drift["missing_increase"] - drift["missing_limit"]
    beyond = drift.iloc[int(excess.to_numpy().argmax())]
    # a class that was taken in no row of the test window is one all the same
    seen = drift[drift["kind"] == "feature"]
    return [
        CheckResult.at_most(
            f"more missing values of {beyond['column']}",
            beyond["missing_increase"],
            beyond["missing_limit"],
        ),
        CheckResult.at_most(
            "unseen categories", seen["unseen_share"].max(), params.max_unseen_share
        ),
    ]
