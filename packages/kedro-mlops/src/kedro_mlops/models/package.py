"""A model together with everything that must travel with it, as plain files and never as pickle.

``model.skops``      the fitted scikit-learn pipeline that serves
``evaluated.skops``  the same recipe fitted without the test window, or once for each fold without
                     that; only the gate needs it
``loss_estimate.skops``  of numbers: what a row's loss is expected to be; only monitoring needs it
``metadata.json``    version, task, metrics, lineage, the parameters that it was trained with,
                     the decision that made it champion, and the versions withdrawn until then
``reference.json``   the reference profile that monitoring compares with
``evaluation.json``  what was found of the data and the model; only people need it
``SHA256SUMS``       the hash of each of them: what differs from it, or is not in it, is not read
"""

import io
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeGuard
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.storage import Place
from kedro_mlops.measures.drift_reference import Reference
from kedro_mlops.measures.evaluation import Evaluation
from kedro_mlops.runtime.serving_spec import hash_of
from kedro_mlops.task.outputs import Floats, Output

from .metadata import (
    EVALUATED,
    EVALUATION,
    HASHES,
    LOSS_ESTIMATE,
    METADATA,
    MODEL,
    REFERENCE,
    Metadata,
    read_as_saved,
    read_if_saved,
    reading,
)

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from .families import Family
    from .folded import Folded

# skops refuses every type that is neither its own, nor named here or by a family
TRUSTED_TYPES = [
    "kedro_mlops.contract.folds.Folds",
    "kedro_mlops.models.folded.Folded",
    "kedro_mlops.models.preprocessing.Bounded",
    "kedro_mlops.models.preprocessing.CalendarFeatures",
    "kedro_mlops.models.preprocessing.DateFeatures",
    "kedro_mlops.models.preprocessing.Numbers",
    "kedro_mlops.models.text.TextFeatures",
    "numpy.dtype",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.model_selection._split.KFold",
]


class UnloadableError(ProjectError):
    """A model that this scikit-learn cannot load, or that has types which are not trusted."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"A model cannot be loaded: {why}. Train another in its place: `kedro run "
            "--pipelines=data_engineering,modelling,gate`, then `kedro champion promote VERSION "
            "--reason …`, with the version that the run names."
        )
        self.why = why


@dataclass(frozen=True)
class Unloadable:
    """A model that cannot be loaded here, but passed on as it is.

    Attributes:
        data: What ``dump_estimator`` wrote.
        why: What is wrong with it.
        stand_in: Scores of rows without scikit-learn, if its release knows them.
    """

    data: bytes
    why: str
    stand_in: Callable[[pd.DataFrame], Floats] | None = None

    def scores(self, rows: pd.DataFrame) -> Floats:
        """Scores of rows.

        Raises:
            UnloadableError: if nothing stands in for the model.
        """
        if self.stand_in is None:
            raise UnloadableError(self.why)
        return self.stand_in(rows)


Model: TypeAlias = "Pipeline | Unloadable"


def is_mute(model: "Model | Folded | None") -> TypeGuard[Unloadable]:
    """Whether a model can neither be loaded here, nor answer by what stands in for it."""
    return isinstance(model, Unloadable) and model.stand_in is None


@dataclass(frozen=True)
class ModelPackage:
    """A model that can be saved, released and served.

    ``base`` is the saved version that it was made from, if any; it is not part of the package.
    """

    estimator: Model
    metadata: Metadata
    reference: Reference
    evaluated: "Model | Folded | None" = None
    evaluation: Evaluation | None = None
    loss_estimate: "Model | None" = None
    base: str | None = None

    @property
    def version(self) -> str:
        """As-of day, and a hash of the model and of how it decides."""
        return self.metadata.version

    def score(self, rows: pd.DataFrame) -> Floats:
        """What the model says of each row, shape (n_rows,), or (n_rows, n_classes) of several."""
        return scores_of(self.metadata.output, self.estimator, rows[self.metadata.features])

    def expected_losses(self, rows: pd.DataFrame) -> Floats | None:
        """The loss that is expected of each prediction, if a model of it was fitted.

        Args:
            rows: What was known of them, and the columns of their scores.
        """
        if self.loss_estimate is None or isinstance(self.loss_estimate, Unloadable):
            return None
        read = [*self.metadata.features, *self.metadata.output.score_columns()]
        losses = self.loss_estimate.predict(rows[read])
        # no loss is below 0, and a sum of trees may be
        return np.asarray(np.maximum(losses, 0), dtype=np.float64)

    def predict(self, rows: pd.DataFrame) -> dict[str, NDArray[Any]]:
        """The columns of the rows' predictions."""
        return self.metadata.output.of_rows(self.score(rows))

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

    def write(self, folder: Place) -> None:
        """Write the package's files into an existing folder; that of the hashes makes it whole."""
        files = {
            MODEL: dump_estimator(self.estimator),
            METADATA: self.metadata.model_dump_json(indent=2).encode(),
            REFERENCE: self.reference.model_dump_json().encode(),
        }
        for name, model in ((EVALUATED, self.evaluated), (LOSS_ESTIMATE, self.loss_estimate)):
            if model is not None:
                files[name] = dump_estimator(model)
        if self.evaluation is not None:
            files[EVALUATION] = self.evaluation.model_dump_json(indent=2).encode()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        # in the form of sha256sum, which can check it
        sums = [f"{hash_of(content)}  {name}\n" for name, content in files.items()]
        (folder / HASHES).write_text("".join(sums))

    @classmethod
    def read(cls, folder: Place, trusted: tuple[str, ...] = ()) -> Self:
        """Read a package from its folder.

        A model that cannot be loaded here, being of another scikit-learn or of types that are
        neither the engine's own nor ``trusted``, is ``Unloadable``: what is known about it can be
        read all the same.

        Raises:
            ProjectError: if a file is missing, or is not the one that was saved.
        """
        metadata = Metadata.read(folder)
        with reading(folder):
            model = read_as_saved(folder, MODEL)
            if hash_of(model) != metadata.content_hash:
                raise ValueError(f"{MODEL} is not the file that {METADATA} describes")
            evaluated, evaluation, loss_estimate = (
                read_if_saved(folder, name) for name in (EVALUATED, EVALUATION, LOSS_ESTIMATE)
            )
            package = cls(
                estimator=_load(model, trusted),
                metadata=metadata,
                reference=Reference.model_validate_json(read_as_saved(folder, REFERENCE)),
                evaluated=_load(evaluated, trusted) if evaluated else None,
                evaluation=Evaluation.model_validate_json(evaluation) if evaluation else None,
                loss_estimate=_load(loss_estimate, trusted) if loss_estimate else None,
            )
        package.check_dates()
        return package


