"""A candidate becomes champion only if it earns it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, field_validator

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.core.json_records import hash_rows
from kedro_mlops.core.time_params import Parameters
from kedro_mlops.measures.metrics import DECISION_METRICS, METRICS, Bootstrap
from kedro_mlops.models.metadata import GATE
from kedro_mlops.models.package import Model, ModelPackage, is_mute, probability

from .checks import (
    Check,
    SliceLimits,
    baseline_checks,
    behaviour_checks,
    budget_checks,
    compare,
    leakage_checks,
    metric_checks,
    slice_checks,
    slice_contest_checks,
)


class Gate(Parameters):
    """Parameters of the gate."""

    at_least: dict[str, float] = Field(description="Lowest acceptable value of a test metric")
    at_most: dict[str, float] = Field(description="Highest acceptable value of a test metric")
    max_loss_increase: float = Field(
        ge=0,
        description="Log loss by which a candidate may exceed the champion, unless it is surely "
        "worse: the interval of the difference lies above 0",
    )
    slices: SliceLimits
    max_single_feature_auc: float = Field(
        ge=0.5, le=1, description="ROC AUC beyond which a feature alone gives the label away"
    )
    max_model_megabytes: float = Field(gt=0, description="Size of the model's file")
    max_one_row_milliseconds: float = Field(
        gt=0, description="What one row takes of a core, in the form that would serve"
    )
    require_approval: bool = Field(description="Whether a person promotes, not the gate")

    @field_validator("at_least", "at_most")
    @classmethod
    def _of_known_metrics(cls, limits: dict[str, float]) -> dict[str, float]:
        known = [*METRICS, *DECISION_METRICS]
        for name in limits:
            if name not in known:
                raise ValueError(f"There is no metric '{name}'. {suggestion(name, known)}")
        return limits


def admit(
    candidate: ModelPackage, train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame
) -> ModelPackage:
    """Let a candidate in that was trained on just these rows.

    Raises:
        ProjectError: if it was trained on others.
    """
    if hash_rows(train, validation, test) != candidate.metadata.lineage.data_hash:
        raise _of_another_run(candidate, "The rows are not those of")
    return candidate


def judge(
    contract: Columns,
    candidate: ModelPackage,
    incumbent: ModelPackage | None,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
    slice_metrics: pd.DataFrame,
    single_feature_auc: pd.DataFrame,
    behaviour: pd.DataFrame,
    footprint: dict[str, Any],
    params: Gate,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Decide whether the candidate is promoted, kept out, or blocked.

    Args:
        contract: What the model is about.
        candidate: The model just trained.
        incumbent: The present champion, if there is one.
        test: Rows of the test window.
        predictions: The candidate's and the baselines' probabilities on them.
        metrics: The candidate's and the baselines' metrics on them.
        slice_metrics: The candidate's metrics on the slices of the test window.
        single_feature_auc: How well each feature alone tells the label.
        behaviour: What the behaviour suite has found.
        footprint: What the candidate takes to keep and to ask.
        params: Limits and tolerances.
        bootstrap: How intervals are computed.

    Returns:
        The decision: ``outcome`` is ``promote``; ``await_approval``, a person is to promote it;
        ``keep``, the champion stays because the candidate is not better, or was rolled back; or
        ``block``, the candidate is not fit to serve. With ``reasons``, and ``checks`` that each
        say passed or not, value and limit.

    Raises:
        ProjectError: if what was measured was not measured on this candidate.
    """
    _check_of_one_run(contract, candidate, test, predictions, metrics)
    checks = [
        *leakage_checks(single_feature_auc, params.max_single_feature_auc),
        *metric_checks(metrics["candidate"], params.at_least, params.at_most),
        *slice_checks(slice_metrics, params.slices),
        *baseline_checks(contract, predictions, metrics, bootstrap),
        *behaviour_checks(behaviour),
        *budget_checks(footprint, params.max_model_megabytes, params.max_one_row_milliseconds),
    ]
    fit = all(check["passed"] for check in checks)
    reasons = [f"Failed: {c['name']} ({c['detail']})." for c in checks if not c["passed"]]
    outcome = "promote" if fit else "block"
    if fit and incumbent is not None:
        contest = _contest(contract, candidate, incumbent, test, predictions, params, bootstrap)
        checks += contest["checks"]
        reasons, outcome = [contest["reason"]], contest["outcome"]
    elif fit:
        reasons = ["There is no champion yet, and the candidate passed every check."]
    decision = {
        "outcome": outcome,
        "candidate": candidate.version,
        "champion_before": incumbent.version if incumbent else None,
        "as_of": f"{candidate.metadata.as_of:%Y-%m-%d}",
        "decided_by": GATE,
        "decided_at": candidate.metadata.as_of.isoformat(),
        "reasons": reasons,
        "checks": checks,
    }
    return _leave_to_people(decision, incumbent, params)


