"""Contributions of compiled trees, compared with the definition of Shapley values."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from kedro_mlops.export.compiled import POINTS_TOGETHER, compile_trees
from kedro_mlops.runtime.trees import Trees

RANDOM = np.random.default_rng(0)
DEFAULTS = {"max_iter": 6, "min_samples_leaf": 3, "early_stopping": False, "random_state": 0}


def numbers(n_rows=1500, width=4, missing=0.1):
    X = RANDOM.normal(size=(n_rows, width))
    X[RANDOM.random(X.shape) < missing] = np.nan
    return X


def regressor(X, **parameters):
    """Of products, so that columns act together."""
    filled = np.nan_to_num(X, nan=0.7)
    y = filled[:, 0] * filled[:, 1] + filled.sum(axis=1) + RANDOM.normal(size=len(X)) / 9
    return HistGradientBoostingRegressor(**{**DEFAULTS, **parameters}).fit(X, y)


def classifier(X, n_classes, **parameters):
    sums = np.nansum(X, axis=1)
    y = np.digitize(sums, np.quantile(sums, np.linspace(0, 1, n_classes + 1)[1:-1]))
    return HistGradientBoostingClassifier(**{**DEFAULTS, **parameters}).fit(X, y)


def built(model, X, folder):
    compile_trees(model, X.shape[1], folder / "trees.so")
    return Trees(folder / "trees.so", X.shape[1])


def expected_value(nodes, row, known, place=0):
    """Of a row of which some columns are known: where one is not, both ways, by training rows."""
    node = nodes[place]
    if node["is_leaf"]:
        return node["value"]
    if node["feature_idx"] not in known:
        return sum(
            nodes[node[side]]["count"]
            / node["count"]
            * expected_value(nodes, row, known, node[side])
            for side in ("left", "right")
        )
    number = row[node["feature_idx"]]
    is_left = node["missing_go_to_left"] if np.isnan(number) else number <= node["num_threshold"]
    return expected_value(nodes, row, known, node["left" if is_left else "right"])


def by_definition(nodes, row):
    """Shapley, 1953: the mean of what a column adds, over all orders in which they become known."""
    n = len(row)
    value = {
        known: expected_value(nodes, row, known)
        for size in range(n + 1)
        for known in combinations(range(n), size)
    }
    return [
        sum(
            factorial(len(known))
            * factorial(n - len(known) - 1)
            / factorial(n)
            * (value[tuple(sorted((*known, column)))] - value[known])
            for known in value
            if column not in known
        )
        for column in range(n)
    ] + [value[()]]


def assert_by_definition(trees, model, X):
    """For every output the sum over its trees; and additive."""
    found = trees.contributions(X).reshape(len(X), trees.n_outputs, -1)
    expected = np.zeros_like(found)
    expected[..., -1] = model._baseline_prediction
    for predictors in model._predictors:
        for output, predictor in enumerate(predictors):
            expected[:, output] += [by_definition(predictor.nodes, row) for row in X]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=2), model._raw_predict(X), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_leaf_nodes": 2},
        {"max_leaf_nodes": 9, "max_iter": 5},
        {"max_leaf_nodes": 40, "max_iter": 2},
        {"max_leaf_nodes": 9, "loss": "absolute_error"},
    ],
)
def test_contributions_are_the_shapley_values(tmp_path, parameters):
    X = numbers()
    model = regressor(X, **parameters)

    assert_by_definition(built(model, X, tmp_path), model, X[:12])


def test_a_column_that_splits_a_path_several_times_counts_once(tmp_path):
    X = numbers(width=2)
    model = regressor(X, max_iter=3, max_leaf_nodes=30)

    assert_by_definition(built(model, X, tmp_path), model, X[:12])


def test_missing_numbers_contribute_as_they_are_sent(tmp_path):
    X = numbers(missing=0.5)

    model = regressor(X, max_leaf_nodes=9)

    rows = np.vstack([X[:10], np.full_like(X[:1], np.nan)])
    assert_by_definition(built(model, X, tmp_path), model, rows)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_each_class_has_contributions_of_its_own(tmp_path, n_classes):
    X = numbers()
    model = classifier(X, n_classes, max_leaf_nodes=7, max_iter=3)

    trees = built(model, X, tmp_path)

    assert_by_definition(trees, model, X[:8])
    outputs = () if n_classes == 2 else (n_classes,)
    assert trees.contributions(X).shape == (len(X), *outputs, X.shape[1] + 1)
    assert trees.row_explainer()(X[0].tolist()) == trees.contributions(X[:1])[0].tolist()


def test_trees_without_splits_contribute_their_value_to_the_base(tmp_path):
    X = numbers(200)
    model = regressor(X, min_samples_leaf=150)
    assert all(len(found.nodes) == 1 for [found] in model._predictors)

    found = built(model, X, tmp_path).contributions(X)

    assert not found[:, :-1].any()
    np.testing.assert_allclose(found[:, -1], model.predict(X), rtol=0, atol=1e-12)


def test_a_column_that_no_tree_asks_for_contributes_nothing(tmp_path):
    X = numbers(width=5)
    X[:, 3] = 1.0

    found = built(regressor(X), X, tmp_path).contributions(X)

    assert not found[:, 3].any()
    assert found[:, [0, 1, 2, 4]].any(axis=0).all()


def chain(n_columns):
    """A tree that asks for one column after another, of which each tells a few rows apart."""
    X = RANDOM.random((4000, n_columns))
    first = np.argmax(np.column_stack([X < 0.06, np.ones(len(X), dtype=bool)]), axis=1)
    model = HistGradientBoostingRegressor(
        max_iter=2, max_leaf_nodes=255, min_samples_leaf=1, learning_rate=1.0
    )
    return X, model.fit(X, first)


def test_a_path_of_more_columns_than_the_least_points_are_exact_for_is_exact(tmp_path):
    n_columns = 2 * POINTS_TOGETHER + 2
    X, model = chain(n_columns)

    assert_by_definition(built(model, X, tmp_path), model, X[:1])


def test_contributions_of_long_paths_still_add_up(tmp_path):
    X, model = chain(100)
    assert max(tree.nodes["depth"].max() for [tree] in model._predictors) > 50

    found = built(model, X, tmp_path).contributions(X[:200])

    np.testing.assert_allclose(found.sum(axis=1), model.predict(X[:200]), rtol=0, atol=1e-9)
