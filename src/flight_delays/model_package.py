"""A model together with everything that must travel with it, as plain files and never as pickle.

``model.skops``      the fitted scikit-learn pipeline that serves
``evaluated.skops``  the same recipe fitted without the test window; only the gate needs it
``metadata.json``    version, threshold, metrics, lineage, the parameters that it was trained with,
                     the decision that made it champion, and the versions withdrawn until then
``reference.json``   the reference profile that monitoring compares with
``evaluation.json``  what was found of the data and the model; only people need it
"""

import hashlib
import io
import re
import warnings
import zipfile
import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from flight_delays.errors import ProjectError
from flight_delays.reference import Reference

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# skops refuses every type that is neither its own nor named here
TRUSTED_TYPES = [
    "flight_delays.preprocessing.CalendarFeatures",
    "flight_delays.preprocessing.Numbers",
    "numpy.dtype",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]

# who decides, where no person does
GATE = "gate"

_UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, NotImplementedError, UserWarning,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class Lineage(BaseModel):
    """Where a model comes from."""

    model_config = ConfigDict(frozen=True)

    git_commit: str
    data_hash: str
    lock_hash: str


class Window(BaseModel):
    """The rows that a model was measured on."""

    model_config = ConfigDict(frozen=True)

    n_rows: int
    positive_share: float
    first_day: str
    last_day: str


# one dictionary a row
Table = list[dict[str, str | int | float | None]]


class Evaluation(BaseModel):
    """What was found of the data and of the model, beyond its metrics, for those who read about it.

    Attributes:
        screened: Rows read, and put into quarantine, of every raw table.
        window: The rows of the test window, on which all the rest was measured.
        baselines: The metrics of each baseline on them, with intervals.
        calibration: Mean probability, share of positives and rows of every bin.
        confusion: Rows by what they are and whether they are flagged at the threshold.
        roc: The ROC curve of each model: false and true positive rates.
        cost: The mean cost of a row at every threshold, by ``costs``.
        slices: The metrics of every value of every segment, with intervals.
        importance: What each feature is worth to the model, highest first.
    """

    model_config = ConfigDict(frozen=True)

    screened: Table
    window: Window
    baselines: dict[str, dict[str, dict[str, float]]]
    calibration: Table
    slices: Table
    importance: Table
    # younger than some champions
    confusion: dict[str, int] = {}
    roc: dict[str, Table] = {}
    cost: Table = []
    costs: dict[str, float] = {}


