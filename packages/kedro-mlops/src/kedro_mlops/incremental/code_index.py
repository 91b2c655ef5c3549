"""What code a node runs: the definitions it is made of, found by reading source, not by running it.

A definition is a function, a class or an assignment of a module. It is made of its own text, of the
definitions that it names, and of theirs, and so of what a function imports late too. Comments and
layout do not count. Where a name leads nowhere, all of the module counts.
"""

import ast
import gc
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

# decorators that only change what they stand before; any other one may keep it somewhere
PLAIN_DECORATORS = (
    "abstractmethod", "cache", "cached_property", "contextmanager", "dataclass", "final",
    "lru_cache", "overload", "override", "runtime_checkable", "singledispatch", "wraps",
)  # fmt: skip
MAX_NAMES_IN_TEXT = 200
DIGITS = 16
# what a module does when it is imported, besides defining names
EFFECTS = ""
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


class UnknownError(Exception):
    """What something is made of cannot be told."""


class Place(NamedTuple):
    """Where code is: a definition of a module, or all of the module."""

    module: str
    name: str | None = None


class CodeIndex:
    """The code of some packages, as it was when it was first asked for.

    Args:
        packages: The folder of each, by name.
    """

    def __init__(self, packages: dict[str, Path]) -> None:
        self._packages = packages
        self._modules: dict[str, _Module | None] = {}
        self._leads: dict[Place, list[Place]] = {}

    @property
    def folders(self) -> list[Path]:
        """Where the packages are."""
        return sorted(self._packages.values())

    def has(self, module: str) -> bool:
        """Whether a module is of one of the packages."""
        return module.partition(".")[0] in self._packages

    def digests(self, places: Iterable[Place]) -> dict[str, str]:
        """A hash, by module, of the definitions that places are made of, and of files beside."""
        names: dict[str, list[str | None]] = defaultdict(list)
        for place in self._reached(places):
            names[place.module].append(place.name)
        found = {name: self._module(name) for name in sorted(names)}
        return {name: module.digest(names[name]) for name, module in found.items() if module}

    def named_by(self, text: str) -> Place | None:
        """The place that a text is the import path of, if it is one."""
        return self._resolve(text) if self.has(text) else None

    def everything(self) -> list[Place]:
        """All modules of all packages."""
        return [
            Place(
                ".".join([package, *parts[:-1], *([] if parts[-1] == "__init__" else parts[-1:])])
            )
            for package, folder in self._packages.items()
            for file in folder.rglob("*.py")
            for parts in [file.relative_to(folder).with_suffix("").parts]
        ]

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
            if module is None:
                found = []
            elif place.name and not module.defines(place.name):
                found = [Place(place.module)]
            elif place.name == EFFECTS:
                found = [Place(name, EFFECTS) for name in module.imported()]
                found += filter(None, map(self._resolve, module.named_by(place.name)))
            else:
                found = [Place(place.module, EFFECTS)]
                found += filter(None, map(self._resolve, module.named_by(place.name)))
            self._leads[place] = [found for found in found if self._module(found.module)]
        return self._leads[place]

    def _resolve(self, path: str) -> Place | None:
        """Where a dotted path leads, by way of what modules import from each other."""
        followed = set[str]()
        while self.has(path) and path not in followed:
            followed.add(path)
            parts = path.split(".")
            n = len(parts)
            while n and self._module(".".join(parts[:n])) is None:
                n -= 1
            module = self._module(".".join(parts[:n]))
            if module is None or n == len(parts):
                return Place(path) if module else None
            imported = module.imports.get(parts[n])
            if imported is None or module.defines(parts[n]):
                return Place(module.name, parts[n])
            path = ".".join([imported, *parts[n + 1 :]])
        return None

    def _module(self, name: str) -> "_Module | None":
        if name not in self._modules:
            package, *parts = name.split(".")
            found = None
            if package in self._packages:
                path = self._packages[package].joinpath(*parts)
                files = [path / "__init__.py", *([path.with_suffix(".py")] if parts else [])]
                found = next((file for file in files if file.is_file()), None)
            self._modules[name] = _Module(name, found) if found else None
        return self._modules[name]


