"""The BentoML service that a release contains."""

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import bentoml
import pandas as pd
from bentoml.models import BentoModel
from pydantic import BaseModel, Field

from flight_delays.columns import Columns
from flight_delays.contracts import Inputs, Prediction
from flight_delays.model_package import ModelPackage
from flight_delays.records import json_records

from .api import Answer, ModelInfo, Predictions, explained, request_model
from .features import FeatureStore
from .prediction_log import PredictionLog

NAME = "flight_delays"
MAX_ROWS = 10_000
# BentoML changes into the Bento's own folder; the defaults are below the one it was started in
DATA = Path(os.environ.get("PWD", ".")) / "data"
COLUMNS = Columns.of(Inputs)
EXPLAINED = explained(COLUMNS)

DESCRIPTION = """# Predictions of the champion

`POST /predict` takes `{"rows": [...]}`, at most 10,000 of them, each with what the caller knows.
It answers each with a probability, the decision at the threshold, the model's version and the
prediction's id. What the caller does not know is looked up in the online feature store; what is
not found there is listed in `missing_features`. Every prediction is logged.

`POST /info` says which model serves, from which data and commit, and how good it was.
"""

if TYPE_CHECKING:
    Row = BaseModel
else:
    Row = request_model(Inputs)


class Arguments(BaseModel):
    """Bento arguments: ``bentoml serve --arg model=…``; a built Bento has its own."""

    model: str = f"{NAME}:latest"


arguments = bentoml.use_arguments(Arguments)


@bentoml.service(name=NAME, description=DESCRIPTION, traffic={"timeout": 30})
class PredictionService:
    """Predictions of the champion.

    Environment: ``FEATURE_STORE_URL`` (SQLAlchemy), ``PREDICTION_LOG_DIR``,
    ``MAX_FEATURE_AGE_DAYS``.
    """

    model = BentoModel(arguments.model)

    def __init__(self) -> None:
        self.package = ModelPackage.read(Path(self.model.path))
        self.features = FeatureStore(
            os.environ.get("FEATURE_STORE_URL", f"sqlite:///{DATA}/04_feature/online.db"),
            COLUMNS,
            max_age_days=int(os.environ.get("MAX_FEATURE_AGE_DAYS", "7")),
        )
        folder = os.environ.get("PREDICTION_LOG_DIR", DATA / "07_model_output/prediction_log")
        self.log = PredictionLog(Path(folder), Columns.of(Prediction).without_personal())

    @bentoml.api
    def predict(
        self, rows: Annotated[list[Row], Field(min_length=1, max_length=MAX_ROWS), EXPLAINED]
    ) -> Predictions:
        """Probability and decision for each row."""
        inputs = self.features.complete(_frame(rows))
        probabilities = self.package.predict(inputs)
        now = datetime.now(UTC).replace(tzinfo=None)
        predictions = inputs.assign(
            prediction_id=[uuid.uuid4().hex for _ in rows],
            predicted_at=pd.Timestamp(now),
            model_version=self.package.version,
            probability=probabilities,
            decision=self.package.decide(probabilities),
        )
        self.log.append(predictions, now.date())
        return Predictions(predictions=_answers(predictions))

    @bentoml.api
    def info(self) -> ModelInfo:
        """The model that serves, and its metrics on the test window."""
        metadata = self.package.metadata
        return ModelInfo(
            model_version=metadata.version,
            family=metadata.family,
            as_of=metadata.as_of,
            threshold=metadata.threshold,
            metrics=metadata.metrics,
            git_commit=metadata.lineage.git_commit,
            data_hash=metadata.lineage.data_hash,
        )

    @bentoml.on_shutdown
    def close(self) -> None:
        """Close the prediction log."""
        self.log.close()


def _frame(rows: list[Row]) -> pd.DataFrame:
    """The rows as a table in the contract's types."""
    frame = pd.DataFrame([row.model_dump() for row in rows])
    return frame.astype({column.name: column.pandas_dtype for column in COLUMNS.sent})


def _answers(predictions: pd.DataFrame) -> list[Answer]:
    looked_up = [column.name for column in COLUMNS.looked_up]
    missing = predictions[looked_up].isna().to_numpy()
    fields = ["prediction_id", "probability", "decision", "model_version"]
    return [
        Answer(**record, missing_features=[n for n, m in zip(looked_up, absent, strict=True) if m])
        for record, absent in zip(json_records(predictions[fields]), missing, strict=True)
    ]
