"""What was lived in a replay in; what each policy was worth out."""

from kedro.pipeline import Node, Pipeline

from .nodes import compare_policies, draw_replay, render_replay

PLOTS = ["replay_loss_plot", "replay_cost_plot"]


def create_pipeline() -> Pipeline:
    """Compare, draw, report."""
    return Pipeline(
        [
            Node(
                compare_policies,
                [
                    "contract",
                    "replay_scores",
                    "replay_ticks",
                    "params:replay",
                    "params:costs",
                    "params:bootstrap",
                ],
                "replay_policies",
            ),
            Node(draw_replay, ["replay_policies", "replay_ticks", "params:replay"], PLOTS),
            Node(
                render_replay,
                ["replay_policies", "replay_ticks", "params:replay", *PLOTS],
                "replay_report",
            ),
        ],
        namespace="replay",
        prefix_datasets_with_namespace=False,
    )
