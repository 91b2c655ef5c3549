"""Kedro hooks: parameters that exist, a line for every node, a summary at the end."""

import difflib
import logging
import os
from typing import Any

import click
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from flight_delays.errors import ProjectError

logger = logging.getLogger(__name__)

PREFIX = "params:"


class ProjectHooks:
    """Checks before a run, progress during it, and the summary after it."""

    def __init__(self) -> None:
        self._n_nodes = 0
        self._n_started = 0

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Refuse parameters that no pipeline reads: most often they are misspelt."""
        check_parameters(
            [name.removeprefix(PREFIX) for name in catalog if name.startswith(PREFIX)],
            {name.removeprefix(PREFIX) for p in pipelines.values() for name in p.inputs()},
        )
        self._n_nodes, self._n_started = len(pipeline.nodes), 0

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Say which node is running."""
        self._n_started += 1
        logger.info("[%2d/%d] %s", self._n_started, self._n_nodes, node.func.__name__)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Say what was made."""
        from flight_delays.summary import ARTEFACTS, summarise  # noqa: PLC0415 - imports the model

        made: dict[str, Any] = {}
        for name in pipeline.all_outputs() & set(ARTEFACTS):
            made[name] = _path(catalog, name) if name.endswith("_report") else catalog.load(name)
        if made:
            click.echo(f"\n{summarise(made)}\n")


def check_parameters(given: list[str], read: set[str]) -> None:
    """Compare the parameters that are given with those that the pipelines read.

    Raises:
        ProjectError: naming the first unknown one, and what it may have meant.
    """
    known = {name.split(".")[0] for name in read}
    for name in given:
        if name.split(".")[0] not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"Did you mean '{close[0]}'?" if close else f"There are {', '.join(sorted(known))}."
            )
            raise ProjectError(f"There is no parameter '{name}'. {hint}")


def _path(catalog: CatalogProtocol[Any, Any], name: str) -> str:
    return os.path.relpath(str(catalog[name]._describe()["filepath"]))
