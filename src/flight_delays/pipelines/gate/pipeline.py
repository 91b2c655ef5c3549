"""Candidate and champion in; a decision out."""

from kedro.pipeline import Node, Pipeline

from .nodes import judge


def create_pipeline() -> Pipeline:
    """Judge the candidate."""
    return Pipeline(
        [
            Node(
                judge,
                [
                    "candidate",
                    "incumbent",
                    "test",
                    "test_predictions",
                    "metrics",
                    "single_feature_auc",
                    "params:as_of",
                    "params:gate",
                    "params:bootstrap",
                ],
                "gate_decision",
            )
        ],
        namespace="gate",
        prefix_datasets_with_namespace=False,
    )
