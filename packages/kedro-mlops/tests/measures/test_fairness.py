import numpy as np
import pandas as pd
import pytest
from example.factories import COLUMNS, protected
from fairlearn import metrics as fairlearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import recall_score

from kedro_mlops.measures.fairness import disparity, measure_groups, rates_by_group
from kedro_mlops.measures.metrics import Bootstrap, Scored, percentile_interval, resample_blocks
from kedro_mlops.task.binary import Binary, recall

BOOTSTRAP = Bootstrap(n_resamples=200, confidence=0.95, seed=0)
TASK = Binary("came", (False, True))
RATES = TASK.rates
FEW = Bootstrap(n_resamples=20, confidence=0.95, seed=0)
FAIRLEARN = {
    "selection_rate": fairlearn.selection_rate,
    "true_positive_rate": fairlearn.true_positive_rate,
    "false_positive_rate": fairlearn.false_positive_rate,
}
GROUPS = "abc"
# label, decision, group, day
ROW = st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from(GROUPS), st.integers(0, 3))
# each group has rows of both classes
ROWS = st.tuples(
    *(
        st.tuples(st.just(label), st.integers(0, 1), st.just(group), st.just(0))
        for group in GROUPS
        for label in (0, 1)
    )
)
ENOUGH = st.tuples(st.lists(ROW, max_size=40), ROWS).map(lambda parts: [*parts[0], *parts[1]])
quick = settings(max_examples=60, deadline=None)


def scored(label, decided, day):
    label, decided = np.array(label, dtype=np.float64), np.array(decided, dtype=np.float64)
    return Scored(TASK, label, np.full(len(label), 0.5), pd.Series(day), decided)


