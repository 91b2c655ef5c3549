"""What nodes are made of, as hashes: their code, and what the datasets hold that they take.

Where something cannot be told, there is no hash, and a node that needs it always runs.
"""

import contextlib
import functools
import glob
import hashlib
import os
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.utils import load_obj

from kedro_mlops.core.files import PARTIAL, hash_files
from kedro_mlops.core.patterns import find
from kedro_mlops.core.project import project_folder
from kedro_mlops.core.storage import is_url, place, state_of, tells_apart

from .callables import contents_of
from .code_index import (
    CodeIndex,
    Place,
    UnknownError,
    files_in,
    folders_of_packages,
    is_installed,
    unknown_if_unreadable,
)
from .module_source import ENGINE
from .records import Records

if TYPE_CHECKING:
    from upath import UPath

# a file that changed so shortly before it was hashed may change again without its time doing so
SETTLED_NS = 2_000_000_000
LEFT = "as the run before has left it"
ENVIRONMENT = "the environment"
WIRING = "its wiring"
IMPORTED = "what pipelines import"
PATHS = ("filepath", "path")
# what an entry says of which a database gives the answer
QUERIES = {"sql", "query", "con"}


@dataclass
class FileHashes:
    """Hashes of files, which are read again only if their size or time is another one."""

    known: dict[str, tuple[int, int, str]]

    @unknown_if_unreadable()
    def of(self, path: str) -> str:
        """Hash of what is at a path: a file, a folder with all that is in it, or nothing.

        Files that are being written, locks and what Python compiles do not count.

        Raises:
            UnknownError: if it may not be read, or is gone by then.
        """
        place = Path(path)
        if place.is_dir():
            files = sorted(file for file in files_in(place) if not _is_passing(file))
            return digest([(str(f.relative_to(place)), self._of_file(f)) for f in files])
        return self._of_file(place) if place.is_file() else ""

    def _of_file(self, file: Path) -> str:
        found = file.stat()
        # whoever unpacks or copies a file may give it a time of its own, but not that of the change
        now = found.st_size, max(found.st_mtime_ns, found.st_ctime_ns)
        size, changed, hashed = self.known.get(str(file), (None, None, ""))
        if (size, changed) == now:
            return hashed
        settled = time.time_ns() - now[1] > SETTLED_NS
        with file.open("rb") as content:
            hashed = hashlib.file_digest(content, "sha256").hexdigest()
        if settled:
            self.known[str(file)] = *now, hashed
        return hashed


def _is_passing(file: Path) -> bool:
    return file.suffix in (".lock", ".pyc") or PARTIAL in str(file)


def digest(value: Any) -> str:
    """A short hash of a value, which is another one for any other value.

    Raises:
        UnknownError: if it has no plain value.
    """
    return hashlib.sha256(contents_of(value).hash.encode()).hexdigest()[:16]


