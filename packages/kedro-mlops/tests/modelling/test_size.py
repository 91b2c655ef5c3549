"""What is done so that large, wide and unknown tables are learned in time."""

import ibis
import numpy as np
import pandas as pd
import pytest
from example.factories import COLUMNS
from example.trained import CODE
from example.undated import LOANS, loans
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from kedro_mlops.adoption.learning import modelling_for
from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.contract.sample import some_of
from kedro_mlops.core.json_records import hash_rows
from kedro_mlops.core.time_params import AsOf
from kedro_mlops.measures.metrics import Scored
from kedro_mlops.modelling import search as searching
from kedro_mlops.modelling.evaluation import evaluate, predict_test
from kedro_mlops.modelling.fitting import fit, fit_winner
from kedro_mlops.modelling.nodes import count_rows, split_windows
from kedro_mlops.modelling.parameters import Modelling
from kedro_mlops.modelling.tuning import tune
from kedro_mlops.models.families import FAMILIES, MANY_COEFFICIENTS

NOTHING = pd.DataFrame()


@pytest.fixture
def learned(monkeypatch):
    """How many rows each trial has learned from."""
    made, once = [], searching.fit
    monkeypatch.setattr(searching, "fit", lambda *given: made.append(len(given[4])) or once(*given))
    return made


def test_trials_learn_from_some_of_the_rows(windows, modelling_params, bootstrap, learned):
    few = {"max_tuning_rows": 300, "n_trials": {"logistic_regression": 2}}
    params = modelling_params.model_copy(update=few)

    _, _, predictions, _ = tune(
        COLUMNS, FAMILIES, *windows, NOTHING, None, params, bootstrap, 0, CODE
    )

    # of each class its share, rounded down
    assert learned == [299, 299]
    assert len(predictions) == len(windows[1])


def test_of_a_rare_class_some_rows_are_among_the_few(windows):
    rows = pd.concat(windows, ignore_index=True)
    at = np.flatnonzero(rows[COLUMNS.label])
    rows = rows.drop(index=at[30:])

    few, more = (some_of(COLUMNS, rows, n, 0) for n in (100, 300))

    assert 99 <= len(few) <= 100
    assert few[COLUMNS.label].sum() >= 20
    assert few.index.is_monotonic_increasing
    assert set(few.index) <= set(more.index)


@pytest.fixture(scope="module")
def few_params(modelling_params):
    """Of the rows about a fifth come into memory, and of the short validation window all."""
    few = {"max_rows": 1500, "min_rows": 50, "validation_days": 2}
    return modelling_params.model_copy(update=few)


@pytest.fixture(scope="module")
def few_windows(history, as_of, few_params):
    return split_windows(COLUMNS, history.model_input, as_of, few_params, 0)


@pytest.fixture(scope="module")
def sample(history, as_of, few_params, few_windows):
    return count_rows(COLUMNS, history.model_input, *few_windows, as_of, few_params)


def test_rows_are_drawn_before_they_come_into_memory(
    history, as_of, few_params, few_windows, sample, caplog
):
    whole = few_params.model_copy(update={"max_rows": None})
    all_windows = split_windows(COLUMNS, history.model_input, as_of, whole)

    with caplog.at_level("INFO"):
        count_rows(COLUMNS, history.model_input, *few_windows, as_of, few_params)

    assert 1490 <= sum(map(len, few_windows)) <= 1500
    assert [*sample.n_taken.values()] == [*map(len, few_windows)]
    assert [*sample.n_known.values()] == [*map(len, all_windows)]
    assert sample.all_drawn_from == sum(map(len, all_windows))
    n_train = f"train {len(few_windows[0]):,} of {len(all_windows[0]):,}"
    assert "were drawn by their keys, as modelling.max_rows says" in caplog.text
    assert n_train in caplog.text


