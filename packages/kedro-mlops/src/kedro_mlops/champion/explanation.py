"""Logged predictions once more: found by their ids, computed by their models, and explained."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.decision import Decision
from kedro_mlops.models.metadata import saved_at
from kedro_mlops.models.released import models_of, spec_of

from .history import CANDIDATE, VERDICTS, Catalog, Saved, models, past_champions

if TYPE_CHECKING:
    from kedro_mlops.runtime.serving_spec import ServingSpec
    from kedro_mlops.serving.model import Explained, ServedModel

SERVED, LOG, LOG_CONTRACT, CONTRACT = (
    "served_predictions",
    "prediction_log",
    "log_contract",
    "contract",
)
# the entries that are read besides those that tell of models
READ = (SERVED, LOG, LOG_CONTRACT, CONTRACT)

Record = dict[str, Any]


@dataclass(frozen=True)
class Again:
    """A logged prediction, computed again.

    Attributes:
        record: What was logged.
        spec: What its model is served by.
        decision: On its model, as far as it is on record.
        predicted: What the model says now, by the names of what was told.
        explained: What the features contributed, or why that is not known.
    """

    record: Record
    spec: "ServingSpec"
    decision: Decision | None
    predicted: dict[str, Any]
    explained: "Explained | str"

    @property
    def differences(self) -> dict[str, tuple[Any, Any]]:
        """What was logged, and what is said now, where that is not the same to the last bit."""
        return {
            name: (self.record[name], value)
            for name, value in self.predicted.items()
            if self.record[name] != value
        }


def explain(ids: Sequence[str], catalog: Catalog, tolerance: float) -> Iterator[Again]:
    """Compute logged predictions again, in the order of their ids.

    Args:
        ids: Of the predictions.
        catalog: Of the project.
        tolerance: Of compiled trees, where the release of a model is gone and made again.

    Raises:
        ProjectError: if there is no such prediction, or its model is no longer at hand.
    """
    records = logged(ids, catalog)
    found: dict[str, ServedModel] = {}
    for record in records:
        version = record["model_version"]
        if version not in found:
            asked = [one for one in records if one["model_version"] == version]
            found[version] = _at_hand(version, asked, catalog, tolerance)
        yield _again(record, found[version], _decided(record, catalog))


def logged(ids: Sequence[str], catalog: Catalog) -> list[Record]:
    """The predictions with some ids, as they were logged.

    Raises:
        ProjectError: naming those that are not in the log.
    """
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.compute as pc  # noqa: PLC0415

    from kedro_mlops.prediction_log.parts import take  # noqa: PLC0415

    found: dict[str, Record] = {}
    columns = catalog.load(LOG_CONTRACT)
    # what an ingestion takes away meanwhile is then among what was served
    for part in catalog.load(LOG):
        with contextlib.suppress(FileNotFoundError):
            rows = take(part, columns).rows
            asked = rows.filter(pc.is_in(rows["prediction_id"], pa.array(ids)))
            found |= {row["prediction_id"]: row for row in asked.to_pylist()}
    served = catalog.load(SERVED)
    asked = served.filter(served.prediction_id.isin(ids)).to_pyarrow()
    found |= {row["prediction_id"]: row for row in asked.to_pylist()}
    unknown = [name for name in ids if name not in found]
    if unknown:
        raise ProjectError(
            f"No prediction {' or '.join(unknown)} is on record. The ids are in the service's "
            "answers, as `prediction_id`; what it logs is read from this environment's "
            f"{LOG} and {SERVED}, and the oldest of a log goes when there is no more room for it."
        )
    return [found[name] for name in dict.fromkeys(ids)]


def _at_hand(
    version: str, records: Sequence[Record], catalog: Catalog, tolerance: float
) -> "ServedModel":
    """A model, as it was released; where that is gone, released once more from its package."""
    from kedro_mlops.serving.model import ServedModel, loader  # noqa: PLC0415 - heavy

    load = loader(catalog[CANDIDATE].families)
    for folder, spec in _released(past_champions(catalog)):
        if spec.model_version == version:
            return ServedModel(folder, spec, 1, load)
    saved = [one for one in models(catalog) if one.version == version]
    if not saved:
        raise ProjectError(
            f"The model {version} made the prediction {records[0]['prediction_id']}, and is no "
            "longer at hand: neither BentoML's store has it, nor is it among the candidates and "
            "champions. Put back what was removed, or train it again from its commit."
        )
    with tempfile.TemporaryDirectory(prefix="explain-") as scratch:
        folder = Path(scratch)
        spec = _export(saved[0], records, catalog, tolerance, folder)
        return ServedModel(folder, spec, 1, load)


def _released(champions: Sequence[Saved]) -> "Iterator[tuple[Path, ServingSpec]]":
    """The models in BentoML's store that are or were released, those of the champion first."""
    for release in dict.fromkeys(one.metadata.release or "" for one in champions):
        # of what is not whole any more the model is looked for elsewhere
        with contextlib.suppress(ProjectError):
            yield from ((folder, spec_of(folder)) for folder in models_of(release))


def _export(
    saved: Saved, records: Sequence[Record], catalog: Catalog, tolerance: float, folder: Path
) -> "ServingSpec":
    import pandas as pd  # noqa: PLC0415 - heavy

    from kedro_mlops.export.serving_form import export  # noqa: PLC0415

    columns, features = catalog.load(CONTRACT), saved.metadata.features
    rows = pd.DataFrame(records)[features]
    rows = rows.astype({name: columns[name].types.pandas for name in features})
    return export(saved.package(), columns, rows, tolerance, folder)


def _again(record: Record, model: "ServedModel", decision: Decision | None) -> Again:
    # what is personal is not logged, and no feature
    values = [record.get(field.name) for field in model.spec.fields]
    output = model.spec.output
    predicted = output.of_row(model.score(values)[0])
    explained: Explained | str
    try:
        explained = model.explain(values, int(output.place_of_raw(predicted)))
    except ProjectError as error:
        explained = str(error)
    names = [told.name for told in output.told]
    return Again(record, model.spec, decision, dict(zip(names, predicted, strict=True)), explained)


def _decided(record: Record, catalog: Catalog) -> Decision | None:
    """What had made the model champion when it answered; of a challenger, what the gate said."""
    version, moment = record["model_version"], record["predicted_at"]
    for one in past_champions(catalog):
        if one.version == version and one.decision and saved_at(one.moment) <= moment:
            return one.decision
    for row in catalog[VERDICTS].records():
        if row["candidate"] == version:
            return Decision(**row | {"reasons": [row["reasons"]]})
    return None
