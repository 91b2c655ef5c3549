"""Ingestion of the prediction log, as the pipeline does it."""

from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from kedro_mlops.contract.datasets import ContractDataset
from kedro_mlops.monitoring.nodes import ingest
from kedro_mlops.prediction_log.datasets import PredictionLogDataset, ServedPredictionsDataset


def datasets(
    folder: Path, contract: str = "example.contracts.Prediction", served_in: str = ""
) -> dict[str, Any]:
    """The log in a folder, and what is made of it there, or on a store by its URL."""
    served_in = served_in or str(folder / "served")
    log = PredictionLogDataset(filepath=str(folder / "log"), served=served_in)
    served = ServedPredictionsDataset(
        filepath=served_in, contract=contract, log=str(folder / "log"), copy=str(folder / "copy")
    )
    logged = ContractDataset(contract=contract, without_personal=True)
    return {"log_contract": logged, "prediction_log": log, "served_predictions": served}


def run(datasets: dict[str, Any]) -> None:
    """Ingest once."""
    node = Node(
        ingest, ["log_contract", "prediction_log"], "served_predictions", confirms="prediction_log"
    )
    SequentialRunner().run(Pipeline([node]), DataCatalog(datasets))
