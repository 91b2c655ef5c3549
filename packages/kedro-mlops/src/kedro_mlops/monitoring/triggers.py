"""Whether to train again: rules that ask for it, and guards that may refuse."""

from collections.abc import Iterator

import pandas as pd
from pydantic import Field, model_validator

from kedro_mlops.core.time_params import AsOf, Horizon, Parameters
from kedro_mlops.core.wording import interval_text, metric_name
from kedro_mlops.models.package import ModelPackage

from .decisions import DEMAND, Guard, RetrainDecision, Trigger
from .findings import Performance, Quality
from .performance import drifted_names


class DriftTrigger(Parameters):
    """Drift asks for retraining only if it lasts."""

    windows: int = Field(gt=0, description="The newest windows that are looked at")
    drifted: int = Field(gt=0, description="Of these have drifted, the newest among them")

    @model_validator(mode="after")
    def _no_more_than_there_are(self) -> "DriftTrigger":
        if self.drifted > self.windows:
            raise ValueError(f"drifted={self.drifted} of windows={self.windows} cannot be.")
        return self


class Retraining(Parameters):
    """When to train again. A rule that is null never fires."""

    demand: str | None = Field(description="Why a person wants it now; null: nobody does")
    max_age_days: int | None = Field(ge=0, description="On schedule: the champion's age")
    new_labels_share: float | None = Field(
        gt=0, description="On new data: labels since, as a share of the rows it was trained on"
    )
    lost_performance: bool = Field(
        description="When the loss, realised or else estimated, is beyond its interval"
    )
    drift: DriftTrigger | None
    cooldown_days: int = Field(ge=0, description="Days to wait after a retraining")


def decide(
    quality: Quality,
    performance: Performance,
    windows: pd.DataFrame,
    past_windows: pd.DataFrame,
    last_trained: ModelPackage | None,
    champion: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    params: Retraining,
    *more: Trigger | Guard,
) -> RetrainDecision:
    """Retrain or wait.

    Any rule may ask for retraining; bad data vetoes it, and so soon after a retraining it waits,
    unless a person demands it. Rules and guards of the project's own are weighed with these.
    """
    now = as_of.after(horizon.days)
    wrong = "; ".join(check.in_words for check in quality.failed)
    return RetrainDecision.weigh(
        [
            *_rules(performance, windows, past_windows, champion, now, params),
            *(one for one in more if isinstance(one, Trigger)),
        ],
        [
            Guard.of_data(f"{wrong}." if wrong else None),
            _cooldown(champion, last_trained, now, params),
            *(one for one in more if isinstance(one, Guard)),
        ],
        decided_at=now.isoformat(),
        model_version=champion.version,
        drifted=list(dict.fromkeys(drifted_names(windows))),
    )


