"""The contract and the champion in; pages for people out."""

from kedro.pipeline import Node, Pipeline

from .nodes import render_card, render_dictionary


def create_pipeline() -> Pipeline:
    """Render the data dictionary and the model card."""
    return Pipeline(
        [
            Node(render_dictionary, None, "data_dictionary"),
            Node(render_card, ["champion", "data_screening"], "model_card"),
        ],
        namespace="documentation",
        prefix_datasets_with_namespace=False,
    )
