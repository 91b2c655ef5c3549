"""What explains answers: what each feature contributed to the raw score of who gave them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.structs import struct_of
from kedro_mlops.feature_store.reader import Completed
from kedro_mlops.runtime.encoding import Arrays
from kedro_mlops.task.outputs import Output, Told

from .answers import Answer, described, told_by
from .bulk_answers import TableAnswers
from .model import Explained, ServedModel
from .refusals import BadRequestError, refused

CLASS, CANARY = "class", "canary"


def explanation_type(output: Output) -> Any:
    """The type of what explains an answer, a ``msgspec.Struct``.

    Its fields are those of ``Explained``, after the class, where each has a raw score.
    """
    raw, named = f"raw score ({output.raw})", list[tuple[str, Any]]()
    if _has_several(output):
        said = "The class that is predicted, of which this is the raw score"
        found = output.classes
        named.append(described(Told(CLASS, type(found[0]), said, classes=found)))
    base = Meta(description=f"The {raw} as long as no feature is known")
    added = Meta(description=f"What each feature adds to `base`: all of it is the {raw}")
    fields = [
        ("base", Annotated[float, base]),
        ("contributions", Annotated[dict[str, float], added]),
    ]
    return struct_of("Explanation", [*named, *fields])


def _has_several(output: Output) -> bool:
    return len(output.score_columns()) > 1


class Explanations:
    """Explains answers.

    Args:
        models: By their roles, those that may have given an answer.
        made: What explains an answer, by ``explanation_type``.
    """

    def __init__(self, models: Mapping[str, ServedModel], made: Any) -> None:
        self._models = models
        self._output = models["champion"].spec.output
        self._told = told_by(self._output)
        self._classes = np.array(self._output.classes) if _has_several(self._output) else None
        self._made = made

    def of_rows(
        self, rows: Sequence[Completed], answers: Sequence[Answer], variants: Sequence[str]
    ) -> list[Any]:
        """Explain the answers to a few rows, given with the role of who gave them.

        Raises:
            BadRequestError: if contributions are not known of such a model.
        """
        asked = zip(rows, answers, variants, strict=True)
        try:
            return [self._of_row(values, answer, by) for (values, _), answer, by in asked]
        except ProjectError as error:
            raise _unexplained(error) from error

    def _of_row(self, values: Sequence[Any], answer: Answer, variant: str) -> Any:
        place = self._output.place_of_raw(self._told(answer))
        named = () if self._classes is None else (self._classes[place].item(),)
        return self._made(*named, *self._models[variant].explain(values, place))

    def of_table(self, columns: Arrays, answers: TableAnswers) -> dict[str, Any]:
        """Explain the answers to completed rows; the fields by their names, each a column.

        Raises:
            BadRequestError: if contributions are not known of such a model.
        """
        places = self._output.place_of_raw(list(answers.predicted.values()))
        by_canary = answers.variant.map({CANARY: 1.0}, 0.0) == 1
        try:
            found = self._models["champion"].explain_table(columns, places)
            if by_canary.any():
                theirs = self._models[CANARY].explain_table(columns, places)
                found = _mixed(found, theirs, by_canary)
        except ProjectError as error:
            raise _unexplained(error) from error
        named = {} if self._classes is None else {CLASS: self._classes[places]}
        return {**named, **found._asdict()}


def _mixed(ours: Explained, theirs: Explained, takes: Any) -> Explained:
    """Theirs in the rows that they take; a feature that one does not have adds nothing to it."""
    names = dict.fromkeys([*ours.contributions, *theirs.contributions])
    return Explained(
        np.where(takes, theirs.base, ours.base),
        {
            name: np.where(
                takes, theirs.contributions.get(name, 0.0), ours.contributions.get(name, 0.0)
            )
            for name in names
        },
    )


def _unexplained(error: ProjectError) -> BadRequestError:
    return refused("unexplained", why=str(error))
