"""What a text is about, as a few numbers."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.pipeline import make_pipeline

N_HASHED = 2**13


class TextFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A text's words and pairs of words, hashed, weighed, and brought together in few dimensions.

    That is latent semantic analysis (Deerwester et al., 1990), without a vocabulary: words that
    were not seen in training need no place. A missing text is one without words.

    Args:
        n_topics: How many dimensions.

    Attributes:
        n_made: How many there are.
    """

    n_made: int

    def __init__(self, n_topics: int = 32) -> None:
        self.n_topics = n_topics

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Learn which words go together, from a single column."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: pd.DataFrame, y: Any = None) -> NDArray[np.float64]:  # noqa: ARG002
        """Learn it, and return what ``transform`` does."""
        [self.name_] = X.columns
        self.steps_ = make_pipeline(
            HashingVectorizer(
                n_features=N_HASHED, ngram_range=(1, 2), norm=None, alternate_sign=False
            ),
            TfidfTransformer(sublinear_tf=True),
            TruncatedSVD(self.n_topics, random_state=0),
        )
        found = np.asarray(self.steps_.fit_transform(_texts(X)), dtype=np.float64)
        self.n_made = found.shape[1]
        return found

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Return an array of shape (n_rows, n_topics)."""
        return np.asarray(self.steps_.transform(_texts(X)), dtype=np.float64)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:  # noqa: ARG002
        """Name the columns of ``transform``."""
        names = [f"{self.name_}_topic_{number}" for number in range(self.n_made)]
        return np.asarray(names, dtype=object)


def _texts(X: pd.DataFrame) -> list[str]:
    return ["" if pd.isna(text) else text for text in X.iloc[:, 0]]
