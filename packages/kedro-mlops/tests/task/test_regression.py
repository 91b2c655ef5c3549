import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn import metrics as sklearn_metrics

from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.regression import Regression
from kedro_mlops.task.task import Costs

TASK = Regression("delay")
SKLEARN = {
    "mean_squared_error": sklearn_metrics.mean_squared_error,
    "root_mean_squared_error": sklearn_metrics.root_mean_squared_error,
    "mean_absolute_error": sklearn_metrics.mean_absolute_error,
    "median_absolute_error": sklearn_metrics.median_absolute_error,
    "r2": sklearn_metrics.r2_score,
}
# few distinct numbers, so that many errors tie
NUMBER = st.integers(-20, 20).map(lambda n: n / 4)
ROW = st.tuples(NUMBER, NUMBER, st.integers(0, 3), st.integers(0, 3))
ROWS = st.lists(ROW, min_size=2, max_size=30)
quick = settings(max_examples=60, deadline=None)


def arrays(rows):
    """Labels, predictions and two resamples, none of which is empty."""
    y, predicted, *weights = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    assume(all(w.sum() for w in weights))
    return y, predicted, np.array(weights)


@pytest.mark.parametrize("name", SKLEARN)
@given(rows=ROWS)
@quick
def test_a_metric_of_weighted_rows_is_scikit_learns(name, rows):
    y, predicted, weights = arrays(rows)
    assume(name != "r2" or all(np.ptp(y[w > 0]) for w in weights))

    values = TASK.metrics.of_scores[name](y, predicted, weights)

    expected = [SKLEARN[name](y, predicted, sample_weight=w) for w in weights]
    assert values == pytest.approx(expected)


@given(rows=ROWS)
@quick
def test_the_bias_is_what_is_predicted_too_much(rows):
    y, predicted, weights = arrays(rows)

    values = TASK.metrics.of_scores["bias"](y, predicted, weights)

    expected = [np.average(predicted, weights=w) - np.average(y, weights=w) for w in weights]
    assert values == pytest.approx(expected, abs=1e-12)


@given(rows=ROWS)
@quick
def test_intervals_are_measured_by_what_they_hold_and_how_wide_they_are(rows):
    y, predicted, weights = arrays(rows)
    said = TASK.output(DecisionRule(margin=1.5, coverage=0.9)).of_rows(predicted)

    ends = TASK.decided(said)

    held, width = (metric(y, ends, weights) for metric in TASK.metrics.of_decisions.values())
    near = np.abs(y - predicted) <= 1.5
    assert held == pytest.approx([np.average(near, weights=w) for w in weights])
    assert width == pytest.approx(3)


@pytest.mark.parametrize("value", [0.1, 21.7, 1e9 + 0.1])
def test_variance_is_not_explained_where_there_is_none(value):
    y, predicted = np.array([value] * 9 + [value + 5]), np.full(10, value + 1)
    weights = np.array([[1.0] * 9 + [0], [1.0] * 10])

    without, with_it = TASK.metrics.of_scores["r2"](y, predicted, weights)
    [of_one_value] = TASK.metrics.of_scores["r2"](y[:9], predicted[:9], np.ones((1, 9)))

    assert np.isnan([without, of_one_value]).all()
    assert with_it == pytest.approx(sklearn_metrics.r2_score(y, predicted))


def test_r2_is_exact_far_from_nought():
    rng = np.random.default_rng(0)
    y = 1e9 + rng.normal(0, 1, 1000)
    predicted = y + rng.normal(0, 0.5, 1000)

    [value] = TASK.metrics.of_scores["r2"](y, predicted, np.ones((1, 1000)))

    assert value == pytest.approx(sklearn_metrics.r2_score(y, predicted), rel=1e-6)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_so_many_intervals_hold_what_happens_as_were_asked_for(coverage):
    rng = np.random.default_rng(0)
    task = Regression("delay", coverage=coverage)
    n_draws, n_known = 4000, 99
    # skewed, and of no normal width
    y = rng.exponential(3, (n_draws, n_known + 1)) + rng.standard_t(3, (n_draws, n_known + 1))

    held = 0
    for known, coming in zip(y[:, :-1], y[:, -1:], strict=True):
        rule = task.choose_rule(known, np.full(n_known, 2.0), Costs())
        ends = task.decided(task.output(rule).of_rows(np.array([2.0])))
        held += int(ends[0, 0] <= coming[0] <= ends[0, 1])

    # with as many errors that rank nowhere between two, just the share that is asked for
    low, high = binom.interval(0.999, n_draws, coverage)
    assert low <= held <= high
    assert (rule.coverage, rule.threshold, rule.costs) == (coverage, None, None)


@pytest.mark.parametrize("loss", ["mean_squared_error", "mean_absolute_error"])
def test_the_loss_decides_what_is_lost_and_said_of_every_row(loss):
    task = Regression("delay", loss=loss)
    y, predicted = np.array([1.0, 2, 3, 10]), np.array([1.0, 1, 5, 6])

    losses = task.row_loss(y, predicted)

    one = np.ones((1, 4))
    [mean] = task.metrics.of_scores[loss](y, predicted, one)
    assert losses.mean() == mean == SKLEARN[loss](y, predicted)
    # no other constant loses less
    others = [task.row_loss(y, np.full(4, said)).mean() for said in np.linspace(0, 10, 101)]
    assert task.row_loss(y, np.broadcast_to(task.mean(y), 4)).mean() <= min(others)
    assert task.baseline == {"mean_squared_error": "mean", "mean_absolute_error": "median"}[loss]
    assert [*task.main_metrics.of_scores] == [loss, "r2"]
    assert [*task.estimated_metrics.of_scores] == [loss]


@pytest.mark.parametrize("loss", ["mean_squared_error", "mean_absolute_error"])
def test_expected_labels_are_as_far_off_as_is_expected(loss):
    task, scores = Regression("delay", loss=loss), np.array([1.0, -2, 30])
    losses = np.array([0.0, 4, 2.25])

    expected = task.expected(scores, None, losses)

    assert task.row_loss(expected, scores) == pytest.approx(losses)
    assert np.isnan(task.expected(scores, None, None)).all()


def test_a_feature_tells_a_number_as_far_as_it_goes_with_it():
    y = np.arange(20.0)

    assert TASK.tells(y, y * 2 + 1) == pytest.approx(1)
    assert TASK.tells(y, np.zeros(20)) == TASK.tells(np.zeros(20), y) == 0.5
    assert TASK.tells(y, np.tile([0.0, 1], 10)) < 0.6


def test_predictions_and_labels_are_averaged_in_bins_of_as_many_rows():
    rng = np.random.default_rng(0)
    predicted = rng.exponential(10, 1000)
    y = predicted + rng.normal(0, 1, 1000)

    curve = TASK.calibration_curve(y, predicted)

    assert curve["n_rows"].tolist() == [100] * 10
    assert curve["predicted"].is_monotonic_increasing
    assert curve["observed"].tolist() == pytest.approx(curve["predicted"].tolist(), abs=0.4)
    [point] = TASK.calibration_curve(y, np.full(1000, 2.0)).to_dict("records")
    assert point == {"predicted": 2.0, "observed": pytest.approx(y.mean()), "n_rows": 1000}


def test_groups_are_compared_by_how_far_off_and_to_which_side():
    rates = TASK.row_rates(np.array([1.0, 2]), np.array([3.0, 1]), np.zeros((2, 2)))

    means = {rate: part.sum() / of.sum() for rate, (part, of) in rates.items()}
    assert means == {"mean_absolute_error": 1.5, "mean_error": 0.5}
