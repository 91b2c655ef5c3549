"""A raw table in, whose rows are what the model learns from."""

import ibis.expr.types as ir
import pandas as pd
from kedro.pipeline import Node, Pipeline

from flight_delays.contracts import Observation

from kedro_mlops.contract.quarantine import admit, judge_screening, screen
from kedro_mlops.contract.screening_account import TableAccount
from kedro_mlops.framework.pipelines import named_pipeline

PARTS = ["screened_observations", "observations_quarantine", "observations_account"]


def screen_observations(raw: pd.DataFrame) -> tuple[ir.Table, ir.Table, TableAccount]:
    """Part the rows that keep the contract from those that break it."""
    return screen(raw, Observation)


def create_pipeline() -> Pipeline:
    """Screen, and let pass what may."""
    return named_pipeline(
        "data_engineering",
        [
            Node(screen_observations, "raw_observations", PARTS),
            Node(judge_screening, ["params:screening", PARTS[-1]], "data_screening"),
            Node(
                admit,
                {"screening": "data_screening", "observations": PARTS[0]},
                {"observations": "model_input"},
            ),
        ],
    )