def scores_of(output: Output, estimator: Model, rows: pd.DataFrame) -> Floats:
    """What a model says of each row, shape (n_rows,), or (n_rows, n_classes) of several."""
    if isinstance(estimator, Unloadable):
        return estimator.scores(rows)
    return output.ask(estimator, rows)


def content_hash(estimator: Model) -> str:
    """SHA-256 of the fitted model's canonical bytes: equal models have equal hashes."""
    return hash_of(dump_estimator(estimator))


# models do not change once they are fitted, and a run asks for the bytes of one many times
_SERIALISED: WeakKeyDictionary[Model, bytes] = WeakKeyDictionary()


def dump_estimator(estimator: Model) -> bytes:
    """Serialise with skops, in a canonical form, unless that has been done."""
    if isinstance(estimator, Unloadable):
        return estimator.data
    if estimator not in _SERIALISED:
        _SERIALISED[estimator] = _serialise(estimator)
    return _SERIALISED[estimator]


# infinities, and texts of a character at most
_KEPT_ONCE = re.compile(
    r'("content": "(?:-?Infinity|\\"(?:[^"\\]|\\\\(?:u[0-9a-f]{4}|\\.|.))?\\")",'
    r'\s*"is_json": true,\s*"__id__": )\d+'
)


def _serialise(estimator: Model) -> bytes:
    """Dump in a canonical form.

    skops names objects after their memory addresses and dates its archive, so two dumps of one
    model differ. Here objects are numbered in the order in which they appear; letters and
    infinities, of which a model that was read has one object for all, each time they do.
    """
    import skops.io  # noqa: PLC0415 - it imports all of scikit-learn: seconds at every start

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = files.pop("schema.json").decode()
    schema = _KEPT_ONCE.sub(lambda match: f"{match[1]}0{match.start()}", schema)
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


def trusted_types(families: "Mapping[str, Family]") -> tuple[str, ...]:
    """The types that models of some families have, besides those that are the engine's own."""
    return tuple(sorted({name for family in families.values() for name in family.trusted}))


def _load(data: bytes, trusted: tuple[str, ...]) -> Model:
    try:
        return load_estimator(data, trusted)
    except UnloadableError as error:
        return Unloadable(data, error.why)


# likewise, a run loads the champion for many nodes
@lru_cache(maxsize=8)
def load_estimator(data: bytes, trusted: tuple[str, ...] = ()) -> "Pipeline":
    """Load what ``dump_estimator`` wrote.

    Raises:
        UnloadableError: if it is of another scikit-learn, or has types that are neither the
            engine's own nor ``trusted``.
    """
    import skops.io  # noqa: PLC0415
    from sklearn.exceptions import InconsistentVersionWarning  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            estimator: Pipeline = skops.io.loads(data, trusted=[*TRUSTED_TYPES, *trusted])
    except InconsistentVersionWarning as error:
        there, here = error.original_sklearn_version, error.current_sklearn_version
        raise UnloadableError(f"it is of scikit-learn {there}, and this is {here}") from error
    # whatever another version has moved, renamed or made otherwise
    except Exception as error:
        raise UnloadableError(f"{type(error).__name__}: {error}") from error
    _SERIALISED[estimator] = data
    return estimator
