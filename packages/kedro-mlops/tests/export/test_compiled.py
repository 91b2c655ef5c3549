import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn._loss.loss import ExponentialLoss
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from kedro_mlops.export import compiled
from kedro_mlops.export.compiled import MAX_LEAVES, NotEqualError, compile_trees
from kedro_mlops.runtime.trees import Trees

RANDOM = np.random.default_rng(0)
# around the rows that are walked singly, and those that go together
COUNTS = [1, 2, 8, 9, 127, 128, 129, 136, 137, 1000]


def data(n_rows=3000, width=4, missing=0.1):
    """Numbers, some missing, and a class that depends on all of them."""
    X = RANDOM.normal(size=(n_rows, width))
    X[RANDOM.random(X.shape) < missing] = np.nan
    return X, np.nansum(X, axis=1) + RANDOM.normal(size=n_rows) > 0


DEFAULTS = {"max_iter": 9, "min_samples_leaf": 2, "early_stopping": False, "random_state": 0}


def trained(X, y, **parameters):
    return HistGradientBoostingClassifier(**{**DEFAULTS, **parameters}).fit(X, y)


def classes_of(X, n_classes):
    """As many classes, which depend on all numbers, and of which the first are rarest."""
    sums = np.nansum(X, axis=1)
    edges = np.quantile(sums, np.linspace(0, 1, n_classes + 1)[1:-1] ** 1.5)
    return np.array([f"class {number:02}" for number in range(n_classes)])[np.digitize(sums, edges)]


def regressor(X, **parameters):
    y = np.exp(np.nansum(X, axis=1) / 2 + RANDOM.normal(size=len(X)) / 4)
    return HistGradientBoostingRegressor(**{**DEFAULTS, **parameters}).fit(X, y)


def built(model, X, folder):
    compile_trees(model, X.shape[1], folder / "trees.so")
    return Trees(folder / "trees.so", X.shape[1])


def assert_equal(trees, model, X):
    """To the last bit, in tables of every size and row by row."""
    expected = model.predict_proba(X)[:, 1]
    np.testing.assert_array_equal(trees.predict(X), expected)
    predict = trees.row_predictor()
    np.testing.assert_array_equal([predict(row) for row in X[:300].tolist()], expected[:300])
    for n_rows in COUNTS:
        np.testing.assert_array_equal(trees.predict(X[:n_rows]), expected[:n_rows])


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_leaf_nodes": 2},
        {"max_leaf_nodes": 31, "max_iter": 50},
        {"max_leaf_nodes": MAX_LEAVES, "min_samples_leaf": 1, "max_bins": 255},
        {"max_iter": 1},
        {"max_depth": 1, "max_iter": 3},
    ],
)
def test_trees_of_every_shape_are_equal(tmp_path, parameters):
    X, y = data()
    model = trained(X, y, **parameters)

    assert_equal(built(model, X, tmp_path), model, X)


def test_missing_numbers_go_where_the_model_sends_them(tmp_path):
    X, y = data(missing=0.4)
    y = np.where(np.isnan(X[:, 0]), True, np.where(np.isnan(X[:, 1]), False, y))
    model = trained(X, y)
    ways = np.concatenate([found.nodes["missing_go_to_left"] for [found] in model._predictors])
    assert 0 < ways.mean() < 1

    trees = built(model, X, tmp_path)

    assert_equal(trees, model, X)
    assert_equal(trees, model, np.full_like(X, np.nan))


def test_a_model_that_only_asks_what_is_missing_is_equal(tmp_path):
    """Its thresholds are infinite."""
    X = np.where(RANDOM.random((500, 2)) < 0.5, np.nan, 1.0)
    model = trained(X, np.isnan(X[:, 0]))
    assert np.isinf(model._predictors[0][0].nodes["num_threshold"]).any()

    assert_equal(built(model, X, tmp_path), model, X)


def test_trees_without_splits_are_equal(tmp_path):
    X, y = data(200)
    model = trained(X, y, min_samples_leaf=150)
    assert all(len(found.nodes) == 1 for [found] in model._predictors)

    assert_equal(built(model, X, tmp_path), model, X)


def test_numbers_on_a_threshold_and_next_to_it_are_equal(tmp_path):
    X, y = data(missing=0)
    model = trained(X, y)
    nodes = np.concatenate([found.nodes for [found] in model._predictors])
    thresholds = nodes[nodes["is_leaf"] == 0]["num_threshold"]
    near = np.concatenate([thresholds, np.nextafter(thresholds, -9), np.nextafter(thresholds, 9)])

    odd = np.column_stack([near] * 4)

    assert_equal(built(model, X, tmp_path), model, odd)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    X, y = data()
    model = trained(X, y)
    return model, built(model, X, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module", params=["two classes", "three classes", "number"])
def of_each_task(request, tmp_path_factory):
    X, y = data()
    model = regressor(X)
    if request.param != "number":
        model = trained(X, y if request.param == "two classes" else classes_of(X, 3))
    return model, built(model, X, tmp_path_factory.mktemp("task"))


@settings(max_examples=200)
@given(st.lists(st.floats(), min_size=4, max_size=4))
def test_every_number_there_is_gets_the_same_answer(of_each_task, row):
    model, trees = of_each_task
    X = np.array([row])

    raw = model._raw_predict(X)
    answer = trees.row_predictor()(row)

    np.testing.assert_array_equal(trees.raw(X).ravel(), raw.ravel())
    if trees.n_outputs > 1:
        np.testing.assert_allclose(answer, model._loss.predict_proba(raw)[0], rtol=1e-14, atol=0)
    else:
        says = getattr(model._loss, "predict_proba", model._loss.link.inverse)
        assert answer == says(raw)[0, -1]
    assert (trees.predict(np.repeat(X, 20, axis=0)) == np.array(answer)).all()


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"max_leaf_nodes": None, "min_samples_leaf": 1}, "leaves, more than 256"),
        ({"categorical_features": [0]}, "categorical splits"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, parameters, why):
    X, y = data(missing=0)
    X[:, 0] = np.floor(X[:, 0]).clip(0, 5)

    with pytest.raises(NotEqualError, match=why):
        built(trained(X, y ^ (X[:, 0] == 2), **parameters), X, tmp_path)


