"""Candidate and champion in; a decision out."""

from kedro.pipeline import Node, Pipeline

from .behaviour import check_behaviour
from .nodes import judge


def create_pipeline() -> Pipeline:
    """Try the candidate's behaviour, and judge it."""
    return Pipeline(
        [
            Node(
                check_behaviour,
                ["candidate", "test", "params:behaviour", "params:seed"],
                "behaviour",
            ),
            Node(
                judge,
                [
                    "candidate",
                    "incumbent",
                    "test",
                    "test_predictions",
                    "metrics",
                    "slice_metrics",
                    "single_feature_auc",
                    "behaviour",
                    "candidate_footprint",
                    "params:gate",
                    "params:bootstrap",
                ],
                "gate_decision",
            ),
        ],
        namespace="gate",
        prefix_datasets_with_namespace=False,
    )
