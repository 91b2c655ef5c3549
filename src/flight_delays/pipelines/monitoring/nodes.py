"""Watching the champion: the data it met, how it did, and whether to train again."""

from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from pydantic import Field

from flight_delays.agreement import differences
from flight_delays.columns import Columns
from flight_delays.contracts import Inputs, Observation
from flight_delays.metrics import METRICS, Bootstrap, measure
from flight_delays.model_package import ModelPackage
from flight_delays.moments import AsOf, Horizon, Parameters
from flight_delays.profiles import compare

COLUMNS = Columns.of(Observation)
INPUTS = Columns.of(Inputs).without_personal()
Y = COLUMNS.label
SCORE = "probability"

WEEKLY_COLUMNS = [
    "week_of",
    "n_predictions",
    "label_coverage",
    *(f"{metric}{end}" for metric in ("log_loss", "roc_auc") for end in ("", "_low", "_high")),
]

Check = dict[str, Any]
Rule = dict[str, Any]


class Monitoring(Parameters):
    """Parameters of the monitoring pipeline."""

    min_labelled_rows: int = Field(gt=0, description="Fewer say nothing about performance")
    max_missing_share_increase: float = Field(
        ge=0, description="Missing values beyond the reference's share"
    )
    max_unseen_share: float = Field(ge=0, description="Categories the reference did not have")
    min_volume_share: float = Field(ge=0, description="Rows a day, as a share of the reference's")
    skew_sample_rows: int = Field(gt=0, description="Served rows that are built again offline")
    max_skew_share: float = Field(
        ge=0, le=1, description="Share of them whose looked-up features differ"
    )
    max_psi: float = Field(gt=0, description="Population stability index shown as drift")
    max_age_days: int = Field(gt=0, description="Age at which a champion is retrained on schedule")


def join_labels(
    predictions: ir.Table, model_input: ir.Table, as_of: AsOf, horizon: Horizon
) -> pd.DataFrame:
    """Join the predictions with the labels known at the end of the horizon.

    Returns:
        Event time, segments, probability and decision of every prediction, and its label,
        missing where it is not known.
    """
    now = ibis.literal(as_of.after(horizon.days))
    known = model_input.filter(_[COLUMNS.label_time] < now).select(*COLUMNS.keys, Y)
    joined = predictions.left_join(known, COLUMNS.keys)
    kept = dict.fromkeys([*COLUMNS.keys, *COLUMNS.segments, SCORE, "decision", Y])
    rows: pd.DataFrame = joined.select(*kept).order_by(COLUMNS.keys).to_pandas()
    return rows.astype({Y: "Int8"})


def measure_drift(predictions: ir.Table, champion: ModelPackage) -> pd.DataFrame:
    """Compare features and score with the reference profile stored with the champion.

    Returns:
        One row per column, most drifted first; see ``profiles.compare``.
    """
    features = compare(champion.reference.features, predictions).assign(kind="feature")
    score = compare(champion.reference.score, predictions).assign(kind="score")
    return pd.concat([score, features], ignore_index=True)


def measure_skew(
    prediction_log: ir.Table, model_input: ir.Table, champion: ModelPackage, params: Monitoring
) -> dict[str, Any]:
    """Compare the inputs that the champion was served with to those built offline.

    Looked-up features must be equal: that is training-serving skew. Sent ones differ where callers
    know other things than the source tables do.

    Returns:
        ``share`` of the compared rows whose looked-up features differ; ``columns``, each with its
        source and the rows that differ. ``n_unknown`` rows are not in the model
        input.
    """
    logged = prediction_log.filter(_.model_version == champion.version)
    newest = logged.order_by(ibis.desc("predicted_at")).limit(params.skew_sample_rows)
    served: pd.DataFrame = newest.select(INPUTS.names).to_pandas()
    asked = ibis.memtable(served[INPUTS.keys], schema=model_input.select(INPUTS.keys).schema())
    known = model_input.semi_join(asked, INPUTS.keys).select(INPUTS.names)
    offline: pd.DataFrame = known.to_pandas()
    looked_up = [column.name for column in INPUTS.looked_up]
    differ = differences(served, offline, INPUTS.keys, INPUTS.names)
    n_compared = len(differ)
    return {
        "n_served": int(logged.count().to_pyarrow().as_py()),
        "n_compared": n_compared,
        "n_unknown": len(served) - n_compared,
        "share": int(differ[looked_up].any(axis=1).sum()) / max(n_compared, 1),
        "columns": [
            {
                "column": name,
                "source": "looked up" if name in looked_up else "sent",
                "n_differ": int(n_differ),
            }
            for name, n_differ in differ.sum().items()
        ],
    }