def test_a_link_that_is_not_known_is_refused(tmp_path):
    X, y = data(300)

    with pytest.raises(NotEqualError, match="do not know the HalfLogitLink of ExponentialLoss"):
        built(trained(X, y, loss=ExponentialLoss()), X, tmp_path)


@pytest.mark.parametrize("width", [127, 128, 129, 400])
def test_tables_of_many_columns_are_equal(tmp_path, width):
    X, _ = data(600, width)
    y = np.nansum(X[:, [0, width // 2, width - 1]], axis=1) > 0
    model = trained(X, y, max_iter=30)
    columns = np.concatenate([found.nodes["feature_idx"] for [found] in model._predictors])
    assert columns.max() == width - 1

    trees = built(model, X, tmp_path)

    assert_equal(trees, model, X)
    explained = trees.contributions(X)
    assert explained.shape == (len(X), width + 1)
    np.testing.assert_allclose(explained.sum(axis=1), trees.raw(X), rtol=1e-9, atol=1e-9)
    assert not explained[:, [column for column in range(width) if column not in columns]].any()


def test_columns_of_any_number_of_thresholds_are_equal(tmp_path):
    """Around the powers of two by which they are searched."""
    counts = [1, 2, 3, 4, 7, 8, 127, 128]
    X = np.column_stack([RANDOM.integers(0, n + 1, size=5000) for n in counts]).astype(float)
    model = HistGradientBoostingRegressor(**DEFAULTS | {"max_iter": 40}, max_leaf_nodes=MAX_LEAVES)
    model.fit(X, RANDOM.random(5000))
    found = np.concatenate([grown.nodes for [grown] in model._predictors])
    inner = found[found["is_leaf"] == 0]
    for column, n in enumerate(counts):
        assert len({*inner["num_threshold"][inner["feature_idx"] == column]}) == n

    trees = built(model, X, tmp_path)

    np.testing.assert_array_equal(trees.predict(X), model.predict(X))


def test_more_columns_than_fit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "MAX_COLUMNS", 3)
    X, y = data(300)

    with pytest.raises(NotEqualError, match="more than 3 columns"):
        built(trained(X, y), X, tmp_path)


def assert_alike(trees, model, X, expected):
    """Raw scores to the last bit, in tables of every size; so are predictions, but for ``exp``.

    NumPy has an ``exp`` of its own, which differs in the last bits.
    """
    raw = model._raw_predict(X)
    raw = raw if trees.n_outputs > 1 else raw[:, 0]
    np.testing.assert_allclose(trees.predict(X), expected, rtol=1e-14, atol=0)
    for n_rows in COUNTS:
        np.testing.assert_array_equal(trees.raw(X[:n_rows]), raw[:n_rows])
        np.testing.assert_array_equal(trees.predict(X[:n_rows]), trees.predict(X)[:n_rows])
    predict = trees.row_predictor()
    assert [predict(row) for row in X[:300].tolist()] == trees.predict(X[:300]).tolist()


@pytest.mark.parametrize("n_classes", [3, 4, 11])
@pytest.mark.parametrize("parameters", [{}, {"max_iter": 1}, {"max_leaf_nodes": 2, "max_iter": 4}])
def test_trees_of_several_classes_are_equal(tmp_path, n_classes, parameters):
    X, _ = data()
    model = trained(X, classes_of(X, n_classes), **parameters)

    trees = built(model, X, tmp_path)

    assert trees.n_outputs == n_classes
    assert trees.predict(X).shape == (len(X), n_classes)
    assert_alike(trees, model, X, model.predict_proba(X))
    np.testing.assert_array_equal(trees.predict(X).argmax(axis=1), model.predict_proba(X).argmax(1))


def test_classes_of_far_scores_have_probabilities(tmp_path):
    """Where ``exp`` of the raw scores themselves is beyond what a double can hold."""
    X, _ = data(500, width=1, missing=0)
    model = trained(X, classes_of(X, 3))
    model._baseline_prediction += np.array([[800.0, 801.0, -900.0]])

    found = built(model, X, tmp_path).predict(X)

    np.testing.assert_allclose(found, model.predict_proba(X), rtol=1e-14, atol=0)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize(
    "parameters",
    [
        {"loss": "squared_error"},
        {"loss": "absolute_error", "max_leaf_nodes": 100},
        {"loss": "quantile", "quantile": 0.9},
        {"max_iter": 50, "early_stopping": True},
    ],
)
def test_regressors_are_equal(tmp_path, parameters):
    X, _ = data()
    model = regressor(X, **parameters)

    trees = built(model, X, tmp_path)

    assert_alike(trees, model, X, model.predict(X))
    np.testing.assert_array_equal(trees.predict(X), model.predict(X))


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_regressors_of_logarithms_are_equal(tmp_path, loss):
    X, _ = data()
    model = regressor(X, loss=loss)

    trees = built(model, X, tmp_path)

    assert_alike(trees, model, X, model.predict(X))
    np.testing.assert_allclose(np.exp(trees.raw(X)), trees.predict(X), rtol=1e-14)


def test_raw_scores_of_two_classes_are_equal(small):
    model, trees = small
    X, _ = data()

    assert trees.n_outputs == 1
    np.testing.assert_array_equal(trees.raw(X), model.decision_function(X))
