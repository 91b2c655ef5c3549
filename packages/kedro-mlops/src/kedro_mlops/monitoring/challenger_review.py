"""Whether a challenger that is tried on live rows may go on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import ibis.expr.types as ir
import pandas as pd
from ibis import _

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.dated import within
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.artefacts import Interval
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.core.wording import interval_text, metric_name
from kedro_mlops.measures.metrics import (
    Bootstrap,
    Scored,
    measure,
    paired_difference,
    unpaired_difference,
)
from kedro_mlops.measures.trial_length import ChallengerReview, blocks_needed, standard_error
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.task.metrics import Metrics
from kedro_mlops.task.task import Costs

from .decisions import ChallengerDecision, Figures
from .labels import known_labels
from .skew import CHAMPION, find

SHADOW = "shadow"
READ = ["prediction_id", "predicted_at", "model_version", "variant"]
RECORDED = ["decided_at", "challenger", "outcome", "reasons"]
NONE = "There is no challenger on trial."


@dataclass(frozen=True)
class Contest:
    """What the two models said of live rows, and what really happened.

    For a shadow both have the same rows in the same order.

    Attributes:
        n_days: On which each of them has rows.
    """

    version: str
    variant: str
    n_days: int
    challenger: Scored
    champion: Scored


def judge_challenger(
    contract: Columns,
    served: ir.Table,
    model_input: ir.Table,
    champion: ModelPackage,
    past_challenger_reviews: pd.DataFrame,
    as_of: AsOf,
    horizon: Horizon,
    params: ChallengerReview,
    costs: Costs,
    bootstrap: Bootstrap,
) -> tuple[ChallengerDecision, pd.DataFrame]:
    """Compare the newest challenger with the champion, on live rows of the horizon with labels.

    What a shadow said is compared on the same rows. A canary had rows of its own: it is compared
    with those that the champion answered meanwhile. Of a row that was asked for again, the last
    answer counts.

    Returns:
        The decision, and what later decisions look back at.
    """
    past = past_challenger_reviews.reindex(columns=RECORDED)
    stops = past[past["outcome"] == "stop"]
    stopped = dict(zip(stops["challenger"], stops["reasons"], strict=True))
    labels = partial(known_labels, contract, model_input, as_of, horizon)
    rows = _live_rows(contract, served, as_of, horizon)
    contest = _contest(contract, rows, champion, labels)
    if contest is None:
        found = _without_challenger(past, champion)
    else:
        found = _on_trial(contest, stopped, params, bootstrap) | {
            "champion": _figures(champion.version, contest.champion, costs, bootstrap),
            "challenger_metrics": _figures(contest.version, contest.challenger, costs, bootstrap),
        }
    reason = " ".join(found["reasons"])
    if found["outcome"] == "stop":
        stopped[found["challenger"]] = reason
    now = as_of.after(horizon.days).isoformat()
    decision = ChallengerDecision(**found, decided_at=now, stopped=sorted(stopped))
    record = (now, decision.challenger or "", decision.outcome, reason)
    return decision, pd.DataFrame([record], columns=RECORDED)


def _live_rows(contract: Columns, served: ir.Table, as_of: AsOf, horizon: Horizon) -> pd.DataFrame:
    due = within(served, timeline_of(contract).moment, as_of, horizon)
    named = due.mutate(variant=_.variant.fill_null(CHAMPION))
    told = [each.name for each in contract.task.output().told]
    rows: pd.DataFrame = named.select(*contract.row_index, *READ, *told).to_pandas()
    return rows.sort_values(["predicted_at", "prediction_id"], ignore_index=True)


def _contest(
    contract: Columns, rows: pd.DataFrame, champion: ModelPackage, labels: Callable[[], ir.Table]
) -> Contest | None:
    """The newest challenger against the champion; none if nobody challenges it."""
    is_challenger = (rows["variant"] != CHAMPION) & (rows["model_version"] != champion.version)
    if not is_challenger.any():
        return None
    last = rows[is_challenger].iloc[-1]
    version, variant = str(last["model_version"]), str(last["variant"])
    tried = rows[(rows["model_version"] == version) & (rows["variant"] == variant)]
    meanwhile = rows["predicted_at"].between(tried["predicted_at"].min(), last["predicted_at"])
    of_champion = (rows["variant"] == CHAMPION) & (rows["model_version"] == champion.version)
    answered = rows[of_champion if variant == SHADOW else of_champion & meanwhile]
    known = labels()
    one, other = (_labelled(contract, part, known) for part in (tried, answered))
    if variant == SHADOW:
        both = one[contract.keys].merge(other[contract.keys], on=contract.keys)
        one, other = (both.merge(part, on=contract.keys) for part in (one, other))
    moment = timeline_of(contract).moment
    n_days = min(part[moment].dt.normalize().nunique() for part in (one, other))
    return Contest(version, variant, n_days, *(Scored.of(contract, part) for part in (one, other)))


def _labelled(contract: Columns, rows: pd.DataFrame, labels: ir.Table) -> pd.DataFrame:
    """The last answer of each row whose label is known."""
    newest = rows.drop_duplicates(contract.keys, keep="last")
    known = find(labels.select(*contract.keys, contract.label), contract.keys, newest)
    return newest.merge(known.dropna(subset=[contract.label]), on=contract.keys)


def _difference(contest: Contest, bootstrap: Bootstrap) -> Interval:
    """Challenger's loss minus champion's."""
    one, other = contest.challenger, contest.champion
    if contest.variant == SHADOW:
        return paired_difference(one, other.score, bootstrap)
    return unpaired_difference(one, other, bootstrap)


def _too_few(contest: Contest, params: ChallengerReview) -> str | None:
    n_rows = min(len(contest.challenger), len(contest.champion))
    if n_rows >= params.min_labelled_rows and contest.n_days >= params.min_days:
        return None
    return (
        f"Not enough data to judge {contest.version}, on trial as {contest.variant}: "
        f"{len(contest.challenger):,} labelled rows of it and {len(contest.champion):,} of the "
        f"champion, on {contest.n_days} days; {params.min_labelled_rows:,} of each are needed, on "
        f"{params.min_days} days."
    )


def _on_trial(
    contest: Contest, stopped: dict[str, str], params: ChallengerReview, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Whether the challenger may go on, or should serve; one that was stopped stays so."""
    difference, outcome, reason = None, "continue", _too_few(contest, params)
    if reason is None:
        difference = _difference(contest, bootstrap)
        outcome, reason = _weigh(contest, difference, params, bootstrap)
    if contest.version in stopped:
        outcome, reason = "stop", stopped[contest.version]
    return {
        "challenger": contest.version,
        "variant": contest.variant,
        "outcome": outcome,
        "reasons": [reason],
        "difference": difference,
    }


