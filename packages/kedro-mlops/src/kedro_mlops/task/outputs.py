"""What is answered and logged of what a model says: columns of a prediction, and their values.

What a model says of a row is its score: a probability, one a class, or a number. Of many rows it is
an array of shape (n_rows,), or (n_rows, n_classes) where there are several classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kedro_mlops.core.names import own

from .piecewise import PiecewiseLine
from .record import Class, DecisionRule, TaskName

Floats = NDArray[np.float64]

PROBABILITY, PREDICTION = "probability", "prediction"
TENTHS = tuple(round(0.1 * i, 1) for i in range(1, 11))
DECISION = "decision"


class Told(NamedTuple):
    """A column of a prediction.

    Attributes:
        type: The type of its values.
        least: The lowest value that there can be.
        most: The highest.
        classes: All values that there can be, if they are few.
    """

    name: str
    type: type[float] | type[bool] | type[int] | type[str]
    description: str
    least: float | None = None
    most: float | None = None
    classes: Sequence[Class] | None = None


@dataclass(frozen=True)
class Output(ABC):
    """From scores to predictions.

    Attributes:
        raw: What the sums are that a model computes of a row before its link makes a score of them.
        buckets: In which scores are counted, where these are known before any are.
        decisions: What may be decided, as it is counted.
        rule: What a decision follows from.
        classes: The values of the label, in the order of their codes; of two, the positive is last.
        unit: Of a number.
    """

    raw: ClassVar[str]
    buckets: ClassVar[tuple[float, ...]] = TENTHS

    rule: DecisionRule = field(default_factory=DecisionRule)
    classes: Sequence[Class] = ()
    unit: str = ""

    def answers_as(self, other: "Output") -> bool:
        """Whether both answer the same question, whatever they decide by."""
        asked = (type(self), list(self.classes), self.unit)
        return asked == (type(other), list(other.classes), other.unit)

    @property
    @abstractmethod
    def decisions(self) -> list[Any]:
        """What may be decided."""

    @property
    @abstractmethod
    def told(self) -> list[Told]:
        """The columns of a prediction."""

    @abstractmethod
    def score_columns(self, name: str = "") -> list[str]:
        """The columns that hold a score: the model's own, or that of another by its name."""

    @property
    def share_columns(self) -> list[str]:
        """The columns whose values are watched by their shares: one of several classes."""
        return []

    @abstractmethod
    def ask(self, model: Any, rows: Any) -> Floats:
        """The scores that a fitted estimator of scikit-learn's kind gives rows.

        It has learned classes by their codes.
        """

    @abstractmethod
    def of_rows(self, scores: Floats) -> dict[str, NDArray[Any]]:
        """The columns of many predictions."""

    @abstractmethod
    def of_row(self, score: Any) -> tuple[Any, ...]:
        """The values of one prediction; the score is a number, or a list of one a class."""

    @abstractmethod
    def differ(self, one: Any, other: Any) -> Any:
        """Whether predictions differ, given column by column, of one row or of many.

        That is, other things would be done by them: they decide otherwise, or each says a number
        that the other holds for unlikely.
        """

    @abstractmethod
    def score_told(self, told: Sequence[Any]) -> Any:
        """Of a prediction, or of many: the number whose distribution is watched."""

    @abstractmethod
    def decided(self, told: Sequence[Any]) -> Any:
        """Of a prediction, or of many: what was decided."""

    @abstractmethod
    def is_sound(self, told: Sequence[Any]) -> Any:
        """Whether a prediction is one, or many are."""

    def place_of_raw(self, told: Sequence[Any]) -> Any:
        """Of a prediction, or of many: the place of the sum that stands behind it, if not alone."""
        return 0

    @property
    def tried(self) -> Floats:
        """Scores of two rows, as there may be."""
        return np.array([0.25, 0.75])

    @property
    def about(self) -> dict[str, Any]:
        """What whoever reads predictions needs to know besides."""
        said = {name: value for name, value in asdict(self.rule).items() if value is not None}
        return {"classes": list(self.classes), **said} if self.classes else said

    def columns(self, scores: Floats) -> list[NDArray[Any]]:
        """The columns of many predictions, in the order of ``told``."""
        return list(self.of_rows(scores).values())

    def scores_in(self, rows: Any, name: str = "") -> Floats:
        """The scores that columns hold: the model's own, or those of another by its name."""
        found = [np.asarray(rows[column], np.float64) for column in self.score_columns(name)]
        return found[0] if len(found) == 1 else np.column_stack(found)

    def named(self, scores: Floats, name: str = "") -> dict[str, Floats]:
        """The columns that hold scores."""
        columns = self.score_columns(name)
        return dict(zip(columns, scores.reshape(-1, len(columns)).T, strict=True))


