"""A candidate becomes champion only if it earns it."""

from typing import Any

import pandas as pd
from pydantic import Field, field_validator

from flight_delays.columns import Columns
from flight_delays.contracts import Observation
from flight_delays.errors import suggestion
from flight_delays.metrics import METRICS, Bootstrap, paired_difference
from flight_delays.model_package import GATE, ModelPackage, probability
from flight_delays.moments import AsOf, Parameters

COLUMNS = Columns.of(Observation)
Y = COLUMNS.label

Check = dict[str, Any]


class Gate(Parameters):
    """Parameters of the gate."""

    at_least: dict[str, float] = Field(description="Lowest acceptable value of a test metric")
    at_most: dict[str, float] = Field(description="Highest acceptable value of a test metric")
    max_loss_increase: float = Field(
        ge=0,
        description="Log loss by which a candidate may exceed the champion, unless it is surely "
        "worse: the interval of the difference lies above 0",
    )

    max_single_feature_auc: float = Field(
        ge=0.5, le=1, description="ROC AUC beyond which a feature alone gives the label away"
    )
    require_approval: bool = Field(description="Whether a person promotes, not the gate")

    @field_validator("at_least", "at_most")
    @classmethod
    def _of_known_metrics(cls, limits: dict[str, float]) -> dict[str, float]:
        for name in limits:
            if name not in METRICS:
                raise ValueError(f"There is no metric '{name}'. {suggestion(name, [*METRICS])}")
        return limits