def measure_quality(
    predictions: ir.Table,
    drift: pd.DataFrame,
    screening: dict[str, Any],
    skew: dict[str, Any],
    champion: ModelPackage,
    params: Monitoring,
) -> dict[str, Any]:
    """Whether the data is fit to be judged by.

    Rows in quarantine and training-serving skew; and where there are predictions, their volume,
    missing values and unseen categories.
    """
    span = predictions.aggregate(
        n_rows=_.count(), n_days=_[COLUMNS.event_time].truncate("D").nunique()
    )
    [found] = span.to_pyarrow().to_pylist()
    reference_rows = champion.reference.features.n_rows / champion.reference.n_days
    volume = found["n_rows"] / max(found["n_days"], 1) / reference_rows
    worst_missing = (drift["missing_share"] - drift["reference_missing_share"]).max()
    checks = [
        _at_most(
            "rows in quarantine", screening["largest_share"], screening["max_quarantine_share"]
        ),
        _at_most("training-serving skew", skew["share"], params.max_skew_share),
    ]
    if found["n_rows"]:
        unseen = drift["unseen_share"].max()
        checks += [
            _check("volume", volume, params.min_volume_share, volume >= params.min_volume_share),
            _at_most("missing values", worst_missing, params.max_missing_share_increase),
            _at_most("unseen categories", unseen, params.max_unseen_share),
        ]
    return {
        "n_rows": found["n_rows"],
        "n_days": found["n_days"],
        "rows_a_day_against_reference": volume,
        "passed": all(check["passed"] for check in checks),
        "checks": checks,
    }