def drawn(n_groups, seed, shift=0.0, rows_a_day=20, n_days=30):
    """Rows of groups that are decided by the same chance, but the last, which has another."""
    rng = np.random.default_rng(seed)
    n = n_groups * rows_a_day * n_days
    groups = pd.Series(np.resize(np.arange(n_groups), n)).astype("str").str.zfill(2)
    day = pd.Series(np.repeat(np.arange(n_days), n // n_days))
    chance = 0.4 + shift * (groups == f"{n_groups - 1:02d}")
    decided = rng.random(n) < chance
    return scored(rng.random(n) < 0.3, decided, day), groups


@given(rows=ENOUGH)
@quick
def test_rates_differences_and_ratios_are_fairlearns(rows):
    label, decided, groups, day = zip(*rows, strict=True)

    found = rates_by_group(scored(label, decided, day), pd.Series(groups), FEW)

    for name in RATES:
        frame = fairlearn.MetricFrame(
            metrics=FAIRLEARN[name], y_true=label, y_pred=decided, sensitive_features=list(groups)
        )
        apart = disparity(found, name, 1, 0.95)
        assert dict(zip(found.groups, found.rates[name][0], strict=True)) == pytest.approx(
            frame.by_group.to_dict()
        )
        assert apart.difference.value == pytest.approx(frame.difference())
        assert frame.by_group[apart.lowest] == frame.group_min()
        assert frame.by_group[apart.highest] == frame.group_max()
        if frame.group_max():
            assert apart.ratio == pytest.approx(frame.ratio())


@given(rows=ENOUGH)
@quick
def test_demographic_parity_and_equalized_odds_are_fairlearns(rows):
    label, decided, groups, day = zip(*rows, strict=True)

    found = rates_by_group(scored(label, decided, day), pd.Series(groups), FEW)
    apart = [disparity(found, name, 1, 0.95).difference.value for name in RATES]

    asked = {"y_true": label, "y_pred": decided, "sensitive_features": list(groups)}
    assert apart[0] == pytest.approx(fairlearn.demographic_parity_difference(**asked))
    assert max(apart[1:]) == pytest.approx(fairlearn.equalized_odds_difference(**asked))


def test_a_rate_has_the_interval_of_the_metric_on_the_rows_of_the_same_draws():
    rows, groups = drawn(3, seed=1)
    day = pd.Series(rows.block)

    found = rates_by_group(rows, groups, BOOTSTRAP)

    # a group is drawn with all the others of its day
    weights = resample_blocks(day, BOOTSTRAP) * (groups == "01").to_numpy()
    expected = recall(rows.label, rows.decided, weights)
    assert found.rates["true_positive_rate"][:, 1] == pytest.approx(expected)


def test_each_group_of_each_protected_column_is_a_row_with_intervals(trained, bootstrap):
    columns = protected(COLUMNS, "depot")
    rows = trained.predictions

    table = measure_groups(columns, rows, bootstrap)

    counts = rows["depot"].value_counts()
    assert [row["n_rows"] for row in table] == counts.tolist()
    assert {row["group"] for row in table} == set(counts.index)
    for row in table:
        part = rows[rows["depot"] == row["group"]]
        assert row["protected"] == "depot"
        assert row["true_positive_rate"] == recall_score(part[columns.label], part["decision"])
        for rate in RATES:
            assert row[f"{rate}_low"] < row[rate] < row[f"{rate}_high"]


def test_without_a_protected_column_nothing_is_measured(trained, bootstrap):
    assert measure_groups(COLUMNS, trained.predictions, bootstrap) == []


def test_a_row_without_a_group_is_of_none():
    rows = scored([1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 1])
    groups = pd.Series([True, True, False, None], dtype="boolean")

    found = rates_by_group(rows, groups, FEW)

    assert found.groups == ["False", "True"]
    assert found.n_rows.tolist() == [1, 2]
    assert found.rates["selection_rate"][0].tolist() == [0, 0.5]


def test_a_group_without_positives_has_no_true_positive_rate_and_is_not_compared_by_it():
    rows = scored([1, 0, 1, 0, 0, 0], [1, 0, 0, 0, 1, 0], [0, 1, 0, 1, 0, 1])
    groups = pd.Series(list("aabbcc"))

    found = rates_by_group(rows, groups, FEW)

    assert np.isnan(found.rates["true_positive_rate"][0, 2])
    assert disparity(found, "true_positive_rate", 1, 0.95).n_groups == 2
    assert disparity(found, "selection_rate", 1, 0.95).n_groups == 3


def test_groups_with_too_few_rows_are_not_compared():
    rows = scored([1, 0] * 6, [1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1], [0, 1] * 6)
    groups = pd.Series(list("aaaaabbbbbcc"))

    found = rates_by_group(rows, groups, FEW)

    assert disparity(found, "selection_rate", 5, 0.95).n_groups == 2
    assert disparity(found, "selection_rate", 6, 0.95) is None


def test_groups_of_which_nobody_is_selected_are_alike():
    found = rates_by_group(scored([1, 0] * 2, [0] * 4, [0, 0, 1, 1]), pd.Series(list("aabb")), FEW)

    apart = disparity(found, "selection_rate", 1, 0.95)

    assert (apart.ratio, apart.difference.value, apart.difference.high) == (1.0, 0, 0)


def test_many_groups_that_are_treated_alike_do_not_surely_differ():
    sure, by_percentiles = 0, 0
    for seed in range(40):
        found = rates_by_group(*drawn(12, seed), BOOTSTRAP)
        rates = found.rates["selection_rate"]
        sure += disparity(found, "selection_rate", 1, 0.95).difference.low > 0
        by_percentiles += percentile_interval(np.ptp(rates, axis=1), BOOTSTRAP).low > 0

    assert sure <= 6
    assert by_percentiles == 40


@pytest.mark.parametrize("n_groups", [2, 12])
def test_the_interval_of_the_difference_holds_the_true_one(n_groups):
    intervals = [
        disparity(
            rates_by_group(*drawn(n_groups, seed, shift=0.2), BOOTSTRAP), "selection_rate", 1, 0.95
        ).difference
        for seed in range(40)
    ]

    assert sum(found.low <= 0.2 <= found.high for found in intervals) >= 34
    assert sum(found.low > 0.05 for found in intervals) >= 34
    assert all(0 <= found.low <= found.value <= found.high <= 1 for found in intervals)


def test_a_group_that_is_not_on_every_day_can_be_compared():
    rows, groups = drawn(3, seed=2)
    groups[(groups == "02") & (rows.block > 1)] = "00"

    found = rates_by_group(rows, groups, BOOTSTRAP)

    assert disparity(found, "selection_rate", 1, 0.95).difference.is_finite
