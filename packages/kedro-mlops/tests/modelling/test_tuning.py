import numpy as np
import pandas as pd
import pytest
from example.contracts import Observation
from example.factories import COLUMNS, observations
from example.tasks import DelayObservation, TypicalDelayObservation
from example.trained import CODE
from pandas.testing import assert_frame_equal
from sklearn.metrics import log_loss

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.datasets import HistoryDataset
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.modelling.search import Search, Trial
from kedro_mlops.modelling.tuning import tune
from kedro_mlops.models.families import FAMILIES

Y = Columns.of(Observation).label
NOTHING = pd.DataFrame()


def with_trials(params, **n_trials):
    return params.model_copy(update={"n_trials": n_trials})


def test_tuning_with_one_seed_gives_one_result(windows, modelling_params, bootstrap, trained):
    recipe, trials, predictions, _ = tune(
        COLUMNS, FAMILIES, *windows, NOTHING, None, modelling_params, bootstrap, 0, CODE
    )

    assert recipe == trained.recipe
    assert_frame_equal(trials.drop(columns="seconds"), trained.trials.drop(columns="seconds"))
    assert_frame_equal(predictions, trained.validation_predictions)


def test_tuning_with_another_seed_tries_something_else(
    windows, modelling_params, bootstrap, trained
):
    _, trials, *_ = tune(
        COLUMNS, FAMILIES, *windows, NOTHING, None, modelling_params, bootstrap, 1, CODE
    )

    assert trials["C"].iloc[0] == trained.trials["C"].iloc[0]
    assert trials["C"].iloc[1] != trained.trials["C"].iloc[1]


def test_tuning_tries_each_family_as_often_as_asked_and_takes_the_best(
    windows, modelling_params, bootstrap
):
    train, validation, test = windows
    params = with_trials(modelling_params, logistic_regression=3, gradient_boosting=1)
    params = params.model_copy(update={"prefer_simpler": False})

    recipe, trials, predictions, _ = tune(
        COLUMNS,
        FAMILIES,
        train.head(1000),
        validation.head(500),
        test,
        NOTHING,
        None,
        params,
        bootstrap,
        0,
        CODE,
    )

    assert trials["family"].value_counts().to_dict() == params.n_trials
    best = trials.loc[trials["log_loss"].idxmin()]
    assert recipe["family"] == best["family"]
    assert recipe["validation_loss"] == best["log_loss"]
    assert recipe["hyperparameters"] == best[list(recipe["hyperparameters"])].to_dict()
    assert log_loss(predictions[Y], predictions["probability"]) == best["log_loss"]


def test_an_unknown_family_is_refused_with_those_that_exist(windows, modelling_params, bootstrap):
    params = with_trials(modelling_params, crystal_ball=1)

    with pytest.raises(ProjectError) as refused:
        tune(COLUMNS, FAMILIES, *windows, NOTHING, None, params, bootstrap, 0, CODE)

    assert "crystal_ball" in str(refused.value)
    assert "logistic_regression" in str(refused.value)


@pytest.fixture
def tried(monkeypatch):
    """The trials that are made, as they are made."""
    made, once = [], Search.attempt
    monkeypatch.setattr(Search, "attempt", lambda *given: made.append(given[1:3]) or once(*given))
    return made


