"""Rows of which it is known what a released model says: whoever takes the model asks for them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from kedro_mlops.core.errors import ProjectError

from .serving_spec import ServingSpec

KNOWN_ROWS = "known_rows.json"


class KnownRows(msgspec.Struct, frozen=True):
    """Real rows, their features alone, and what the model said when it was released.

    Attributes:
        rows: The values of the features by their names, moments by ISO 8601.
        scores: What scikit-learn said of each row: a number, or one for each class.
        tolerance: By how much a score may differ.
    """

    rows: list[dict[str, Any]]
    scores: list[Any]
    tolerance: float

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the known rows among the files of a release, which have been verified.

        Raises:
            ProjectError: if there are none.
        """
        try:
            return msgspec.json.decode((folder / KNOWN_ROWS).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError) as error:
            raise ProjectError(
                f"{folder} has no rows of which it is known what the model says: {error}. Release "
                "the champion again: `kedro run --pipelines=release`."
            ) from error

    def write(self, folder: Path) -> None:
        """Write them beside the model."""
        (folder / KNOWN_ROWS).write_bytes(msgspec.json.encode(self))

    def refuse_others(
        self, spec: ServingSpec, score: Callable[[Sequence[Any]], tuple[Any, Any]]
    ) -> None:
        """Ask for all of them.

        Raises:
            ProjectError: if a score is another one.
        """
        difference = self.largest_difference(spec, score)
        # what is no number is no answer
        if not difference <= self.tolerance:
            raise ProjectError(
                f"{spec.model_version} differs by {difference:.2g} from what it said of the same "
                f"rows when it was released, more than {self.tolerance:g}"
            )

    def largest_difference(
        self, spec: ServingSpec, score: Callable[[Sequence[Any]], tuple[Any, Any]]
    ) -> float:
        """Ask for all of them; the largest difference in a score.

        Args:
            spec: Of the model: the order of its fields, and what their values are.
            score: Scores a row, given in that order; what is no feature is not known.
        """
        moments = {field.name for field in spec.fields if field.kind == "datetime"}
        names = [field.name for field in spec.fields]
        found = []
        for row in self.rows:
            values = (
                datetime.fromisoformat(row[name])
                if name in moments and row.get(name) is not None
                else row.get(name)
                for name in names
            )
            found.append(score(tuple(values))[0])
        off = np.abs(np.asarray(found, np.float64) - np.asarray(self.scores, np.float64))
        # what is no number is no answer
        return float(np.max(np.where(np.isnan(off), np.inf, off), initial=0.0))
