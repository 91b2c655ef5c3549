"""What was lived in a replay in; what each policy was worth out."""

from kedro.pipeline import Node, Pipeline

from kedro_mlops.framework.pipelines import named_pipeline
from kedro_mlops.replay.nodes import compare_policies, draw_replay, render_replay

PARAMS = "params:replay"
PLOTS = ["replay_loss_plot", "replay_cost_plot"]


def create_pipeline() -> Pipeline:
    """Compare, draw, report."""
    return named_pipeline(
        "replay",
        [
            Node(
                compare_policies,
                [
                    "contract", "replay_scores", "replay_ticks", PARAMS, "params:costs",
                    "params:bootstrap",
                ],
                "replay_policies",
            ),
            Node(draw_replay, ["replay_policies", "replay_ticks", PARAMS], PLOTS),
            Node(
                render_replay, ["replay_policies", "replay_ticks", PARAMS, *PLOTS], "replay_report"
            ),
        ],
    )  # fmt: skip
