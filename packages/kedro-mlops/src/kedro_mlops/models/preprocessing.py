"""The scikit-learn preprocessing that a contract implies.

Row-wise transforms live inside the model's pipeline, so that they travel with the model;
``TREATMENT`` says what they do. Features of which nothing can be learned on the rows at hand are
left out of a fit: ``informative``.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import BadDataError
from kedro_mlops.runtime.encoding import DATE_PARTS, UNKNOWN_CATEGORY, calendar, dates
from kedro_mlops.runtime.kinds import Kind

from .text import TextFeatures

TREATMENT: dict[Kind, str] = {
    "numeric": "Numbers are used as they are, missing ones included; linear models get the median "
    "in their place, an indicator, and a common scale.",
    "categorical": "Categories become codes, or indicators for linear models; a category not seen "
    "in training, or a missing one, gets a code of its own, or no indicator. Of those `by_target`, "
    "each becomes what other rows of it are labelled on average. Of `text`, words are brought "
    "together to topics.",
    "datetime": "Moments become minute of the day and day of the week; all but that of the event "
    "also day of the year, and days since the event, or since 1970 if its moment is no feature. "
    "Of the event's, linear models get bins. Missing ones are treated as missing numbers.",
    "boolean": "Truth values become 0 and 1, missing ones are treated as missing numbers.",
}

# gradient boosting looks at a sample of 200,000 rows, and fails on a feature that all of these lack
MIN_KNOWN_SHARE = 1e-4
# those of a column that get an indicator each; the others share one
MAX_CATEGORIES = 100
# of numbers whose squares can still be added
MAX = 1e100


def informative(columns: Columns, rows: pd.DataFrame) -> Columns:
    """The columns without the features that are left out of a fit on these rows.

    Raises:
        BadDataError: if no feature is left.
    """
    out = left_out(columns, rows)
    if len(out) == len(columns.features):
        why = "; ".join(f"{name} ({reason})" for name, reason in out.items())
        raise BadDataError(
            f"Nothing can be learned from {len(rows):,} rows, as every feature is left out: {why}. "
            "Look at the catalog's `model_input`, and at what data_engineering makes it of."
        )
    return columns.only(*(name for name in columns.names if name not in out))


def left_out(columns: Columns, rows: pd.DataFrame) -> dict[str, str]:
    """The features of which nothing can be learned on these rows, ordered by time, and why."""
    texts = columns.texts
    reasons = {
        name: _why_left_out(rows[name], None if name in texts else columns[name].kind)
        for name in columns.features
    }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _why_left_out(values: pd.Series, kind: Kind | None) -> str | None:
    """Why nothing can be learned of values of a kind, or of texts, which are of none."""
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

    n_made = 2

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


class DateFeatures(_Columnwise):
    """Minute, weekday, day of the year and age of each datetime column, but that of the event.

    Args:
        since: The column of the moment from which ages are counted, in days; without one, they are
            days since 1970.
    """

    def __init__(self, since: str | None = None) -> None:
        self.since = since

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Return an array of shape (n_rows, 4 * n_columns); see ``runtime.encoding.dates``."""
        since = X[self.since].to_numpy() if self.since else None
        parts = [part for name in self._dates for part in dates(X[name].to_numpy(), since)]
        return np.column_stack(parts).astype(np.float64)

    @property
    def _dates(self) -> list[str]:
        return [name for name in self.feature_names_in_ if name != self.since]

    @property
    def n_made(self) -> list[int]:
        """How many columns are made of each that it is given."""
        return [0 if name == self.since else len(DATE_PARTS) for name in self.feature_names_in_]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:  # noqa: ARG002
        """Name the columns of ``transform``."""
        names = [f"{name}_{part}" for name in self._dates for part in DATE_PARTS]
        return np.asarray(names, dtype=object)