def _weigh(
    contest: Contest, difference: Interval, params: ChallengerReview, bootstrap: Bootstrap
) -> tuple[str, str]:
    """What is to become of the challenger, and why.

    Whoever looks again and again finds a difference by chance: nothing is promoted before the
    interval is as narrow as the effect asks for, which the difference itself has no part in.
    """
    worse = difference.low > params.max_loss_increase
    n_needed = _days_needed(contest, difference, params, bootstrap)
    reason = (
        f"{metric_name(contest.champion.task.loss).capitalize()} of {contest.version}, on trial as "
        f"{contest.variant}, minus the champion's: {interval_text(difference, '+.4f')}, on "
        f"{len(contest.challenger):,} labelled rows of {contest.n_days} days (it takes "
        f"{n_needed:,} to tell {params.effect:g}); it is "
        f"{'surely' if worse else 'not surely'} worse by more than {params.max_loss_increase:g}."
    )
    if worse:
        return "stop", reason
    if difference.high >= 0:
        return "continue", reason
    if params.promote_winner and contest.n_days >= n_needed:
        return "promote", f"{reason} It is surely better, and becomes the champion."
    by_hand = f"`kedro champion promote {contest.version} --reason …` makes it the champion."
    return "propose", f"{reason} It is surely better: {by_hand}"


def _days_needed(
    contest: Contest, difference: Interval, params: ChallengerReview, bootstrap: Bootstrap
) -> int:
    error = standard_error(difference, bootstrap.confidence)
    return blocks_needed(contest.n_days * error**2, params, bootstrap.confidence)


def _without_challenger(past: pd.DataFrame, champion: ModelPackage) -> dict[str, Any]:
    """Nothing is on trial; where the last one was stopped, that is why, and it stays so."""
    tried = past[~past["challenger"].isin(["", champion.version])].to_dict("records")
    if not tried or tried[-1]["outcome"] != "stop":
        return {"challenger": None, "outcome": "none", "reasons": [NONE]}
    version, reason = tried[-1]["challenger"], tried[-1]["reasons"]
    return {"challenger": version, "outcome": "stop", "reasons": [reason]}


def _figures(version: str, rows: Scored, costs: Costs, bootstrap: Bootstrap) -> Figures:
    metrics = rows.task.main_metrics | Metrics(of_decisions=rows.task.cost_metric(costs))
    measured = measure(rows, bootstrap, metrics)
    return Figures(model_version=version, n_rows=len(rows), metrics=measured)
