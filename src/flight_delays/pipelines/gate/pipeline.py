"""Candidate and champion in; a decision out."""

from kedro.pipeline import Node, Pipeline

from .behaviour import check_behaviour
from .nodes import admit, judge


def create_pipeline() -> Pipeline:
    """Try the candidate's behaviour, and judge it."""
    return Pipeline(
        [
            Node(admit, ["candidate", "train", "validation", "test"], "admitted"),
            Node(
                check_behaviour,
                ["admitted", "test", "params:behaviour", "params:seed"],
                "behaviour",
            ),
            Node(
                judge,
                [
                    "admitted",
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
