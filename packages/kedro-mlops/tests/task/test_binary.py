import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from kedro_mlops.task.binary import Binary, cost_curve, row_log_loss
from kedro_mlops.task.metrics import CALIBRATION_BINS
from kedro_mlops.task.task import Costs

TASK = Binary("came", (False, True))
SKLEARN = {
    "log_loss": lambda y, p, w: sklearn_metrics.log_loss(y, p, sample_weight=w, labels=[0, 1]),
    "roc_auc": lambda y, p, w: sklearn_metrics.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda y, p, w: sklearn_metrics.average_precision_score(
        y, p, sample_weight=w
    ),
    "brier_score": lambda y, p, w: sklearn_metrics.brier_score_loss(y, p, sample_weight=w),
}

# few distinct probabilities, so that many rows tie, and the ends of the range are met
PROBABILITY = st.integers(0, 20).map(lambda n: n / 20)
ROW = st.tuples(st.integers(0, 1), PROBABILITY, st.integers(0, 3), st.integers(0, 3))
quick = settings(max_examples=60, deadline=None)


def arrays(rows):
    return (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))


@pytest.mark.parametrize("name", SKLEARN)
@given(rows=st.lists(ROW, min_size=2, max_size=30))
@quick
def test_a_metric_of_weighted_rows_is_scikit_learns(name, rows):
    y, p, *weights = arrays(rows)
    assume(all(0 < y @ w < w.sum() for w in weights))

    values = TASK.metrics.of_scores[name](y, p, np.array(weights))

    assert values == pytest.approx([SKLEARN[name](y, p, w) for w in weights], abs=1e-12)


DECISIONS = {
    "precision": sklearn_metrics.precision_score,
    "recall": sklearn_metrics.recall_score,
    "f1": sklearn_metrics.f1_score,
}


@pytest.mark.parametrize("name", DECISIONS)
@given(rows=st.lists(ROW, min_size=2, max_size=30))
@quick
def test_a_metric_of_decisions_is_scikit_learns(name, rows):
    y, p, *weights = arrays(rows)
    decided = (p >= 0.5).astype(float)
    assume(all(y @ w > 0 and decided @ w > 0 for w in weights))

    values = TASK.metrics.of_decisions[name](y, decided, np.array(weights))

    expected = [DECISIONS[name](y, decided, sample_weight=w) for w in weights]
    assert values == pytest.approx(expected, abs=1e-12)


@given(rows=st.lists(ROW, min_size=1, max_size=30))
@quick
def test_the_calibration_error_is_the_mean_gap_of_the_bins(rows):
    y, p, weight, _ = arrays(rows)
    weight += 1

    [value] = TASK.metrics.of_scores["calibration_error"](y, p, weight[None])

    expected = 0.0
    for i in range(CALIBRATION_BINS):
        last = i == CALIBRATION_BINS - 1
        inside = (p >= i / CALIBRATION_BINS) & ((p < (i + 1) / CALIBRATION_BINS) | last)
        if inside.any():
            share, w = weight[inside].sum() / weight.sum(), weight[inside]
            expected += share * abs(
                np.average(y[inside], weights=w) - np.average(p[inside], weights=w)
            )
    assert value == pytest.approx(expected)


def test_the_calibration_curve_has_a_point_for_every_bin_that_has_rows():
    p = np.array([0.02, 0.08, 0.55, 1.0])
    y = np.array([0.0, 1, 1, 1])

    curve = TASK.calibration_curve(y, p)

    assert curve.to_dict("list") == {
        "predicted": [0.05, 0.55, 1.0],
        "observed": [0.5, 1.0, 1.0],
        "n_rows": [2, 1, 1],
    }


@given(rows=st.lists(ROW, min_size=1, max_size=30))
@quick
def test_the_calibration_error_is_the_mean_gap_of_the_calibration_curve(rows):
    y, p, _, _ = arrays(rows)

    curve = TASK.calibration_curve(y, p)

    [error] = TASK.metrics.of_scores["calibration_error"](y, p, np.ones((1, len(y))))
    gaps = (curve["observed"] - curve["predicted"]).abs()
    assert error == pytest.approx(np.average(gaps, weights=curve["n_rows"]))


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_a_ranking_metric_is_not_defined_without_positives(name):
    y, p = np.array([1.0, 0.0, 0.0]), np.array([0.9, 0.5, 0.1])

    without, with_them = TASK.metrics.of_scores[name](y, p, np.array([[0.0, 1, 1], [1, 1, 1]]))

    assert np.isnan(without)
    assert with_them == 1


