import pandas as pd
import pytest
from example.contracts import Observation
from example.factories import COLUMNS
from example.trained import CODE
from pandas.testing import assert_frame_equal
from sklearn.metrics import log_loss

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.datasets import HistoryDataset
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.modelling import tuning
from kedro_mlops.modelling.tuning import tune
from kedro_mlops.models.families import FAMILIES

Y = Columns.of(Observation).label
NOTHING = pd.DataFrame()


def with_trials(params, **n_trials):
    return params.model_copy(update={"n_trials": n_trials})


def test_tuning_with_one_seed_gives_one_result(windows, modelling_params, trained):
    train, validation, _ = windows

    recipe, trials, predictions, _ = tune(
        COLUMNS, FAMILIES, train, validation, NOTHING, None, modelling_params, 0, CODE
    )

    assert recipe == trained.recipe
    assert_frame_equal(trials.drop(columns="seconds"), trained.trials.drop(columns="seconds"))
    assert_frame_equal(predictions, trained.validation_predictions)


def test_tuning_with_another_seed_tries_something_else(windows, modelling_params, trained):
    train, validation, _ = windows

    _, trials, *_ = tune(
        COLUMNS, FAMILIES, train, validation, NOTHING, None, modelling_params, 1, CODE
    )

    assert trials["C"].iloc[0] == trained.trials["C"].iloc[0]
    assert trials["C"].iloc[1] != trained.trials["C"].iloc[1]


def test_tuning_tries_each_family_as_often_as_asked_and_takes_the_best(windows, modelling_params):
    train, validation, _ = windows
    params = with_trials(modelling_params, logistic_regression=3, gradient_boosting=1)

    recipe, trials, predictions, _ = tune(
        COLUMNS, FAMILIES, train.head(1000), validation.head(500), NOTHING, None, params, 0, CODE
    )

    assert trials["family"].value_counts().to_dict() == params.n_trials
    best = trials.loc[trials["log_loss"].idxmin()]
    assert recipe["family"] == best["family"]
    assert recipe["validation_log_loss"] == best["log_loss"]
    assert recipe["hyperparameters"] == best[list(recipe["hyperparameters"])].to_dict()
    assert log_loss(predictions[Y], predictions["probability"]) == best["log_loss"]


def test_an_unknown_family_is_refused_with_those_that_exist(windows, modelling_params):
    train, validation, _ = windows
    params = with_trials(modelling_params, crystal_ball=1)

    with pytest.raises(ProjectError) as refused:
        tune(COLUMNS, FAMILIES, train, validation, NOTHING, None, params, 0, CODE)

    assert "crystal_ball" in str(refused.value)
    assert "logistic_regression" in str(refused.value)


@pytest.fixture
def tried(monkeypatch):
    """The trials that are made, as they are made."""
    made, once = [], tuning.Search.attempt
    monkeypatch.setattr(
        tuning.Search, "attempt", lambda *given: made.append(given[1:]) or once(*given)
    )
    return made


@pytest.fixture
def search(windows, modelling_params, tmp_path):
    """Makes a search that knows of those before it, and is given predictions, if any."""
    train, validation = windows[0].head(2000), windows[1].head(500)
    history = HistoryDataset(filepath=str(tmp_path / "history"), key=["search", "number"])

    def made(known_predictions=None):
        *found, trials = tune(
            COLUMNS,
            FAMILIES,
            train,
            validation,
            history.load(),
            known_predictions,
            modelling_params,
            0,
            CODE,
        )
        history.save(trials)
        assert len(history.load()) == sum(modelling_params.n_trials.values()) > 1
        return found

    return made


def test_a_search_that_was_made_is_not_made_again(search, tried, tmp_path):
    saved = tmp_path / "predictions.parquet"
    recipe, trials, predictions = search()
    n_first = len(tried)
    predictions.to_parquet(saved)

    again, trials_again, predictions_again = search(pd.read_parquet(saved))

    assert len(tried) == n_first == len(trials)
    assert again == recipe
    assert_frame_equal(trials_again, trials)
    assert_frame_equal(predictions_again, predictions)


@pytest.mark.parametrize("known", ["none", "of another search", "edited", "of other columns"])
def test_predictions_that_are_not_those_of_the_best_trial_are_made_again(search, tried, known):
    recipe, trials, predictions = search()
    n_first = len(tried)
    others = predictions.assign(probability=predictions["probability"][::-1].to_numpy())
    edited = predictions.copy()
    edited.loc[0, "probability"] += 1e-9
    given = {
        "none": None,
        "of another search": others,
        "edited": edited,
        "of other columns": predictions.drop(columns="probability"),
    }

    again, trials_again, predictions_again = search(given[known])

    assert tried[n_first:] == [(recipe["family"], recipe["hyperparameters"])]
    assert again == recipe
    assert_frame_equal(trials_again, trials)
    assert_frame_equal(predictions_again, predictions)


@pytest.mark.parametrize("change", ["contract", "rows", "parameters", "seed", "lock", "files"])
def test_another_search_is_made_whatever_is_known(windows, modelling_params, tried, change):
    train, validation = windows[0].head(2000), windows[1].head(500)
    before = {
        "contract": COLUMNS,
        "families": FAMILIES,
        "train": train,
        "validation": validation,
        "known_trials": NOTHING,
        "known_predictions": None,
        "params": modelling_params,
        "seed": 0,
        "code": CODE,
    }
    dirty = CODE.model_copy(update={"git_commit": "0" * 40 + "-dirty"})
    changes = {
        "contract": {"contract": COLUMNS.only(*COLUMNS.features[1:], Y)},
        "rows": {"validation": validation.iloc[::-1]},
        "parameters": {"params": modelling_params.model_copy(update={"min_rows": 1})},
        "seed": {"seed": 1},
        "lock": {"code": CODE.model_copy(update={"lock_hash": "2" * 64})},
        # others may follow under the same name
        "files": {"code": dirty},
    }
    if change == "files":
        before["code"] = dirty
    _, _, predictions, known = tune(**before)
    n_first = len(tried)

    tune(**{**before, **changes[change], "known_trials": known, "known_predictions": predictions})

    assert len(tried) == 2 * n_first
