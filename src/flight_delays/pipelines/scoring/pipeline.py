"""Champion and model input in; predictions out."""

from kedro.pipeline import Node, Pipeline

from kedro_mlops.framework.pipelines import named_pipeline
from kedro_mlops.scoring.nodes import score


def create_pipeline() -> Pipeline:
    """Score the horizon."""
    moments = ["params:as_of", "params:horizon"]
    inputs = ["contract", "log_contract", "champion", "model_input", *moments]
    return named_pipeline("scoring", [Node(score, inputs, "predictions")])
