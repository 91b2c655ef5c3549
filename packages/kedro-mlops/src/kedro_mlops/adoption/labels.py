"""What is asked of a table: which task its target makes, and whether that can be learned."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.task.record import TaskName
from kedro_mlops.task.task import Task
from kedro_mlops.task.tasks import TASKS

from .profile import MOST_COMMON, ColumnProfile, TableProfile

# fewer labelled rows teach nothing, and prove less
MIN_ROWS = 30
# a whole number of more values is measured, not named
MAX_CODES = 20
MAX_CLASSES = 100
# rows of a class that are needed on every side of a split
MIN_ROWS_OF_A_CLASS = 5
MAX_MISSING_SHARE = 0.5
RARER = "the rarer one; --positive says otherwise"
POSITIVE = (
    "yes", "y", "true", "t", "1", "positive", "pos", "churned", "churn", "bad", "fraud", "default",
    "malignant", "sick", "ill", "died", "dead", "won", "win", "success", "high", ">50k", "ja",
    "oui", "si", "sí", "+",
)  # fmt: skip


@dataclass(frozen=True)
class Label:
    """The target, as the label of a contract.

    Attributes:
        type: What the contract calls the type of its values.
        options: What else is said of it.
        classes: Its values, the positive one last of two; none of a number.
        reason: Why it is that task, in words.
        is_unsure: Whether only a person knows that it is; of two values, which is positive.
    """

    name: str
    task: TaskName
    type: str
    options: dict[str, Any]
    classes: tuple[Any, ...]
    reason: str
    is_unsure: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it is no class."""
        return not self.classes

    @property
    def is_one_of_several(self) -> bool:
        """Whether there are more than two classes."""
        return len(self.classes) > 2

    @property
    def possible_tasks(self) -> tuple[TaskName, ...]:
        """What whole numbers may be asked for, where they may be classes."""
        return "multiclass", "regression"

    @property
    def asked(self) -> Task:
        """What is asked of models, in general."""
        return TASKS[self.task](self.name, self.classes)


def decide_label(
    profile: TableProfile,
    target: str,
    task: TaskName | None,
    positive: str | None,
    *,
    drop_rare: bool = False,
) -> Label:
    """Take the target for a label.

    Args:
        profile: What was found in the table.
        target: The column.
        task: What is predicted, if it is not to be found out.
        positive: Of two values, the one whose probability is predicted.
        drop_rare: Whether rows of classes that are too rare are left without a label.

    Raises:
        ProjectError: if nothing can be learned of it, saying what to do.
    """
    names = [column.name for column in profile.columns]
    if target not in names:
        raise ProjectError(f"There is no column '{target}' to predict. {suggestion(target, names)}")
    column = profile[target]
    _check_rows(profile, column)
    if drop_rare and task != "regression":
        return _without_rare(profile, column, task, positive)
    chosen = task or _infer(column)
    if chosen == "regression":
        return _number(column, asked=task is not None)
    counts = _counts(column)
    _check_classes(column, counts)
    if len(counts) == 2 and chosen == "binary":
        return _two(column, counts, positive)
    if len(counts) == 2 or chosen == "binary":
        raise ProjectError(
            f"'{target}' has {len(counts)} values, {_listed(counts)}: that is no {chosen} task. "
            f"Say --task {'binary' if len(counts) == 2 else 'multiclass'}, or leave it out."
        )
    return _several(column, counts)


def _without_rare(
    profile: TableProfile, column: ColumnProfile, task: TaskName | None, positive: str | None
) -> Label:
    """The label without the classes that are too rare: they stand for no value."""
    kept = tuple((value, n) for value, n in column.common if n >= MIN_ROWS_OF_A_CLASS)
    rare = [str(value) for value, n in column.common if n < MIN_ROWS_OF_A_CLASS]
    n_rare = sum(n for _, n in column.common) - sum(n for _, n in kept)
    others = replace(column, common=kept, n_distinct=len(kept), n_missing=column.n_missing + n_rare)
    columns = tuple(others if c.name == column.name else c for c in profile.columns)
    label = decide_label(replace(profile, columns=columns), column.name, task, positive)
    if not rare or label.is_number:
        return label
    words = f"{label.reason}; without {n_rare} rows of the rare {', '.join(rare[:10])}"
    missing = [*dict.fromkeys(["", "NA", *column.missing, *rare])]
    return replace(label, reason=words, options={**label.options, "missing": missing})


def _check_rows(profile: TableProfile, column: ColumnProfile) -> None:
    n_known = profile.n_rows - column.n_missing
    if profile.n_rows == 0:
        raise ProjectError("The table has no rows: there is nothing to learn from.")
    if n_known <= profile.n_rows * (1 - MAX_MISSING_SHARE):
        raise ProjectError(
            f"'{column.name}' is missing in {column.n_missing:,} of {profile.n_rows:,} rows. "
            "Choose another target; or deliver the rows whose outcome is known."
        )
    if n_known < MIN_ROWS:
        raise ProjectError(
            f"{n_known} rows have a '{column.name}', and {MIN_ROWS} are the least to learn "
            "from, some hundreds better: collect more."
        )


