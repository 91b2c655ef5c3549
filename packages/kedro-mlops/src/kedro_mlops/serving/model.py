"""A released model: from completed rows to scores, by the engine that its spec names."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedro_mlops.core.declared import declared
from kedro_mlops.models.metadata import FAMILIES
from kedro_mlops.runtime.encoding import (
    ArrayColumn,
    Arrays,
    Coded,
    encode_rows,
    row_encoder,
    unseen_categories,
)
from kedro_mlops.runtime.kinds import types_of
from kedro_mlops.runtime.serving_spec import MODEL, TREES, ServingSpec
from kedro_mlops.runtime.trees import Trees
from kedro_mlops.task.outputs import Floats

# a score, and the categorical features whose category the model has not seen
Scored = tuple[Any, list[str]]
# a model of scikit-learn's, from what skops wrote
Load = Callable[[bytes], Any]


def loader(families: str) -> Load:
    """Read models of some families, of which the import path is given, and of no others.

    They are imported when the first is read: a service of compiled trees does without.
    """

    def load(data: bytes) -> Any:
        from kedro_mlops.models.package import (  # noqa: PLC0415 - seconds
            load_estimator,
            trusted_types,
        )

        return load_estimator(data, trusted_types(declared(families)))

    return load


BUILT_IN = loader(FAMILIES)


class ServedModel:
    """A model that answers; its files have been verified by their hashes.

    Args:
        folder: Its files.
        spec: What is known of it.
        n_threads: How many score a table of compiled trees.
        load: Reads it, where scikit-learn serves it.

    Attributes:
        spec: What is known of it.
        score: Scores one row, given in the order of the spec's fields.
    """

    def __init__(
        self, folder: Path, spec: ServingSpec, n_threads: int, load: Load = BUILT_IN
    ) -> None:
        self.spec = spec
        self.score: Callable[[Sequence[Any]], Scored]
        if spec.engine == "compiled trees":
            self._trees = Trees(folder / TREES, spec.encoding.width, n_threads)
            encode, predict = row_encoder(spec), self._trees.row_predictor()

            def score(values: Sequence[Any]) -> Scored:
                row, unseen = encode(values)
                return predict(row), unseen

            self.score = score
        else:
            self._estimator = load((folder / MODEL).read_bytes())
            self.score = self._score_slowly

    def score_table(self, columns: Arrays) -> tuple[Floats, dict[str, NDArray[np.bool_]]]:
        """Scores of the rows, and per feature which categories the model has not seen."""
        if self.spec.engine == "compiled trees":
            scores = self._trees.predict(encode_rows(columns, self.spec.encoding))
        else:
            scores = self._estimate(columns)
        return scores, unseen_categories(columns, self.spec.encoding.categories)

    def _score_slowly(self, values: Sequence[Any]) -> Scored:
        row: dict[str, ArrayColumn] = {
            field.name: Coded(np.zeros(1, np.int64), [value])
            if field.kind == "categorical"
            else np.array([value], dtype=object)
            for field, value in zip(self.spec.fields, values, strict=True)
        }
        [score], unseen = self.score_table(row)
        return score.tolist(), list(unseen)

    def _estimate(self, columns: Arrays) -> Floats:
        import pandas as pd  # noqa: PLC0415 - only where scikit-learn serves

        dtypes = {field.name: types_of(field.kind).pandas for field in self.spec.fields}
        names = self.spec.features
        rows = pd.DataFrame({name: plain(columns[name]) for name in names})
        rows = rows.astype({name: dtypes[name] for name in names})
        return self.spec.output.ask(self._estimator, rows)


def plain(column: ArrayColumn) -> NDArray[Any]:
    """The values, row by row."""
    if isinstance(column, Coded):
        return np.array(column.values, dtype=object)[column.codes]
    return column
