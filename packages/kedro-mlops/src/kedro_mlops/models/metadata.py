"""What is known about a model, and the files of its package, if they are what was saved.

Without the imports of the model itself: who only asks what there is does not wait for them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kedro_mlops.contract.places import Places
from kedro_mlops.core.artefacts import Interval, is_none
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.storage import Place, on_store
from kedro_mlops.core.wording import some_of_text
from kedro_mlops.runtime.serving_spec import hash_of
from kedro_mlops.task.record import LISTED, Class, DecisionRule, TaskName

from .decision import Decision

if TYPE_CHECKING:
    from kedro_mlops.task.outputs import Output

# import path of the families that come with the engine
FAMILIES = "kedro_mlops.models.families.FAMILIES"

HASHES = "SHA256SUMS"
METADATA, MODEL, REFERENCE = "metadata.json", "model.skops", "reference.json"
# those without which a package is one, too
EVALUATED, EVALUATION = "evaluated.skops", "evaluation.json"
LOSS_ESTIMATE = "loss_estimate.skops"


class Lineage(BaseModel):
    """Where a model comes from."""

    model_config = ConfigDict(frozen=True)

    git_commit: str
    data_hash: str
    lock_hash: str


class Metadata(BaseModel):
    """What is known about a model besides its parameters."""

    model_config = ConfigDict(frozen=True)

    version: str
    content_hash: str
    family: str
    hyperparameters: dict[str, Any]
    loss: str = "log_loss"
    # trials that were made of each family, and why this one was taken
    n_trials: dict[str, int] = {}
    choice: str = ""
    features: list[str]
    # of these, those of which nothing could be learned, and why
    left_out: dict[str, str] = {}
    task: TaskName = "binary"
    # the values of the label, in the order of their codes
    classes: list[Class] = [False, True]
    unit: str = ""
    rule: DecisionRule
    as_of: datetime
    trained_until: datetime
    evaluated_until: datetime
    # of rows without a date: up to where the two models have learned from them
    trained_places: Places | None = Field(None, exclude_if=is_none)
    evaluated_places: Places | None = Field(None, exclude_if=is_none)
    # where it was cross-validated
    n_folds: int | None = Field(None, exclude_if=is_none)
    n_training_rows: int
    # of how many these were drawn, if not all were learned from
    n_known_rows: int | None = Field(None, exclude_if=is_none)
    metrics: dict[str, Interval]
    lineage: Lineage
    seed: int
    parameters: dict[str, Any] = {}
    decision: Decision | None = None
    release: str | None = None
    # of the files of its Bento, as they were proven
    release_sha256: str | None = Field(None, exclude_if=is_none)
    withdrawn: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, data: Any) -> Any:
        """They knew no other task, and had just a threshold."""
        if isinstance(data, dict) and "threshold" in data:
            data = {**data, "rule": {"threshold": data["threshold"]}}
        return data

    @property
    def listed(self) -> Sequence[str]:
        """The metrics that are named first."""
        return LISTED[self.task]

    @property
    def learned_from(self) -> str:
        """How many rows it has learned from, in words."""
        return some_of_text(self.n_training_rows, self.n_known_rows)

    @property
    def tested_on(self) -> str:
        """The rows it was measured on, in words."""
        return "out-of-fold rows" if self.n_folds else "test window"

    @property
    def output(self) -> "Output":
        """What the model's scores say."""
        from kedro_mlops.task.outputs import OUTPUTS  # noqa: PLC0415 - and NumPy

        return OUTPUTS[self.task](self.rule, self.classes, self.unit)

    @classmethod
    def read(cls, folder: Place) -> Self:
        """Read the metadata alone of the package in a folder.

        Raises:
            ProjectError: if there is none, or it is not what was saved.
        """
        with reading(folder):
            return cls.model_validate_json(read_as_saved(folder, METADATA))


@contextlib.contextmanager
def reading(folder: Place) -> Iterator[None]:
    """Say which package cannot be read, what is wrong with it, and what to do."""
    try:
        yield
    except (OSError, ValueError) as error:
        if on_store(folder) and isinstance(error, OSError) and not _is_missing(error):
            raise  # of the store, which has not said how the model is
        raise ProjectError(
            f"The model in {folder} cannot be read: {error}. Put the files back as they were "
            "saved, or remove that folder: the version before it then counts; if there is none, "
            "train anew: `kedro run`."
        ) from error


def _is_missing(error: OSError) -> bool:
    return isinstance(error, FileNotFoundError | NotADirectoryError)


def saved_at(moment: str) -> datetime:
    """When a version was saved, in UTC, by the name that Kedro gives it."""
    return datetime.strptime(moment, "%Y-%m-%dT%H.%M.%S.%fZ")  # noqa: DTZ007


def _sums(folder: Place) -> dict[str, str]:
    """What the files of a package hash to, by their names."""
    try:
        lines = (folder / HASHES).read_text().splitlines()
    except FileNotFoundError as error:
        raise ValueError(f"it has no {HASHES}, so its files may be anybody's") from error
    return {name: found for found, _, name in (line.partition("  ") for line in lines)}


def read_as_saved(folder: Place, name: str) -> bytes:
    """The content of a file, of which the hash is known.

    Raises:
        ValueError: if it is not what was saved.
    """
    expected, content = _sums(folder).get(name), (folder / name).read_bytes()
    if expected is None:
        raise ValueError(f"{name} has no hash in {HASHES}")
    if hash_of(content) != expected:
        raise ValueError(f"{name} is not the file that was saved")
    return content


def read_if_saved(folder: Place, name: str) -> bytes | None:
    """Likewise, or nothing if the package has no such file."""
    there = name in _sums(folder) or (folder / name).exists()
    return read_as_saved(folder, name) if there else None
