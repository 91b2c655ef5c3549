"""Pipelines whose nodes have names, and that are imported when they are looked into."""

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable
from functools import partial
from types import ModuleType
from typing import Any

from kedro.pipeline import Node, Pipeline


def named_pipeline(namespace: str, nodes: Iterable[Node]) -> Pipeline:
    """A pipeline, each node of which has a name: `kedro run --from-nodes=NAMESPACE.FUNCTION`.

    Args:
        namespace: Of the nodes; datasets keep their names.
        nodes: The nodes; one that has a name keeps it.
    """
    named = [node if node._name else node._copy(name=node.func.__name__) for node in nodes]
    return Pipeline(named, namespace=namespace, prefix_datasets_with_namespace=False)


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


def find_pipelines(package: ModuleType, apart: Collection[str] = ()) -> dict[str, Pipeline]:
    """Name the pipelines of a package, a folder each; together they are the default.

    Args:
        package: The package, of whose folders each has a ``create_pipeline``.
        apart: Those that are walked on their own, and are no part of the default.
    """
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    loop = [name for name in names if name not in apart]

    def create(name: str) -> Pipeline:
        module = importlib.import_module(f"{package.__name__}.{name}")
        created: Pipeline = module.create_pipeline()
        return created

    return {
        **{name: LazyPipeline(partial(create, name)) for name in names},
        "__default__": LazyPipeline(lambda: Pipeline([create(name) for name in loop])),
    }
