"""The contract, the champion and its owner's words in; pages for people out."""

from kedro.pipeline import Node, Pipeline

from .nodes import render_card, render_dictionary


def create_pipeline() -> Pipeline:
    """Render the data dictionary and the model card."""
    return Pipeline(
        [
            Node(render_dictionary, "contracts", "data_dictionary"),
            # rendered anew when the champion moves
            Node(
                render_card,
                ["contract", "champion", "params:model_card"],
                "model_card",
                tags=["of_champion"],
            ),
        ],
        namespace="documentation",
        prefix_datasets_with_namespace=False,
    )
