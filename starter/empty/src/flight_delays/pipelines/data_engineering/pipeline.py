"""A table in; model input out. ``make adopt`` writes it from a table."""

from kedro.pipeline import Node, Pipeline

from kedro_mlops.framework.pipelines import named_pipeline

from .nodes import read_table


def create_pipeline() -> Pipeline:
    """Ask for a table."""
    nodes = [Node(read_table, None, ["model_input", "data_screening"])]
    return named_pipeline("data_engineering", nodes)
