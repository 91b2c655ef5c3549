import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from kedro_mlops.core.artefacts import Interval
from kedro_mlops.measures.metrics import (
    Bootstrap,
    Scored,
    calibration_curve,
    cheapest_threshold,
    confusion,
    flatten,
    measure,
    paired_difference,
    resample_blocks,
    row_costs,
    unpaired_difference,
)
from kedro_mlops.task.binary import Binary, brier_score, cost_curve, row_log_loss
from kedro_mlops.task.metrics import CALIBRATION_BINS, Metrics
from kedro_mlops.task.task import Costs

BOOTSTRAP = Bootstrap(n_resamples=200, confidence=0.9, seed=0)
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


@pytest.fixture
def month():
    """Labels, calibrated probabilities and days of 30 days with 40 rows each."""
    rng = np.random.default_rng(0)
    days = pd.Series(np.repeat(pd.date_range("2013-01-01", periods=30), 40))
    weather = np.repeat(rng.normal(0, 1, 30), 40)
    p = 1 / (1 + np.exp(-(weather + rng.normal(0, 1, len(days)))))
    return (rng.random(len(days)) < p).astype(np.float64), p, days


@pytest.mark.parametrize("name", SKLEARN)
@given(rows=st.lists(ROW, min_size=2, max_size=30))
@quick
def test_a_metric_of_weighted_rows_is_scikit_learns(name, rows):
    y, p, *weights = arrays(rows)
    assume(all(0 < y @ w < w.sum() for w in weights))

    values = Binary.metrics.of_scores[name](y, p, np.array(weights))

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

    values = Binary.metrics.of_decisions[name](y, decided, np.array(weights))

    expected = [DECISIONS[name](y, decided, sample_weight=w) for w in weights]
    assert values == pytest.approx(expected, abs=1e-12)


DECISIONS_ALONE = Metrics({}, Binary.metrics.of_decisions)


def test_decisions_are_counted_and_measured_with_intervals(month):
    y, p, _ = month
    decided = (p >= 0.7).astype(np.float64)
    scored = Scored(*month, decided)

    counted, measured = confusion(scored), measure(scored, BOOTSTRAP, DECISIONS_ALONE)

    matrix = sklearn_metrics.confusion_matrix(y, decided).ravel().tolist()
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    assert [counted[name] for name in names] == matrix
    assert measured["flagged_share"].value == pytest.approx(decided.mean())
    assert all(ends.low < ends.value < ends.high for ends in measured.values())


def test_where_nothing_is_flagged_there_is_no_precision(month):
    nothing = np.zeros(len(month[0]))

    measured = measure(Scored(*month, nothing), BOOTSTRAP, DECISIONS_ALONE)

    assert set(measured) == {"recall", "f1", "flagged_share"}
    assert measured["recall"].value == measured["flagged_share"].value == 0


@given(rows=st.lists(ROW, min_size=1, max_size=30))
@quick
def test_the_calibration_error_is_the_mean_gap_of_the_bins(rows):
    y, p, weight, _ = arrays(rows)
    weight += 1

    [value] = Binary.metrics.of_scores["calibration_error"](y, p, weight[None])

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

    curve = calibration_curve(y, p)

    assert curve.to_dict("list") == {
        "predicted": [0.05, 0.55, 1.0],
        "observed": [0.5, 1.0, 1.0],
        "n_rows": [2, 1, 1],
    }


@given(rows=st.lists(ROW, min_size=1, max_size=30))
@quick
def test_the_calibration_error_is_the_mean_gap_of_the_calibration_curve(rows):
    y, p, _, _ = arrays(rows)

    curve = calibration_curve(y, p)

    [error] = Binary.metrics.of_scores["calibration_error"](y, p, np.ones((1, len(y))))
    gaps = (curve["observed"] - curve["predicted"]).abs()
    assert error == pytest.approx(np.average(gaps, weights=curve["n_rows"]))


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_a_ranking_metric_is_not_defined_without_positives(name):
    y, p = np.array([1.0, 0.0, 0.0]), np.array([0.9, 0.5, 0.1])

    without, with_them = Binary.metrics.of_scores[name](y, p, np.array([[0.0, 1, 1], [1, 1, 1]]))

    assert np.isnan(without)
    assert with_them == 1


def test_an_interval_holds_the_value_and_narrows_with_less_confidence(month):
    wide = measure(Scored(*month), BOOTSTRAP)
    narrow = measure(Scored(*month), BOOTSTRAP.model_copy(update={"confidence": 0.5}))

    for name in Binary.metrics.of_scores:
        assert wide[name].value == narrow[name].value
        assert wide[name].low < narrow[name].low < narrow[name].high < wide[name].high
    assert wide["roc_auc"].low < wide["roc_auc"].value < wide["roc_auc"].high


def test_the_same_seed_gives_the_same_interval_and_another_seed_another(month):
    first, again = measure(Scored(*month), BOOTSTRAP), measure(Scored(*month), BOOTSTRAP)
    other = measure(Scored(*month), BOOTSTRAP.model_copy(update={"seed": 1}))

    assert again == first
    assert other["log_loss"].value == first["log_loss"].value
    assert other["log_loss"].low != first["log_loss"].low


