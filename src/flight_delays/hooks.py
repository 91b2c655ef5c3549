"""Kedro hooks: parameters that exist, a line for every node, a summary at the end."""

import logging
import os
from collections.abc import Iterable
from typing import Any

import click
from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from flight_delays.errors import BadDataError, ProjectError, suggestion
from flight_delays.project import open_project

logger = logging.getLogger(__name__)


class ProjectHooks:
    """Checks before a run, progress during it, and the summary after it."""

    def __init__(self) -> None:
        self._n_nodes = 0
        self._n_started = 0

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse parameters that the base environment does not have: they are misspelt."""
        open_project(context.project_path)
        loader = context.config_loader
        assert isinstance(loader, OmegaConfigLoader)
        base = loader.load_and_merge_dir_config(
            f"{loader.conf_source}/{loader.base_env}",
            loader.config_patterns["parameters"],
            key="base_parameters",  # as "parameters", Kedro would add those of the command line
            processed_files=set(),
        )
        check_parameters(context.params, known=base)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the steps."""
        self._n_nodes, self._n_started = len(pipeline.nodes), 0

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Say which node is running."""
        self._n_started += 1
        logger.info("[%2d/%d] %s", self._n_started, self._n_nodes, node.func.__name__)

    @hook_impl
    def on_pipeline_error(self, error: Exception, catalog: CatalogProtocol[Any, Any]) -> None:
        """Leave a decision where bad data stopped the run, in place of one that is outdated."""
        if isinstance(error, BadDataError):
            decision = wait_for_better_data(str(error))
            catalog.save("retrain_decision", decision)
            alert = {"kind": "bad data", "at": None, "model_version": None, "message": str(error)}
            catalog.save("alerts", [alert])

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Say what was made."""
        from flight_delays.summary import ARTEFACTS, PAGES, summarise  # noqa: PLC0415 - imports the model

        made: dict[str, Any] = {}
        for name in pipeline.all_outputs() & set(ARTEFACTS):
            made[name] = _path(catalog, name) if name in PAGES else catalog.load(name)
        if made and logger.isEnabledFor(logging.INFO):
            click.echo(f"\n{summarise(made, run_params['env'], catalog.exists('champion'))}\n")


def wait_for_better_data(reason: str) -> dict[str, Any]:
    """The decision that bad data leaves: it never retrains."""
    reason = f"Bad data vetoes retraining: {reason}"
    return {
        "outcome": "wait",
        "without_guards": "wait",
        "decided_at": None,
        "model_version": None,
        "reasons": [reason],
        "rules": [],
        "guards": [{"guard": "bad data", "refused": True, "reason": reason}],
        "drifted": [],
    }


def check_parameters(given: Iterable[str], known: Iterable[str]) -> None:
    """Compare the top-level parameters that are given with those that are known.

    Raises:
        ProjectError: naming the first unknown one, and what it may have meant.
    """
    known = sorted(known)
    for name in given:
        if name not in known:
            raise ProjectError(f"There is no parameter '{name}'. {suggestion(name, known)}")


def _path(catalog: CatalogProtocol[Any, Any], name: str) -> str:
    return os.path.relpath(str(catalog[name]._describe()["filepath"]))
