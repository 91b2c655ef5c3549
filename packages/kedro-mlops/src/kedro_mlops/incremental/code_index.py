"""What code a node runs: the definitions it is made of, found by reading source, not by running it.

A definition is a function, a class or an assignment of a module. It is made of its own text, of the
definitions that it names, and of theirs, and so of what a function imports late too. Comments and
layout do not count. Where a name leads nowhere, all of the module counts.
"""

import hashlib
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from .module_source import ANY, EFFECTS, Module, paths_in

DIGITS = 16
# what a folder is called that packages are installed into, of whatever environment
OF_PACKAGES = ("site-packages", "dist-packages")
# functions that make pipelines, as Kedro calls them
MAKERS = ("create_pipeline", "register_pipelines")
# of files that modules are in, in the order in which Python looks for them
SUFFIXES = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES)


class UnknownError(Exception):
    """What something is made of cannot be told."""


@contextmanager
def unknown_if_unreadable() -> Iterator[None]:
    """Of what cannot be read, which the run itself may have no need of, nothing can be told.

    Raises:
        UnknownError: if something is not there, is no Python, is too deep, or is no text.
    """
    try:
        yield
    except (OSError, SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise UnknownError(f"it cannot be read: {error}") from error


class Place(NamedTuple):
    """Where code is: a definition of a module, or all of the module."""

    module: str
    name: str | None = None


class CodeIndex:
    """The code that may change without a version: as it was when it was first asked for.

    Packages that are neither installed nor of Python are found as they are come upon.

    Args:
        packages: The folder of each that is always of it, by name.
    """

    def __init__(self, packages: Mapping[str, Path]) -> None:
        self._always = list(packages)
        self._packages = {name: [folder] for name, folder in packages.items()}
        self._modules: dict[str, Module | None] = {}
        self._leads: dict[Place, list[Place]] = {}
        self._beside: dict[Path, str] = {}

    def look_beside_again(self) -> None:
        """Look again at files beside the code, which are read as it runs, not as it is imported."""
        self._beside.clear()

    def read(self) -> list[str]:
        """The packages of which something has been read, and those that are always of it."""
        read = {name.partition(".")[0] for name, module in self._modules.items() if module}
        return sorted({*self._always, *read})

    def sources(self, packages: Iterable[str]) -> list[Path]:
        """The folders or files of packages."""
        return sorted({path for name in packages for path in self._paths(name)})

    def has(self, module: str) -> bool:
        """Whether a module is of one of the packages."""
        return bool(self._paths(module.partition(".")[0]))

    def has_source(self, module: str) -> bool:
        """Whether the source of a module can be found."""
        return self._module(module) is not None

    def digests(self, places: Iterable[Place], *, beside: bool = True) -> dict[str, str]:
        """A hash, by module, of the definitions that places are made of, and of files beside."""
        names: dict[str, list[str | None]] = defaultdict(list)
        for place in self._reached(places):
            names[place.module].append(place.name)
        found = {name: self._module(name) for name in sorted(names)}
        return {
            name: self._digest(module, names[name], beside)
            for name, module in found.items()
            if module
        }

    def _digest(self, module: Module, names: list[str | None], beside: bool) -> str:
        folder = module.folder if beside else None
        if folder and folder not in self._beside:
            self._beside[folder] = _hash_of_data(folder)
        written = module.written(names) + self._beside.get(folder or Path(), "")
        return hashlib.sha256(written.encode()).hexdigest()[:DIGITS]

    def named_by(self, text: str) -> list[Place]:
        """The places that a text names by their import paths."""
        return [place for path in {text, *paths_in(text)} for place in self._resolve(path)]

    def everything(self) -> list[Place]:
        """All modules of the packages that are always of it."""
        return [place for package in self._always for place in self._within(package)]

    def _within(self, package: str) -> list[Place]:
        """A package, at whatever depth, and the modules in it."""
        top, *parts = package.split(".")
        return [
            Place(".".join([top, *path.parts[: -1 if path.name == "__init__" else None]]))
            for folder in self._paths(top)
            for file in folder.joinpath(*parts).rglob("*.py")
            for path in [file.relative_to(folder).with_suffix("")]
        ]

    def imported(self) -> list[Place]:
        """What is done as pipelines are made and settings read, which nodes need not lead to."""
        names = [place.module for place in self.everything() if self._makes_pipelines(place.module)]
        names += [f"{package}.settings" for package in self._always]
        found = [module for name in names if (module := self._module(name))]
        made = [path for module in found for maker in MAKERS for path in module.imported_by(maker)]
        return [Place(name, EFFECTS) for name in (*(module.name for module in found), *made)]

    def _makes_pipelines(self, name: str) -> bool:
        """Whether a module does, as far as a quick look tells."""
        file = self._file(name)
        source = file.read_bytes() if file else b""
        return any(f"def {maker}(".encode() in source for maker in MAKERS)

    def hooks(self) -> list[Place]:
        """The hooks of projects, which may change what any node reads and makes."""
        paths = [f"{package}.settings.HOOKS" for package in self._always]
        return [place for path in paths for place in self._resolve(path) if self._defines(place)]

    def _defines(self, place: Place) -> bool:
        module = self._module(place.module)
        return module is not None and place.name is not None and module.defines(place.name)

    def _reached(self, places: Iterable[Place]) -> set[Place]:
        reached, waiting = set[Place](), list(places)
        while waiting:
            place = waiting.pop()
            if place not in reached:
                reached.add(place)
                waiting += self._leads_to(place)
        return reached

    def _leads_to(self, place: Place) -> list[Place]:
        """The places that a place names, and what its module does when it is imported."""
        if place not in self._leads:
            module = self._module(place.module)
            found = self._found_from(module, place.name) if module else []
            self._leads[place] = [found for found in found if self._module(found.module)]
        return self._leads[place]

    def _found_from(self, module: Module, name: str | None) -> list[Place]:
        if name and not module.defines(name):
            return [Place(module.name), *(self._within(module.name) if module.is_lazy else [])]
        named = module.named_by(name)
        found = [place for path in named for place in self._resolve(path)]
        found += [Place(path) for path in module.looked_up_by(name)]
        packages = [path.removesuffix(f".{ANY}") for path in named if path.endswith(f".{ANY}")]
        found += [place for package in packages for place in self._within(package)]
        if module.looks_around(name):
            found += self.everything()
        found += [Place(path, EFFECTS) for path in module.imported_by(name)]
        if name != EFFECTS:
            return [*found, Place(module.name, EFFECTS)]
        made = [made for made in module.bases if self._is_told_of(module, made)]
        return [*found, *(Place(module.name, name) for name in made)]

    def _is_told_of(self, module: Module, made: str) -> bool:
        """Whether a class of a module, or one that it is made of, is told of all made of it."""
        seen, waiting = set[tuple[str, str]](), [(module, made)]
        while waiting:
            module, made = waiting.pop()
            if made in module.tells:
                return True
            if (module.name, made) in seen:
                continue
            seen.add((module.name, made))
            waiting += [
                (found, base.name)
                for path in module.bases.get(made, ())
                for base in self._resolve(path)
                if base.name and (found := self._module(base.module))
            ]
        return False

    def _resolve(self, path: str) -> list[Place]:
        """Where a dotted path may lead, by way of what modules import from each other."""
        found, followed, waiting = set[Place](), set[str](), [path]
        while waiting:
            path = waiting.pop()
            if path in followed or not self.has(path):
                continue
            followed.add(path)
            parts = path.split(".")
            modules = [self._module(".".join(parts[:n])) for n in range(1, len(parts) + 1)]
            inner = max((n for n, module in enumerate(modules, 1) if module), default=0)
            # a package may define what a module in it is called, too
            for n, module in enumerate(modules[:-1], 1):
                imported = module.imports.get(parts[n], ()) if module else ()
                waiting += [".".join([other, *parts[n + 1 :]]) for other in imported]
                if module and (module.defines(parts[n]) or (n == inner and not imported)):
                    found.add(Place(module.name, parts[n]))
            if inner == len(parts):
                found.add(Place(path))
        return sorted(found, key=str)

    def _module(self, name: str) -> Module | None:
        """A module, if there is one.

        Raises:
            UnknownError: if it is there without its source.
        """
        if name not in self._modules:
            found = self._file(name)
            if found and not found.name.endswith(tuple(SOURCE_SUFFIXES)):
                raise UnknownError(f"the source of {name} cannot be found beside {found}")
            self._modules[name] = Module(name, found, self.has) if found else None
        return self._modules[name]

    def _file(self, name: str) -> Path | None:
        package, *parts = name.split(".")
        return next(filter(Path.is_file, self._files(package, parts)), None)

    def _files(self, package: str, parts: list[str]) -> Iterator[Path]:
        """Where a module may be, in the order in which Python looks for it."""
        for path in self._paths(package):
            if not path.is_dir():
                yield from [] if parts else [path]
                continue
            inner = path.joinpath(*parts)
            for suffix in SUFFIXES if inner.is_dir() else ():
                yield inner / f"__init__{suffix}"
            for suffix in SUFFIXES if parts and inner.parent.is_dir() else ():
                yield inner.with_name(f"{inner.name}{suffix}")

    def _paths(self, package: str) -> list[Path]:
        if package not in self._packages:
            found = [path for path in _paths_of(package) if not _has_version(path)]
            if not all(map(Path.exists, found)):
                raise UnknownError(f"the source of {package} is within another file, not read")
            self._packages[package] = found
        return self._packages[package]


def is_installed(module: str) -> bool:
    """Whether a module is of Python, or of a package that is installed, and so has a version."""
    package = module.partition(".")[0]
    return package in sys.builtin_module_names or any(map(_has_version, _paths_of(package)))


def _has_version(path: Path) -> bool:
    places = [*folders_of_packages(), *map(sysconfig.get_path, ("stdlib", "platstdlib"))]
    return any(path.is_relative_to(place) for place in places)


@cache
def folders_of_packages() -> list[str]:
    """Where packages are installed that can be imported."""
    own = map(sysconfig.get_path, ("purelib", "platlib"))
    return sorted({*own, *(path for path in sys.path if Path(path).name in OF_PACKAGES)})


def _paths_of(package: str) -> list[Path]:
    """The folders of a package, or the file of a module that is in none."""
    try:
        spec = find_spec(package) if package.isidentifier() else None
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(location) for location in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.has_location and spec.origin else []


def _hash_of_data(folder: Path) -> str:
    """Hash of what a package holds that is not Python, in folders of its own too."""
    digest = hashlib.sha256()
    for file in _data_in(folder):
        with file.open("rb") as content:
            held = hashlib.file_digest(content, "sha256").hexdigest()
        digest.update(f"{file.relative_to(folder)}\n{held}\n".encode())
    return digest.hexdigest()


def _data_in(folder: Path) -> Iterator[Path]:
    files = files_in(folder, lambda inner: inner.name != "__pycache__" and not _holds_code(inner))
    yield from sorted(file for file in files if file.suffix != ".py")


def files_in(
    folder: Path, is_of_it: Callable[[Path], bool] = Path.is_dir, within: tuple[Path, ...] = ()
) -> Iterator[Path]:
    """The files in a folder and those within it, also where a link leads to one."""
    real = folder.resolve()
    for path in [] if real in within else folder.iterdir():
        if not path.is_dir():
            yield from [path] if path.is_file() else []
        elif is_of_it(path):
            yield from files_in(path, is_of_it, (*within, real))


def _holds_code(folder: Path) -> bool:
    """Whether a folder has modules of its own, which have its files beside them."""
    return any(file.name != "__init__.py" for file in folder.glob("*.py"))


@cache
def code_index(owner: str | None) -> CodeIndex:
    """The code of the owner's package and of the engine."""
    found = {}
    for name in filter(None, [owner, __name__.partition(".")[0]]):
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            found[name] = Path(spec.submodule_search_locations[0])
    return CodeIndex(found)
