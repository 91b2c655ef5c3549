from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from example.contracts import Observation
from pydantic import ValidationError

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.gate.behaviour import FOUND, Behaviour, check_behaviour, read_suite

COLUMNS = Columns.of(Observation)
WIND, PLANE = "wind_kmh", ["van_year", "van_volume"]
INVARIANT = {"name": "another plane", "swap": PLANE, "max_change": 0.02}
RISING = {"name": "more wind", "add": {WIND: 10}, "expect": "not_lower", "tolerance": 0.01}
FALLING = {"name": "less wind", "add": {WIND: -5}, "expect": "not_higher", "tolerance": 0.01}


@dataclass
class Rule:
    """A model by a rule: from rows to probabilities."""

    risk: Callable[[pd.DataFrame], pd.Series]

    def predict_proba(self, rows):
        p = self.risk(rows).to_numpy(float)
        return np.column_stack([1 - p, p])


def by_wind(slope):
    return Rule(lambda rows: 0.5 + slope * rows[WIND].fillna(0))


@pytest.fixture
def test(windows):
    return windows[2]


@pytest.fixture
def ask(package, test):
    """The result of one test of behaviour on a model, by its column."""

    def ask(model, rows=test, seed=0, **suite):
        params = Behaviour(**({"n_rows": 300, "invariance": [], "direction": []} | suite))
        found = check_behaviour(COLUMNS, replace(package, estimator=model), rows, params, seed)
        assert list(found) == FOUND
        [result] = found.to_dict("records")
        return result

    return ask


# directions


def test_a_model_that_raises_risk_with_wind_passes(ask):
    found = ask(by_wind(0.004), direction=[RISING])

    assert (found["passed"], found["value"], found["limit"]) == (True, 0, 0.01)
    assert (found["name"], found["kind"]) == ("more wind", "direction")


def test_a_model_that_lowers_risk_with_wind_fails_by_how_much_it_does(ask):
    found = ask(by_wind(-0.004), direction=[RISING])

    assert not found["passed"]
    assert found["value"] == pytest.approx(0.04)
    assert "the wrong way on average, limit 0.01" in found["detail"]


def test_the_other_direction_is_tested_too(ask):
    found = [ask(by_wind(slope), direction=[FALLING]) for slope in (0.004, -0.004)]

    assert [one["passed"] for one in found] == [True, False]
    assert found[1]["value"] == pytest.approx(0.02)


def test_rows_that_move_the_right_way_do_not_make_up_for_those_that_do_not(ask):
    torn = Rule(
        lambda rows: 0.5 + rows[WIND].fillna(0) * np.where(rows["depot"] == "NORTH", -1, 1) / 500
    )

    found = ask(torn, direction=[RISING])

    assert found["value"] == pytest.approx(0.02 * (1 / 3), rel=0.3)


def test_a_tolerance_itself_is_acceptable(ask):
    exact = ask(by_wind(-0.001), direction=[RISING])["value"]

    found = ask(by_wind(-0.001), direction=[{**RISING, "tolerance": exact}])

    assert found["passed"]


def test_rows_are_left_out_that_miss_the_value_or_would_leave_the_contract(ask, test):
    rows = test.head(100).copy()
    rows[WIND] = 10.0
    rows.iloc[:20, rows.columns.get_loc(WIND)] = np.nan
    rows.iloc[20:50, rows.columns.get_loc(WIND)] = 295.0  # the contract allows 300

    found = ask(by_wind(0.001), rows=rows, direction=[RISING])

    assert found["n_rows"] == 50


def test_a_test_that_can_change_no_row_fails(ask, test):
    found = ask(by_wind(0.001), rows=test.assign(**{WIND: np.nan}), direction=[RISING])

    assert (found["passed"], found["n_rows"]) == (False, 0)
    assert "no row could be changed" in found["detail"]


# invariance


def test_a_model_that_does_not_look_at_the_plane_is_invariant_to_it(ask):
    found = ask(by_wind(0.001), invariance=[INVARIANT])

    assert (found["passed"], found["value"], found["kind"]) == (True, 0, "invariance")


def test_a_model_that_goes_by_the_plane_fails(ask):
    loyal = Rule(lambda rows: (rows["van_year"] > 2000) * 0.5 + 0.2)

    found = ask(loyal, invariance=[INVARIANT])

    assert not found["passed"]
    assert found["value"] > 0.1


def test_columns_are_swapped_together(ask, test):
    rows = test.assign(van_year=np.arange(len(test)), van_volume=np.arange(len(test)))
    torn = Rule(lambda rows: (rows["van_year"] != rows["van_volume"]) * 1.0)

    found = ask(torn, rows=rows, invariance=[INVARIANT])

    assert found["value"] == 0


def test_the_rows_given_are_left_as_they_are_and_a_seed_decides_the_rest(ask, test):
    before = test.copy()
    by_plane = Rule(lambda rows: rows["van_volume"].fillna(0) / 1000)

    values = [ask(by_plane, seed=seed, invariance=[INVARIANT])["value"] for seed in (0, 0, 1)]

    pd.testing.assert_frame_equal(test, before)
    assert values[0] == values[1] != values[2]


# the suite


def test_the_projects_own_suite_finds_the_model_that_lowers_risk_with_wind(
    package, test, parameters
):
    suite = read_suite(COLUMNS, Behaviour(**parameters["behaviour"]))
    broken = replace(package, estimator=by_wind(-0.004))

    found = check_behaviour(COLUMNS, broken, test, suite, seed=0).set_index("name")["passed"]

    assert found[~found].index.tolist() == ["more wind does not lower the risk"]


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ({"invariance": [{**INVARIANT, "swap": ["plane_yaer"]}]}, "Did you mean 'van_year'"),
        ({"invariance": [{**INVARIANT, "swap": ["van"]}]}, "not an input of the model"),
        ({"direction": [{**RISING, "add": {"wind_spede_mph": 1}}]}, "mean 'wind_kmh'"),
        (
            {"direction": [{**RISING, "add": {"courier": 1}}]},
            "which is not a number among",
        ),
    ],
)
def test_a_suite_that_changes_what_is_no_input_is_refused(suite, message):
    named = Behaviour(**({"n_rows": 10, "invariance": [], "direction": []} | suite))

    with pytest.raises(ProjectError, match=message):
        read_suite(COLUMNS, named)


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ({"direction": [{**RISING, "expect": "lower"}]}, "not_lower"),
        ({"direction": [{**RISING, "tolerence": 1}]}, "tolerence"),
        ({"direction": [RISING, RISING]}, "Two behaviour tests are called 'more wind'"),
    ],
)
def test_a_suite_that_cannot_be_meant_is_refused(suite, message):
    with pytest.raises(ValidationError, match=message):
        Behaviour(**({"n_rows": 10, "invariance": [], "direction": []} | suite))


def test_a_project_may_have_no_behaviour_tests(package, test):
    suite = Behaviour(n_rows=10, invariance=[], direction=[])

    found = check_behaviour(COLUMNS, package, test, suite, seed=0)

    assert found.empty
    assert list(found) == FOUND