@given(rows=st.lists(st.tuples(PROBABILITY, PROBABILITY), min_size=1, max_size=20))
@quick
def test_the_loss_on_a_chance_is_the_loss_to_expect_of_its_labels(rows):
    chance, p = arrays(rows)

    expected = row_log_loss(chance, p)

    of_one, of_nought = row_log_loss(np.ones_like(p), p), row_log_loss(np.zeros_like(p), p)
    assert expected == pytest.approx(chance * of_one + (1 - chance) * of_nought)


def test_the_auc_on_chances_is_that_of_as_many_labels_as_they_promise():
    p = np.array([0.2, 0.5, 0.9])
    repeated = np.repeat(p, 10)
    labels = np.concatenate([np.arange(10) < 10 * chance for chance in p]).astype(float)

    [on_chances] = TASK.metrics.of_scores["roc_auc"](p, p, np.ones((1, 3)))

    assert on_chances == pytest.approx(sklearn_metrics.roc_auc_score(labels, repeated))


COSTS = st.fixed_dictionaries(
    {"false_negative": st.integers(1, 9), "false_positive": st.integers(1, 9)}
)


@given(rows=st.lists(ROW, min_size=1, max_size=30), costs=COSTS)
@quick
def test_the_cheapest_threshold_is_the_highest_of_the_cheapest_probabilities(rows, costs):
    y, p, *_ = arrays(rows)
    false_negative, false_positive = costs["false_negative"], costs["false_positive"]

    threshold = TASK.choose_rule(y, p, Costs(**costs)).threshold

    def cost(t: float) -> float:
        missed, alarms = (y == 1) & (p < t), (y == 0) & (p >= t)
        return false_negative * missed.sum() + false_positive * alarms.sum()

    lowest = min(cost(t) for t in p)
    assert threshold == max(t for t in p if cost(t) == lowest)


@given(rows=st.lists(ROW, min_size=1, max_size=30), costs=COSTS)
@quick
def test_the_cost_curve_is_the_mean_cost_at_every_threshold(rows, costs):
    y, p, *_ = arrays(rows)
    false_negative, false_positive = costs["false_negative"], costs["false_positive"]

    thresholds, mean_costs = cost_curve(y, p, Costs(**costs))

    assert thresholds.tolist() == sorted(set(p))
    for t, cost in zip(thresholds, mean_costs, strict=True):
        missed, alarms = (y == 1) & (p < t), (y == 0) & (p >= t)
        assert cost == pytest.approx(np.mean(false_negative * missed + false_positive * alarms))


def test_a_missed_positive_and_a_false_alarm_have_their_price():
    y, decided = np.array([1.0, 1, 0, 0]), np.array([1.0, 0, 1, 0])

    costs = TASK.costs_of_rows(y, decided, Costs(false_negative=3, false_positive=1))

    assert costs.tolist() == [0, 3, 1, 0]


@given(rows=st.lists(ROW, min_size=2, max_size=30))
@quick
def test_lift_is_the_precision_by_the_share_of_positives(rows):
    y, p, *weights = arrays(rows)
    decided = (p >= 0.5).astype(float)
    assume(all(y @ w > 0 and decided @ w > 0 for w in weights))

    values = TASK.metrics.of_decisions["lift"](y, decided, np.array(weights))

    expected = [
        sklearn_metrics.precision_score(y, decided, sample_weight=w) / np.average(y, weights=w)
        for w in weights
    ]
    assert values == pytest.approx(expected)


def simulated(n_rows=40_000):
    """Labels that come with some chances, and scores that are too sure of themselves."""
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-1, 1, n_rows)
    chance = 1 / (1 + np.exp(-log_odds))
    return (rng.random(n_rows) < chance).astype(float), 1 / (1 + np.exp(-(2 * log_odds + 1)))


def test_the_loss_that_is_estimated_without_labels_is_the_one_that_is_realised():
    y, p = simulated()
    half = len(y) // 2
    calibration = TASK.calibrate(y[:half], p[:half])

    expected = TASK.expected(p[half:], calibration, None)

    # log-odds that were doubled and moved are halved and moved back
    assert (calibration.slope, calibration.intercept) == pytest.approx((0.5, -0.5), abs=0.03)
    one = np.ones((1, half))
    for name, metric in TASK.estimated_metrics.of_scores.items():
        [estimated], [realised], [naive] = (
            metric(label, p[half:], one) for label in (expected, y[half:], p[half:])
        )
        assert estimated == pytest.approx(realised, rel=0.02), name
        assert abs(naive - realised) > 5 * abs(estimated - realised), name
