"""The project's pipelines, in the order in which the loop walks them."""

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline


def register_pipelines() -> dict[str, Pipeline]:
    """Find the pipelines; together they are the default."""
    pipelines = find_pipelines(raise_errors=True)
    return {**pipelines, "__default__": Pipeline(list(pipelines.values()))}
