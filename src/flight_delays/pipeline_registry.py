"""The project's pipelines: a folder of ``pipelines`` each."""

from kedro.pipeline import Pipeline

from flight_delays import pipelines

from kedro_mlops.framework.pipelines import find_pipelines


def register_pipelines() -> dict[str, Pipeline]:
    """Name the pipelines; together they are the default."""
    # a replay is walked on its own: it needs what has been lived
    return find_pipelines(pipelines, apart=["replay"])
