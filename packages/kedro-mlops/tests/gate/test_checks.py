import numpy as np
import pandas as pd
import pytest
from example.contracts import Observation
from example.factories import protected

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.gate.checks import (
    SliceLimits,
    behaviour_checks,
    budget_checks,
    leakage_checks,
    slice_checks,
    slice_contest_checks,
)
from kedro_mlops.measures.evaluation import Footprint
from kedro_mlops.measures.fairness import FairnessLimits, fairness_checks
from kedro_mlops.modelling.evaluation import evaluate_slices

COLUMNS = Columns.of(Observation)
Y, TIME = COLUMNS.label, COLUMNS.event_time
SEGMENT = "depot"
# only the depots have so many rows
LIMITS = SliceLimits(min_rows=300, at_least={"roc_auc": 0.55}, max_loss_increase=0.05)


@pytest.fixture
def good(trained):
    """Predictions of a good candidate: the real ones, moved towards the truth."""
    rows = trained.predictions
    return rows.assign(probability=0.7 * rows["probability"] + 0.3 * rows[Y])


@pytest.fixture
def collapsed(good):
    """Predictions that are good everywhere but at one depot, where they are turned around."""
    there = good[SEGMENT] == "NORTH"
    return good.assign(probability=good["probability"].where(~there, 1 - good["probability"]))


def failed(checks):
    return [check.name for check in checks if not check.passed]


# leakage


def test_every_feature_that_gives_the_label_away_is_named():
    alone = pd.DataFrame({"feature": ["humid", "told", "leak"], "tells": [0.6, 0.86, 0.99]})

    checks = leakage_checks(alone, 0.85)

    assert failed(checks) == ["no leak through leak", "no leak through told"]


def test_the_limit_on_leaks_itself_is_acceptable():
    alone = pd.DataFrame({"feature": ["humid", "told"], "tells": [0.6, 0.85]})

    [check] = leakage_checks(alone, 0.85)

    assert (check.name, check.passed) == ("no leak through told", True)


# slices


def test_without_a_collapse_the_weakest_slice_is_on_record(good, bootstrap):
    slices = evaluate_slices(COLUMNS, good, bootstrap)

    [check] = slice_checks(slices, LIMITS)

    counted = slices[slices["n_rows"] >= LIMITS.min_rows]
    weakest = counted.loc[counted["roc_auc_high"].idxmin()]
    assert check.passed
    assert check.name == f"slice {weakest['segment']}={weakest['value']}: roc_auc floor"
    assert (check.value, check.limit) == (weakest["roc_auc_high"], 0.55)
    assert f"{weakest['roc_auc']:.4f} [" in check.detail


def test_a_slice_that_collapses_is_named_though_the_whole_is_good(collapsed, bootstrap):
    checks = slice_checks(evaluate_slices(COLUMNS, collapsed, bootstrap), LIMITS)

    assert failed(checks) == ["slice depot=NORTH: roc_auc floor"]


def test_a_slice_that_may_be_low_by_chance_passes():
    chance = {"segment": "s", "value": "a", "n_rows": 900, "roc_auc": 0.52, "roc_auc_low": 0.44}
    slices = pd.DataFrame([{**chance, "roc_auc_high": high} for high in (0.549, 0.55, 0.6)])

    passed = [slice_checks(slices.iloc[[i]], LIMITS)[0].passed for i in range(3)]

    assert passed == [False, True, True]


def test_a_slice_of_few_rows_or_of_one_class_does_not_count():
    one = {"segment": "s", "n_rows": 900, "roc_auc": 0.7, "roc_auc_low": 0.6, "roc_auc_high": 0.8}
    few = {**one, "value": "few", "n_rows": 249, "roc_auc": 0.1, "roc_auc_high": 0.2}
    one_class = {"segment": "s", "value": "one class", "n_rows": 900}
    slices = pd.DataFrame([{**one, "value": "large"}, few, one_class])

    [check] = slice_checks(slices, LIMITS)

    assert check.name == "slice s=large: roc_auc floor"
    assert check.passed
    assert slice_checks(slices.iloc[1:], LIMITS) == []


def test_a_slice_surely_worse_than_the_champion_is_named(good, collapsed, bootstrap):
    checks = slice_contest_checks(
        COLUMNS, collapsed, good["probability"].to_numpy(), LIMITS, bootstrap
    )

    [check] = checks
    assert failed(checks) == ["slice depot=NORTH: not worse than champion"]
    assert check.value > check.limit == 0.05
    assert check.interval.low > 0


def test_the_largest_loss_of_a_slice_is_on_record_if_none_is_too_large(good, bootstrap):
    [check] = slice_contest_checks(COLUMNS, good, good["probability"].to_numpy(), LIMITS, bootstrap)

    assert check.passed
    assert (check.value, check.limit) == (0, 0.05)


@pytest.mark.parametrize(
    ("tolerated", "sure", "passed"),
    [(True, True, True), (False, False, True), (False, True, False)],
)
def test_a_slice_fails_only_if_it_is_worse_by_more_than_is_tolerated_and_surely(
    good, bootstrap, tolerated, sure, passed
):
    signs = np.ones(len(good)) if sure else np.where(good[TIME].dt.day % 2, 1, -0.95)
    moved = good["probability"] + 0.1 * signs * (0.5 - good[Y])
    worse = good.assign(probability=moved.clip(0.001, 0.999))
    limits = LIMITS.model_copy(update={"max_loss_increase": 1.0 if tolerated else 0.0})

    checks = slice_contest_checks(COLUMNS, worse, good["probability"].to_numpy(), limits, bootstrap)

    assert (not failed(checks)) == passed
    assert any((check.interval.low > 0) == sure for check in checks)


