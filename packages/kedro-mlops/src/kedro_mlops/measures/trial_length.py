"""How long two models have to answer live rows before a difference in their loss can be told.

The difference between the mean losses of two models varies with the days on which they answer,
because rows of one day share their circumstances, and with the rows of these days. Over B days of r
rows its variance is (between + within / r) / B, and a two-sided interval of some confidence tells a
difference with some power if that is (z_confidence + z_power) standard errors: the sample size of
cluster randomised trials (Donner and Klar, 2000, ch. 5), by rows whose losses are known already.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np
import pandas as pd
from pydantic import Field

from kedro_mlops.core.artefacts import Interval
from kedro_mlops.core.time_params import Parameters
from kedro_mlops.task.outputs import Floats

from .metrics import Scored


class ChallengerReview(Parameters):
    """What becomes of a challenger that is tried on live rows, and how long that takes."""

    min_labelled_rows: int = Field(gt=0, description="Of each model; fewer say nothing")
    min_days: int = Field(gt=1, description="On which they are; fewer say nothing of the others")
    max_loss_increase: float = Field(
        ge=0,
        description="Loss by which the challenger may exceed the champion's; it is stopped "
        "where even the lower end of the interval is beyond",
    )
    promote_winner: bool = Field(
        False, description="Whether one that is surely better becomes champion; else it is proposed"
    )
    effect: float = Field(0.01, gt=0, description="Difference in loss that a trial is to tell")
    power: float = Field(0.8, gt=0, lt=1, description="Probability that it tells one that there is")
    rows_per_day: float | None = Field(
        None, gt=0, description="That are asked for; null: as many as in the test window"
    )


@dataclass(frozen=True)
class LossVariance:
    """How the losses of two models on the same rows vary.

    Attributes:
        between: Variance of the mean difference, from block to block.
        paired: Of the difference, within a block.
        challenger: Of the challenger's loss, within a block.
        champion: Of the champion's.
        block_rows: Rows of a block.
    """

    between: float
    paired: float
    challenger: float
    champion: float
    block_rows: float

    @classmethod
    def of(cls, challenger: Scored, champion: Floats) -> Self:
        """Of rows as the challenger scores them, and the champion's scores of the same."""
        one = challenger.row_loss
        other = challenger.task.row_loss(challenger.label, champion)
        losses = pd.DataFrame({"paired": one - other, "challenger": one, "champion": other})
        codes, blocks = pd.factorize(challenger.block)
        by_block = losses.groupby(codes)
        # rows that are each a block of their own share nothing
        centre = losses.mean() if len(blocks) == len(losses) else by_block.transform("mean")
        n_centres = 1 if len(blocks) == len(losses) else len(blocks)
        within = ((losses - centre) ** 2).sum() / max(len(losses) - n_centres, 1)
        means, sizes = by_block["paired"].mean(), by_block.size()
        by_chance = within["paired"] * float((1 / sizes).mean())
        between = float(np.var(means, ddof=1)) - by_chance if len(blocks) > 1 else 0.0
        paired, challengers, champions = within.to_numpy().tolist()
        rows = len(losses) / len(blocks)
        return cls(max(between, 0.0), paired, challengers, champions, rows)

    def of_shadow(self, rows: float) -> float:
        """Variance of the difference on a block of so many rows, all of which both score."""
        return self.between + self.paired / rows

    def of_canary(self, rows: float, share: float) -> float:
        """The same where the challenger answers a share of the rows, and the champion the rest."""
        apart = self.challenger / share + self.champion / (1 - share)
        return self.between + apart / rows


def blocks_needed(variance: float, params: ChallengerReview, confidence: float) -> int:
    """Blocks on which the effect is told, from the variance of the difference on one."""
    normal = NormalDist()
    errors = normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(params.power)
    return max(math.ceil(variance * (errors / params.effect) ** 2), 1)


def standard_error(difference: Interval, confidence: float) -> float:
    """That of a figure, by its interval."""
    return (difference.high - difference.low) / 2 / NormalDist().inv_cdf((1 + confidence) / 2)
