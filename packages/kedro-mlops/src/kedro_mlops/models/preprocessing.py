"""The scikit-learn preprocessing that a contract implies.

Row-wise transforms live inside the model's pipeline, so that they travel with the model;
``TREATMENT`` says what they do. Features of which nothing can be learned on the rows at hand are
left out of a fit: ``informative``.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, StandardScaler

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.runtime.encoding import UNKNOWN_CATEGORY, calendar
from kedro_mlops.runtime.kinds import Kind

TREATMENT: dict[Kind, str] = {
    "numeric": "Numbers are used as they are, missing ones included; linear models get the median "
    "in their place, an indicator, and a common scale.",
    "categorical": "Categories become codes, or indicators for linear models; a category not seen "
    "in training, or a missing one, gets a code of its own, or no indicator.",
    "datetime": "Moments become minute of the day and day of the week, in bins for linear models; "
    "missing ones are treated as missing numbers.",
    "boolean": "Truth values become 0 and 1, missing ones are treated as missing numbers.",
}

# gradient boosting looks at a sample of 200,000 rows, and fails on a feature that all of these lack
MIN_KNOWN_SHARE = 1e-4


def informative(columns: Columns, rows: pd.DataFrame) -> Columns:
    """The columns without the features that are left out of a fit on these rows.

    Raises:
        ProjectError: if no feature is left.
    """
    out = left_out(columns, rows)
    if len(out) == len(columns.features):
        why = "; ".join(f"{name} ({reason})" for name, reason in out.items())
        raise ProjectError(
            f"Nothing can be learned from {len(rows):,} rows, as every feature is left out: {why}. "
            "Look at the catalog's `model_input`, and at what data_engineering makes it of."
        )
    return columns.only(*(name for name in columns.names if name not in out))


def left_out(columns: Columns, rows: pd.DataFrame) -> dict[str, str]:
    """The features of which nothing can be learned on these rows, ordered by time, and why."""
    reasons = {name: _why_left_out(rows[name], columns[name].kind) for name in columns.features}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _why_left_out(values: pd.Series, kind: Kind) -> str | None:
    known = values.dropna()
    if known.empty:
        return "missing in every row"
    if len(known) < MIN_KNOWN_SHARE * len(values):
        return f"known in {len(known):,} of {len(values):,} rows"
    if len(known) == len(values):
        parts = calendar(known.to_numpy()) if kind == "datetime" else [known.to_numpy()]
        if all((part == part[0]).all() for part in parts):
            return (
                f"always {known.iloc[0]}"
                if kind != "datetime"
                else "always the same minute and weekday"
            )
    if kind == "categorical":
        middle = len(values) // 2
        earlier, later = values.iloc[:middle].dropna(), values.iloc[middle:].dropna()
        if len(earlier) and len(later) and not later.isin(earlier.unique()).any():
            return "all unseen: the later half of the rows has no category of the earlier half"
    return None


class _Columnwise(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transform that learns nothing of its columns but their names."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: ARG002
        """Remember the columns."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        return self


class Numbers(OneToOneFeatureMixin, _Columnwise):  # type: ignore[misc]
    """Truth values as 0.0 and 1.0, missing ones as NaN."""

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Return an array of the shape of X."""
        return X.astype("float64").to_numpy()


class CalendarFeatures(_Columnwise):
    """Minute of the day and day of the week of each datetime column."""

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Return an array of shape (n_rows, 2 * n_columns): minute (0-1439), weekday (0-6)."""
        parts = [part for name in X.columns for part in calendar(X[name].to_numpy())]
        return np.column_stack(parts).astype(np.float64)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:  # noqa: ARG002
        """Name the columns of ``transform``."""
        names = [
            f"{name}_{part}"
            for name in self.feature_names_in_
            for part in ("minute_of_day", "day_of_week")
        ]
        return np.asarray(names, dtype=object)


def tree_preprocessing(columns: Columns) -> ColumnTransformer:
    """Preprocessing for models that split on values: ordinal codes, missing values kept."""
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=UNKNOWN_CATEGORY,
        encoded_missing_value=UNKNOWN_CATEGORY,
        dtype=np.float64,
    )
    return _by_kind(columns, encoder, CalendarFeatures(), "passthrough", Numbers())


def linear_preprocessing(columns: Columns) -> ColumnTransformer:
    """Preprocessing for linear models: one-hot, median imputation, scaling, hours in bins."""
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    numeric = make_pipeline(imputer, StandardScaler())
    boolean = make_pipeline(Numbers(), imputer, StandardScaler())
    calendar = make_pipeline(
        CalendarFeatures(),
        SimpleImputer(strategy="median"),
        KBinsDiscretizer(12, encode="onehot-dense", strategy="uniform"),
    )
    one_hot = OneHotEncoder(handle_unknown="ignore", min_frequency=50, sparse_output=False)
    return _by_kind(columns, one_hot, calendar, numeric, boolean)


def _by_kind(
    columns: Columns, categorical: Any, calendar: Any, numeric: Any, boolean: Any
) -> ColumnTransformer:
    """The features of each kind, in this order, through a transform of their own."""
    return ColumnTransformer(
        [
            ("categorical", categorical, columns.features_of_kind("categorical")),
            ("calendar", calendar, columns.features_of_kind("datetime")),
            ("numeric", numeric, columns.features_of_kind("numeric")),
            ("boolean", boolean, columns.features_of_kind("boolean")),
        ],
        verbose_feature_names_out=False,
    )