# fairness

FAIR = FairnessLimits(
    min_rows=250,
    max_difference={"selection_rate": 0.1, "true_positive_rate": 0.1, "false_positive_rate": 0.1},
)
DEPOTS = protected(COLUMNS, SEGMENT)


def decided_by(rows, chance):
    """The rows, each flagged with a chance, whatever came."""
    return rows.assign(decision=np.random.default_rng(0).random(len(rows)) < chance)


@pytest.fixture
def alike(good):
    return decided_by(good, 0.4)


@pytest.fixture
def unlike(good):
    """Rows of one depot are flagged far more often."""
    return decided_by(good, np.where(good[SEGMENT] == "NORTH", 0.9, 0.4))


def test_without_a_protected_column_there_is_no_check_of_fairness(unlike, bootstrap):
    assert fairness_checks(COLUMNS, unlike, FAIR, bootstrap) == []


def test_groups_that_are_treated_alike_pass_with_value_limit_and_interval(alike, bootstrap):
    checks = fairness_checks(DEPOTS, alike, FAIR, bootstrap)

    assert [check.name for check in checks] == [
        f"fairness of depot: {rate} difference"
        for rate in ("selection_rate", "true_positive_rate", "false_positive_rate")
    ]
    assert failed(checks) == []
    for check in checks:
        assert check.value == check.interval.low <= check.limit == 0.1
        assert f"{check.interval.value:.4f} [{check.interval.low:.4f}" in check.detail


def test_groups_that_are_surely_treated_unlike_fail_by_name(unlike, bootstrap):
    checks = fairness_checks(DEPOTS, unlike, FAIR, bootstrap)

    assert len(failed(checks)) == 3
    rates = unlike.groupby(SEGMENT)["decision"].mean()
    selection = checks[0]
    assert selection.value > 0.1
    assert selection.interval.value == pytest.approx(rates.max() - rates.min())
    assert f" from {rates.idxmin()} to NORTH, ratio {rates.min() / rates.max():.3f}" in (
        selection.detail
    )
    assert "among 3 groups of at least 250 rows, limit of the lower end 0.1" in selection.detail


def test_a_difference_beyond_the_limit_that_may_be_chance_passes(good, bootstrap):
    few = decided_by(good, 0.4).groupby(SEGMENT).head(30)

    checks = fairness_checks(DEPOTS, few, FAIR.model_copy(update={"min_rows": 30}), bootstrap)

    assert max(check.interval.value for check in checks) > 0.1
    assert failed(checks) == []


def test_the_lower_end_itself_may_be_the_limit(unlike, bootstrap):
    [found, *_] = fairness_checks(DEPOTS, unlike, FAIR, bootstrap)
    limits = {"max_difference": {"selection_rate": found.value}}

    [at_limit, *_] = fairness_checks(DEPOTS, unlike, FAIR.model_copy(update=limits), bootstrap)

    assert at_limit.passed


def test_a_rate_without_a_limit_is_not_judged(unlike, bootstrap):
    limits = {"max_difference": {"false_positive_rate": 0.1}}

    [check] = fairness_checks(DEPOTS, unlike, FAIR.model_copy(update=limits), bootstrap)

    assert check.name == "fairness of depot: false_positive_rate difference"


def test_groups_that_are_too_small_to_be_compared_are_said_to_be(unlike, bootstrap):
    limits = FAIR.model_copy(update={"min_rows": 10_000})

    checks = fairness_checks(DEPOTS, unlike, limits, bootstrap)

    assert failed(checks) == []
    assert np.isnan(CheckResult.model_validate_json(checks[0].model_dump_json()).value)
    assert checks[0].detail == (
        "not judged: the selection rate is not known of two groups of at least 10,000 rows"
    )


# budgets and behaviour


@pytest.mark.parametrize(
    ("model_bytes", "milliseconds", "expected"),
    [
        (20_000_000, 100, []),
        (20_000_001, 1, ["model megabytes"]),
        (1, 100.1, ["one-row milliseconds"]),
        (21_000_000, 101, ["model megabytes", "one-row milliseconds"]),
    ],
)
def test_a_model_beyond_its_budget_fails(model_bytes, milliseconds, expected):
    footprint = Footprint(
        training_seconds=1,
        n_training_rows=1000,
        model_bytes=model_bytes,
        engine="compiled trees",
        one_row_milliseconds=milliseconds,
    )

    checks = budget_checks(footprint, 20, 100)

    assert failed(checks) == expected
    assert [check.value for check in checks] == [model_bytes / 1e6, milliseconds]
    assert [check.limit for check in checks] == [20, 100]
    assert "of a core by compiled trees, limit 100" in checks[1].detail


def test_what_the_behaviour_suite_found_is_told_by_name():
    found = pd.DataFrame(
        {
            "name": ["calm", "wild"],
            "value": [0.01, 0.3],
            "limit": [0.02, 0.2],
            "passed": [True, False],
            "detail": ["little", "much"],
        }
    )

    checks = behaviour_checks(found)

    assert [check.name for check in checks] == ["behaviour: calm", "behaviour: wild"]
    assert failed(checks) == ["behaviour: wild"]
    assert [check.detail for check in checks] == ["little", "much"]
    assert all(isinstance(check.passed, bool) for check in checks)