@pytest.fixture
def search(windows, modelling_params, bootstrap, tmp_path):
    """Makes a search that knows of those before it, and is given predictions, if any."""
    train, validation = windows[0].head(2000), windows[1].head(500)
    history = HistoryDataset(filepath=str(tmp_path / "history"), key=["search", "number"])

    def made(known_predictions=None):
        *found, trials = tune(
            COLUMNS,
            FAMILIES,
            train,
            validation,
            windows[2],
            history.load(),
            known_predictions,
            modelling_params,
            bootstrap,
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


@pytest.mark.parametrize(
    "change", ["contract", "rows", "parameters", "bootstrap", "seed", "lock", "files"]
)
def test_another_search_is_made_whatever_is_known(
    windows, modelling_params, bootstrap, tried, change
):
    train, validation = windows[0].head(2000), windows[1].head(500)
    before = {
        "contract": COLUMNS,
        "families": FAMILIES,
        "train": train,
        "validation": validation,
        "test": windows[2],
        "known_trials": NOTHING,
        "known_predictions": None,
        "params": modelling_params,
        "bootstrap": bootstrap,
        "seed": 0,
        "code": CODE,
    }
    dirty = CODE.model_copy(update={"git_commit": "0" * 40 + "-dirty"})
    changes = {
        "contract": {"contract": COLUMNS.only(*COLUMNS.features[1:], Y)},
        "rows": {"validation": validation.iloc[::-1]},
        "parameters": {"params": modelling_params.model_copy(update={"min_rows": 1})},
        "bootstrap": {"bootstrap": bootstrap.model_copy(update={"seed": 1})},
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


def test_a_search_by_another_loss_is_another(modelling_params, bootstrap, tried):
    squared, absolute = (Columns.of(one) for one in (DelayObservation, TypicalDelayObservation))
    rows = observations(600, 60, 0, squared).sort_values(squared.event_time, ignore_index=True)
    params = modelling_params.model_copy(update={"n_trials": {"ridge": 2}})
    windows, said = (rows.iloc[:400], rows.iloc[400:], rows.iloc[:0]), (params, bootstrap, 0, CODE)
    *_, known = tune(squared, FAMILIES, *windows, NOTHING, None, *said)

    recipe, trials, *_ = tune(absolute, FAMILIES, *windows, known, None, *said)

    assert len(tried) == 4
    assert recipe["validation_loss"] == trials["mean_absolute_error"].min()


@pytest.fixture
def tuned(windows, modelling_params, bootstrap, tried):
    """Searches few rows; every trial takes 10 seconds by the clock, one after the other."""

    def search(known=NOTHING, families=FAMILIES, **params):
        params = {"n_workers": 1} | params
        return tune(
            COLUMNS,
            families,
            windows[0].head(2000),
            windows[1],
            windows[2],
            known,
            None,
            modelling_params.model_copy(update=params),
            bootstrap,
            0,
            CODE,
            clock=lambda: 10.0 * len(tried),
        )

    return search


def test_no_trial_begins_after_the_time_but_the_first_of_each_family(tuned, tried, caplog):
    caplog.set_level("INFO")
    n_trials = {"logistic_regression": 4, "gradient_boosting": 2}

    recipe, trials, *_ = tuned(n_trials=n_trials, max_tuning_seconds=5)

    assert tried == [(family, FAMILIES[family].default) for family in n_trials]
    assert recipe["n_trials"] == dict.fromkeys(n_trials, 1)
    assert trials["end"].tolist() == ["1 of 4 trials, out of time", "1 of 2 trials, out of time"]
    assert "Logistic regression: 1 of 4 trials, out of time" in caplog.messages


def test_families_share_the_time_by_their_trials_and_leave_the_rest_to_the_next(tuned):
    n_trials = {"logistic_regression": 4, "gradient_boosting": 4}

    halves, *_ = tuned(n_trials=n_trials, max_tuning_seconds=40)
    rest, *_ = tuned(n_trials=n_trials | {"logistic_regression": 1}, max_tuning_seconds=40)

    assert halves["n_trials"] == {"logistic_regression": 2, "gradient_boosting": 2}
    assert rest["n_trials"] == {"logistic_regression": 1, "gradient_boosting": 3}


def test_trials_at_the_same_time_begin_before_it_is_over(tuned):
    recipe, *_ = tuned(n_trials={"logistic_regression": 6}, n_workers=2, max_tuning_seconds=30)

    assert recipe["n_trials"] == {"logistic_regression": 4}


def test_enough_time_changes_nothing(tuned):
    free, trials, *_ = tuned()

    given, trials_in_time, *_ = tuned(max_tuning_seconds=1000)

    assert given == free
    assert_frame_equal(trials_in_time.drop(columns="seconds"), trials.drop(columns="seconds"))
    assert trials["end"].tolist() == ["", "", "", "4 of 4 trials, all were made"]


def test_a_search_that_the_time_has_cut_is_known_for_that_time_alone(tuned, tried):
    *_, known = tuned(max_tuning_seconds=15)
    assert len(tried) == 2

    # of the known ones the best is made again, as its predictions are not given
    same, *_ = tuned(known, max_tuning_seconds=15)
    assert len(tried) == 3
    more, *_ = tuned(known, max_tuning_seconds=25)
    assert len(tried) == 6
    free, *_ = tuned(known)
    assert len(tried) == 10

    made = [recipe["n_trials"]["logistic_regression"] for recipe in (same, more, free)]
    assert made == [2, 3, 4]


def test_a_search_that_was_made_to_its_end_is_known_whatever_the_time(tuned, tried):
    free, *_, known = tuned()
    n_first = len(tried)

    in_time, *_ = tuned(known, max_tuning_seconds=15)

    assert in_time == free
    assert len(tried) == n_first + 1


@pytest.mark.parametrize("n_workers", [1, 2])
def test_what_the_time_has_cut_is_made_again_by_the_number_of_trials(tuned, n_workers):
    given = {"n_trials": {"logistic_regression": 8}, "n_workers": n_workers}
    recipe, trials, *_ = tuned(**given, max_tuning_seconds=55)
    assert recipe["n_trials"]["logistic_regression"] == 6

    again, trials_again, *_ = tuned(**given, max_tuning_seconds=1, n_trials_made=recipe["n_trials"])

    assert again == recipe
    changing = ["seconds", "end"]
    assert_frame_equal(trials_again.drop(columns=changing), trials.drop(columns=changing))


@pytest.fixture
def told(monkeypatch, windows):
    """Trials are not made, but told: of each family their losses or their predictions, in turn."""
    label = windows[1][Y].to_numpy(float)

    def tell(**families):
        results = {family: iter(told) for family, told in families.items()}

        def attempt(_, family, hyperparameters, *trial):
            told = next(results[family])
            loss, said = (told, label) if isinstance(told, float) else (log_loss(label, told), told)
            return Trial(family, hyperparameters, loss, 0.0, "", said)

        monkeypatch.setattr(Search, "attempt", attempt)
        return {family: len(told) for family, told in families.items()}

    return tell


@pytest.mark.parametrize(
    ("patience", "n_made"),
    # of losses that creep, none is better than the one before, but those that have come far are
    [(None, 8), (1, 3), (2, 6), (3, 8), (20, 8)],
)
def test_a_family_ends_when_nothing_improves(tuned, told, patience, n_made):
    losses = [0.5, 0.4, 0.3998, 0.3995, 0.3994, 0.3992, 0.3990, 0.38]
    n_trials = told(logistic_regression=losses)

    recipe, trials, *_ = tuned(n_trials=n_trials, patience=patience)

    assert trials["log_loss"].tolist() == losses[:n_made]
    assert recipe["validation_loss"] == min(losses[:n_made])
    why = "all were made" if n_made == 8 else "nothing better came"
    assert trials["end"].iloc[-1] == f"{n_made} of 8 trials, {why}"


@pytest.fixture
def better_on(windows):
    """Predictions of the base rate, but of something better on the last days."""
    validation = windows[1]
    day = validation[COLUMNS.event_time].dt.normalize()
    informed = np.where(validation[Y] == 1, 0.6, 0.1)

    def predictions(n_days):
        days = day.drop_duplicates().tail(n_days) if n_days else []
        return np.where(day.isin(days), informed, validation[Y].mean())

    return predictions


REVERSED = dict(reversed(FAMILIES.items()))


@pytest.mark.parametrize(
    ("n_days_better", "families", "prefer_simpler", "taken", "why"),
    [
        (14, FAMILIES, True, "gradient_boosting", "surely better than logistic regression"),
        (1, FAMILIES, True, "logistic_regression", "simpler than gradient boosting"),
        (0, FAMILIES, True, "logistic_regression", "simpler than gradient boosting"),
        # no other order than that in which they are declared says which is simpler
        (1, REVERSED, True, "gradient_boosting", "is the lowest of 3"),
        (1, FAMILIES, False, "gradient_boosting", "is the lowest of 3"),
    ],
)
def test_a_simpler_family_is_taken_unless_the_best_is_surely_better(
    tuned, told, better_on, caplog, n_days_better, families, prefer_simpler, taken, why
):
    caplog.set_level("INFO")
    predictions = {
        # the order of the search is another matter
        "gradient_boosting": [better_on(n_days_better)],
        "logistic_regression": [better_on(0) * 0.5, better_on(0)],
    }
    n_trials = told(**predictions)

    recipe, _, predicted, _ = tuned(
        families=families, n_trials=n_trials, prefer_simpler=prefer_simpler
    )

    assert recipe["family"] == taken
    assert why in recipe["choice"]
    assert recipe["choice"] in caplog.messages
    np.testing.assert_array_equal(predicted["probability"], predictions[taken][-1])
    assert recipe["validation_loss"] == log_loss(predicted[Y], predicted["probability"])


def test_the_simplest_family_that_is_good_enough_is_taken(tuned, told, better_on):
    families = {"napkin": FAMILIES["logistic_regression"], **FAMILIES}
    n_trials = told(
        napkin=[better_on(0)],
        logistic_regression=[better_on(13)],
        gradient_boosting=[better_on(14)],
    )

    recipe, *_ = tuned(families=families, n_trials=n_trials)

    # the napkin is surely worse, the regression is not
    assert recipe["family"] == "logistic_regression"


def test_why_a_family_was_taken_is_known_with_the_trials(tuned, told, better_on, tried):
    n_trials = told(logistic_regression=[better_on(0)], gradient_boosting=[better_on(1)])
    recipe, *_, known = tuned(n_trials=n_trials)

    # of the one that was taken, the predictions are asked again
    told(logistic_regression=[better_on(0)])
    again, *_ = tuned(known, n_trials=n_trials)

    assert again == recipe
