"""What is done so that large, wide and unknown tables are learned in time."""

import numpy as np
import pandas as pd
import pytest
from example.factories import COLUMNS
from example.trained import CODE
from sklearn.linear_model import LogisticRegression

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.modelling import search as searching
from kedro_mlops.modelling.nodes import fit, fit_winner
from kedro_mlops.modelling.parts import some_of
from kedro_mlops.modelling.tuning import tune
from kedro_mlops.models.families import FAMILIES, MANY_COEFFICIENTS

NOTHING = pd.DataFrame()


@pytest.fixture
def learned(monkeypatch):
    """How many rows each trial has learned from."""
    made, once = [], searching.fit
    monkeypatch.setattr(searching, "fit", lambda *given: made.append(len(given[4])) or once(*given))
    return made


def test_trials_learn_from_some_rows_and_the_winner_from_more(
    windows, modelling_params, bootstrap, learned
):
    few = {"max_tuning_rows": 300, "max_training_rows": 500, "n_trials": {"logistic_regression": 2}}
    params = modelling_params.model_copy(update=few)

    recipe, _, predictions, _ = tune(
        COLUMNS, FAMILIES, *windows, NOTHING, None, params, bootstrap, 0, CODE
    )
    fitted = fit_winner(COLUMNS, FAMILIES, *windows, recipe, None, params, 0, CODE)

    assert learned == [300, 300]
    assert len(predictions) == len(windows[1])
    assert fitted.recorded["n_training_rows"] == 500
    known = some_of(pd.concat(windows, ignore_index=True), 500, 0)
    alone = fit(COLUMNS, FAMILIES[recipe["family"]], recipe["hyperparameters"], 0, known)
    scores = (m.predict_proba(windows[2][COLUMNS.features]) for m in (fitted.final, alone))
    np.testing.assert_array_equal(*scores)


def test_some_rows_are_drawn_at_random_and_keep_their_order():
    rows = pd.DataFrame({"number": range(1000)})

    some = some_of(rows, 100, seed=0)

    assert len(some) == 100
    assert some["number"].is_monotonic_increasing
    assert 400 < some["number"].mean() < 600
    assert some_of(rows, None, seed=0) is rows
    assert some_of(rows, 1000, seed=0) is rows


def test_of_an_unknown_table_hyperparameters_are_sought_far_and_wide(
    windows, modelling_params, bootstrap
):
    train, validation, test = windows
    asked = {"n_trials": {"logistic_regression": 12}, "patience": None}

    def lowest_and_highest(**more):
        params = modelling_params.model_copy(update=asked | more)
        cut = (train.head(300), validation.head(100), test)
        _, trials, *_ = tune(COLUMNS, FAMILIES, *cut, NOTHING, None, params, bootstrap, 0, CODE)
        return trials["C"].min(), trials["C"].max()

    assert lowest_and_highest(broad_search=True)[1] > 10 >= lowest_and_highest()[1]


class Wide(Contract):
    """A column of many categories."""

    street: str = column("Street", feature=True)
    label: str = column("What is asked", label="multiclass", isin=list("abcdefghijkl"))


def test_a_linear_model_of_many_coefficients_is_sought_by_cheaper_steps():
    columns = Columns.of(Wide)
    rows = pd.DataFrame({"street": [f"street {i % 99}" for i in range(600)]})
    rows["label"] = np.arange(600) % 12
    family = FAMILIES["logistic_regression"]

    wide = fit(columns, family, {"C": 0.1}, 0, rows)
    few = rows.assign(street=[f"street {i % 9}" for i in range(600)])
    narrow = fit(columns, family, {"C": 0.1}, 0, few)

    assert isinstance(wide[-1], LogisticRegression)
    assert wide[-1].coef_.size > MANY_COEFFICIENTS >= narrow[-1].coef_.size
    assert (wide[-1].solver, narrow[-1].solver) == ("lbfgs", "newton-cholesky")