def test_nothing_is_said_where_all_rows_are_taken(
    history, as_of, modelling_params, windows, caplog
):
    with caplog.at_level("INFO"):
        found = count_rows(COLUMNS, history.model_input, *windows, as_of, modelling_params)

    assert found.all_drawn_from is None
    assert found.drawn_from("test") is None
    assert [found.n_alike(name) for name in found.n_taken] == [*map(len, windows)]
    assert not caplog.text


def test_the_winner_learns_from_as_many_rows_of_each_window_as_there_are(
    few_windows, few_params, sample, trained, bootstrap
):
    given = (COLUMNS, FAMILIES, *few_windows, trained.recipe, None, few_params, 0, CODE)

    fitted = fit_winner(*given, sample)

    train, validation, test = few_windows
    rows = [
        some_of(COLUMNS, part, sample.n_alike(name), 0)
        for name, part in zip(sample.n_taken, few_windows, strict=True)
    ]
    rate = len(train) / sample.n_known["train"]
    # of each class rounded down
    assert len(rows[1]) == pytest.approx(sample.n_known["validation"] * rate, abs=2)
    assert len(rows[1]) < len(validation)
    assert fitted.recorded["n_training_rows"] == sum(map(len, rows))
    assert fitted.recorded["n_known_rows"] == sample.all_drawn_from
    assert fitted.recorded["lineage"].data_hash == hash_rows(*few_windows)
    family, found = FAMILIES[trained.recipe["family"]], trained.recipe["hyperparameters"]
    for model, known in ((fitted.evaluated, rows[:2]), (fitted.final, rows)):
        alone = fit(COLUMNS, family, found, 0, *known)
        scores = (m.predict_proba(test[COLUMNS.features]) for m in (model, alone))
        np.testing.assert_array_equal(*scores)


def test_of_the_rows_it_is_measured_on_it_is_said_how_many_there_are(
    few_windows, sample, trained, bootstrap
):
    rule = trained.candidate.metadata.rule

    predictions = predict_test(COLUMNS, trained.fitted, *few_windows, rule, 0, sample)
    window = evaluate(COLUMNS, predictions, bootstrap, sample=sample).window

    assert (window.n_rows, window.drawn_from) == (sample.n_taken["test"], sample.n_known["test"])
    assert window.n_in_words == f"{window.n_rows:,} of {window.drawn_from:,}"
    train, validation, _ = few_windows
    known = [train, some_of(COLUMNS, validation, sample.n_alike("validation"), 0)]
    base_rate = pd.concat(known)[COLUMNS.label].mean()
    said = Scored.of_scores(COLUMNS, predictions, "base_rate").score
    assert np.unique(said) == pytest.approx([base_rate])


def test_few_rows_of_many_are_cross_validated():
    params = Modelling.model_validate(
        {
            **modelling_for("binary", 1000, 3),
            "max_rows": 400,
            "cross_validation": {"folds": 4, "below_rows": 500, "more_trials": 1},
        }
    )
    table, as_of = ibis.memtable(loans(1000)), AsOf("2024-05-01")

    windows = split_windows(LOANS, table, as_of, params)
    sample = count_rows(LOANS, table, *windows, as_of, params)

    assert windows[1].empty
    assert 395 <= len(windows[2]) <= 400
    assert sample.all_drawn_from == round(1000 * params.bounds[-2])
    assert sample.n_alike("test") == len(windows[2])


def test_the_old_name_of_the_limit_is_refused_by_the_new_one(modelling_params):
    old = modelling_params.model_dump() | {"max_training_rows": 1000}

    with pytest.raises(ValidationError, match=r"max_training_rows is now modelling\.max_rows"):
        Modelling.model_validate(old)


def test_a_limit_that_leaves_windows_too_few_rows_is_refused(modelling_params):
    few = modelling_params.model_dump() | {"max_rows": 4999}

    with pytest.raises(ValidationError, match="take at least 5000, or a smaller min_rows"):
        Modelling.model_validate(few)
    assert Modelling.model_validate(few | {"max_rows": 5000}).max_rows == 5000


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
