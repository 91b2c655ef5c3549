"""Trials of two models are lived many times, to see whether they tell what they are to tell."""

import numpy as np
import pandas as pd
import pytest
from example.tasks import TypicalDelayObservation

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.artefacts import Interval
from kedro_mlops.measures.metrics import Scored
from kedro_mlops.measures.trial_length import (
    ChallengerReview,
    LossVariance,
    blocks_needed,
    standard_error,
)

TASK = Columns.of(TypicalDelayObservation).task
CONFIDENCE = 0.95
# standard deviations: of the difference, from day to day and from row to row, and of one's loss
OF_DAYS, OF_ROWS, OF_LOSS = 0.2, 1.0, 3.0


def review(effect: float = 0.1, power: float = 0.8) -> ChallengerReview:
    return ChallengerReview(
        min_labelled_rows=1,
        min_days=2,
        max_loss_increase=0,
        promote_winner=False,
        effect=effect,
        power=power,
    )


def compared(n_days: int, n_rows: int, *, of_days: float = OF_DAYS) -> LossVariance:
    """Two models on the same rows; where all labels are 0, a score is its loss."""
    rng = np.random.default_rng(1)
    days = np.repeat(np.arange(n_days), n_rows)
    champion = rng.normal(50, OF_LOSS, len(days))
    difference = rng.normal(0, of_days, n_days)[days] + rng.normal(0, OF_ROWS, len(days))
    label = np.zeros(len(days))
    return LossVariance.of(Scored(TASK, label, champion + difference, pd.Series(days)), champion)


def test_variances_are_those_of_the_losses() -> None:
    found = compared(400, 50)

    assert found.block_rows == 50
    assert found.between == pytest.approx(OF_DAYS**2, rel=0.2)
    assert found.paired == pytest.approx(OF_ROWS**2, rel=0.05)
    assert found.champion == pytest.approx(OF_LOSS**2, rel=0.05)
    assert found.challenger == pytest.approx(OF_LOSS**2 + OF_ROWS**2, rel=0.05)


def test_days_that_share_nothing_vary_by_their_rows_alone() -> None:
    found = compared(400, 50, of_days=0)
    alone = compared(20_000, 1, of_days=0)

    assert found.between == pytest.approx(0, abs=OF_DAYS**2 / 20)
    assert alone.between == pytest.approx(0, abs=OF_DAYS**2 / 20)
    assert alone.paired == pytest.approx(OF_ROWS**2, rel=0.05)


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_trials_of_that_length_tell_the_effect_as_often_as_they_are_to(power: float) -> None:
    rows, params = 20, review(power=power)
    days = blocks_needed(compared(5000, rows).of_shadow(rows), params, CONFIDENCE)

    rng = np.random.default_rng(2)
    of_rows = rng.normal(0, OF_ROWS / np.sqrt(rows), (4000, days))
    trials = rng.normal(-params.effect, OF_DAYS, (4000, days)) + of_rows
    ends = trials.mean(axis=1) + 1.96 * trials.std(axis=1, ddof=1) / np.sqrt(days)

    assert (ends < 0).mean() == pytest.approx(power, abs=0.04)


def test_a_canary_takes_longer_than_a_shadow_and_the_longer_the_smaller_its_share() -> None:
    found = compared(50, 50)

    shadow = found.of_shadow(50)
    half, tenth = found.of_canary(50, 0.5), found.of_canary(50, 0.1)

    assert shadow < half < tenth
    apart = (found.challenger / 0.1 + found.champion / 0.9) / 50
    assert tenth == pytest.approx(found.between + apart)


def test_half_the_effect_takes_four_times_as_long() -> None:
    whole, half = (blocks_needed(1.0, review(effect), CONFIDENCE) for effect in (0.1, 0.05))

    assert half == pytest.approx(4 * whole, abs=4)
    assert blocks_needed(0.0, review(), CONFIDENCE) == 1


def test_the_error_of_a_figure_is_told_by_its_interval() -> None:
    interval = Interval(value=0.1, low=0.1 - 1.96 * 0.02, high=0.1 + 1.96 * 0.02)

    assert standard_error(interval, CONFIDENCE) == pytest.approx(0.02, rel=1e-4)