def measure_performance(
    labelled: pd.DataFrame,
    champion: ModelPackage,
    as_of: AsOf,
    params: Monitoring,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Metrics on the labels known so far, with intervals and label coverage.

    Returns:
        ``metrics`` is empty, and ``unknown_because`` says why, where the labels say nothing.
    """
    known = labelled.dropna(subset=[Y])
    unknown_because = _unknown_because(len(known), champion, as_of, params)
    return {
        "model_version": champion.version,
        "n_predictions": len(labelled),
        "n_labelled": len(known),
        "label_coverage": len(known) / max(len(labelled), 1),
        "unknown_because": unknown_because,
        "metrics": {} if unknown_because else _measure(known, bootstrap),
        "reference": champion.metadata.metrics,
    }


def _unknown_because(
    n_known: int, champion: ModelPackage, as_of: AsOf, params: Monitoring
) -> str | None:
    if champion.metadata.trained_until > as_of.moment:
        return (
            f"The champion was trained as of {champion.metadata.as_of:%Y-%m-%d}: it has learned "
            f"from rows after {as_of}, and its figures on them would flatter it."
        )
    if n_known < params.min_labelled_rows:
        return (
            f"Not enough data to judge performance: {n_known} labelled rows, "
            f"{params.min_labelled_rows} are needed."
        )
    return None


def measure_weeks(labelled: pd.DataFrame, as_of: AsOf, bootstrap: Bootstrap) -> pd.DataFrame:
    """Log loss and ROC AUC of each week after the as-of moment, with intervals.

    Returns:
        One row per week with labels: first day, rows, coverage, metrics.
    """
    week = (labelled[COLUMNS.event_time] - as_of.moment).dt.days // 7
    rows = []
    for number, part in labelled.groupby(week):
        known = part.dropna(subset=[Y])
        measured = _measure(known, bootstrap, ("log_loss", "roc_auc")) if len(known) else {}
        rows.append(
            {
                "week_of": as_of.after(7 * int(number)).date().isoformat(),
                "n_predictions": len(part),
                "label_coverage": len(known) / len(part),
                **{
                    f"{metric}{'' if end == 'value' else f'_{end}'}": value
                    for metric, interval in measured.items()
                    for end, value in interval.items()
                },
            }
        )
    return pd.DataFrame(rows, columns=WEEKLY_COLUMNS)


def _measure(
    known: pd.DataFrame, bootstrap: Bootstrap, names: tuple[str, ...] = tuple(METRICS)
) -> dict[str, Any]:
    days = known[COLUMNS.event_time].dt.normalize()
    return measure(known[Y].astype(np.int8), known[SCORE].to_numpy(), days, bootstrap, names)


def decide(
    quality: dict[str, Any],
    drift: pd.DataFrame,
    performance: dict[str, Any],
    champion: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    params: Monitoring,
) -> dict[str, Any]:
    """Retrain or wait.

    Performance lost beyond its interval, or age, ask for retraining; bad data vetoes it; drift is
    shown, but alone never retrains.

    Returns:
        The decision: ``outcome`` is ``retrain`` or ``wait``, with ``reasons``, and ``rules`` that
        each say fired or not, value and limit.
    """
    now = as_of.after(horizon.days)
    rules = [
        _performance_rule(performance),
        _age_rule(max((now - champion.metadata.as_of).days, 0), params),
    ]
    drifted = drift.loc[drift["psi"] > params.max_psi, "column"].tolist()
    fired = [rule for rule in rules if rule["fired"]]
    vetoed = [check for check in quality["checks"] if not check["passed"]]
    if vetoed:
        reasons = [f"Bad data vetoes retraining: {_describe(check)}." for check in vetoed]
    elif fired:
        reasons = [rule["reason"] for rule in fired]
    else:
        reasons = [rule["reason"] for rule in rules]
    return {
        "outcome": "retrain" if fired and not vetoed else "wait",
        "decided_at": now.isoformat(),
        "model_version": champion.version,
        "reasons": reasons,
        "rules": rules,
        "vetoes": vetoed,
        "drifted": drifted,
    }


def _performance_rule(performance: dict[str, Any]) -> Rule:
    """Fires if even the lower end of the realised loss is beyond the upper end of the measured."""
    limit = performance["reference"]["log_loss"]["high"]
    if performance["unknown_because"]:
        return _rule("performance", False, None, limit, performance["unknown_because"])
    realised = performance["metrics"]["log_loss"]
    fired = realised["low"] > limit
    compared = "worse than" if fired else "not beyond"
    reason = (
        f"Log loss {realised['value']:.3f} [{realised['low']:.3f}, {realised['high']:.3f}] is "
        f"{compared} what the test window led to expect (up to {limit:.3f})."
    )
    return _rule("performance", fired, realised["low"], limit, reason)


def _age_rule(age_days: int, params: Monitoring) -> Rule:
    limit = params.max_age_days
    reason = f"The champion is {age_days} days old; {limit} are allowed."
    return _rule("age", age_days > limit, age_days, limit, reason)


def _rule(name: str, fired: bool, value: float | None, limit: float, reason: str) -> Rule:
    return {"rule": name, "fired": fired, "value": value, "limit": limit, "reason": reason}


def _check(name: str, value: float, limit: float, passed: bool) -> Check:
    return {"name": name, "passed": bool(passed), "value": float(value), "limit": limit}


def _at_most(name: str, value: float, limit: float) -> Check:
    return _check(name, value, limit, value <= limit)


def _describe(check: Check) -> str:
    return f"{check['name']} {check['value']:.3g}, limit {check['limit']:g}"
