import warnings

import numpy as np
import optuna
import pandas as pd
import pytest
from example.contracts import Observation

from kedro_mlops.contract.columns import Columns
from kedro_mlops.models.families import FAMILIES, shallow_tree
from kedro_mlops.models.package import content_hash, dump_estimator, load_estimator, scores_of

COLUMNS = Columns.of(Observation)
OUTPUT = COLUMNS.task.output()
X, Y = COLUMNS.features, COLUMNS.label


@pytest.fixture(
    scope="module", params=[name for name, one in FAMILIES.items() if one.learns(COLUMNS.task)]
)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def rows(windows):
    return windows[0].sample(1500, random_state=0).sort_index()


@pytest.fixture(scope="module")
def model(name, rows):
    family = FAMILIES[name]
    return family.build(COLUMNS.task, COLUMNS, family.default, seed=0).fit(rows[X], rows[Y])


def test_every_family_ranks_unseen_rows_better_than_chance(model, windows):
    later = windows[2]

    predicted = scores_of(OUTPUT, model, later[X])

    assert np.isfinite(predicted).all()
    assert predicted[later[Y] == 1].mean() > predicted[later[Y] == 0].mean() + 0.01


def test_every_family_answers_rows_of_unseen_categories_and_missing_values(model, rows):
    odd = rows.head(3).copy()
    odd["area"] = "XXX"
    nullable = [name for name in X if COLUMNS[name].nullable]
    odd[nullable] = np.nan

    predicted = scores_of(OUTPUT, model, odd[X])

    assert np.isfinite(predicted).all()


def test_every_family_gives_one_model_for_one_seed(name, model, rows):
    family = FAMILIES[name]

    again = family.build(COLUMNS.task, COLUMNS, family.default, seed=0).fit(rows[X], rows[Y])

    assert content_hash(again) == content_hash(model)


def test_every_family_searches_around_its_default(name):
    family = FAMILIES[name]
    study = optuna.create_study()
    study.enqueue_trial(family.default)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suggested = family.suggest(study.ask())

    assert suggested == family.default


def test_every_family_survives_storage_without_pickle(model, rows):
    stored = dump_estimator(model)

    loaded = load_estimator(stored)

    one, other = (scores_of(OUTPUT, found, rows[X]) for found in (loaded, model))
    np.testing.assert_array_equal(one, other)


def test_every_family_trains_to_the_end_on_all_rows(name, model):
    asked = FAMILIES[name].default.get("max_iter")

    trained = model["model"]

    assert asked is None or trained.n_iter_ == asked


@pytest.mark.parametrize(("n_rows", "least"), [(2500, 100), (1500, 75), (40, 5)])
def test_the_shallow_tree_fits_on_a_napkin(windows, n_rows, least):
    rows = windows[0].head(n_rows)
    tree = shallow_tree(COLUMNS.task, COLUMNS, n_rows, seed=0).fit(rows[X], rows[Y])

    leaves = pd.Series(tree["model"].apply(tree["preprocessing"].transform(rows[X])))

    assert len(rows) == n_rows
    assert 1 <= tree["model"].get_depth() <= 3
    assert leaves.value_counts().min() >= least


def test_a_shallow_tree_takes_numbers_beyond_single_precision(rows):
    number = COLUMNS.features_of_kind("numeric")[0]
    far = rows.assign(**{number: np.where(rows[Y] == 1, 1e300, -1e300)})

    tree = shallow_tree(COLUMNS.task, COLUMNS, len(far), seed=0).fit(far[X], far[Y])

    assert (tree.predict(far[X]) == far[Y]).all()
