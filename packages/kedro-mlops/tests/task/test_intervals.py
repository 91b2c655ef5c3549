"""Intervals hold as many labels as they say, and are wide where errors are large."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from kedro_mlops.task.intervals import (
    conformal_margin,
    interval_score,
    margins_by_prediction,
    typical_errors,
)
from kedro_mlops.task.piecewise import PiecewiseLine
from kedro_mlops.task.regression import Regression
from kedro_mlops.task.task import Costs

quick = settings(max_examples=60, deadline=None)
COVERAGE = 0.9


@given(
    errors=st.lists(st.integers(0, 50), min_size=1, max_size=60),
    percent=st.integers(1, 99),
)
@quick
def test_the_margin_is_the_smallest_error_that_enough_errors_do_not_exceed(errors, percent):
    margin = conformal_margin(np.array(errors, np.float64), percent / 100)

    asked = math.ceil((len(errors) + 1) * Fraction(percent, 100))
    if asked > len(errors):
        assert margin == max(errors)
    else:
        assert margin == min(e for e in errors if sum(x <= e for x in errors) >= asked)


def prices(n_rows, seed=0):
    """Predictions, and labels that are the further off the higher they are."""
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(1, 100, n_rows)
    return predicted, predicted + 0.2 * predicted * rng.standard_normal(n_rows)


def test_where_errors_grow_with_predictions_so_do_intervals_which_are_less_wide():
    (known, y), (coming, then) = prices(4000), prices(20_000, seed=1)
    task = Regression("price", coverage=COVERAGE)

    rule = task.choose_rule(y, known, Costs())

    ends = task.decided(task.output(rule).of_rows(coming))
    held = (ends[:, 0] <= then) & (then <= ends[:, 1])
    width = ends[:, 1] - ends[:, 0]
    one = conformal_margin(np.abs(y - known), COVERAGE)
    assert rule.margin is None
    # the width is of a sample, too
    low, high = binom.interval(0.999, len(known), COVERAGE)
    assert low / len(known) <= held.mean() <= high / len(known)
    assert width.mean() < 0.9 * 2 * one
    # low and high prices alike
    assert np.ptp([held[part].mean() for part in (coming < 40, coming > 60)]) < 0.06
    assert width[coming > 90].min() > 4 * width[coming < 10].max()


@pytest.mark.parametrize("n_rows", [1, 39, 300])
def test_where_errors_do_not_go_with_predictions_all_intervals_are_alike(n_rows):
    rng = np.random.default_rng(0)
    predicted, errors = rng.normal(0, 9, n_rows), np.abs(rng.normal(0, 1, n_rows))

    assert margins_by_prediction(errors, predicted, COVERAGE) is None
    assert margins_by_prediction(np.zeros(n_rows), predicted, COVERAGE) is None
    assert margins_by_prediction(errors, np.ones(n_rows), COVERAGE) is None


def test_margins_are_numbers_by_themselves_at_predictions_that_ascend():
    # of few values, so that whole bins are of one
    known, y = prices(1000)
    known = np.round(known / 40) * 40

    margins = margins_by_prediction(np.abs(y - known), known, COVERAGE)

    assert {type(value) for knot in margins for value in knot} == {float}
    places = [place for place, _ in margins]
    assert places == sorted({*places})
    assert all(margin > 0 for _, margin in margins)


def test_the_mean_error_of_a_bin_is_drawn_to_that_of_all():
    errors, predicted = np.repeat([1.0, 3], 20), np.arange(40.0)

    at, sizes = typical_errors(errors, predicted)

    assert at.tolist() == [9.5, 29.5]
    assert sizes.tolist() == [1.5, 2.5]


def test_an_interval_costs_its_width_and_what_it_does_not_hold():
    assert interval_score(np.array([1.0, 3]), 2, 0.9).tolist() == pytest.approx([4, 4 + 20])


KNOTS = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6)), min_size=2, max_size=10,
    unique_by=lambda knot: round(knot[0], 3),
).map(sorted)  # fmt: skip


@given(knots=KNOTS, at=st.lists(st.floats(-2e6, 2e6), min_size=1, max_size=20))
@quick
def test_a_line_is_straight_between_its_knots_for_one_number_as_for_many(knots, at):
    line, at = PiecewiseLine(knots), np.array(at + [place for place, _ in knots])

    values = line.of_rows(at)

    assert [line.of_row(place) for place in at.tolist()] == values.tolist()
    assert values == pytest.approx(np.interp(at, *zip(*knots, strict=True)), rel=1e-9, abs=1e-6)