def test_more_rows_of_the_same_days_do_not_narrow_the_interval(month):
    y, p, days = month
    tenfold = Scored(np.tile(y, 10), np.tile(p, 10), pd.concat([days] * 10))

    once, ten_times = (measure(rows, BOOTSTRAP) for rows in (Scored(*month), tenfold))

    for name in Binary.metrics.of_scores:
        assert dict(ten_times[name]) == pytest.approx(dict(once[name]))


def test_metrics_that_one_class_does_not_define_are_left_out(month):
    y, p, days = month

    measured = measure(Scored(y * 0, p, days), BOOTSTRAP)

    assert set(measured) == {"log_loss", "brier_score", "calibration_error"}


def test_only_the_metrics_asked_for_are_measured(month):
    wanted = Metrics({"brier_score": brier_score})

    assert list(measure(Scored(*month), BOOTSTRAP, wanted)) == ["brier_score"]


@given(days=st.lists(st.integers(0, 5), min_size=1, max_size=20), seed=st.integers(0, 99))
@quick
def test_a_resample_draws_whole_days_as_many_as_there_are(days, seed):
    bootstrap = Bootstrap(n_resamples=20, confidence=0.9, seed=seed)

    weights = resample_blocks(pd.Series(days), bootstrap)

    unique_days, first_row, day_of_row = np.unique(days, return_index=True, return_inverse=True)
    of_day = weights[:, first_row]
    assert (weights == of_day[:, day_of_row]).all()
    assert (of_day.sum(axis=1) == len(unique_days)).all()
    assert (weights[0] == 1).all()


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

    [on_chances] = Binary.metrics.of_scores["roc_auc"](p, p, np.ones((1, 3)))

    assert on_chances == pytest.approx(sklearn_metrics.roc_auc_score(labels, repeated))


def test_the_better_model_is_favoured(month):
    y, p, _ = month
    ignorant = np.full_like(p, y.mean())

    difference = paired_difference(Scored(*month), ignorant, BOOTSTRAP)

    gain = sklearn_metrics.log_loss(y, p) - sklearn_metrics.log_loss(y, ignorant)
    assert difference.value == pytest.approx(gain)
    assert difference.low < gain < difference.high < 0


def test_a_model_does_not_differ_from_itself(month):
    difference = paired_difference(Scored(*month), month[1], BOOTSTRAP)

    assert difference == Interval(value=0, low=0, high=0)


def test_pairing_sees_a_small_difference_that_the_separate_intervals_hide(month):
    y, p, _ = month
    slightly_worse = np.clip(p + np.where(y == 1, -0.01, 0.01), 0, 1)

    difference = paired_difference(Scored(*month), slightly_worse, BOOTSTRAP)
    alone = measure(Scored(*month), BOOTSTRAP)["log_loss"]

    assert difference.high < 0
    assert difference.high - difference.low < 0.2 * (alone.high - alone.low)


COSTS = st.fixed_dictionaries(
    {"false_negative": st.integers(1, 9), "false_positive": st.integers(1, 9)}
)


@given(rows=st.lists(ROW, min_size=1, max_size=30), costs=COSTS)
@quick
def test_the_cheapest_threshold_is_the_highest_of_the_cheapest_probabilities(rows, costs):
    y, p, *_ = arrays(rows)
    false_negative, false_positive = costs["false_negative"], costs["false_positive"]

    threshold = cheapest_threshold(y, p, Costs(**costs))

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


def test_metrics_become_columns_of_a_table():
    measured = {"log_loss": Interval(value=0.5, low=0.4, high=0.6)}

    assert flatten(measured) == {"log_loss": 0.5, "log_loss_low": 0.4, "log_loss_high": 0.6}
    assert list(flatten(measured, "estimated_")) == [
        *("estimated_log_loss", "estimated_log_loss_low", "estimated_log_loss_high")
    ]


def test_two_groups_of_rows_differ_as_their_losses_do(month):
    y, p, days = month
    halves = np.arange(len(y)) % 3 == 0
    worse = np.clip(1 - p, 0.01, 0.99)
    one, other = (
        Scored(y[part], q[part], days[part]) for part, q in ((halves, worse), (~halves, p))
    )

    difference = unpaired_difference(one, other, BOOTSTRAP)
    opposite = unpaired_difference(other, one, BOOTSTRAP)

    losses = [row_log_loss(rows.label, rows.score).mean() for rows in (one, other)]
    assert difference.value == pytest.approx(losses[0] - losses[1])
    assert 0 < difference.low < difference.value < difference.high
    assert opposite.high == pytest.approx(-difference.low)


def test_groups_of_one_model_do_not_surely_differ(month):
    y, p, days = month
    even = np.arange(len(y)) % 2 == 0

    difference = unpaired_difference(
        Scored(y[even], p[even], days[even]), Scored(y[~even], p[~even], days[~even]), BOOTSTRAP
    )

    assert difference.low < 0 < difference.high


def test_a_group_that_is_not_on_every_day_can_be_compared(month):
    y, p, days = month
    first = (days == days.iloc[0]).to_numpy()

    part = Scored(y[first], p[first], days[first])
    difference = unpaired_difference(part, Scored(*month), BOOTSTRAP)

    assert difference.is_finite


def test_a_missed_positive_and_a_false_alarm_have_their_price():
    y, decided = np.array([1.0, 1, 0, 0]), np.array([1.0, 0, 1, 0])

    costs = row_costs(y, decided, Costs(false_negative=3, false_positive=1))

    assert costs.tolist() == [0, 3, 1, 0]
