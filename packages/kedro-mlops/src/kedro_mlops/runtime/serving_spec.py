"""What the service must know of contract and model, as one JSON file beside the model.

A release writes it from the contract and the fitted model; the service reads nothing else, so it
needs neither pandas nor Pandera, and cannot disagree with what the model was trained on.

``serving_spec.json``    the fields, the look-ups, the encoding, and the SHA-256 of every other file
``trees.so``     the model as compiled trees, or
``model.skops``  the scikit-learn pipeline, where there is no compiled form that is its equal
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.task.record import Class, DecisionRule, TaskName

from .kinds import Kind, Types, types_of

if TYPE_CHECKING:
    from kedro_mlops.task.outputs import Output

SPEC = "serving_spec.json"
TREES = "trees.so"
MODEL = "model.skops"
# the label of a stored model that says what its spec hashes to
SPEC_LABEL = "spec_sha256"

# what the encoding makes of a date
N_DATE_PARTS = 4

EngineName = Literal["compiled trees", "scikit-learn"]
ENGINE_FILES: dict[EngineName, str] = {"compiled trees": TREES, "scikit-learn": MODEL}


class Lookup(msgspec.Struct, frozen=True):
    """Where the service finds a value that the caller does not send.

    Attributes:
        table: Feature table in the online store.
        by: Column of the observation that holds the entity's key: text, or a whole number.
        column: Column of the feature table.
        daily: Whether the table has a row per entity and day; the newest one that is not later
            than the event's day is read. Otherwise it has one row per entity.
    """

    table: str
    by: str
    column: str
    daily: bool = True


class Spelling(msgspec.Struct, frozen=True):
    """How the text of a source says values; see ``contract.columns.column``.

    Attributes:
        missing: What stands for no value.
        format: How a moment is said, in the directives of ``strptime`` or as one of ``EPOCHS``;
            none if by ISO 8601.
        decimal: What stands before the fraction of a number.
        thousands: What stands between its groups of three digits, if anything does.
        symbol: What stands before or behind it, if anything does.
    """

    missing: list[str] = []
    format: str | None = None
    decimal: str = "."
    thousands: str | None = None
    symbol: str | None = None


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the contract.

    Attributes:
        rules: Pydantic's names of the bounds: ``gt``, ``ge``, ``lt``, ``le``, ``pattern``,
            ``max_length``.
        allowed: The only values, if they are named.
        forbidden: Values that may not be.
        source: Where the value is looked up; without it, the caller sends it.
        accept_unseen: Whether a category that the model has not seen is answered, and said so.
        assigned: Whether the prediction's id takes the place of a key that is left out.
        coerced: How callers may also say values, if in other types than the field's.
        sent_as: What callers call it, where that is not its name in the log.
    """

    name: str
    kind: Kind
    integer: bool
    nullable: bool
    description: str
    key: bool
    personal: bool
    example: Any = None
    rules: dict[str, Any] = {}
    allowed: list[Any] | None = None
    forbidden: list[Any] = []
    source: Lookup | None = None
    accept_unseen: bool = False
    assigned: bool = False
    coerced: Spelling | None = None
    sent_as: str = ""

    @property
    def types(self) -> Types:
        """The types of its values."""
        return types_of(self.kind, self.integer)


class Means(msgspec.Struct, frozen=True):
    """What rows of each category are labelled on average: a number, or one for each class.

    Attributes:
        known: Of each category, in their order.
        missing: Where there is none.
        unseen: Of a category that the model has not seen.
    """

    known: list[list[float]]
    missing: list[float]
    unseen: list[float]

    def rows(self, categories: list[str]) -> dict[str | None, list[float]]:
        """By category, the numbers that it becomes."""
        return {**dict(zip(categories, self.known, strict=True)), None: self.missing}

    def tables(self, categories: list[str]) -> list[tuple[dict[str | None, float], float]]:
        """For each of the numbers, what a category becomes, and what one that is not known."""
        rows = self.rows(categories)
        return [
            ({name: row[place] for name, row in rows.items()}, unseen)
            for place, unseen in enumerate(self.unseen)
        ]


