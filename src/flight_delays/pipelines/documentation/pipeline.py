"""The contract, the champion and its owner's words in; pages for people out."""

from kedro.pipeline import Node, Pipeline

from kedro_mlops.documentation.nodes import render_card, render_dictionary
from kedro_mlops.framework.pipelines import named_pipeline


def create_pipeline() -> Pipeline:
    """Render the data dictionary and the model card."""
    card = ["contract", "champion", "params:model_card", "metric_functions"]
    return named_pipeline(
        "documentation",
        [
            Node(render_dictionary, "contracts", "data_dictionary"),
            # rendered anew when the champion moves
            Node(render_card, card, "model_card", tags=["of_champion"]),
        ],
    )
