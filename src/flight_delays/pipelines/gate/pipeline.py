"""Candidate and champion in; a decision out, and kept."""

from kedro.pipeline import Node, Pipeline

from kedro_mlops.framework.pipelines import named_pipeline
from kedro_mlops.gate.behaviour import check_behaviour, read_suite
from kedro_mlops.gate.nodes import admit, check_candidate, judge, read_limits, record
from kedro_mlops.gate.trial import plan_trial


def create_pipeline() -> Pipeline:
    """Try the candidate's behaviour, judge it, keep what was said, and plan a trial of it."""
    return named_pipeline(
        "gate",
        [
            Node(admit, ["candidate", "train", "validation", "test"], "admitted"),
            Node(read_limits, ["contract", "params:gate", "metric_functions"], "gate_limits"),
            Node(read_suite, ["contract", "params:behaviour"], "behaviour_suite"),
            Node(
                check_behaviour,
                ["contract", "admitted", "test", "behaviour_suite", "params:seed"],
                "behaviour",
            ),
            Node(
                check_candidate,
                [
                    "contract", "admitted", "test_predictions", "metrics", "slice_metrics",
                    "single_feature_auc", "behaviour", "candidate_footprint", "gate_limits",
                    "params:bootstrap",
                ],
                "candidate_checks",
            ),
            Node(
                judge,
                [
                    "contract", "admitted", "incumbent", "candidate_checks", "test",
                    "test_predictions", "params:gate", "params:bootstrap",
                ],
                "gate_decision",
            ),
            Node(record, "gate_decision", "gate_history"),
            Node(
                plan_trial,
                [
                    "contract", "admitted", "incumbent", "test", "test_predictions", "metrics",
                    "params:challenger_review", "params:challenger.share", "params:bootstrap",
                ],
                "trial_plan",
            ),
        ],
    )  # fmt: skip