class Fingerprints:
    """What the nodes of a pipeline are made of now.

    What a run takes from an earlier one, such as the champion that it may replace, is another thing
    when the run has ended. For the record it therefore counts as left by the run before; and it
    still is that while it is as it was at the end of the run that the record is of.

    Args:
        pipeline: The pipeline.
        catalog: What it reads and writes; nothing of it is loaded but parameters.
        code: Of the owner's package and the engine.
        records: What ran before; hashes of files are added to it.
        surroundings: What else is asked of the run, such as versions to load.
        plugins: What is called as the run goes on, such as hooks.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        catalog: DataCatalog,
        code: CodeIndex,
        records: Records,
        surroundings: Any,
        plugins: Iterable[Any] = (),
    ) -> None:
        self._catalog, self._code, self._records = catalog, code, records
        self._files = FileHashes(records.files)
        self._producers = {name: node for node in pipeline.nodes for name in node.outputs}
        self._written = {path for name in self._producers for path in self.paths(name)}
        self._code_of: dict[str, dict[str, str] | UnknownError] = {}
        self._known: dict[tuple[str, bool], dict[str, str]] = {}
        self._plugins, self._asked = plugins, surroundings
        code.look_beside_again()

    def read_code(self, nodes: Iterable[Node]) -> None:
        """Read the code of nodes while it is what Python has imported: it may be edited later."""
        for node in nodes:
            with contextlib.suppress(UnknownError):  # it is told of the node when that is looked at
                self._code_of_node(node)

    def forget(self) -> None:
        """Look again, since something may have been written."""
        self._known.clear()

    def is_kept(self, dataset: str) -> bool:
        """Whether a dataset outlives the run, in whatever way."""
        return self._entry(dataset) is not None

    def paths(self, dataset: str) -> set[str]:
        """The files or folders that hold a dataset."""
        return set(_paths(self._entry(dataset) or {}))

    @unknown_if_unreadable()
    def of_node(self, node: Node, *, for_record: bool = False) -> dict[str, str]:
        """The hashes of what decides what a node makes, by what they are of.

        Raises:
            UnknownError: if that cannot be told.
        """
        key = node.name, for_record
        if (known := self._known.get(key)) is not None:
            return known
        inputs = {name: self._of_input(name, node, for_record) for name in node.inputs}
        found = {**self._code_of_node(node), **inputs, ENVIRONMENT: self._surroundings}
        self._known[key] = found
        return found

    @functools.cached_property
    def _imported(self) -> str:
        return digest(self._code.digests(self._code.imported(), beside=False))

    @functools.cached_property
    def _surroundings(self) -> str:
        return digest([environment(), self._asked])

    @functools.cached_property
    def _hooks(self) -> list[Place]:
        plugins = filter(self._is_of_no_version, map(_class_of, self._plugins))
        return [*self._code.hooks(), *plugins]

    @unknown_if_unreadable()
    def left_by_earlier(self, node: Node) -> dict[str, str]:
        """Hashes of what a node takes from earlier runs, as it is now, by dataset."""
        return {name: self.of_kept(name) for name in node.inputs if self._is_from_earlier(name)}

    @unknown_if_unreadable()
    def of_kept(self, name: str) -> str:
        """Hash of what a dataset holds that outlives the run, and of how it is read.

        Raises:
            UnknownError: if that cannot be told.
        """
        told = self.told_by(name)
        return self.of_files(name) if told is None else told

    @unknown_if_unreadable()
    def of_files(self, name: str) -> str:
        """The same, where files hold it."""
        paths = [] if _is_asked_for(self._entry(name) or {}) else sorted(self.paths(name))
        if not paths or any(is_url(path) and not tells_apart(path) for path in paths):
            raise UnknownError(f"what {name} holds is known only when it is read")
        return digest([plain(self._entry(name)), [self._of_path(path) for path in paths]])

    def _of_path(self, path: str) -> Any:
        if not is_url(path):
            return self._files.of(path)
        try:
            return state_of(cast("UPath", place(path)))
        except Exception as error:  # whatever a driver says of a store that cannot be reached
            raise UnknownError(f"{path} cannot be looked into: {error}") from error

    def told_by(self, name: str) -> str | None:
        """The same, where the dataset tells it by its ``fingerprint``."""
        entry = self._entry(name) or {}
        try:
            if not self._code.has(entry["type"]):
                return None
            if not hasattr(load_obj(entry["type"]), "fingerprint"):
                return None
            dataset: Any = self._catalog[name]
            return digest([plain(entry), dataset.fingerprint()])
        except Exception as error:  # whatever a driver says of a store that cannot be reached
            raise UnknownError(f"{name} cannot be looked into: {error}") from error

    def _of_input(self, name: str, node: Node, for_record: bool) -> str:
        if _is_parameter(name):
            value = self._catalog.load(name)
            return digest(by_name(value) if name == "parameters" else value)
        if self._is_from_earlier(name):
            ran = self._records.nodes.get(node.name)
            if for_record or (ran and ran.left.get(name) == self.of_kept(name)):
                return LEFT
        if self.is_kept(name):
            return self._of_read(name, for_record)
        if name not in self._producers:
            raise UnknownError(f"what {name} holds is not kept anywhere")
        # what is in memory only is what its node is made of
        return digest(self.of_node(self._producers[name], for_record=for_record))

    def _of_read(self, name: str, for_record: bool) -> str:
        """Hash of what is kept; of objects, with what made them: their code is not kept."""
        kept = self.of_kept(name)
        if self._holds_objects(name) and name in self._producers:
            return digest([kept, self.of_node(self._producers[name], for_record=for_record)])
        return kept

    def _holds_objects(self, name: str) -> bool:
        return any("pickle" in kind.lower() for kind in _types(self._entry(name) or {}))

    def _is_from_earlier(self, name: str) -> bool:
        return name not in self._producers and bool(self.paths(name) & self._written)

    def _entry(self, name: str) -> dict[str, Any] | None:
        if name not in self._catalog:
            return None
        entry: dict[str, Any] = self._catalog.config_resolver.resolve_pattern(name)
        return None if entry["type"].endswith("MemoryDataset") else entry

    def _code_of_node(self, node: Node) -> dict[str, str]:
        """As it was when it was first asked for; so is that it cannot be told."""
        if node.name not in self._code_of:
            try:
                self._code_of[node.name] = self._read(node)
            except UnknownError as unknown:
                self._code_of[node.name] = unknown
        found = self._code_of[node.name]
        if isinstance(found, UnknownError):
            raise UnknownError(*found.args) from found
        return found

    @unknown_if_unreadable()
    def _read(self, node: Node) -> dict[str, str]:
        made = contents_of(node.func)
        said = [contents_of(self._said_of(name)) for name in (*node.inputs, *node.outputs)]
        places = [
            *(place for each in (made, *said) for place in each.places if self._is_read(place)),
            *(place for each in said for text in each.texts for place in self._code.named_by(text)),
            *self._hooks,
        ]
        strange = [name for name in node.inputs if name not in self._producers]
        if not node.inputs or any(map(self._holds_objects, strange)):
            places += self._code.everything()  # it looks for itself what there is, or is given it
        wiring = digest([made.hash, str(node._inputs), str(node._outputs), sorted(node.confirms)])
        return {**self._code.digests(places), WIRING: wiring, IMPORTED: self._imported}

    def _said_of(self, name: str) -> Any:
        """What is configured: of a parameter its value, of a dataset how it is kept."""
        return self._catalog.load(name) if _is_parameter(name) else self._entry(name)

    def _is_of_no_version(self, plugin: Place) -> bool:
        """Whether a plugin may change without a version, as the engine itself does not."""
        return self._code.has(plugin.module) and not plugin.module.startswith(ENGINE)

    def _is_read(self, place: Place) -> bool:
        """Whether code is told apart by its source, and not by the version of its package."""
        if not self._code.has(place.module) and is_installed(place.module):
            return False
        if not self._code.has_source(place.module):
            raise UnknownError(f"the source of {place.module}, where its code is, cannot be found")
        return True


def _class_of(plugin: Any) -> Place:
    if isinstance(plugin, ModuleType):
        return Place(plugin.__name__)
    made = plugin if isinstance(plugin, type) else type(plugin)
    return Place(made.__module__, made.__qualname__.partition(".")[0])


def _is_parameter(name: str) -> bool:
    return name.startswith("params:") or name == "parameters"


def _types(config: Mapping[str, Any]) -> Iterator[str]:
    """Of which classes a dataset is, and those within it."""
    for name, value in config.items():
        if name in ("type", "dataset") and isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _types(value)


def _is_asked_for(config: Mapping[str, Any]) -> bool:
    """Whether a dataset is the answer to a query, which a file may hold, but not the answer."""
    is_of_queries = any("query" in kind.lower() for kind in _types(config))
    return is_of_queries or not QUERIES.isdisjoint(contents_of(config).texts)


def _paths(config: Mapping[str, Any]) -> Iterator[str]:
    """Where a dataset, or the one within it, is kept."""
    for name, value in config.items():
        if name in PATHS and isinstance(value, str):
            yield from find(value) if glob.has_magic(value) else [value]
        elif name == "dataset" and isinstance(value, Mapping):
            yield from _paths(value)


def plain(config: Any) -> Any:
    """A configuration as far as it decides what is read and written, and without its secrets."""
    if isinstance(config, Mapping):
        return {
            str(name): plain(value)
            for name, value in config.items()
            if name not in ("credentials", "metadata")
        }
    return config


def by_name(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What several files configure, which are read in any order."""
    return sorted(config.items(), key=lambda entry: entry[0])


@functools.cache
def environment() -> str:
    """Python, the packages that are installed, and those that the project asks for."""
    installed = [
        f"{entry.name} {_made_from_source(Path(entry))}"
        for folder in folders_of_packages()
        if os.path.isdir(folder)  # noqa: PTH112 - as `os.scandir`, which is quick
        for entry in os.scandir(folder)
        if entry.name.endswith(".dist-info")
    ]
    files = [project_folder() / name for name in ("pyproject.toml", "uv.lock")]
    said = f"{sys.version} {sysconfig.get_platform()} {sorted(installed)}"
    return hash_files(said, filter(Path.exists, files))


def _made_from_source(about: Path) -> str:
    """What tells apart builds of one version, where it is of no index; none, where it is."""
    if not (about / "direct_url.json").exists():
        return ""
    return hash_files("", filter(Path.exists, [about / "RECORD"]))
