import numpy as np
import pandas as pd
import pytest
from example.factories import COLUMNS, X, fitted, observations
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, PolynomialFeatures, StandardScaler

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.contributions import linear_contributions
from kedro_mlops.models.preprocessing import linear_preprocessing

ROWS = observations(400)[X]
NUMERIC = COLUMNS.features_of_kind("numeric")
SIGNAL = ROWS[NUMERIC].rank(pct=True).fillna(0.5).sum(axis=1)


def trained(model, y, preprocessing=None):
    steps = [("preprocessing", preprocessing or linear_preprocessing(COLUMNS)), ("model", model)]
    return Pipeline(steps).fit(ROWS, y)


def assert_adds_up(estimator, raw):
    found = linear_contributions(estimator, ROWS)
    np.testing.assert_allclose(found.sum(axis=-1), raw, rtol=0, atol=1e-9)
    return found


def test_contributions_add_up_to_the_decision_function():
    estimator = fitted("logistic_regression")

    found = assert_adds_up(estimator, estimator.decision_function(ROWS))

    assert found.shape == (len(ROWS), len(X) + 1)
    assert list(estimator.feature_names_in_) == X
    assert set(found[:, -1]) == set(estimator[-1].intercept_)


@pytest.mark.parametrize("name", X)
def test_a_feature_contributes_what_changes_with_it(name):
    """Whatever it is encoded as; no other feature's contribution changes."""
    estimator = fitted("logistic_regression")
    place = X.index(name)
    others = ROWS.assign(**{name: ROWS[name].to_numpy()[::-1]})

    changes = linear_contributions(estimator, others) - linear_contributions(estimator, ROWS)

    raw = estimator.decision_function(others) - estimator.decision_function(ROWS)
    np.testing.assert_allclose(changes[:, place], raw, rtol=0, atol=1e-9)
    assert not np.delete(changes, place, axis=1).any()


def test_a_category_contributes_its_coefficient_and_one_not_seen_nothing():
    estimator = fitted("logistic_regression")
    names = list(estimator[0].get_feature_names_out())
    known = next(name for name in names if name.startswith("courier_"))
    rows = ROWS.head(2).assign(courier=[known.removeprefix("courier_"), "never seen"])

    found = linear_contributions(estimator, rows)[
        :, list(estimator.feature_names_in_).index("courier")
    ]

    np.testing.assert_allclose(found, [estimator[-1].coef_[0, names.index(known)], 0], atol=1e-12)


def test_each_class_has_contributions_of_its_own():
    estimator = trained(LogisticRegression(), pd.qcut(SIGNAL, 3, labels=["low", "middle", "high"]))

    found = assert_adds_up(estimator, estimator.decision_function(ROWS))

    assert found.shape == (len(ROWS), 3, len(X) + 1)


@pytest.mark.parametrize("model", [LinearRegression(), Ridge(), Ridge(fit_intercept=False)])
def test_contributions_add_up_to_what_a_regressor_predicts(model):
    estimator = trained(model, SIGNAL)

    assert_adds_up(estimator, estimator.predict(ROWS))


def test_contributions_are_those_before_the_link():
    estimator = trained(PoissonRegressor(), SIGNAL)

    assert_adds_up(estimator, np.log(estimator.predict(ROWS)))


def test_a_feature_that_the_preprocessing_drops_contributes_nothing():
    bins = KBinsDiscretizer(3, encode="ordinal")
    some = ColumnTransformer(
        [
            ("as it is", "passthrough", ["distance_km"]),
            ("bins", make_pipeline(SimpleImputer(), bins), ["temperature_c"]),
        ]
    )
    estimator = trained(Ridge(), SIGNAL, some)

    found = assert_adds_up(estimator, estimator.predict(ROWS))

    contributes = dict(zip(X, found[:, :-1].any(axis=0), strict=True))
    assert {name for name, does in contributes.items() if does} == {"distance_km", "temperature_c"}


def test_steps_between_preprocessing_and_model_are_followed():
    steps = [("preprocessing", linear_preprocessing(COLUMNS)), ("scale", StandardScaler())]
    estimator = Pipeline([*steps, ("model", Ridge())]).fit(ROWS, SIGNAL)

    assert_adds_up(estimator, estimator.predict(ROWS))


def test_a_model_without_coefficients_is_refused():
    with pytest.raises(ProjectError, match="HistGradientBoostingClassifier has no coefficients"):
        linear_contributions(fitted(), ROWS)


def test_a_step_that_mixes_features_is_refused():
    mixed = ColumnTransformer([("mixed", PolynomialFeatures(), ["distance_km"])])

    with pytest.raises(ProjectError, match="not known of which feature PolynomialFeatures makes"):
        linear_contributions(trained(Ridge(100), SIGNAL, mixed), ROWS)