def _infer(column: ColumnProfile) -> TaskName:
    if column.n_distinct == 2:
        return "binary"
    if column.kind == "text" or (column.kind == "integer" and _are_codes(column)):
        return "multiclass"
    if column.kind == "moment":
        raise ProjectError(
            f"'{column.name}' holds moments, which are no target: add a column with the days until "
            "then, or with whether it happened."
        )
    return "multiclass" if column.kind == "boolean" else "regression"


def _are_codes(column: ColumnProfile) -> bool:
    """Whether whole numbers name classes, of each of which there are enough rows."""
    few = column.n_distinct <= MAX_CODES
    return few and min((n for _, n in column.common), default=0) >= MIN_ROWS_OF_A_CLASS


def _counts(column: ColumnProfile) -> Counter[Any]:
    if column.n_distinct > MOST_COMMON:
        raise ProjectError(
            f"'{column.name}' has about {column.n_distinct:,} different values, too many for "
            f"classes: group them to {MAX_CLASSES} at most. Is it free text or an identifier?"
        )
    return Counter(dict(column.common))


def _check_classes(column: ColumnProfile, counts: Counter[Any]) -> None:
    if len(counts) < 2:
        raise ProjectError(
            f"'{column.name}' is always {_listed(counts) or 'missing'}: there is nothing to tell "
            "apart. Choose another target, or deliver rows of other outcomes, too."
        )
    if len(counts) > MAX_CLASSES:
        raise ProjectError(
            f"'{column.name}' has {len(counts):,} classes, and {MAX_CLASSES} are the most: put "
            "together those that are treated alike, or say --task regression if it is a number."
        )
    rare = {value: n for value, n in counts.items() if n < MIN_ROWS_OF_A_CLASS}
    if rare:
        or_number = "; or say --task regression" if _is_number(column) else ""
        raise ProjectError(
            f"'{column.name}' has classes of fewer than {MIN_ROWS_OF_A_CLASS} rows, which are too "
            f"rare to be on every side of a split: {_listed(rare)}. Put them together, e.g. as "
            f"'other', say --drop-rare to leave their rows out, or collect more of them{or_number}."
        )


def _two(column: ColumnProfile, counts: Counter[Any], asked: str | None) -> Label:
    said = {str(value): value for value in counts}
    if column.kind == "boolean":
        if asked is not None and asked.lower() not in ("true", "1", "yes"):
            raise ProjectError(
                f"'{column.name}' is true or false, and the probability of true is predicted: say "
                "no --positive, or turn the column round."
            )
        return Label(
            column.name,
            "binary",
            "pd.BooleanDtype",
            {},
            (False, True),
            "true or false; positive: true",
        )
    if asked is not None and asked not in said:
        raise ProjectError(f"--positive {asked}: There is no such '{column.name}'. "
                           f"{suggestion(asked, list(said))}")  # fmt: skip
    positive, why = (said[asked], "as asked") if asked is not None else _usual_or_rarer(counts)
    is_unsure = why == RARER
    type_, values = _as_typed(column, counts)
    positive = positive if type_ == "int" else str(positive)
    other = next(value for value in values if value != positive)
    reason = f"two values; positive: {positive} ({why})"
    options = {"isin": [other, positive], "positive": positive}
    return Label(column.name, "binary", type_, options, (other, positive), reason, is_unsure)


def _usual_or_rarer(counts: Counter[Any]) -> tuple[Any, str]:
    for word in POSITIVE:
        named = [value for value in counts if str(value).strip().lower() == word]
        if named:
            return named[0], "by its name"
    *_, (rarer, _n) = counts.most_common()
    return rarer, RARER


def _several(column: ColumnProfile, counts: Counter[Any]) -> Label:
    classes = tuple(str(value) for value in sorted(counts))
    words = f"{len(classes)} values"
    if _is_number(column):
        words += "; to predict it as a number, say --task regression"
    options = {"isin": [*classes]}
    return Label(column.name, "multiclass", "str", options, classes, words, _is_number(column))


def _number(column: ColumnProfile, *, asked: bool) -> Label:
    if not _is_number(column):
        raise ProjectError(f"'{column.name}' is {column.kind}, and no number to predict.")
    options = {} if column.low is None or column.low < 0 else {"ge": 0}  # type: ignore[operator]
    reason = "a number, as asked" if asked else f"a number of {column.n_distinct:,} values"
    return Label(column.name, "regression", "float", options, (), reason)


def _is_number(column: ColumnProfile) -> bool:
    return column.kind in ("integer", "number")


def _as_typed(column: ColumnProfile, counts: Counter[Any]) -> tuple[str, list[Any]]:
    """Two values as a contract has them: whole numbers, or text as the source says it."""
    if column.kind == "integer" or (
        column.kind == "number" and all(float(value).is_integer() for value in counts)
    ):
        return "int", [int(value) for value in counts]
    return "str", [str(value) for value in counts]


def _listed(counts: Any) -> str:
    shown = [f"{value} ({n:,})" for value, n in Counter(counts).most_common(10)]
    return ", ".join(shown) + (", …" if len(counts) > len(shown) else "")
