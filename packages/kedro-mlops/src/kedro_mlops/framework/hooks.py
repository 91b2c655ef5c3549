"""Kedro hooks: one run at a time, node by node, with parameters that exist, and its summary."""

import gc
import logging
import os
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, SharedMemoryDataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from kedro_mlops.core import files, run_lock
from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.core.project import open_project
from kedro_mlops.monitoring.decisions import BAD_DATA, Alert, Guard, RetrainDecision

from .bad_data import UnworkableError, as_bad_data
from .session import open_store, workplace

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger(__name__)

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
# OpenMP threads wait for each other by spinning, which a busy machine pays for many times over;
# work is spread over trials instead, and results do not depend on the number of cores
os.environ.setdefault("OMP_NUM_THREADS", "1")
files.register()
# a champion that stays is not saved again; Kedro would take the missing version for a mistake
warnings.filterwarnings("ignore", message=r"(?s)Save version .*ModelPackageDataset")
warnings.filterwarnings("ignore", message="register_new_resolver")

NODE_BY_NODE = (
    "These pipelines run node by node, by the SequentialRunner and not asynchronously: all tables "
    "share one connection to DuckDB, which uses all cores by itself."
)


class _Run(threading.local):
    """The run of this thread."""

    where: "tuple[Path, UPath | None]" = (Path(), None)
    lock: run_lock.RunLock | None = None
    n_nodes: int | None = None
    n_started = 0
    node: Node | None = None
    loading: str | None = None


class ProjectHooks:
    """Checks before a run, progress during it, and the summary after it."""

    def __init__(self) -> None:
        self._run = _Run()
        self._is_resting = False

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse parameters that the base environment does not have: they are misspelt."""
        open_project(context.project_path)
        open_store(context)
        self._run.where = workplace(context)
        loader = context.config_loader
        assert isinstance(loader, OmegaConfigLoader)
        base = loader.load_and_merge_dir_config(
            f"{loader.conf_source}/{loader.base_env}",
            loader.config_patterns["parameters"],
            key="base_parameters",  # as "parameters", Kedro would add those of the command line
            processed_files=set(),
        )
        # each run validates those of its own pipelines; these here need none imported
        check_parameters(loader["parameters"], known=base)

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Count the steps, and keep other runs out of what this one writes."""
        if isinstance(catalog, SharedMemoryDataCatalog) or "ThreadRunner" in run_params["runner"]:
            raise ProjectError(NODE_BY_NODE)
        self._rest_collector()
        self._end()  # of a run that was interrupted, Kedro tells nobody
        self._run.n_nodes, self._run.n_started = len(pipeline.nodes), 0
        if any(name in catalog for name in pipeline.all_outputs()):
            self._run.lock = run_lock.take(*self._run.where)

    def _rest_collector(self) -> None:
        """Modules stay: the collector of garbage need not look at them all through the first run.

        Only once, since what later runs of a process leave behind is to be collected.
        """
        if not self._is_resting:
            gc.freeze()
        self._is_resting = True

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Refuse to load in a thread that did not begin a run."""
        if self._run.n_nodes is None:
            raise ProjectError(NODE_BY_NODE)
        self._run.node, self._run.loading = node, dataset_name

    @hook_impl
    def before_node_run(self, node: Node, is_async: bool) -> None:
        """Say which node is running."""
        if is_async or self._run.n_nodes is None:
            raise ProjectError(NODE_BY_NODE)
        self._run.n_started += 1
        self._run.node, self._run.loading = node, None
        logger.info("[%2d/%s] %s", self._run.n_started, self._run.n_nodes, node.func.__name__)

    def _end(self) -> None:
        """Let others run."""
        if self._run.lock is not None:
            self._run.lock.release()
        self._run.lock = self._run.n_nodes = self._run.node = self._run.loading = None

    @hook_impl
    def on_pipeline_error(self, error: Exception, catalog: CatalogProtocol[Any, Any]) -> None:
        """Leave a decision where bad data stopped the run, in place of one that is outdated.

        Raises:
            UnworkableError: in place of what an engine has said of the data.
        """
        try:
            bad = as_bad_data(error, self._run.node, self._run.loading)
        finally:
            self._end()
        if bad is None:
            return
        catalog.save("retrain_decision", RetrainDecision.weigh([], [Guard.of_data(str(bad))]))
        catalog.save("alerts", [Alert(kind=BAD_DATA, message=str(bad))])
        if isinstance(bad, UnworkableError):
            raise bad from error

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Say what was made."""
        try:
            self._say(run_params["env"], pipeline, catalog)
        finally:
            self._end()

    def _say(self, env: str | None, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        if self._run.n_started == 0:
            return  # nothing was made
        from .summary import ARTEFACTS, PAGES, summarise  # noqa: PLC0415 - imports the model

        names = pipeline.all_outputs() & set(ARTEFACTS)
        made = {name: catalog.load(name) for name in names - set(PAGES)}
        for name in names & set(PAGES):
            made[name] = _as_typed(catalog[name])
        if made and logger.isEnabledFor(logging.INFO):
            click.echo(f"\n{summarise(made, env, catalog.exists('champion'))}\n")


def _as_typed(page: Any) -> str:
    """Where a page is: from here, or on a store."""
    path, protocol = str(page._describe()["filepath"]), page._describe()["protocol"]
    return os.path.relpath(path) if protocol == "file" else f"{protocol}://{path}"


def check_parameters(given: Iterable[str], known: Iterable[str]) -> None:
    """Compare the top-level parameters that are given with those that are known.

    Raises:
        ProjectError: naming the first unknown one, and what it may have meant.
    """
    known = sorted(known)
    for name in given:
        if name not in known:
            raise ProjectError(f"There is no parameter '{name}'. {suggestion(name, known)}")


hooks = ProjectHooks()
