import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.metrics import log_loss

from flight_delays.columns import Columns
from flight_delays.contracts import Observation
from flight_delays.datasets import HistoryDataset
from flight_delays.errors import ProjectError
from flight_delays.pipelines.modelling import tuning
from flight_delays.pipelines.modelling.tuning import tune
from tests.conftest import CODE
from tests.factories import COLUMNS

Y = Columns.of(Observation).label
NOTHING = pd.DataFrame()


def with_trials(params, **n_trials):
    return params.model_copy(update={"n_trials": n_trials})


def test_tuning_with_one_seed_gives_one_result(windows, modelling_params, trained):
    train, validation, _ = windows

    recipe, trials, predictions, _ = tune(
        COLUMNS, train, validation, NOTHING, modelling_params, 0, CODE
    )

    assert recipe == trained.recipe
    assert_frame_equal(trials.drop(columns="seconds"), trained.trials.drop(columns="seconds"))
    assert_frame_equal(predictions, trained.validation_predictions)


def test_tuning_with_another_seed_tries_something_else(windows, modelling_params, trained):
    train, validation, _ = windows

    _, trials, *_ = tune(COLUMNS, train, validation, NOTHING, modelling_params, 1, CODE)

    assert trials["C"].iloc[0] == trained.trials["C"].iloc[0]
    assert trials["C"].iloc[1] != trained.trials["C"].iloc[1]


def test_tuning_tries_each_family_as_often_as_asked_and_takes_the_best(windows, modelling_params):
    train, validation, _ = windows
    params = with_trials(modelling_params, logistic_regression=3, gradient_boosting=1)

    recipe, trials, predictions, _ = tune(
        COLUMNS, train.head(1000), validation.head(500), NOTHING, params, 0, CODE
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
        tune(COLUMNS, train, validation, NOTHING, params, 0, CODE)

    assert "crystal_ball" in str(refused.value)
    assert "logistic_regression" in str(refused.value)


@pytest.fixture
def tried(monkeypatch):
    """The trials that are made, as they are made."""
    made, once = [], tuning._try
    monkeypatch.setattr(tuning, "_try", lambda *given: made.append(given[1:3]) or once(*given))
    return made


def test_a_search_that_was_made_is_not_made_again(windows, modelling_params, tried, tmp_path):
    train, validation = windows[0].head(2000), windows[1].head(500)
    history = HistoryDataset(filepath=str(tmp_path / "history"), key=["search", "number"])

    def search():
        known = history.load()
        *found, made = tune(COLUMNS, train, validation, known, modelling_params, 0, CODE)
        history.save(made)
        return found

    first = search()
    n_first = len(tried)
    again = search()

    assert n_first == sum(modelling_params.n_trials.values()) > 1
    assert tried[n_first:] == [(first[0]["family"], first[0]["hyperparameters"])]
    assert again[0] == first[0]
    assert_frame_equal(again[1], first[1])
    assert_frame_equal(again[2], first[2])
    assert len(history.load()) == n_first


@pytest.mark.parametrize("change", ["rows", "parameters", "seed", "lock", "files"])
def test_another_search_is_made_whatever_is_known(windows, modelling_params, tried, change):
    train, validation = windows[0].head(2000), windows[1].head(500)
    before = {
        "train": train,
        "validation": validation,
        "known_trials": NOTHING,
        "params": modelling_params,
        "seed": 0,
        "code": CODE,
    }
    dirty = CODE.model_copy(update={"git_commit": "0" * 40 + "-dirty"})
    changes = {
        "rows": {"validation": validation.iloc[::-1]},
        "parameters": {"params": modelling_params.model_copy(update={"min_rows": 1})},
        "seed": {"seed": 1},
        "lock": {"code": CODE.model_copy(update={"lock_hash": "2" * 64})},
        # others may follow under the same name
        "files": {"code": dirty},
    }
    if change == "files":
        before["code"] = dirty
    *_, known = tune(COLUMNS, **before)
    n_first = len(tried)

    tune(COLUMNS, **{**before, **changes[change], "known_trials": known})

    assert len(tried) == 2 * n_first
