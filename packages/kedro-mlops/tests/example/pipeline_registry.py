"""The example's pipelines, as far as the engine asks a project for them."""

from kedro.pipeline import Node, Pipeline

from example.monitoring import monitoring_pipeline
from kedro_mlops.documentation.nodes import render_card
from kedro_mlops.framework.pipelines import named_pipeline

CARD = ["contract", "champion", "params:model_card", "metric_functions"]


def register_pipelines() -> dict[str, Pipeline]:
    """What tells of the champion, and what watches it."""
    card = Node(render_card, CARD, "model_card", tags=["of_champion"])
    return {
        "__default__": named_pipeline("documentation", [card]),
        "modelling": Pipeline([]),
        "monitoring": monitoring_pipeline(),
    }
