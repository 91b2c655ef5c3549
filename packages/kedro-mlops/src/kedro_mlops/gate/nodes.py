"""A candidate becomes champion only if it earns it."""

from dataclasses import dataclass, field

import pandas as pd
from pydantic import Field

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.core.json_records import hash_rows
from kedro_mlops.core.time_params import Parameters
from kedro_mlops.measures.evaluation import Footprint, Measured
from kedro_mlops.measures.fairness import FairnessLimits, fairness_checks
from kedro_mlops.measures.metrics import Bootstrap, Scored
from kedro_mlops.models.decision import Decision, Outcome
from kedro_mlops.models.folded import Folded, scores_of_rows
from kedro_mlops.models.package import Model, ModelPackage, is_mute
from kedro_mlops.task.metrics import Metrics

from .checks import (
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

MEASURED = "What has been measured was not measured on"
REMEMBERED = ["candidate", "outcome", "champion_before", "reasons"]


@dataclass(frozen=True)
class Verdict:
    """What becomes of a candidate, why, and by which further checks."""

    outcome: Outcome
    reasons: list[str]
    checks: list[CheckResult] = field(default_factory=list)


class Gate(Parameters):
    """Parameters of the gate."""

    min_loss_won: float = Field(
        ge=0, lt=1, description="Share of the better baseline's loss that a candidate must win"
    )
    at_least: dict[str, float] = Field({}, description="Lowest acceptable value of a test metric")
    at_most: dict[str, float] = Field({}, description="Highest acceptable value of a test metric")
    max_loss_increase: float = Field(
        ge=0,
        description="Loss by which a candidate may exceed the champion, unless it is surely "
        "worse: the interval of the difference lies above 0",
    )
    slices: SliceLimits
    fairness: FairnessLimits
    max_single_feature_auc: float = Field(
        ge=0.5, le=1, description="How well a feature alone may tell the label, by ``Task.tells``"
    )
    max_model_megabytes: float = Field(gt=0, description="Size of the model's file")
    max_one_row_milliseconds: float = Field(
        gt=0, description="What one row takes of a core, in the form that would serve"
    )
    require_approval: bool = Field(description="Whether a person promotes, not the gate")


def read_limits(contract: Columns, params: Gate, more: Metrics) -> Gate:
    """The limits, each of which is of a metric or rate that there is.

    Raises:
        ProjectError: if one is not.
    """
    task = contract.task
    names = (task.metrics | more).names
    limits = {
        "at_least": (params.at_least, names, "metric"),
        "at_most": (params.at_most, names, "metric"),
        "slices.at_least": (params.slices.at_least, task.main_metrics.names, "main metric"),
        "fairness.max_difference": (params.fairness.max_difference, [*task.rates], "rate"),
    }
    for group, (declared, known, what) in limits.items():
        for name in declared:
            if name not in known:
                raise ProjectError(
                    f"gate.{group}: There is no {what} '{name}' of a {task.name} task. "
                    f"{suggestion(name, known)}"
                )
    return params


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


def check_candidate(
    contract: Columns,
    candidate: ModelPackage,
    predictions: pd.DataFrame,
    metrics: Measured,
    slice_metrics: pd.DataFrame,
    single_feature_auc: pd.DataFrame,
    behaviour: pd.DataFrame,
    footprint: Footprint,
    params: Gate,
    bootstrap: Bootstrap,
) -> list[CheckResult]:
    """What the candidate must pass whoever serves.

    Raises:
        ProjectError: if what was measured was not measured on this candidate.
    """
    if metrics.candidate != candidate.metadata.metrics:
        raise _of_another_run(candidate, MEASURED)
    return [
        *leakage_checks(single_feature_auc, params.max_single_feature_auc),
        *metric_checks(metrics.candidate, params.at_least, params.at_most),
        *slice_checks(slice_metrics, params.slices),
        *fairness_checks(contract, predictions, params.fairness, bootstrap),
        *baseline_checks(contract, predictions, metrics, params.min_loss_won, bootstrap),
        *behaviour_checks(behaviour),
        *budget_checks(footprint, params.max_model_megabytes, params.max_one_row_milliseconds),
    ]


def judge(
    contract: Columns,
    candidate: ModelPackage,
    incumbent: ModelPackage | None,
    checks: list[CheckResult],
    test: pd.DataFrame,
    predictions: pd.DataFrame,
    params: Gate,
    bootstrap: Bootstrap,
    *more: CheckResult,
) -> Decision:
    """Decide whether the candidate is promoted, kept out, or blocked.

    Checks of the project's own are more of those that it has to pass whoever serves.

    Raises:
        ProjectError: if the predictions are not those of the test window.
    """
    if not test[contract.keys].equals(predictions[contract.keys]):
        raise _of_another_run(candidate, MEASURED)
    checks = [*checks, *more]
    failed = [f"Failed: {check.name} ({check.detail})." for check in checks if not check.passed]
    if failed:
        verdict = Verdict("block", failed)
    elif incumbent is None:
        reason = "There is no champion yet, and the candidate passed every check."
        verdict = Verdict("promote", [reason])
    else:
        verdict = without_contest(candidate, incumbent, test) or _contest(
            contract, candidate, incumbent, test, predictions, params, bootstrap
        )
    verdict = _leave_to_people(verdict, candidate, incumbent, params)
    return Decision(
        outcome=verdict.outcome,
        candidate=candidate.version,
        champion_before=incumbent.version if incumbent else None,
        as_of=f"{candidate.metadata.as_of:%Y-%m-%d}",
        decided_at=candidate.metadata.as_of.isoformat(),
        reasons=verdict.reasons,
        checks=[*checks, *verdict.checks],
    )


def record(decision: Decision) -> pd.DataFrame:
    """What is remembered of a candidate when others have been judged: a row, or none.

    That the champion is not judged against itself says nothing new of it.
    """
    row = decision.model_dump(include={"candidate", "outcome", "champion_before"})
    row["reasons"] = " ".join(decision.reasons)
    is_champion = decision.candidate == decision.champion_before
    return pd.DataFrame([] if is_champion else [row], columns=REMEMBERED)


def _of_another_run(candidate: ModelPackage, what: str) -> ProjectError:
    return ProjectError(
        f"{what} the candidate {candidate.version}: another training has begun since. Run it to "
        "its end: `kedro run --pipelines=modelling,gate,release`, as of the day you mean."
    )


def _leave_to_people(
    verdict: Verdict, candidate: ModelPackage, incumbent: ModelPackage | None, params: Gate
) -> Verdict:
    """Promote neither what a person has rolled back, nor what a person wants to approve."""
    if verdict.outcome != "promote":
        return verdict
    version = candidate.version
    if incumbent is not None and version in incumbent.metadata.withdrawn:
        reason = (
            f"{version} was rolled back, so only a person promotes it again: {_by_hand(version)}."
        )
        return Verdict("keep", [reason], verdict.checks)
    if params.require_approval:
        reason = f"It awaits the approval of a person: {_by_hand(version)}."
        return Verdict("await_approval", [*verdict.reasons, reason], verdict.checks)
    return verdict


def _by_hand(version: str) -> str:
    return f"`kedro champion promote {version} --reason …`"


def without_contest(
    candidate: ModelPackage, incumbent: ModelPackage, test: pd.DataFrame
) -> Verdict | None:
    """What becomes of a candidate that is not to be, or cannot be, compared with the champion."""
    if candidate.version == incumbent.version:
        return Verdict("keep", ["The candidate is the champion: same data, same model."])
    if incumbent.metadata.as_of > candidate.metadata.as_of:
        reason = (
            f"The champion was trained as of {incumbent.metadata.as_of:%Y-%m-%d}, later than "
            f"this candidate: an older model does not replace a newer one."
        )
        return Verdict("keep", [reason])
    lost = [name for name in incumbent.metadata.features if name not in test.columns]
    if lost:
        reason = (
            f"The champion needs {', '.join(lost)}, which the contract no longer has; the "
            f"candidate passed every other check."
        )
        return Verdict("promote", [reason])
    return None


def _contest(
    contract: Columns,
    candidate: ModelPackage,
    incumbent: ModelPackage,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
    params: Gate,
    bootstrap: Bootstrap,
) -> Verdict:
    """Candidate against champion, on the same rows, which neither has learned from."""
    opponent, unseen = fair_opponent(contract, incumbent, test)
    if not unseen.any():
        return Verdict(
            "keep", ["The champion has learned from every row that the candidate was tested on."]
        )
    if is_mute(opponent):
        reason = (
            f"The champion {incumbent.version} cannot be compared with: {opponent.why}. The "
            "candidate passed every other check, and awaits the approval of a person: "
            f"{_by_hand(candidate.version)}."
        )
        return Verdict("await_approval", [reason])
    features, output = incumbent.metadata.features, incumbent.metadata.output
    other = scores_of_rows(contract, output, opponent, features, test.loc[unseen])
    rows, limit = predictions[unseen], params.max_loss_increase
    overall = compare(
        f"not worse than champion {incumbent.version}",
        Scored.of(contract, rows),
        other,
        limit,
        bootstrap,
        lambda found: found.value <= limit and found.low <= 0,
    )
    slices = slice_contest_checks(contract, rows, other, params.slices, bootstrap)
    lost = [
        f"The candidate is worse than the champion on a slice: {found.name} ({found.detail}); "
        f"beyond {found.limit:+g} the interval must reach 0."
        for found in slices
        if not found.passed
    ]
    if not overall.passed:
        reason = (
            f"The candidate is worse than the champion: {overall.detail}; up to {limit:+g} is "
            "accepted, if the interval reaches 0."
        )
        lost = [reason, *lost]
    reason = f"The candidate is not worse than the champion: {overall.detail}."
    return Verdict("keep" if lost else "promote", lost or [reason], [overall, *slices])


def fair_opponent(
    contract: Columns, incumbent: ModelPackage, test: pd.DataFrame
) -> tuple["Model | Folded", pd.Series]:
    """The champion, and the rows it has not learned from.

    That is the model as it serves; or, where that one has seen the test window, the one that was
    measured when it was a candidate itself, or those of its folds.
    """
    metadata, timeline = incumbent.metadata, timeline_of(contract)
    unseen = timeline.unseen(test, metadata.trained_until, metadata.trained_places)
    if unseen.all() or incumbent.evaluated is None:
        return incumbent.estimator, unseen
    until = metadata.evaluated_until
    return incumbent.evaluated, timeline.unseen(test, until, metadata.evaluated_places)
