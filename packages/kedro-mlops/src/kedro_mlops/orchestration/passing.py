"""What passes from one task to another, and what of that would be lost on the way."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from kedro.io.core import get_protocol_and_path
from kedro.pipeline import Pipeline

from kedro_mlops.core.errors import ProjectError

MEMORY = "kedro.io.MemoryDataset"


def refuse_what_is_lost(
    pipelines: Mapping[str, Pipeline],
    names: Iterable[str],
    catalog: DataCatalog,
    shared: Path | None = None,
) -> None:
    """Look at all that passes between pipelines, each of which is a process of its own.

    Args:
        pipelines: Those that are registered.
        names: Of those that become tasks.
        catalog: Where datasets are kept.
        shared: The folder that all machines have; if not given, there is but one machine.

    Raises:
        ProjectError: naming each dataset that a task would not find.
    """
    lost = [
        f"{name}, from {maker} to {', '.join(readers)}: {why}"
        for name, maker, readers in passing({name: pipelines[name] for name in names})
        if (why := _why_lost(catalog.config_resolver.resolve_pattern(name), shared))
    ]
    if lost:
        raise ProjectError(
            "Tasks would not find what others have made:\n  "
            + "\n  ".join(lost)
            + "\nGive each an entry in the catalog, below the folder of artefacts or on a storage "
            "that all machines reach."
        )


def passing(pipelines: Mapping[str, Pipeline]) -> Iterator[tuple[str, str, list[str]]]:
    """Each dataset that one pipeline makes and others read, with the names of both."""
    for maker, pipeline in pipelines.items():
        for name in sorted(pipeline.all_outputs()):
            readers = [n for n, other in pipelines.items() if n != maker and name in other.inputs()]
            if readers:
                yield name, maker, readers


def _why_lost(entry: Mapping[str, Any], shared: Path | None) -> str | None:
    if not entry or entry["type"] in (MEMORY, "MemoryDataset"):
        return "it is in the memory of a process, for the catalog has no entry of it"
    if shared is None or "filepath" not in entry:
        return None  # a database, a service
    protocol, path = get_protocol_and_path(str(entry["filepath"]))
    if protocol == "file" and not Path(path).is_relative_to(shared):
        return f"{path} is on one machine, outside of {shared}, which all have"
    return None