class _Module:
    """A module, as a table of what it defines."""

    def __init__(self, name: str, file: Path) -> None:
        self.name = name
        self._file = file
        self._package = name if file.stem == "__init__" else name.rpartition(".")[0]
        with _uncollected():
            body = ast.parse(file.read_bytes(), str(file)).body
            self.imports = self._imports_in(_outside_of_definitions(body))
            # no tree is kept: the collector of garbage would look at it as long as nodes run
            self._parts = {part: self._read(made_of) for part, made_of in _sorted(body).items()}

    def _read(self, statements: list[ast.stmt]) -> "_Part":
        names = _Names()
        for statement in statements:
            names.visit(statement)
        texts = {ast.dump(statement) for statement in statements}
        return _Part(texts, names.found, self._imports_in(names.imports))

    def defines(self, name: str) -> bool:
        """Whether a name is defined here, and not imported."""
        return name in self._parts

    def digest(self, names: Iterable[str | None]) -> str:
        """Hash of the text of some definitions, and of the files beside that are not Python."""
        texts = {text for name in names for part in self._parts_of(name) for text in part.texts}
        digest = hashlib.sha256("\n".join(sorted(texts)).encode())
        digest.update(self._beside)
        return digest.hexdigest()[:DIGITS]

    @cached_property
    def _beside(self) -> bytes:
        """Hash of the files beside that are not Python."""
        digest = hashlib.sha256()
        for file in sorted(self._file.parent.iterdir()):
            if file.is_file() and file.suffix != ".py":
                digest.update(file.name.encode() + file.read_bytes())
        return digest.digest()

    def _parts_of(self, name: str | None) -> list["_Part"]:
        if name is None:
            return [*self._parts.values()]
        return [self._parts[name]] if name in self._parts else []

    def named_by(self, name: str | None) -> set[str]:
        """The import paths of what a definition names."""
        paths, parts, imports = set[str](), self._parts_of(name), self.imports
        for part in parts:
            imports = imports | part.imports if part.imports else imports
        for chain in {chain for part in parts for chain in part.names}:
            first, *rest = chain.split(".")
            if first in imports:
                paths.add(".".join([imports[first], *rest]))
            elif first in self._parts:
                paths.add(f"{self.name}.{first}")
        return paths | {path for bound, path in imports.items() if bound.endswith("*")}

    def imported(self) -> set[str]:
        """What may be modules that are imported with this one."""
        parents = self.name.split(".")
        paths = {".".join(parents[:n]) for n in range(1, len(parents))}
        for path in self.imports.values():
            paths |= {path, path.rpartition(".")[0]}
        return paths

    def _imports_in(self, nodes: Iterable[ast.AST]) -> dict[str, str]:
        """Import paths by the names that they are bound to; a star is bound to one of its own."""
        bound = {}
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    bound[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom):
                source = self._source_of(node)
                for alias in node.names:
                    if alias.name == "*":
                        bound[f"{source}.*"] = source
                    else:
                        bound[alias.asname or alias.name] = f"{source}.{alias.name}"
        return bound

    def _source_of(self, node: ast.ImportFrom) -> str:
        """The module that something is imported from, if it is relative too."""
        if not node.level:
            return node.module or ""
        base = self._package.split(".")
        base = base[: len(base) - node.level + 1]
        return ".".join([*base, *([node.module] if node.module else [])])


class _Part(NamedTuple):
    """A definition, or what a module does when it is imported.

    Attributes:
        texts: What is written.
        names: The names that are used, as ``_Names`` finds them.
        imports: What it imports itself, by the names that it is bound to.
    """

    texts: set[str]
    names: set[str]
    imports: dict[str, str]


def _sorted(body: list[ast.stmt]) -> dict[str, list[ast.stmt]]:
    """The statements of a module by what they define, and those that have effects."""
    parts: dict[str, list[ast.stmt]] = defaultdict(list, {EFFECTS: []})
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                parts[statement.name].append(statement)
                if not all(map(_is_plain, statement.decorator_list)):
                    parts[EFFECTS].append(statement)
            case ast.Assign(targets=[ast.Name(id=name)]):
                parts[name].append(statement)
            case ast.AnnAssign(target=ast.Name(id=name)):
                parts[name].append(statement)
            case ast.Import() | ast.ImportFrom():
                pass
            case ast.Expr(value=ast.Constant()):
                pass  # what it says of itself
            case _:
                parts[EFFECTS].append(statement)
    return parts


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of garbage, of which there is none, and which would run many times."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Names(ast.NodeVisitor):
    """The names that are used, with the attributes asked of them: ``a``, ``a.b.c``; and imports."""

    def __init__(self) -> None:
        self.found = set[str]()
        self.imports: list[ast.AST] = []

    def visit_Import(self, node: ast.Import) -> None:
        self.imports.append(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.imports.append(node)

    def visit_Name(self, node: ast.Name) -> None:
        self.found.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        attributes, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            attributes.append(base.attr)
            base = base.value
        if isinstance(base, ast.Name):
            self.found.add(".".join([base.id, *reversed(attributes)]))
        else:
            self.visit(base)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Types may be named in text, as may what is looked up by its name."""
        if isinstance(node.value, str) and len(node.value) < MAX_NAMES_IN_TEXT:
            self.found.update(_IDENTIFIER.findall(node.value))

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # what it says of itself names nothing
            self.generic_visit(node)


def _outside_of_definitions(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """What runs when a module is imported."""
    for node in body:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _outside_of_definitions(ast.iter_child_nodes(node))


def _is_plain(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
    return name in PLAIN_DECORATORS


@cache
def code_index(owner: str | None) -> CodeIndex:
    """The code of the owner's package and of the engine."""
    found = {}
    for name in filter(None, [owner, __name__.partition(".")[0]]):
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            found[name] = Path(spec.submodule_search_locations[0])
    return CodeIndex(found)