class Encoding(msgspec.Struct, frozen=True):
    """The columns of the matrix that the trees read, in this order.

    Attributes:
        categories: Per categorical feature, those that the model has seen, in the order of their
            codes; also where scikit-learn serves, which needs no more of this.
        moments: The moment of the event; it becomes two columns.
        numbers: Numeric features, and then boolean ones, as they are.
        means: Of features among ``categories`` that become what their rows are labelled on average,
            and no codes.
        dates: Other datetime features; each becomes ``DATE_PARTS``.
        since: The feature from which their ages are counted; empty if from 1970.
    """

    categories: dict[str, list[str]]
    moments: list[str]
    numbers: list[str]
    means: dict[str, Means] = {}
    dates: list[str] = []
    since: str = ""

    @property
    def coded(self) -> dict[str, list[str]]:
        """The categories that become codes."""
        return {name: seen for name, seen in self.categories.items() if name not in self.means}

    @property
    def made_of(self) -> list[str]:
        """For each column, the feature that it is made of."""
        twice = [name for name in self.moments for _ in range(2)]
        means = [name for name, found in self.means.items() for _ in found.unseen]
        dates = [name for name in self.dates for _ in range(N_DATE_PARTS)]
        return [*self.coded, *twice, *self.numbers, *means, *dates]

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.made_of)


class ServingSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that the service knows of its model.

    Attributes:
        name: What the service is called.
        predicts: What the label says, in words.
        label: What the label is called.
        classes: Its values, in the order of their codes; of two, the positive one is last.
        score_buckets: In which scores are counted, where the task does not say.
        unit: Its unit, if it is a number that has one.
        event_time: The moment that a row is about; empty if it is about none.
        engine: What computes the probabilities.
        engine_reason: Why it is that one, in words.
        metrics: With intervals, on the test window; those of decisions, at the threshold.
        confusion: Rows of the test window by what they are and whether they are flagged.
        encoding: The matrix of the compiled trees, and the categories that the model has seen.
        files: SHA-256 of the other files.
    """

    model_version: str
    family: str
    as_of: str
    task: TaskName
    rule: DecisionRule
    metrics: dict[str, dict[str, float]]
    git_commit: str
    data_hash: str
    event_time: str
    fields: list[Field]
    features: list[str]
    engine: EngineName
    engine_reason: str
    encoding: Encoding
    files: dict[str, str] = {}
    confusion: dict[str, int] = {}
    name: str = ""
    predicts: str = ""
    label: str = ""
    classes: list[Class] = []
    unit: str = ""
    score_buckets: list[float] = []

    @property
    def output(self) -> "Output":
        """What scores say."""
        from kedro_mlops.task.outputs import OUTPUTS  # noqa: PLC0415 - and NumPy

        return OUTPUTS[self.task](self.rule, self.classes, self.unit)

    @property
    def sent(self) -> list[Field]:
        """The fields that a caller sends."""
        return [field for field in self.fields if field.source is None]

    @property
    def asked(self) -> list[Field]:
        """The same, as callers call them."""
        return [msgspec.structs.replace(f, name=f.sent_as or f.name) for f in self.sent]

    @property
    def looked_up(self) -> list[Field]:
        """The fields that the service finds in the online store."""
        return [field for field in self.fields if field.source is not None]

    @property
    def keys(self) -> list[str]:
        """The fields that identify a row."""
        return [field.name for field in self.fields if field.key]

    @classmethod
    def read(cls, folder: Path, sha256: str | None) -> Self:
        """Read the serving spec in a folder, and make sure that its files are what it says.

        Args:
            folder: Where the files are.
            sha256: What the spec's own bytes must hash to; nothing is known without it.

        Raises:
            ProjectError: if a file, or a hash, is missing, damaged or not what was released.
        """
        if not sha256:
            raise _refusal(
                folder, f"the label {SPEC_LABEL}, which says what {SPEC} was, is missing"
            )
        try:
            data = (folder / SPEC).read_bytes()
            spec = msgspec.json.decode(data, type=cls)
            found = {name: hash_of((folder / name).read_bytes()) for name in spec.files}
        except (OSError, msgspec.MsgspecError) as error:
            raise _refusal(folder, f"it cannot be read: {error}") from error
        if hash_of(data) != sha256:
            raise _refusal(folder, f"{SPEC} is not the file that was released")
        if ENGINE_FILES[spec.engine] not in spec.files:
            raise _refusal(folder, f"{SPEC} has no hash of {ENGINE_FILES[spec.engine]}")
        for name, expected in spec.files.items():
            if found[name] != expected:
                raise _refusal(folder, f"{name} is not the file that {SPEC} describes")
        return spec

    def write(self, folder: Path) -> str:
        """Write it beside its files; return the SHA-256 of what was written."""
        data = msgspec.json.format(msgspec.json.encode(self), indent=1)
        (folder / SPEC).write_bytes(data)
        return hash_of(data)


def hash_of(data: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _refusal(folder: Path, why: str) -> ProjectError:
    return ProjectError(
        f"The released model in {folder} is not served: {why}. Release the champion again: "
        "`kedro run --pipelines=release`."
    )
