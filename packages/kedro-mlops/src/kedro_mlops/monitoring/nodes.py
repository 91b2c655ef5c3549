"""Watching the champion: the labels that came in, what it was served with, and the data it met."""

from collections.abc import Callable
from functools import partial

import ibis.expr.types as ir
import pandas as pd
from ibis import _

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.screening_account import ScreeningAccount
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.prediction_log.parts import Part, Taken, take

from .findings import Quality, Skew
from .parameters import Monitoring


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


def ingest(logged: Columns, new: list[Part]) -> dict[str, Callable[[], Taken]]:
    """Take what is new in the prediction log, each part by its name when it is asked for."""
    return {part.name: partial(take, part, logged) for part in new}


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
