"""How long a trial of the candidate beside the champion would take, before it begins."""

import math

import pandas as pd
from pydantic import Field

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.artefacts import Artefact
from kedro_mlops.core.wording import metric_name
from kedro_mlops.measures.evaluation import Measured
from kedro_mlops.measures.metrics import Bootstrap, Scored
from kedro_mlops.measures.trial_length import ChallengerReview, LossVariance, blocks_needed
from kedro_mlops.models.folded import scores_of_rows
from kedro_mlops.models.package import ModelPackage, is_mute

from .nodes import fair_opponent, without_contest

# rows that tell how much losses vary
FEWEST_ROWS = 30


class TrialLength(Artefact):
    """Labelled rows that are asked for until an effect is told, and days, if these are known."""

    rows: int
    days: int | None


class TrialPlan(Artefact):
    """How long a trial of a candidate would take; in words why, if that cannot be told.

    Attributes:
        rows_per_day: That are asked for, if it is known.
        lengths: Until the effect is told, by what the challenger is.
    """

    challenger: str
    champion: str | None
    rows_per_day: float | None = None
    lengths: dict[str, TrialLength] = Field(default_factory=dict)
    in_words: str


def plan_trial(
    contract: Columns,
    candidate: ModelPackage,
    incumbent: ModelPackage | None,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
    metrics: Measured,
    params: ChallengerReview,
    share: float,
    bootstrap: Bootstrap,
) -> TrialPlan:
    """How long it takes on live rows to tell the effect that is looked for.

    The losses of live rows are taken to vary as those of the rows of the test window that the
    champion has not learned from. Of rows without a date, days are known if the traffic is given.
    A canary answers a share of the rows.
    """
    champion = incumbent.version if incumbent else None
    variance = _variance(contract, candidate, incumbent, test, predictions)
    if isinstance(variance, str):
        return TrialPlan(challenger=candidate.version, champion=champion, in_words=variance)
    traffic = params.rows_per_day
    if traffic is None and contract.has_time:
        traffic = variance.block_rows * (metrics.window.drawn_from or len(test)) / len(test)
    block_rows = traffic if traffic and contract.has_time else variance.block_rows
    of_block = {"shadow": (variance.of_shadow(block_rows), 1.0)}
    if 0 < share < 1:
        canary = f"canary of {share:.0%}"
        of_block[canary] = variance.of_canary(block_rows, share), min(share, 1 - share)
    lengths = {}
    for variant, (varies, smaller_share) in of_block.items():
        rows = block_rows * blocks_needed(varies, params, bootstrap.confidence)
        enough = max(rows, params.min_labelled_rows / smaller_share)
        lengths[variant] = _length(enough, traffic, params.min_days)
    return TrialPlan(
        challenger=candidate.version,
        champion=champion,
        rows_per_day=traffic,
        lengths=lengths,
        in_words=_in_words(metric_name(contract.task.loss), lengths, traffic, params),
    )


def _variance(
    contract: Columns,
    candidate: ModelPackage,
    incumbent: ModelPackage | None,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
) -> LossVariance | str:
    """How the losses of both vary, or why nobody knows."""
    if incumbent is None:
        return "There is no champion to try it beside."
    if verdict := without_contest(candidate, incumbent, test):
        return " ".join(verdict.reasons)
    if not incumbent.metadata.output.answers_as(contract.task.output()):
        return "The champion answers another question than the contract asks now."
    opponent, unseen = fair_opponent(contract, incumbent, test)
    if unseen.sum() < FEWEST_ROWS or is_mute(opponent):
        return "There are not enough rows on which both models can be compared beforehand."
    known = incumbent.metadata
    other = scores_of_rows(contract, known.output, opponent, known.features, test.loc[unseen])
    return LossVariance.of(Scored.of_scores(contract, predictions[unseen]), other)


def _length(rows: float, traffic: float | None, min_days: int) -> TrialLength:
    """So many rows, and no fewer days than the review asks for."""
    if traffic is None:
        return TrialLength(rows=math.ceil(rows), days=None)
    days = max(math.ceil(rows / traffic), min_days)
    return TrialLength(rows=math.ceil(days * traffic), days=days)


def _in_words(
    loss: str, lengths: dict[str, TrialLength], traffic: float | None, params: ChallengerReview
) -> str:
    told = [
        f"{f'{length.days:,} days' if length.days else f'{length.rows:,} rows'} as a {variant}"
        for variant, length in lengths.items()
    ]
    pace = f", at {traffic:,.0f} rows a day" if traffic else ""
    return (
        f"To tell a difference of {params.effect:g} in {loss} with a probability of "
        f"{params.power:.0%} takes {', or '.join(told)}{pace}, and until their labels are known."
    )