class Metadata(BaseModel):
    """What is known about a model besides its parameters."""

    model_config = ConfigDict(frozen=True)

    version: str
    content_hash: str
    family: str
    hyperparameters: dict[str, Any]
    features: list[str]
    # of these, those of which nothing could be learned, and why
    left_out: dict[str, str] = {}
    threshold: float
    as_of: datetime
    trained_until: datetime
    evaluated_until: datetime
    n_training_rows: int
    metrics: dict[str, dict[str, float]]
    lineage: Lineage
    seed: int
    parameters: dict[str, Any] = {}
    decision: dict[str, Any] | None = None
    release: str | None = None
    withdrawn: list[str] = []

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the metadata alone of the package in a folder.

        Raises:
            ProjectError: if there is none, or it is damaged.
        """
        try:
            return cls.model_validate_json((folder / "metadata.json").read_text())
        except (OSError, ValueError) as error:
            raise _unreadable(folder, error) from error


@dataclass(frozen=True)
class ModelPackage:
    """A model that can be saved, released and served.

    ``base`` is the saved version that it was made from, if any; it is not part of the package.
    """

    estimator: "Pipeline"
    metadata: Metadata
    reference: Reference
    evaluated: "Pipeline | None" = None
    evaluation: Evaluation | None = None
    base: str | None = None

    @property
    def version(self) -> str:
        """As-of day, and a hash of the model and its threshold."""
        return self.metadata.version

    def predict(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Probability of the positive class for each row, shape (n_rows,)."""
        return probability(self.estimator, rows[self.metadata.features])

    def decide(self, probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each probability reaches the decision threshold."""
        return probabilities >= self.metadata.threshold

    def with_record(self, **fields: Any) -> "ModelPackage":
        """Return a copy whose metadata says more: the decision, the release."""
        return replace(self, metadata=self.metadata.model_copy(update=fields))

    def check_dates(self) -> None:
        """Refuse what is not of one run: it was measured, or has learned, after its as-of day.

        Raises:
            ProjectError: saying by which days.
        """
        metadata, as_of = self.metadata, self.metadata.as_of
        known = metadata.trained_until <= as_of and metadata.evaluated_until <= as_of
        measured = self.evaluation.window.last_day if self.evaluation else ""
        if not known or measured >= f"{as_of:%Y-%m-%d}":
            raise ProjectError(
                f"{self.version} is as of {as_of:%Y-%m-%d}, but what it has learned was known only "
                f"on {metadata.trained_until:%Y-%m-%d}, and it was measured on rows from "
                f"{metadata.evaluated_until:%Y-%m-%d} to {measured or 'later'}: another run is "
                "mixed with it. Train it again: `kedro run`, as of the day you mean."
            )

    def write(self, folder: Path) -> None:
        """Write the package's files into an existing folder."""
        (folder / "model.skops").write_bytes(dump_estimator(self.estimator))
        if self.evaluated is not None:
            (folder / "evaluated.skops").write_bytes(dump_estimator(self.evaluated))
        if self.evaluation is not None:
            (folder / "evaluation.json").write_text(self.evaluation.model_dump_json(indent=2))
        (folder / "metadata.json").write_text(self.metadata.model_dump_json(indent=2))
        (folder / "reference.json").write_text(self.reference.model_dump_json())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a package from its folder.

        Raises:
            ProjectError: if a file is missing, damaged, holds a type that is not trusted, or was
                written by another version of scikit-learn.
        """
        try:
            evaluated, evaluation = folder / "evaluated.skops", folder / "evaluation.json"
            metadata, model = read_intact(folder)
            package = cls(
                estimator=load_estimator(model),
                metadata=metadata,
                reference=Reference.model_validate_json((folder / "reference.json").read_text()),
                evaluated=load_estimator(evaluated.read_bytes()) if evaluated.exists() else None,
                evaluation=Evaluation.model_validate_json(evaluation.read_text())
                if evaluation.exists()
                else None,
            )
            package.check_dates()
            return package
        except _UNREADABLE as error:
            raise _unreadable(folder, error) from error


def read_intact(folder: Path) -> tuple[Metadata, bytes]:
    """Read what is known about a package's model, and the model's bytes, but do not load it.

    Raises:
        ProjectError: if a file is missing or damaged.
    """
    metadata = Metadata.read(folder)
    try:
        model = (folder / "model.skops").read_bytes()
    except OSError as error:
        raise _unreadable(folder, error) from error
    if hashlib.sha256(model).hexdigest() != metadata.content_hash:
        raise _unreadable(folder, "model.skops is not the file that metadata.json describes")
    return metadata, model


def _unreadable(folder: Path, error: object) -> ProjectError:
    return ProjectError(
        f"The model in {folder} cannot be read: {error}. "
        "Remove that folder; the version before it then counts. Or train anew: `kedro run`."
    )


def probability(estimator: "Pipeline", rows: pd.DataFrame) -> NDArray[np.float64]:
    """Probability of the positive class for each row, shape (n_rows,)."""
    return np.asarray(estimator.predict_proba(rows)[:, 1], dtype=np.float64)


def content_hash(estimator: "Pipeline") -> str:
    """SHA-256 of the fitted model's canonical bytes: equal models have equal hashes."""
    return hashlib.sha256(dump_estimator(estimator)).hexdigest()


# models do not change once they are fitted, and a run serialises one for many reasons
@lru_cache(maxsize=4)
def dump_estimator(estimator: "Pipeline") -> bytes:
    """Serialise with skops, in a canonical form.

    skops names objects after their memory addresses and dates its archive, so two dumps of one
    model differ. Here objects are numbered in the order in which they appear.
    """
    import skops.io  # noqa: PLC0415 - it imports all of scikit-learn: seconds at every start

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = files.pop("schema.json").decode()
    addresses = re.findall(r'"(?:__id__": |file": ")(\d+)', schema)
    numbers = {address: str(i) for i, address in enumerate(dict.fromkeys(addresses))}
    schema = re.sub(
        r'("__id__": |"file": ")(\d+)', lambda match: match[1] + numbers[match[2]], schema
    )
    renamed = {
        f"{numbers[Path(name).stem]}{Path(name).suffix}": content for name, content in files.items()
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted({**renamed, "schema.json": schema.encode()}.items()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


# likewise, a run loads the champion for many nodes
@lru_cache(maxsize=8)
def load_estimator(data: bytes) -> "Pipeline":
    """Load what ``dump_estimator`` wrote; only trusted types, only this scikit-learn."""
    import skops.io  # noqa: PLC0415
    from sklearn.exceptions import InconsistentVersionWarning  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        return skops.io.loads(data, trusted=TRUSTED_TYPES)
