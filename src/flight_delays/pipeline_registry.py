"""The project's pipelines, in the order in which the loop walks them."""

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

# walked on its own: it needs what `kedro replay` has lived
APART = ("replay",)


def register_pipelines() -> dict[str, Pipeline]:
    """Find the pipelines; together they are the default."""
    pipelines = find_pipelines(raise_errors=True)
    loop = [pipeline for name, pipeline in pipelines.items() if name not in APART]
    return {**pipelines, "__default__": Pipeline(loop)}
