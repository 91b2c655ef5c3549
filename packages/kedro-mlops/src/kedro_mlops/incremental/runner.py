"""Kedro's sequential runner, for the nodes of which something has changed."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

import click
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import SequentialRunner
from kedro.runner.task import Task
from pluggy import PluginManager

from .recorder import recorder

logger = logging.getLogger(__name__)


class ChangedRunner(SequentialRunner):
    """Runs a node only if its code, its parameters or what it reads changed since it ran last.

    What is in memory only is made when a node that runs needs it. In whatever doubt, a node runs.
    """

    def run(self, pipeline: Pipeline, catalog: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run what has to run; where that is nothing, no dataset is even looked into."""
        if all(recorder.why(node) is None for node in pipeline.nodes):
            _tell_skipped(pipeline, pipeline.nodes)
            return {}
        return super().run(pipeline, catalog, *args, **kwargs)

    def _run(
        self,
        pipeline: Pipeline,
        catalog: Any,
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        producers = {name: node for node in pipeline.nodes for name in node.outputs}
        consumers = {name: [n for n in pipeline.nodes if name in n.inputs] for name in producers}
        in_memory = {name for name in producers if not recorder.is_kept(name)}
        done, skipped = set[Node](), set[Node]()

        def execute(node: Node, reason: str) -> None:
            for name in node.inputs:
                if name in in_memory and not catalog.exists(name):
                    execute(producers[name], f"{node.name} needs {name}")
            logger.info("%s: %s", node.name, reason)
            Task(node, catalog, self._is_async, hook_manager, run_id).execute()
            done.add(node)
            skipped.discard(node)
            recorder.forget()

        def is_over(name: str) -> bool:
            """Whether nothing can ask any more for what is in memory."""
            return all(
                node in done
                or (node in skipped and all(map(is_over, in_memory.intersection(node.outputs))))
                for node in consumers[name]
            )

        for node in pipeline.nodes:
            if node in done:
                continue
            if (reason := recorder.why(node)) is None:
                skipped.add(node)
            else:
                execute(node, reason)
            for name in in_memory:
                if catalog.exists(name) and is_over(name):
                    catalog.release(name)
        _tell_skipped(pipeline, skipped)


def _tell_skipped(pipeline: Pipeline, skipped: Iterable[Node]) -> None:
    """Say what was left out, by pipeline."""
    of = Counter(node.namespace or "other" for node in pipeline.nodes)
    left_out: dict[str, list[str]] = {}
    for node in sorted(skipped, key=pipeline.nodes.index):
        left_out.setdefault(node.namespace or "other", []).append(node._name or node.name)
    if not left_out:
        return
    said = [
        f"all {len(names)} of {space}"
        if len(names) == of[space]
        else f"{space}: {', '.join(names)}"
        for space, names in left_out.items()
    ]
    n_skipped = sum(map(len, left_out.values()))
    click.echo(
        f"Skipped {n_skipped} of {len(pipeline.nodes)} nodes, since nothing that they are made of "
        f"has changed and what they made is there: {'; '.join(said)}."
    )
