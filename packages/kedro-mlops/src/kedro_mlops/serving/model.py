"""A released model: from completed rows to scores, by the engine that its spec names."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kedro_mlops.core.declared import declared
from kedro_mlops.core.errors import ProjectError
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

if TYPE_CHECKING:
    import pandas as pd

# a score, and the categorical features whose category the model has not seen
Scored = tuple[Any, list[str]]


class Explained(NamedTuple):
    """What the features contributed to a raw score, or to those of many rows.

    Attributes:
        base: The raw score as long as no feature is known.
        contributions: By feature, what it adds; together with ``base`` that is the raw score.
    """

    base: Any
    contributions: dict[str, Any]


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
            from kedro_mlops.models.linear import row_by_row  # noqa: PLC0415 - seconds

            self._estimator = load((folder / MODEL).read_bytes())
            self._asked = row_by_row(self._estimator)
            self.score = self._score_slowly

    def score_table(self, columns: Arrays) -> tuple[Floats, dict[str, NDArray[np.bool_]]]:
        """Scores of the rows, and per feature which categories the model has not seen."""
        if self.spec.engine == "compiled trees":
            scores = self._trees.predict(encode_rows(columns, self.spec.encoding))
        else:
            scores = self._estimate(columns)
        return scores, unseen_categories(columns, self.spec.encoding.categories)

    @cached_property
    def explain(self) -> Callable[[Sequence[Any], int], Explained]:
        """Explains the raw score of a row, given with its place among several.

        Raises:
            ProjectError: if contributions are not known of such a model.
        """
        if self.spec.engine != "compiled trees":
            return self._explain_slowly
        names, made_of = self.spec.features, self.spec.encoding.made_of
        encode, contributions = row_encoder(self.spec), self._trees.row_explainer()
        has_several = self._trees.n_outputs > 1

        def explain(values: Sequence[Any], place: int) -> Explained:
            found = contributions(encode(values)[0])
            *added, base = found[place] if has_several else found
            by_feature = dict.fromkeys(names, 0.0)
            for name, value in zip(made_of, added, strict=True):
                by_feature[name] += value
            return Explained(base, by_feature)

        return explain

    def explain_table(self, columns: Arrays, places: Any) -> Explained:
        """Likewise, of the rows of a table.

        Raises:
            ProjectError: if contributions are not known of such a model.
        """
        if self.spec.engine == "compiled trees":
            made_of = self.spec.encoding.made_of
            found = self._trees.contributions(encode_rows(columns, self.spec.encoding))
        else:
            made_of, found = self.spec.features, self._contributions(columns)
        if found.ndim > 2:
            found = found[np.arange(len(found)), places]
        by_feature = {name: np.zeros(len(found)) for name in self.spec.features}
        for name, values in zip(made_of, found.T[:-1], strict=True):
            by_feature[name] += values
        return Explained(found[:, -1], by_feature)

    def _score_slowly(self, values: Sequence[Any]) -> Scored:
        [score], unseen = self.score_table(self._table_of(values))
        return score.tolist(), list(unseen)

    def _explain_slowly(self, values: Sequence[Any], place: int) -> Explained:
        [base], found = self.explain_table(self._table_of(values), [place])
        return Explained(base.item(), {name: added.item() for name, [added] in found.items()})

    def _table_of(self, values: Sequence[Any]) -> dict[str, ArrayColumn]:
        """A table of one row."""
        return {
            field.name: Coded(np.zeros(1, np.int64), [value])
            if field.kind == "categorical"
            else np.array([value], dtype=object)
            for field, value in zip(self.spec.fields, values, strict=True)
        }

    def _estimate(self, columns: Arrays) -> Floats:
        return self.spec.output.ask(self._asked, self._frame(columns))

    def _contributions(self, columns: Arrays) -> Floats:
        from kedro_mlops.models.contributions import linear_contributions  # noqa: PLC0415 - seconds

        found, n_scores = linear_contributions(self._estimator, self._frame(columns)), 1
        if found.ndim > 2:
            n_scores = found.shape[1]
        if n_scores != len(self.spec.output.score_columns()):
            raise ProjectError("The model has not met all of the classes.")
        return found

    def _frame(self, columns: Arrays) -> "pd.DataFrame":
        import pandas as pd  # noqa: PLC0415 - only where scikit-learn serves

        dtypes = {field.name: types_of(field.kind).pandas for field in self.spec.fields}
        names = self.spec.features
        rows = pd.DataFrame({name: plain(columns[name]) for name in names})
        return rows.astype({name: dtypes[name] for name in names})


def plain(column: ArrayColumn) -> NDArray[Any]:
    """The values, row by row."""
    if isinstance(column, Coded):
        return np.array(column.values, dtype=object)[column.codes]
    return column
