from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from example.contracts import Observation
from example.trained import Trained

from kedro_mlops.contract.columns import Columns
from kedro_mlops.gate.trial import TrialPlan, plan_trial
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.measures.trial_length import ChallengerReview
from kedro_mlops.modelling.evaluation import evaluate
from kedro_mlops.models.package import ModelPackage

COLUMNS = Columns.of(Observation)
Plan = Callable[..., TrialPlan]


@pytest.fixture
def earlier(package: ModelPackage) -> ModelPackage:
    """A champion that has not seen the test window."""
    known = {"trained_until": pd.Timestamp("2013-03-18"), "as_of": pd.Timestamp("2013-03-18")}
    return package.with_record(version="20130318-earlier", **known)


@pytest.fixture
def plan(
    package: ModelPackage,
    earlier: ModelPackage,
    windows: list[pd.DataFrame],
    trained: Trained,
    parameters: dict[str, Any],
    bootstrap: Bootstrap,
) -> Plan:
    """Plans a trial of what differs a little from the champion."""
    rows = trained.predictions
    nudged = rows.assign(probability=0.9 * rows["probability"] + 0.01)
    metrics = evaluate(COLUMNS, nudged, bootstrap)

    def make(
        champion: ModelPackage | None = earlier, share: float = 0.1, **params: float
    ) -> TrialPlan:
        review = ChallengerReview(**(parameters["challenger_review"] | params))
        return plan_trial(
            COLUMNS, package, champion, windows[2], nudged, metrics, review, share, bootstrap
        )

    return make


def test_a_trial_is_planned_in_days_of_the_traffic_of_the_test_window(
    plan: Plan, windows: list[pd.DataFrame], package: ModelPackage
) -> None:
    made = plan(effect=0.02, min_labelled_rows=1)

    test = windows[2]
    n_days = test[COLUMNS.event_time].dt.normalize().nunique()
    shadow, canary = made.lengths["shadow"], made.lengths["canary of 10%"]
    assert (made.challenger, made.champion) == (package.version, "20130318-earlier")
    assert made.rows_per_day == pytest.approx(len(test) / n_days)
    assert shadow.days >= 10  # fewer say nothing
    assert canary.days > 3 * shadow.days
    assert canary.rows == pytest.approx(canary.days * made.rows_per_day, abs=1)
    assert f"takes {shadow.days:,} days as a shadow, or {canary.days:,} days as a" in made.in_words


def test_more_traffic_shortens_a_canary_but_not_below_what_days_share(plan: Plan) -> None:
    usual, more, endless = (
        plan(effect=0.02, min_labelled_rows=1, **traffic).lengths["canary of 10%"].days
        for traffic in ({}, {"rows_per_day": 1_000}, {"rows_per_day": 10_000_000})
    )

    assert usual > more >= endless >= 10


def test_a_smaller_effect_takes_longer_and_so_do_rows_that_are_asked_for(plan: Plan) -> None:
    usual, smaller, many = (
        plan(**params).lengths["shadow"].days
        for params in ({"effect": 0.02}, {"effect": 0.0005}, {"min_labelled_rows": 50_000})
    )

    assert smaller > 10 * usual
    assert many > 10 * usual


@pytest.mark.parametrize("share", [0, 1])
def test_without_two_groups_there_is_no_canary(plan: Plan, share: float) -> None:
    assert [*plan(share=share).lengths] == ["shadow"]


def test_where_nothing_can_be_compared_the_plan_says_why(
    plan: Plan, package: ModelPackage, earlier: ModelPackage
) -> None:
    end = pd.Timestamp("2013-04-01")
    learned = earlier.with_record(trained_until=end, evaluated_until=end)
    another = earlier.with_record(unit="minutes")
    plans = plan(None), plan(package), plan(learned), plan(another)

    assert [made.lengths for made in plans] == [{}, {}, {}, {}]
    reasons = ("no champion", "same data", "not enough rows", "another question")
    for made, why in zip(plans, reasons, strict=True):
        assert why in made.in_words