class Probability(Output):
    """The probability of the positive class, and whether it reaches the threshold."""

    raw = "log-odds"

    @property
    def decisions(self) -> list[Any]:
        """Both."""
        return [False, True]

    @property
    def told(self) -> list[Told]:
        """``probability`` and ``decision``."""
        said = "Estimated probability of the positive class"
        return [
            Told(PROBABILITY, float, said, 0, 1),
            Told(DECISION, bool, "Whether the probability reaches the decision threshold"),
        ]

    def score_columns(self, name: str = "") -> list[str]:
        """One."""
        return [own(name) if name else PROBABILITY]

    def ask(self, model: Any, rows: Any) -> Floats:
        """Those of class 1."""
        return np.asarray(model.predict_proba(rows)[:, 1], dtype=np.float64)

    def of_rows(self, scores: Floats) -> dict[str, NDArray[Any]]:
        """The probabilities, and the decisions."""
        return {PROBABILITY: scores, DECISION: scores >= self.rule.threshold}  # type: ignore[operator]

    def of_row(self, score: float) -> tuple[float, bool]:
        """The probability, and the decision."""
        return score, score >= self.rule.threshold  # type: ignore[operator]

    def differ(self, one: Any, other: Any) -> Any:
        """Whether they decide otherwise."""
        return one[1] != other[1]

    def score_told(self, told: Sequence[Any]) -> Any:
        """The probability."""
        return told[0]

    def decided(self, told: Sequence[Any]) -> Any:
        """The decision."""
        return told[1]

    def is_sound(self, told: Sequence[Any]) -> Any:
        """Whether the probability is one."""
        return (told[0] >= 0) & (told[0] <= 1)

    @property
    def about(self) -> dict[str, Any]:
        """Also which class is the positive one."""
        return {"positive": self.classes[-1] if self.classes else True} | super().about


class Probabilities(Output):
    """The probability of each class, and the class that is taken."""

    raw = "the logarithm of the probability but for a constant of the row"

    @property
    def decisions(self) -> list[Any]:
        """Each class."""
        return list(self.classes)

    @property
    def told(self) -> list[Told]:
        """``probability_`` with each class, and ``prediction``."""
        how = "The most probable class"
        if self.rule.costs is not None:
            how = "The class that is expected to cost least"
        return [
            *(
                Told(name, float, f"Estimated probability of {found}", 0, 1)
                for name, found in zip(self.score_columns(), self.classes, strict=True)
            ),
            Told(PREDICTION, type(self.classes[0]), how, classes=self.classes),
        ]

    def score_columns(self, name: str = "") -> list[str]:
        """One a class."""
        return [f"{own(name) if name else PROBABILITY}_{found}" for found in self.classes]

    @property
    def share_columns(self) -> list[str]:
        """That of the class that is taken."""
        return [PREDICTION]

    def ask(self, model: Any, rows: Any) -> Floats:
        """Those of all classes; of one that it has not met, 0."""
        scores = np.zeros((len(rows), len(self.classes)))
        scores[:, np.asarray(model.classes_, dtype=np.intp)] = model.predict_proba(rows)
        return scores

    def of_rows(self, scores: Floats) -> dict[str, NDArray[Any]]:
        """The probabilities of each class, and the class that is taken."""
        return {**self.named(scores), PREDICTION: np.array(self.classes)[self.taken(scores)]}

    def of_row(self, score: Sequence[float]) -> tuple[Any, ...]:
        """Likewise, of one row."""
        if self.rule.costs is None:
            return *score, self.classes[score.index(max(score))]
        return *score, self.classes[int(self.taken(np.array([score]))[0])]

    def taken(self, scores: Floats) -> NDArray[np.intp]:
        """The codes of the classes that are taken, shape (n_rows,)."""
        if self.rule.costs is None:
            return np.asarray(scores.argmax(axis=1))
        # summed class by class: products of matrices differ, in their last digits, with their size
        of_classes = zip(scores.T, np.array(self.rule.costs), strict=True)
        costs = sum(np.outer(score, of_class) for score, of_class in of_classes)
        return np.asarray(np.argmin(costs, axis=1))

    def differ(self, one: Any, other: Any) -> Any:
        """Whether they take other classes."""
        return one[-1] != other[-1]

    def score_told(self, told: Sequence[Any]) -> Any:
        """The highest probability."""
        return np.max(told[:-1], axis=0)

    def decided(self, told: Sequence[Any]) -> Any:
        """The class that is taken."""
        return told[-1]

    def place_of_raw(self, told: Sequence[Any]) -> Any:
        """That of the class that is taken."""
        return (np.asarray(told[-1])[..., None] == np.array(self.classes)).argmax(axis=-1)

    def is_sound(self, told: Sequence[Any]) -> Any:
        """Whether the probabilities are some."""
        scores = np.asarray(told[:-1])
        return ((scores >= 0) & (scores <= 1)).all(axis=0)

    @property
    def tried(self) -> Floats:
        """The first two classes, each for sure."""
        return np.eye(len(self.classes))[:2]


