"""What a project's answers have besides the engine's: columns made of predictions, many at once."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from kedro_mlops.core.errors import ProjectError

from .answers import Answer

# of probabilities and decisions, a value for each
Addition = Callable[[NDArray[np.float64], NDArray[np.bool_]], NDArray[Any]]

# by NumPy's kinds of values
TYPES: dict[str, Any] = {
    "U": str,
    "b": bool,
    "i": int,
    "f": Annotated[float | None, Meta(description="null where it is no finite number")],
}
TRIED = np.array([0.25, 0.75]), np.array([False, True])


class Additions:
    """Functions of a project, each a field of every answer: its name, and its docstring.

    Args:
        functions: They take the probabilities and the decisions of any number of rows, and return a
            value for each: texts, truth values or numbers.

    Attributes:
        answer: The type of an answer with these fields.
        example: By field, its value for a row that is decided positive.

    Raises:
        ProjectError: if one has no name of its own, or returns something else.
    """

    def __init__(self, functions: Sequence[Addition] = ()) -> None:
        self._functions = {function.__name__: function for function in functions}
        taken = {*self._functions} & {*Answer.__struct_fields__}
        if taken or len(self._functions) < len(functions):
            raise ProjectError(
                "What is added to answers needs names of its own, unlike "
                f"{', '.join([*Answer.__struct_fields__, *self._functions])}: rename the function."
            )
        tried = self.of(*TRIED)
        self.answer: Any = msgspec.defstruct(
            "Answer",
            [
                (name, _described(TYPES[values.dtype.kind], self._functions[name]))
                for name, values in tried.items()
            ],
            bases=(Answer,),
        )
        self.example = {name: values[-1].item() for name, values in tried.items()}

    def of(
        self, probabilities: NDArray[np.float64], decisions: NDArray[np.bool_]
    ) -> dict[str, NDArray[Any]]:
        """By field, a value for each row."""
        found = {}
        for name, function in self._functions.items():
            values = np.asarray(function(probabilities, decisions))
            if values.shape != probabilities.shape or values.dtype.kind not in TYPES:
                raise ProjectError(
                    f"{function.__module__}.{name} must return an array of {len(probabilities)} "
                    "texts, truth values or numbers, one for each row; it returned "
                    f"{values.dtype} of shape {values.shape}."
                )
            if values.dtype.kind == "f":
                values = np.where(np.isfinite(values), values, np.nan)
            found[name] = values
        return found

    def told(self, answers: list[Answer]) -> list[Answer]:
        """A few answers with what is added, if anything is."""
        if not self._functions:
            return answers
        columns = self.of(
            np.array([answer.probability for answer in answers]),
            np.array([answer.decision for answer in answers]),
        )
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        return [
            self.answer(*msgspec.structs.astuple(answer), *row)
            for answer, row in zip(answers, rows, strict=True)
        ]


def _described(kind: Any, function: Addition) -> Any:
    said = " ".join((function.__doc__ or "").split())
    return Annotated[kind, Meta(description=said)] if said else kind