def judge(
    candidate: ModelPackage,
    incumbent: ModelPackage | None,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
    single_feature_auc: pd.DataFrame,
    as_of: AsOf,
    params: Gate,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Decide whether the candidate is promoted, kept out, or blocked.

    Args:
        candidate: The model just trained.
        incumbent: The present champion, if there is one.
        test: Rows of the test window.
        predictions: The candidate's and the baselines' probabilities on them.
        metrics: The candidate's and the baselines' metrics on them.
        single_feature_auc: How well each feature alone tells the label.
        as_of: The as-of moment.
        params: Floors and tolerance.
        bootstrap: How intervals are computed.

    Returns:
        The decision: ``outcome`` is ``promote``; ``await_approval``, a person is to promote it;
        ``keep``, the champion stays because the candidate is not better, or was rolled back; or
        ``block``, the candidate is not fit to serve. With ``reasons``, and ``checks`` that each
        say passed or not, value and limit.
    """
    checks = [
        *_leakage_checks(single_feature_auc, params),
        *_floor_checks(metrics["candidate"], params),
        *_baseline_checks(predictions, metrics, bootstrap),
    ]
    fit = all(check["passed"] for check in checks)
    reasons = [f"Failed: {c['name']} ({c['detail']})." for c in checks if not c["passed"]]
    outcome = "promote" if fit else "block"
    if fit and incumbent is not None:
        contest = _contest(candidate, incumbent, test, predictions, as_of, params, bootstrap)
        checks += contest["checks"]
        reasons, outcome = [contest["reason"]], contest["outcome"]
    elif fit:
        reasons = ["There is no champion yet, and the candidate passed every check."]
    decision = {
        "outcome": outcome,
        "candidate": candidate.version,
        "champion_before": incumbent.version if incumbent else None,
        "as_of": str(as_of),
        "decided_by": GATE,
        "decided_at": as_of.moment.isoformat(),
        "reasons": reasons,
        "checks": checks,
    }
    return _leave_to_people(decision, incumbent, params)


def _leave_to_people(
    decision: dict[str, Any], incumbent: ModelPackage | None, params: Gate
) -> dict[str, Any]:
    """Promote neither what a person has rolled back, nor what a person wants to approve."""
    if decision["outcome"] != "promote":
        return decision
    version, reasons = decision["candidate"], decision["reasons"]
    command = f"`kedro champion promote {version} --reason …`"
    if incumbent is not None and version in incumbent.metadata.withdrawn:
        reason = f"{version} was rolled back, so only a person promotes it again: {command}."
        return decision | {"outcome": "keep", "reasons": [reason]}
    if params.require_approval:
        reason = f"It awaits the approval of a person: {command}."
        return decision | {"outcome": "await_approval", "reasons": [*reasons, reason]}
    return decision


def _floor_checks(measured: dict[str, Any], params: Gate) -> list[Check]:
    at_least = [
        _check(f"{name} floor", measured[name]["value"], limit, measured[name]["value"] >= limit)
        for name, limit in params.at_least.items()
    ]
    at_most = [
        _check(f"{name} ceiling", measured[name]["value"], limit, measured[name]["value"] <= limit)
        for name, limit in params.at_most.items()
    ]
    return [*at_least, *at_most]


def _leakage_checks(single_feature_auc: pd.DataFrame, params: Gate) -> list[Check]:
    """One check for every feature that gives the label away; one that passes if none does."""
    limit = params.max_single_feature_auc
    strongest = single_feature_auc.sort_values("roc_auc", ascending=False)
    leaking = strongest[strongest["roc_auc"] > limit]
    named = leaking if len(leaking) else strongest.head(1)
    return [
        _check(f"no leak through {feature}", auc, limit, auc <= limit)
        for feature, auc in zip(named["feature"], named["roc_auc"], strict=True)
    ]


def _baseline_checks(
    predictions: pd.DataFrame, metrics: dict[str, Any], bootstrap: Bootstrap
) -> list[Check]:
    baselines = [name for name in metrics if name in predictions.columns]
    compared = [
        _compare(f"better than {name}", predictions, predictions[name], 0, bootstrap)
        for name in baselines
    ]
    return [{**check, "passed": check["value"] < 0} for check in compared]


def _compare(
    name: str, predictions: pd.DataFrame, other: Any, limit: float, bootstrap: Bootstrap
) -> Check:
    """The candidate's log loss against another's, on the same rows.

    Passed if it is higher by no more than the limit, and not surely higher: the interval of the
    difference does not lie above zero.
    """
    difference = paired_difference(
        predictions[Y],
        predictions["probability"].to_numpy(),
        pd.Series(other).to_numpy(),
        predictions[COLUMNS.event_time].dt.normalize(),
        bootstrap,
    )
    value, low, high = difference["value"], difference["low"], difference["high"]
    detail = f"log loss differs by {value:+.4f} [{low:+.4f}, {high:+.4f}]"
    check = _check(name, value, limit, value <= limit and low <= 0)
    return {**check, "detail": detail, "interval": difference}


def _check(name: str, value: float, limit: float, passed: bool) -> Check:
    detail = f"{value:.4f}, limit {limit:g}"
    return {"name": name, "passed": bool(passed), "value": value, "limit": limit, "detail": detail}


def _contest(
    candidate: ModelPackage,
    incumbent: ModelPackage,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
    as_of: AsOf,
    params: Gate,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Candidate against champion, on the same rows, which neither has learned from."""
    if candidate.version == incumbent.version:
        return _verdict("keep", "The candidate is the champion: same data, same model.")
    if incumbent.metadata.as_of > as_of.moment:
        return _verdict(
            "keep",
            f"The champion was trained as of {incumbent.metadata.as_of:%Y-%m-%d}, later than "
            f"this candidate: an older model does not replace a newer one.",
        )
    lost = [name for name in incumbent.metadata.features if name not in test.columns]
    if lost:
        return _verdict(
            "promote",
            f"The champion needs {', '.join(lost)}, which the contract no longer has; the "
            f"candidate passed every other check.",
        )
    opponent, unseen = _fair_opponent(incumbent, test)
    if not unseen.any():
        return _verdict("keep", "The champion has learned from every row of the test window.")
    check = _compare(
        f"not worse than champion {incumbent.version}",
        predictions[unseen],
        probability(opponent, test.loc[unseen, incumbent.metadata.features]),
        params.max_loss_increase,
        bootstrap,
    )
    if check["passed"]:
        reason = f"The candidate is not worse than the champion: {check['detail']}."
        return _verdict("promote", reason, check)
    reason = (
        f"The candidate is worse than the champion: {check['detail']}; up to "
        f"{params.max_loss_increase:+g} is accepted, if the interval reaches 0."
    )
    return _verdict("keep", reason, check)


def _verdict(outcome: str, reason: str, *checks: Check) -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "checks": list(checks)}


def _fair_opponent(incumbent: ModelPackage, test: pd.DataFrame) -> tuple[Any, pd.Series]:
    """The champion, and the rows it has not learned from.

    That is the model as it serves; or, where that one has seen the test window, the one that was
    measured when it was a candidate itself.
    """
    event_time, metadata = test[COLUMNS.event_time], incumbent.metadata
    if metadata.trained_until <= event_time.min() or incumbent.evaluated is None:
        return incumbent.estimator, event_time >= metadata.trained_until
    return incumbent.evaluated, event_time >= metadata.evaluated_until