def record(decision: dict[str, Any]) -> pd.DataFrame:
    """What is remembered of a candidate when others have been judged: a row, or none.

    That the champion is not judged against itself says nothing new of it.
    """
    row = {name: decision[name] for name in ("candidate", "outcome", "champion_before")}
    row["reasons"] = " ".join(decision["reasons"])
    is_champion = decision["candidate"] == decision["champion_before"]
    return pd.DataFrame([] if is_champion else [row], columns=list(row))


def _check_of_one_run(
    contract: Columns,
    candidate: ModelPackage,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
) -> None:
    """A training that was stopped, or another one, may have left its own rows and figures."""
    same_rows = test[contract.keys].equals(predictions[contract.keys])
    if not same_rows or metrics["candidate"] != candidate.metadata.metrics:
        raise _of_another_run(candidate, "What has been measured was not measured on")


def _of_another_run(candidate: ModelPackage, what: str) -> ProjectError:
    return ProjectError(
        f"{what} the candidate {candidate.version}: another training has begun since. Run it to "
        "its end: `kedro run --pipelines=modelling,gate,release`, as of the day you mean."
    )


def _leave_to_people(
    decision: dict[str, Any], incumbent: ModelPackage | None, params: Gate
) -> dict[str, Any]:
    """Promote neither what a person has rolled back, nor what a person wants to approve."""
    if decision["outcome"] != "promote":
        return decision
    version, reasons = decision["candidate"], decision["reasons"]
    if incumbent is not None and version in incumbent.metadata.withdrawn:
        reason = (
            f"{version} was rolled back, so only a person promotes it again: {_by_hand(version)}."
        )
        return decision | {"outcome": "keep", "reasons": [reason]}
    if params.require_approval:
        reason = f"It awaits the approval of a person: {_by_hand(version)}."
        return decision | {"outcome": "await_approval", "reasons": [*reasons, reason]}
    return decision


def _by_hand(version: str) -> str:
    return f"`kedro champion promote {version} --reason …`"


def _contest(
    contract: Columns,
    candidate: ModelPackage,
    incumbent: ModelPackage,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
    params: Gate,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Candidate against champion, on the same rows, which neither has learned from."""
    if candidate.version == incumbent.version:
        return _verdict("keep", "The candidate is the champion: same data, same model.")
    if incumbent.metadata.as_of > candidate.metadata.as_of:
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
    opponent, unseen = _fair_opponent(contract, incumbent, test)
    if not unseen.any():
        return _verdict("keep", "The champion has learned from every row of the test window.")
    if is_mute(opponent):
        return _verdict(
            "await_approval",
            f"The champion {incumbent.version} cannot be compared with: {opponent.why}. The "
            "candidate passed every other check, and awaits the approval of a person: "
            f"{_by_hand(candidate.version)}.",
        )
    other = probability(opponent, test.loc[unseen, incumbent.metadata.features])
    return _compared(contract, incumbent, other, predictions[unseen], params, bootstrap)


def _compared(
    contract: Columns,
    incumbent: ModelPackage,
    other: NDArray[np.float64],
    rows: pd.DataFrame,
    params: Gate,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """The candidate's predictions against the champion's."""
    name = f"not worse than champion {incumbent.version}"
    overall = compare(contract, name, rows, other, params.max_loss_increase, bootstrap)
    slices = slice_contest_checks(contract, rows, other, params.slices, bootstrap)
    reasons = list(_lost(overall, slices))
    if reasons:
        return _verdict("keep", " ".join(reasons), overall, *slices)
    reason = f"The candidate is not worse than the champion: {overall['detail']}."
    return _verdict("promote", reason, overall, *slices)


def _lost(overall: Check, slices: list[Check]) -> Iterator[str]:
    """Where the candidate is worse than the champion, if anywhere."""
    if not overall["passed"]:
        yield (
            f"The candidate is worse than the champion: {overall['detail']}; up to "
            f"{overall['limit']:+g} is accepted, if the interval reaches 0."
        )
    for found in slices:
        if not found["passed"]:
            yield (
                f"The candidate is worse than the champion on a slice: {found['name']} "
                f"({found['detail']}); beyond {found['limit']:+g} the interval must reach 0."
            )


def _verdict(outcome: str, reason: str, *checks: Check) -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "checks": list(checks)}


def _fair_opponent(
    contract: Columns, incumbent: ModelPackage, test: pd.DataFrame
) -> tuple[Model, pd.Series]:
    """The champion, and the rows it has not learned from.

    That is the model as it serves; or, where that one has seen the test window, the one that was
    measured when it was a candidate itself.
    """
    event_time, metadata = test[contract.event_time], incumbent.metadata
    if metadata.trained_until <= event_time.min() or incumbent.evaluated is None:
        return incumbent.estimator, event_time >= metadata.trained_until
    return incumbent.evaluated, event_time >= metadata.evaluated_until
