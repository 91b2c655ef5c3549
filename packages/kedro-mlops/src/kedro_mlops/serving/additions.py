"""What a project's answers have besides the engine's: columns made of predictions, many at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.task.outputs import Output

from .answers import EXPLANATION, Answer, answer_type, fields_of, told_by
from .bulk_answers import CONTRIBUTION
from .explanations import explanation_type

# of scores and decisions, a value for each
Addition = Callable[[NDArray[np.float64], NDArray[Any]], NDArray[Any]]

EXPLAINS = Meta(description="What each feature contributed; only where it is asked for")
# by NumPy's kinds of values
TYPES: dict[str, Any] = {
    "U": str,
    "b": bool,
    "i": int,
    "f": Annotated[float | None, Meta(description="null where it is no finite number")],
}


class Additions:
    """Functions of a project, each a field of every answer: its name, and its docstring.

    Args:
        functions: They take the scores and the decisions of any number of rows (of numbers, the
            ends of their intervals), and return a value for each: texts, truth values or numbers.
        output: What is predicted.

    Attributes:
        answer: The type of an answer with these fields, and with what explains it, if anything.
        explanation: The type of that.
        example: By field, its value for a row; of two classes, for one that is decided positive.

    Raises:
        ProjectError: if one has no name of its own, or returns something else.
    """

    def __init__(self, functions: Sequence[Addition], output: Output) -> None:
        self._output = output
        self._told = told_by(output)
        engine = answer_type(output)
        self._functions = {function.__name__: function for function in functions}
        fields = fields_of(engine)
        taken = [
            name
            for name in self._functions
            if name in fields or name.startswith((EXPLANATION, CONTRIBUTION))
        ]
        if taken or len(self._functions) < len(functions):
            raise ProjectError(
                "What is added to answers needs names of its own, unlike "
                f"{', '.join([*fields, *self._functions])}, and not with {EXPLANATION} or "
                f"{CONTRIBUTION} at the beginning: rename the function."
            )
        tried = self.of(output.of_rows(output.tried))
        self.explanation = explanation_type(output)
        self.answer: Any = msgspec.defstruct(
            "Answer",
            [
                *(
                    (name, _described(TYPES[values.dtype.kind], self._functions[name]))
                    for name, values in tried.items()
                ),
                (EXPLANATION, Annotated[self.explanation | UnsetType, EXPLAINS], UNSET),
            ],
            bases=(engine,),
        )
        self.example = {name: values[-1].item() for name, values in tried.items()}

    def of(self, predicted: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """By field, a value for each row of predictions."""
        if not self._functions:
            return {}
        scores = self._output.scores_in(predicted)
        decisions = self._output.decided(list(predicted.values()))
        found = {}
        for name, function in self._functions.items():
            values = np.asarray(function(scores, decisions))
            if values.shape != scores.shape[:1] or values.dtype.kind not in TYPES:
                raise ProjectError(
                    f"{function.__module__}.{name} must return an array of {len(scores)} "
                    "texts, truth values or numbers, one for each row; it returned "
                    f"{values.dtype} of shape {values.shape}."
                )
            if values.dtype.kind == "f":
                values = np.where(np.isfinite(values), values, np.nan)
            found[name] = values
        return found

    def told(
        self, answers: list[Answer], explanations: Sequence[Any] | None = None
    ) -> list[Answer]:
        """A few answers with what is added, if anything is, and with what explains them."""
        if not self._functions and explanations is None:
            return answers
        columns = self._columns_of(answers) if self._functions else []
        added = [*columns, explanations or [UNSET] * len(answers)]
        return [
            self.answer(*msgspec.structs.astuple(answer), *row)
            for answer, *row in zip(answers, *added, strict=True)
        ]

    def _columns_of(self, answers: list[Answer]) -> list[list[Any]]:
        told = zip(*map(self._told, answers), strict=True)
        names = [each.name for each in self._output.told]
        columns = self.of(dict(zip(names, map(np.array, told), strict=True)))
        return [values.tolist() for values in columns.values()]


def _described(kind: Any, function: Addition) -> Any:
    said = " ".join((function.__doc__ or "").split())
    return Annotated[kind, Meta(description=said)] if said else kind
