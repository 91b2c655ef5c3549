import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from kedro_mlops.core.artefacts import Interval
from kedro_mlops.measures import metrics as module
from kedro_mlops.measures.metrics import (
    Bootstrap,
    Scored,
    flatten,
    measure,
    paired_difference,
    resample_blocks,
    unpaired_difference,
)
from kedro_mlops.task.binary import Binary, brier_score, row_log_loss
from kedro_mlops.task.metrics import Metrics

TASK = Binary("came", (False, True))
BOOTSTRAP = Bootstrap(n_resamples=200, confidence=0.9, seed=0)
quick = settings(max_examples=60, deadline=None)


@pytest.fixture
def month():
    """Labels, calibrated probabilities and days of 30 days with 40 rows each."""
    rng = np.random.default_rng(0)
    days = pd.Series(np.repeat(pd.date_range("2013-01-01", periods=30), 40))
    weather = np.repeat(rng.normal(0, 1, 30), 40)
    p = 1 / (1 + np.exp(-(weather + rng.normal(0, 1, len(days)))))
    return (rng.random(len(days)) < p).astype(np.float64), p, days


DECISIONS_ALONE = Metrics({}, TASK.metrics.of_decisions)


def test_decisions_are_counted_and_measured_with_intervals(month):
    y, p, _ = month
    decided = (p >= 0.7).astype(np.float64)
    scored = Scored(TASK, *month, decided)

    counted = TASK.confusion(scored.label, scored.decided)
    measured = measure(scored, BOOTSTRAP, DECISIONS_ALONE)

    matrix = sklearn_metrics.confusion_matrix(y, decided).ravel().tolist()
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    assert [counted[name] for name in names] == matrix
    assert measured["flagged_share"].value == pytest.approx(decided.mean())
    assert all(ends.low < ends.value < ends.high for ends in measured.values())


def test_where_nothing_is_flagged_there_is_no_precision(month):
    nothing = np.zeros(len(month[0]))

    measured = measure(Scored(TASK, *month, nothing), BOOTSTRAP, DECISIONS_ALONE)

    assert set(measured) == {"recall", "f1", "flagged_share"}
    assert measured["recall"].value == measured["flagged_share"].value == 0


def test_an_interval_holds_the_value_and_narrows_with_less_confidence(month):
    wide = measure(Scored(TASK, *month), BOOTSTRAP)
    narrow = measure(Scored(TASK, *month), BOOTSTRAP.model_copy(update={"confidence": 0.5}))

    for name in TASK.metrics.of_scores:
        assert wide[name].value == narrow[name].value
        assert wide[name].low < narrow[name].low < narrow[name].high < wide[name].high
    assert wide["roc_auc"].low < wide["roc_auc"].value < wide["roc_auc"].high


def test_the_same_seed_gives_the_same_interval_and_another_seed_another(month):
    first, again = (
        measure(Scored(TASK, *month), BOOTSTRAP),
        measure(Scored(TASK, *month), BOOTSTRAP),
    )
    other = measure(Scored(TASK, *month), BOOTSTRAP.model_copy(update={"seed": 1}))

    assert again == first
    assert other["log_loss"].value == first["log_loss"].value
    assert other["log_loss"].low != first["log_loss"].low


def test_more_rows_of_the_same_days_do_not_narrow_the_interval(month):
    y, p, days = month
    tenfold = Scored(TASK, np.tile(y, 10), np.tile(p, 10), pd.concat([days] * 10))

    once, ten_times = (measure(rows, BOOTSTRAP) for rows in (Scored(TASK, *month), tenfold))

    for name in TASK.metrics.of_scores:
        assert dict(ten_times[name]) == pytest.approx(dict(once[name]))


def test_metrics_that_one_class_does_not_define_are_left_out(month):
    y, p, days = month

    measured = measure(Scored(TASK, y * 0, p, days), BOOTSTRAP)

    assert set(measured) == {"log_loss", "brier_score", "calibration_error"}


def test_only_the_metrics_asked_for_are_measured(month):
    wanted = Metrics({"brier_score": brier_score})

    assert list(measure(Scored(TASK, *month), BOOTSTRAP, wanted)) == ["brier_score"]


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


def test_the_better_model_is_favoured(month):
    y, p, _ = month
    ignorant = np.full_like(p, y.mean())

    difference = paired_difference(Scored(TASK, *month), ignorant, BOOTSTRAP)

    gain = sklearn_metrics.log_loss(y, p) - sklearn_metrics.log_loss(y, ignorant)
    assert difference.value == pytest.approx(gain)
    assert difference.low < gain < difference.high < 0


def test_a_model_does_not_differ_from_itself(month):
    difference = paired_difference(Scored(TASK, *month), month[1], BOOTSTRAP)

    assert difference == Interval(value=0, low=0, high=0)


def test_pairing_sees_a_small_difference_that_the_separate_intervals_hide(month):
    y, p, _ = month
    slightly_worse = np.clip(p + np.where(y == 1, -0.01, 0.01), 0, 1)

    difference = paired_difference(Scored(TASK, *month), slightly_worse, BOOTSTRAP)
    alone = measure(Scored(TASK, *month), BOOTSTRAP)["log_loss"]

    assert difference.high < 0
    assert difference.high - difference.low < 0.2 * (alone.high - alone.low)


@pytest.mark.parametrize("room", [1, 5_000])
def test_intervals_are_the_same_whatever_has_room_in_memory(month, monkeypatch, room):
    scored = Scored(TASK, *month, (month[1] >= 0.5).astype(np.float64))
    at_once = measure(scored, BOOTSTRAP), paired_difference(scored, scored.score**2, BOOTSTRAP)
    shapes = set()

    def mean_label(labels, _scores, weights):
        shapes.add(weights.shape)
        return weights @ labels / weights.sum(axis=1)

    monkeypatch.setattr(module, "MOST_WEIGHTS", room)
    in_parts = (
        measure(scored, BOOTSTRAP, more=Metrics({"mean_label": mean_label})),
        paired_difference(scored, scored.score**2, BOOTSTRAP),
    )

    assert max(n for n, _ in shapes) == max(room // 1_200, 1)
    assert {n_rows for _, n_rows in shapes} == {1_200}
    for name, interval in at_once[0].items():
        assert dict(in_parts[0][name]) == pytest.approx(dict(interval))
    assert dict(in_parts[1]) == pytest.approx(dict(at_once[1]))


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
        Scored(TASK, y[part], q[part], days[part]) for part, q in ((halves, worse), (~halves, p))
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
        Scored(TASK, y[even], p[even], days[even]),
        Scored(TASK, y[~even], p[~even], days[~even]),
        BOOTSTRAP,
    )

    assert difference.low < 0 < difference.high


def test_a_group_that_is_not_on_every_day_can_be_compared(month):
    y, p, days = month
    first = (days == days.iloc[0]).to_numpy()

    part = Scored(TASK, y[first], p[first], days[first])
    difference = unpaired_difference(part, Scored(TASK, *month), BOOTSTRAP)

    assert difference.is_finite
