"""Kedro hooks that keep what each node was made of, in every run, for ``kedro run --changed``."""

import contextlib
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from kedro.framework import project as kedro_project
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from kedro_mlops.core.datasets import CodeDataset
from kedro_mlops.framework.session import data_folder

from .code_index import UnknownError, code_index
from .fingerprints import Fingerprints
from .records import NodeRun, Records, WholeRun
from .shortcut import begin_whole_run, end_whole_run, hash_configuration

logger = logging.getLogger(__name__)

MAX_NAMED = 3


class Recorder:
    """Notes what nodes are made of as they run; says what has changed since they ran last."""

    def __init__(self) -> None:
        self.asked: str | None = None  # a hash of what is asked of the run
        self._data = Path()
        self._context: KedroContext | None = None
        self._records = Records()
        self._now: Fingerprints | None = None
        self._configured: str | None = None  # its hash
        self._whole: WholeRun | None = None
        self._begun: dict[str, NodeRun | None] = {}
        self._ran: list[Node] = []

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Know where the records are, and how the run is configured before that is read for it."""
        self._data, self._context = data_folder(context), context
        with contextlib.suppress(UnknownError):
            self._configured = hash_configuration(context) if self.asked is not None else None

    @hook_impl(trylast=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Read the records, once other runs are kept out, and the code, before it is edited."""
        self._records = Records.read(self._data)
        # a session that no command began says none by another value
        asked = run_params.get("load_versions") or {}
        code = code_index(kedro_project.PACKAGE_NAME)
        plugins = self._context._hook_manager.get_plugins() if self._context else ()
        self._now = Fingerprints(pipeline, catalog, code, self._records, asked, plugins)
        self._now.read_code(pipeline.nodes)
        self._begun, self._ran, self._whole = {}, [], None
        if self._configured:
            with contextlib.suppress(UnknownError):  # then each node is looked at the next time
                self._whole = begin_whole_run(self._records, self._configured)

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Note what a node is made of before it reads that."""
        self._begin(node)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Note what a node is made of that reads nothing."""
        self._begin(node)

    def _begin(self, node: Node) -> None:
        if self._now is None or node.name in self._begun:
            return
        self._begun[node.name] = None
        self._records.nodes.pop(node.name, None)
        self._now.forget()
        try:
            made_of = self._now.of_node(node, for_record=True)
            left = self._now.left_by_earlier(node)
        except UnknownError:
            return  # it will run again, which `why` says
        self._begun[node.name] = NodeRun(_this_moment(), made_of, {}, left)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Note a node of which nothing is kept."""
        self._note(node)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Note what was made, and the node once all of it is there."""
        run = self._begun.get(node.name)
        if self._now is None or run is None:
            return
        try:
            if self._now.is_kept(dataset_name):
                run.outputs[dataset_name] = self._now.of_kept(dataset_name)
        except UnknownError:
            self._begun[node.name] = None
            return
        self._note(node)

    def _note(self, node: Node) -> None:
        run = self._begun.get(node.name)
        if self._now is None or run is None:
            return
        if all(name in run.outputs for name in node.outputs if self._now.is_kept(name)):
            self._records.nodes[node.name] = run
            self._ran.append(node)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Keep what was noted until then."""
        self._end()

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Keep what was noted, and what the run leaves to later ones."""
        if self._now is None:
            return
        self._now.forget()
        for node in dict.fromkeys(self._ran):
            run = self._records.nodes.pop(node.name)
            with contextlib.suppress(UnknownError):  # then it will run again
                left = self._now.left_by_earlier(node)
                self._records.nodes[node.name] = msgspec.structs.replace(run, left=left)
        with contextlib.suppress(UnknownError):  # then each node is looked at the next time
            self._note_whole(pipeline, catalog)
        self._end()

    def _note_whole(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Note a run after which nothing is left to do."""
        assert self._now is not None
        if self.asked is None:
            return
        self._now.forget()
        self._records.whole.pop(self.asked, None)
        if self._whole is None or any(self.why(node) for node in pipeline.nodes):
            return
        kept = [
            name
            for name in sorted(pipeline.datasets())
            if self._now.is_kept(name) and not isinstance(catalog[name], CodeDataset)
        ]
        self._records.whole[self.asked] = end_whole_run(
            self._whole, self._now, kept, _this_moment()
        )

    def _end(self) -> None:
        if self._now is not None:
            try:
                self._records.write(self._data)
            except (OSError, ValueError) as error:  # a path need not be text that can be written
                logger.warning("`kedro run --changed` will not know of this run: %s", error)
        self._now = None

    def why(self, node: Node) -> str | None:
        """Why a node has to run: what has changed since it ran last; none, if nothing has."""
        assert self._now is not None
        ran = self._records.nodes.get(node.name)
        kept = [name for name in node.outputs if self._now.is_kept(name)]
        if not node.outputs:
            return "it makes nothing that could be looked at"
        try:
            if ran is None:
                self._now.of_node(node)
                return "it has not run to its end yet"
            now = self._now.of_node(node)
            changed = [
                name
                for name in sorted({*now, *ran.made_of})
                if now.get(name) != ran.made_of.get(name)
            ]
            lost = [name for name in kept if self._now.of_kept(name) != ran.outputs.get(name)]
        except UnknownError as unknown:
            return str(unknown)
        if changed:
            return f"{_some(changed)} changed"
        return f"{_some(lost)}: removed, or changed by another" if lost else None

    def is_kept(self, dataset: str) -> bool:
        """Whether a dataset outlives the run."""
        assert self._now is not None
        return self._now.is_kept(dataset)

    def forget(self) -> None:
        """Look again, since a node has run."""
        assert self._now is not None
        self._now.forget()


def _this_moment() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


recorder = Recorder()