class Quantity(Output):
    """A number, and the interval in which what really happens is to lie."""

    raw = "the number, or its logarithm where the model has a logarithmic link"
    buckets = ()

    @property
    def decisions(self) -> list[Any]:
        """None: a number decides nothing."""
        return []

    @property
    def told(self) -> list[Told]:
        """``prediction``, and the ends of its interval."""
        unit = f", in {self.unit}" if self.unit else ""
        said = "the interval in which it is to lie"
        if self.rule.coverage:
            said += f", {self.rule.coverage:.0%} of the time"
        return [
            Told(PREDICTION, float, f"Estimate of what will be measured{unit}"),
            Told(f"{PREDICTION}_low", float, f"Lower end of {said}{unit}"),
            Told(f"{PREDICTION}_high", float, f"Upper end of {said}{unit}"),
        ]

    def score_columns(self, name: str = "") -> list[str]:
        """One."""
        return [own(name) if name else PREDICTION]

    def ask(self, model: Any, rows: Any) -> Floats:
        """The numbers."""
        return np.asarray(model.predict(rows), dtype=np.float64)

    def of_rows(self, scores: Floats) -> dict[str, NDArray[Any]]:
        """The numbers, and the ends of their intervals."""
        margin: Any = self.rule.margin if self._margins is None else self._margins.of_rows(scores)
        low, high = scores - margin, scores + margin
        return {PREDICTION: scores, f"{PREDICTION}_low": low, f"{PREDICTION}_high": high}

    def of_row(self, score: float) -> tuple[float, float, float]:
        """Likewise, of one row."""
        margin: Any = self.rule.margin if self._margins is None else self._margins.of_row(score)
        return score, score - margin, score + margin

    def differ(self, one: Any, other: Any) -> Any:
        """Whether each number is outside of the other's interval."""
        return _outside(one, other[0]) & _outside(other, one[0])

    def score_told(self, told: Sequence[Any]) -> Any:
        """The number."""
        return told[0]

    def decided(self, told: Sequence[Any]) -> Any:
        """Nothing; what stands for it are the intervals."""
        return np.stack(told[1:], axis=-1)

    def is_sound(self, told: Sequence[Any]) -> Any:
        """Whether the number is finite."""
        return np.isfinite(told[0])

    @property
    def about(self) -> dict[str, Any]:
        """Also the unit."""
        return super().about | ({"unit": self.unit} if self.unit else {})

    @cached_property
    def _margins(self) -> PiecewiseLine | None:
        return PiecewiseLine(self.rule.margins) if self.rule.margins else None


def _outside(prediction: Any, number: Any) -> Any:
    return (number < prediction[1]) | (number > prediction[2])


OUTPUTS: dict[TaskName, type[Output]] = {
    "binary": Probability,
    "multiclass": Probabilities,
    "regression": Quantity,
}