class Bounded(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers far beyond those of most rows become the farthest that are not.

    A linear model would be bent by them, or be asked for what it has never seen. Not to be seen as
    far: what lies beyond the middle 98 % of the rows by no more than the width of these.
    """

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002
        """Learn where the bounds are."""
        if isinstance(X, pd.DataFrame):
            self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        values = np.clip(np.asarray(X, dtype=np.float64), -MAX, MAX)
        self.n_features_in_ = values.shape[1]
        # of columns without any value there is nothing to learn
        empty = np.isnan(values).all(axis=0)
        low, high = np.nanquantile(np.where(empty, 0.0, values), (0.01, 0.99), axis=0)
        width = np.where(high > low, high - low, np.inf)
        self.low_, self.high_ = np.maximum(low - width, -MAX), np.minimum(high + width, MAX)
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Return an array of the shape of X; what is missing stays so."""
        return np.clip(np.asarray(X, dtype=np.float64), self.low_, self.high_)


class SinglePrecision(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers that single precision can hold: scikit-learn's decision trees refuse others."""

    def fit(self, X: NDArray[np.float64], y: Any = None) -> Self:  # noqa: ARG002
        """Remember how many columns there are."""
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return an array of the shape of X."""
        most = float(np.finfo(np.float32).max)
        return np.clip(X, -most, most)


def tree_preprocessing(columns: Columns) -> ColumnTransformer:
    """Preprocessing for models that split on values: ordinal codes, missing values kept."""
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=UNKNOWN_CATEGORY,
        encoded_missing_value=UNKNOWN_CATEGORY,
        dtype=np.float64,
    )
    by_kind = _by_kind(columns, encoder, CalendarFeatures(), "passthrough", Numbers())
    return _with_more(columns, by_kind)


def linear_preprocessing(columns: Columns) -> ColumnTransformer:
    """Preprocessing for linear models: one-hot, median imputation, scaling, hours in bins."""
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    numeric = make_pipeline(Bounded(), imputer, StandardScaler())
    boolean = make_pipeline(Numbers(), imputer, StandardScaler())
    calendar = make_pipeline(
        CalendarFeatures(),
        SimpleImputer(strategy="median"),
        KBinsDiscretizer(12, encode="onehot-dense", strategy="uniform"),
    )
    one_hot = OneHotEncoder(
        handle_unknown="ignore", max_categories=MAX_CATEGORIES, sparse_output=False
    )
    by_kind = _by_kind(columns, one_hot, calendar, numeric, boolean)
    return _with_more(columns, by_kind, *numeric)


def _by_kind(
    columns: Columns, categorical: Any, calendar: Any, numeric: Any, boolean: Any
) -> ColumnTransformer:
    """The features of each kind, in this order, through a transform of their own."""
    by_target = columns.by_target
    coded = [n for n in columns.features_of_kind("categorical") if n not in by_target]
    return ColumnTransformer(
        [
            ("categorical", categorical, coded),
            ("calendar", calendar, columns.event_moments),
            ("numeric", numeric, columns.features_of_kind("numeric")),
            ("boolean", boolean, columns.features_of_kind("boolean")),
        ],
        verbose_feature_names_out=False,
    )


def _with_more(columns: Columns, by_kind: ColumnTransformer, *after: Any) -> ColumnTransformer:
    """Also what a contract need not have: other dates than the event's, targets, and texts.

    Args:
        columns: The contract.
        by_kind: What is done with the others.
        after: Steps that numbers go through then.
    """
    if columns.by_target:
        means = make_pipeline(_target_encoder(columns), *map(clone, after))
        by_kind.transformers.append(("by_target", means if after else means[0], columns.by_target))
    if columns.dates:
        since = columns.event_moments
        parts = DateFeatures(*since)
        steps = make_pipeline(parts, *map(clone, after)) if after else parts
        by_kind.transformers.append(("dates", steps, [*columns.dates, *since]))
    for number, name in enumerate(columns.texts):
        topics = make_pipeline(TextFeatures(), *map(clone, after)) if after else TextFeatures()
        by_kind.transformers.append((f"text_{number}", topics, [name]))
    return by_kind


def _target_encoder(columns: Columns) -> TargetEncoder:
    """What rows of a category are labelled on average, told to each by what is known of others."""
    # by itself it tells two classes from several, of which some rows may have but two; and takes
    # whole numbers for classes
    kind = "auto" if columns.task.classes else "continuous"
    return TargetEncoder(target_type=kind, cv=KFold(5, shuffle=True, random_state=0))


def n_coefficients(columns: Columns, rows: pd.DataFrame) -> int:
    """About how many a linear model has to find, on these rows."""
    by_target = columns.by_target
    n_indicators = sum(
        min(rows[name].nunique(), MAX_CATEGORIES)
        for name in columns.features_of_kind("categorical")
        if name not in by_target
    )
    n_classes = len(columns.task.classes)
    return (n_indicators + len(columns.features)) * (n_classes if n_classes > 2 else 1)
