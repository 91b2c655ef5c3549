"""What scores batches of Arrow: compiled trees where they answer as the model does."""

import logging
from collections.abc import Callable
from threading import Lock

import pyarrow as pa

from kedro_mlops.contract.columns import Columns
from kedro_mlops.export.compiled import NotEqualError
from kedro_mlops.export.serving_form import compiled, difference_to
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.models.stand_in import arrays_of
from kedro_mlops.task.outputs import Floats

logger = logging.getLogger(__name__)
# of the first batch, by which compiled trees are proved
ROWS_COMPARED = 10_000
# of scores, which are added up alike
TOLERANCE = 1e-9


class Scorer:
    """Scores batches; by compiled trees, if these answer the first rows as the model does.

    Threads may share it.
    """

    def __init__(self, contract: Columns, champion: ModelPackage) -> None:
        self._champion = champion
        self._kinds = {name: contract[name].kind for name in champion.metadata.features}
        self._lock = Lock()
        self._score: Callable[[pa.RecordBatch], Floats] | None = None

    def __call__(self, rows: pa.RecordBatch) -> Floats:
        """The scores of rows, shape (n_rows,), or (n_rows, n_classes) of several classes."""
        with self._lock:
            if self._score is None:
                self._score = self._fastest(rows.slice(0, ROWS_COMPARED))
        return self._score(rows)

    def _fastest(self, rows: pa.RecordBatch) -> Callable[[pa.RecordBatch], Floats]:
        champion = self._champion
        try:
            predict = compiled(champion.estimator)
            expected, found = self._ask_model(rows), predict(arrays_of(rows, self._kinds))
            difference_to(expected, found, champion.metadata.output, TOLERANCE)
        except NotEqualError as why:
            logger.info("%s scores without compiled trees: %s", champion.version, why)
            return self._one_by_one
        return lambda rows: predict(arrays_of(rows, self._kinds))

    def _one_by_one(self, rows: pa.RecordBatch) -> Floats:
        """By scikit-learn, which has threads of its own."""
        with self._lock:
            return self._ask_model(rows)

    def _ask_model(self, rows: pa.RecordBatch) -> Floats:
        return self._champion.score(rows.to_pandas())