def record(decision: RetrainDecision, windows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What later decisions look back at: this one, and the windows it was taken on."""
    told = {"decided_at", "model_version", "outcome", "without_guards"}
    row = {
        **decision.model_dump(include=told),
        "fired": ", ".join(rule.rule for rule in decision.rules if rule.fired),
        "refused": ", ".join(guard.guard for guard in decision.guards if guard.refused),
        "reasons": " ".join(decision.reasons),
    }
    return pd.DataFrame([row]), windows


def _rules(
    performance: Performance,
    windows: pd.DataFrame,
    past_windows: pd.DataFrame,
    champion: ModelPackage,
    now: pd.Timestamp,
    params: Retraining,
) -> Iterator[Trigger]:
    yield _demand(params)
    if params.lost_performance:
        yield _performance(performance)
    if params.max_age_days is not None:
        yield _age(champion, now, params.max_age_days)
    if params.new_labels_share is not None:
        yield _new_labels(performance, champion, params.new_labels_share)
    if params.drift is not None:
        yield _drift(windows, past_windows, champion, params.drift)


def _demand(params: Retraining) -> Trigger:
    nobody = "No person has asked for a retraining."
    reason = f"It is demanded: {params.demand}." if params.demand else nobody
    return _rule(DEMAND, bool(params.demand), None, None, reason)


def _performance(performance: Performance) -> Trigger:
    """Fires if even the lower end of the loss is beyond the upper end of the measured one."""
    loss = performance.loss
    limit = performance.reference[loss].high
    realised = performance.metrics.get(loss)
    found = realised or performance.estimated.get(loss)
    unknown = performance.unknown_because
    if found is None:
        return _rule("performance", False, None, limit, unknown or "There are no predictions.")
    fired = found.low > limit
    said = metric_name(loss)
    reason = (
        f"{said.capitalize() if realised else f'Estimated {said}'} {interval_text(found)} is "
        f"{'worse than' if fired else 'not beyond'} what the {performance.tested_on} led to expect "
        f"(up to {limit:.3f})."
    )
    return _rule(
        "performance", fired, found.low, limit, reason if realised else f"{unknown} {reason}"
    )


def _age(champion: ModelPackage, now: pd.Timestamp, limit: int) -> Trigger:
    days = max((now - champion.metadata.as_of).days, 0)
    reason = f"The champion is {days} days old; {limit} are allowed."
    return _rule("age", days > limit, days, limit, reason)


def _new_labels(performance: Performance, champion: ModelPackage, limit: float) -> Trigger:
    if performance.new_labels is None:
        reason = "It does not apply: rows have no date, so nobody knows which labels are new."
        return _rule("new labels", False, None, limit, reason)
    # it may have learned from some of them only
    n_known = champion.metadata.n_known_rows or champion.metadata.n_training_rows
    share = performance.new_labels / n_known
    reason = (
        f"{performance.new_labels:,} labels became known since the champion was trained, "
        f"{share:.0%} of its {n_known:,} rows; {limit:.0%} retrain."
    )
    return _rule("new labels", share >= limit, share, limit, reason)


def _drift(
    windows: pd.DataFrame, past: pd.DataFrame, champion: ModelPackage, params: DriftTrigger
) -> Trigger:
    """Fires if the newest window has drifted, and enough of the newest ones."""
    seen = pd.concat([_before(windows, past, champion), windows], ignore_index=True)
    newest = seen.sort_values("window_start").tail(params.windows)
    n_drifted = int(newest["drifted"].sum())
    lasts = n_drifted >= params.drifted and bool(newest["drifted"].iloc[-1])
    reason = (
        f"{n_drifted} of the last {len(newest)} windows have drifted"
        f"{'' if lasts or not n_drifted else ', which does not last'}; "
        f"{params.drifted} of {params.windows}, the newest among them, retrain."
    )
    return _rule("drift", lasts, n_drifted, params.drifted, reason)


def _before(windows: pd.DataFrame, past: pd.DataFrame, champion: ModelPackage) -> pd.DataFrame:
    """Windows of the same champion before those looked at now, of which no two overlap."""
    if past.empty or windows.empty:
        return windows.head(0)
    own = past[past["model_version"] == champion.version]
    kept, begins = [], windows["window_start"].min()
    for row in own.sort_values("window_end", ascending=False).to_dict(orient="records"):
        if row["window_end"] <= begins:
            kept.append(row)
            begins = row["window_start"]
    return pd.DataFrame(kept, columns=past.columns)


def _cooldown(
    champion: ModelPackage,
    last_trained: ModelPackage | None,
    now: pd.Timestamp,
    params: Retraining,
) -> Guard:
    """Refuses for some days after the last retraining, whether or not it was promoted."""
    last = champion.metadata.as_of
    # a model of this moment comes of this very decision, or of an earlier one like it
    if last_trained is not None and last_trained.metadata.as_of < now:
        last = max(last, last_trained.metadata.as_of)
    days = max((now - last).days, 0)
    refused = days < params.cooldown_days and not params.demand
    reason = (
        f"The last training was {last:%Y-%m-%d}, {days} days before; a cooldown of "
        f"{params.cooldown_days} days follows each."
    )
    return Guard(guard="cooldown", refused=refused, reason=reason)


def _rule(name: str, fired: bool, value: float | None, limit: float | None, reason: str) -> Trigger:
    return Trigger(rule=name, fired=fired, value=value, limit=limit, reason=reason)
