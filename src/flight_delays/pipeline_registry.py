"""The project's pipelines, each imported when it is looked into: to be listed they need not be."""

import importlib
import pkgutil
from collections.abc import Callable
from functools import partial
from typing import Any

from kedro.pipeline import Pipeline

from flight_delays import pipelines

# walked on its own: it needs what `kedro replay` has lived
APART = ("replay",)


class LazyPipeline(Pipeline):
    """A pipeline that is made when something of it is asked for."""

    def __init__(self, make: Callable[[], Pipeline]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Any:
        """Called for what is not there yet."""
        # of a copy that is being made, nothing is there
        if "_make" not in vars(self) or name not in vars(made := self._make()):
            raise AttributeError(name)
        vars(self).update(vars(made))
        return vars(self)[name]


def register_pipelines() -> dict[str, Pipeline]:
    """Name the pipelines; together they are the default."""
    names = [module.name for module in pkgutil.iter_modules(pipelines.__path__)]
    loop = [name for name in names if name not in APART]
    return {
        **{name: LazyPipeline(partial(_create, name)) for name in names},
        "__default__": LazyPipeline(lambda: Pipeline([_create(name) for name in loop])),
    }


def _create(name: str) -> Pipeline:
    module = importlib.import_module(f"{pipelines.__name__}.{name}")
    created: Pipeline = module.create_pipeline()
    return created
