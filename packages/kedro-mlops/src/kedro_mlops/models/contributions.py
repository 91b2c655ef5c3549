"""What each feature contributed to the raw scores of a linear model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, TargetEncoder

from kedro_mlops.core.errors import ProjectError

from .preprocessing import CalendarFeatures, DateFeatures
from .text import TextFeatures


def linear_contributions(estimator: Pipeline, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Coefficients times encoded values, summed over the columns that are made of a feature.

    A number thus contributes nothing where it is its mean, a category where it was not seen.

    Args:
        estimator: The fitted pipeline, with a model that has ``coef_`` and ``intercept_``.
        rows: With the columns that it was fitted on.

    Returns:
        Shape (n_rows, n_features + 1), or (n_rows, n_outputs, n_features + 1) for several outputs.
        Features are in the order of ``estimator.feature_names_in_``; at the end is the base value,
        the intercept. They add up to the raw score, and have its unit: of a classifier the decision
        function, of a regressor the prediction before the link.

    Raises:
        ProjectError: if the model is not linear, or the preprocessing has a step of which it is not
            known what it makes of which feature.
    """
    preprocessing, model = estimator[:-1], estimator[-1]
    if not hasattr(model, "coef_"):
        raise ProjectError(
            f"{type(model).__name__} has no coefficients; these explain linear models only."
        )
    encoded = preprocessing.transform(rows)
    encoded = encoded.toarray() if hasattr(encoded, "toarray") else np.asarray(encoded)
    n_features = len(estimator.feature_names_in_)
    # of which feature an encoded column is made: shape (n_encoded, n_features)
    made_of = np.eye(n_features)[origins(preprocessing, n_features)]
    coefficients = np.atleast_2d(model.coef_)
    intercepts = np.broadcast_to(model.intercept_, len(coefficients))
    outputs = [
        np.column_stack([(encoded * own) @ made_of, np.full(len(encoded), intercept)])
        for own, intercept in zip(coefficients, intercepts, strict=True)
    ]
    return outputs[0] if len(outputs) == 1 else np.stack(outputs, axis=1)


def origins(part: Any, n_columns: int) -> NDArray[np.intp]:
    """For each column that a fitted part gives, the place of the one that it is made of.

    Args:
        part: A transformer, or several in a pipeline or a ``ColumnTransformer`` of named columns.
        n_columns: How many it is given.

    Raises:
        ProjectError: if that is not known of a step.
    """
    columns = np.arange(n_columns)
    if isinstance(part, Pipeline):
        for step in part:
            columns = columns[origins(step, len(columns))]
        return columns
    if isinstance(part, ColumnTransformer):
        names = list(part.feature_names_in_)
        places = [
            np.array([names.index(name) for name in chosen])[origins(inner, len(chosen))]
            for _, inner, chosen in part.transformers_
            # without columns it was not fitted
            if inner != "drop" and len(chosen)
        ]
        return np.concatenate(places)
    if isinstance(part, SimpleImputer):
        kept = columns if part.keep_empty_features else columns[~pd.isna(part.statistics_)]
        return np.concatenate([kept, part.indicator_.features_]) if part.add_indicator else kept
    return np.repeat(columns, _n_made(part))


def _n_made(part: Any) -> int | Sequence[int]:
    """How many columns a fitted part makes of one that it is given, or of each."""
    # what is passed through is a function that is none
    if isinstance(part, OneToOneFeatureMixin) or getattr(part, "func", part) is None:
        return 1
    if isinstance(part, CalendarFeatures | DateFeatures | TextFeatures):
        return part.n_made
    if isinstance(part, TargetEncoder):
        return len(part.classes_) if part.target_type_ == "multiclass" else 1
    if isinstance(part, KBinsDiscretizer):
        return 1 if part.encode == "ordinal" else list(part.n_bins_)
    if isinstance(part, OneHotEncoder):
        return list(part._n_features_outs)
    raise ProjectError(
        f"It is not known of which feature {type(part).__name__} makes a column, so contributions "
        "of features cannot be told. Leave it out of the model's preprocessing."
    )
