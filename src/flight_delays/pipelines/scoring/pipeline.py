"""Champion and model input in; predictions out."""

from kedro.pipeline import Node, Pipeline

from .nodes import score


def create_pipeline() -> Pipeline:
    """Score the horizon."""
    return Pipeline(
        [
            Node(
                score,
                [
                    "contract",
                    "log_contract",
                    "champion",
                    "model_input",
                    "params:as_of",
                    "params:horizon",
                ],
                "predictions",
            )
        ],
        namespace="scoring",
        prefix_datasets_with_namespace=False,
    )
