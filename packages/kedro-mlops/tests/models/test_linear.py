import numpy as np
import pytest
from example.factories import COLUMNS, observations
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline

from kedro_mlops.models.linear import row_by_row
from kedro_mlops.models.preprocessing import linear_preprocessing

ROWS = observations(2000)[COLUMNS.features]
SIGNAL = ROWS[COLUMNS.features_of_kind("numeric")[0]].rank(pct=True)


def fitted(model, n_classes):
    labels = (SIGNAL * n_classes - 1e-9).astype(int) if n_classes else SIGNAL
    pipeline = Pipeline([("preprocessing", linear_preprocessing(COLUMNS)), ("model", model)])
    return pipeline.fit(ROWS, labels)


@pytest.mark.parametrize(
    ("model", "n_classes"), [(LogisticRegression(), 2), (LogisticRegression(), 3), (Ridge(), 0)]
)
def test_what_is_said_of_a_row_does_not_depend_on_the_others(model, n_classes):
    estimator = fitted(model, n_classes)
    served = row_by_row(estimator)
    ask, as_ever = (getattr(one, "predict_proba", one.predict) for one in (served, estimator))

    many = ask(ROWS)

    for size in (1, 7, 500):
        parts = [
            ask(ROWS[start : start + size]) for start in range(0, min(40 * size, len(ROWS)), size)
        ]
        there = np.concatenate(parts)
        np.testing.assert_array_equal(there, many[: len(there)])
    np.testing.assert_allclose(many, as_ever(ROWS), rtol=0, atol=1e-12)


def test_a_model_that_is_not_linear_stays_as_it_is():
    estimator = fitted(GaussianNB(), 2)

    assert row_by_row(estimator) is estimator
