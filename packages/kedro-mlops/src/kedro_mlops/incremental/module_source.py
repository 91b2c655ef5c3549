"""A module as a table of what it defines, found by reading its source, not by running it."""

import ast
import gc
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

# decorators that only change what they stand before; any other one may keep it somewhere
PLAIN_DECORATORS = (
    "abstractmethod", "cache", "cached_property", "contextmanager", "dataclass", "final",
    "lru_cache", "overload", "override", "runtime_checkable", "singledispatch", "wraps",
)  # fmt: skip
# what finds definitions of a module by their names
LOOKS_UP = ("globals", "vars", "eval", "exec", "sys.modules")
# what a module does when it is imported, besides defining names
EFFECTS = ""
ENGINE = f"{__name__.partition('.')[0]}."
# any of the modules of a package
ANY = "*"
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_MODULE = re.compile(r"\.*[A-Za-z_][\w.]*")
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)+")
# to which the last part is added as it runs
_IMPORT_PREFIX = re.compile(r"(([A-Za-z_]\w*\.)+)([{%].*)?")


class Part(NamedTuple):
    """A definition, or what a module does when it is imported.

    Attributes:
        statements: Which of the module's.
        names: The names that are used, as ``_Names`` finds them.
        paths: Texts that may be import paths.
        texts: Texts that something is called with, which may name a module.
        imports: What it imports itself, by the names that it is bound to.
        modules: What of that may be modules.
    """

    statements: list[int]
    names: set[str]
    paths: set[str]
    texts: set[str]
    imports: dict[str, set[str]]
    modules: set[str]


class Module:
    """A module, as a table of what it defines.

    Args:
        name: Its import path.
        file: Its source.
        is_ours: Whether an import path is of code that is read.

    Attributes:
        folder: Of its package, if it is in one.
        imports: Import paths by the names that they are bound to in all of the module; one of
            several may be, such as where another is the fallback.
        bases: The import paths that each of its classes is made of.
        tells: Its classes that do something when another one is made of them.
        is_lazy: Whether it has names that it finds only when they are asked for.
    """

    def __init__(self, name: str, file: Path, is_ours: Callable[[str], bool]) -> None:
        self.name = name
        self._package = name if file.stem == "__init__" else name.rpartition(".")[0]
        self.folder = file.parent if self._package else None
        self._is_ours = is_ours
        self._named: dict[str | None, set[str]] = {}
        with _uncollected():
            body = ast.parse(file.read_bytes(), str(file)).body
            imports = [node for node in _outside_of_definitions(body) if _is_import(node)]
            self.imports = self._imports_in(imports)
            self._defined = {name for statement in body for name in _defined_by(statement)}
            classes = [statement for statement in body if isinstance(statement, ast.ClassDef)]
            self.bases = {made.name: self._paths_in(_made_of(made)) for made in classes}
            self.tells = {made.name for made in classes if self._tells(made)}
            # no tree is kept: the collector of garbage would look at it as long as nodes run
            self._texts = list(map(ast.dump, body))
            self._parts = {name: self._read(body, at) for name, at in self._sorted(body).items()}
            self._parts[EFFECTS].names.update(self._unnamed())
            self._parts[EFFECTS].modules.update(self._modules_in(imports))
        lazy = "__getattr__"
        self.is_lazy = lazy in self._parts or lazy in self._parts[EFFECTS].names

    def defines(self, name: str) -> bool:
        """Whether a name is defined here, and not imported."""
        return name in self._parts

    def written(self, names: Iterable[str | None]) -> str:
        """The text of some definitions, in the order of the module, and what they import."""
        names = list(names)
        parts = [part for name in names for part in self._of(name)]
        statements = sorted({n for part in parts for n in part.statements})
        imported = {path for name in names for path in self.named_by(name)}
        return "\n".join([*(self._texts[n] for n in statements), *sorted(imported)])

    def named_by(self, name: str | None) -> set[str]:
        """The import paths of what a definition names."""
        if name not in self._named:
            self._named[name] = self._named_by(name)
        return self._named[name]

    def _named_by(self, name: str | None) -> set[str]:
        parts, imports = self._of(name), self.imports
        for part in parts:
            imports = _both(imports, part.imports) if part.imports else imports
        paths = self._paths_of({chain for part in parts for chain in part.names}, imports)
        paths |= {path for part in parts for path in part.paths if self._is_ours(path)}
        return paths.union(*(found for bound, found in imports.items() if bound.endswith("*")))

    def looks_around(self, name: str | None) -> bool:
        """Whether a definition asks for all classes that are made of another."""
        return any("__subclasses__" in part.names for part in self._of(name))

    def imported_by(self, name: str | None) -> set[str]:
        """What may be modules that are imported when a definition runs, or the module itself."""
        modules = {path for part in self._of(name) for path in part.modules}
        if name != EFFECTS:
            return modules
        parents = self.name.split(".")
        return modules | {".".join(parents[:n]) for n in range(1, len(parents))}

    def looked_up_by(self, name: str | None) -> set[str]:
        """What may be modules that a definition looks up by text, relative to its own too."""
        texts = {text for part in self._of(name) for text in part.texts}
        return {path for text in texts if (path := _absolute(text, self._package))}

    def _of(self, name: str | None) -> list[Part]:
        if name is None:
            return [*self._parts.values()]
        return [self._parts[name]] if name in self._parts else []

    def _sorted(self, body: list[ast.stmt]) -> dict[str, list[int]]:
        """The statements of a module by what they define, and those that have effects."""
        parts: dict[str, list[int]] = defaultdict(list, {EFFECTS: []})
        for n, statement in enumerate(body):
            for name in _defined_by(statement):
                parts[name].append(n)
            if self._has_effects(statement):
                parts[EFFECTS].append(n)
        return parts

    def _has_effects(self, statement: ast.stmt) -> bool:
        """Whether more may come of a statement than the name that it defines."""
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                return False
            case _ if not _defined_by(statement):
                return True
        return not all(map(self._is_plain, _decorators_of(statement))) or any(
            self._may_keep(node) for node in _run_by(statement)
        )

    def _may_keep(self, node: ast.AST) -> bool:
        """Whether code that is read is called, or a class does something besides defining."""
        if isinstance(node, ast.Call):
            return self._is_keeper(node.func)
        within = isinstance(node, ast.ClassDef) and not all(map(_only_defines, node.body))
        return within or any(map(self._is_keeper, _decorators_of(node)))

    def _is_keeper(self, called: ast.expr) -> bool:
        """Whether it is own; the engine keeps nothing of what another's modules call it with."""
        others = (path for path in self._own(called) if not path.startswith(ENGINE))
        return self._is_own(called) if self.name.startswith(ENGINE) else any(others)

    def _is_plain(self, decorator: ast.expr) -> bool:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
        return name in PLAIN_DECORATORS and not self._is_own(decorator)

    def _is_own(self, called: ast.expr) -> bool:
        """Whether what is called is of code that is read, and so may keep what it is given."""
        return bool(self._own(called))

    def _own(self, called: ast.expr) -> set[str]:
        """The import paths of what is called that are of code that is read."""
        while isinstance(called, ast.Attribute | ast.Call | ast.Subscript):
            called = called.func if isinstance(called, ast.Call) else called.value
        first = {called.id} if isinstance(called, ast.Name) else set()
        return set(filter(self._is_ours, self._paths_of(first, self.imports)))

    def _tells(self, made: ast.ClassDef) -> bool:
        return any(_defined_by(part) == ["__init_subclass__"] for part in made.body) or any(
            keyword.arg == "metaclass" and self._is_own(keyword.value) for keyword in made.keywords
        )

    def _read(self, body: list[ast.stmt], at: list[int]) -> Part:
        names = _Names()
        for n in at:
            names.visit(body[n])
        imports = self._imports_in(names.imports), self._modules_in(names.imports)
        return Part(at, names.found, names.paths, names.texts, *imports)

    def _unnamed(self) -> set[str]:
        """What is imported from packages that are not read, and never named: for what that does."""
        named = {chain.partition(".")[0] for part in self._parts.values() for chain in part.names}
        return {
            name
            for name, paths in self.imports.items()
            if name not in named and not name.endswith("*") and not any(map(self._is_ours, paths))
        }

    def _paths_in(self, nodes: Iterable[ast.AST]) -> set[str]:
        names = _Names()
        for node in nodes:
            names.visit(node)
        return self._paths_of(names.found, self.imports)

    def _paths_of(self, chains: Iterable[str], imports: dict[str, set[str]]) -> set[str]:
        paths = set[str]()
        for chain in chains:
            first, *rest = chain.split(".")
            paths |= {".".join([path, *rest]) for path in imports.get(first, ())}
            if first in self._defined:  # what is imported by that name may be what it is made of
                paths.add(f"{self.name}.{first}")
            if first in LOOKS_UP or ".".join([first, *rest[:1]]) in LOOKS_UP:
                paths.add(self.name)
        return paths

    def _imports_in(self, nodes: Iterable[ast.AST]) -> dict[str, set[str]]:
        """Import paths by the names that they are bound to; a star is bound to one of its own."""
        bound: dict[str, set[str]] = defaultdict(set)
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    bound[alias.asname or first].add(alias.name if alias.asname else first)
            elif isinstance(node, ast.ImportFrom):
                source = self._source_of(node)
                for alias in node.names:
                    if alias.name == "*":
                        bound[f"{source}.*"].add(source)
                    else:
                        bound[alias.asname or alias.name].add(f"{source}.{alias.name}")
        return dict(bound)

    def _modules_in(self, nodes: Iterable[ast.AST]) -> set[str]:
        """What may be modules that these imports import."""
        paths = set[str]()
        for node in nodes:
            if isinstance(node, ast.Import):
                paths |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                source = self._source_of(node)
                paths |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
        return paths

    def _source_of(self, node: ast.ImportFrom) -> str:
        """The module that something is imported from, if it is relative too."""
        return _absolute(f"{'.' * node.level}{node.module or ''}", self._package) or ""


def _absolute(name: str, package: str) -> str | None:
    """The import path of what may be relative to a package, if that has so many parents."""
    try:
        return resolve_name(name, package)
    except ImportError:
        return None


def _both(some: dict[str, set[str]], others: dict[str, set[str]]) -> dict[str, set[str]]:
    return some | {name: paths | some.get(name, set()) for name, paths in others.items()}


def paths_in(text: str) -> set[str]:
    """What may be import paths in a text."""
    return {path.replace(":", ".") for path in _IMPORT_PATH.findall(text)}


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _made_of(made: ast.ClassDef) -> list[ast.expr]:
    return [*made.bases, *(keyword.value for keyword in made.keywords)]


def _decorators_of(statement: ast.AST) -> list[ast.expr]:
    return getattr(statement, "decorator_list", [])


def _defined_by(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _only_defines(statement: ast.stmt) -> bool:
    """Whether a statement within a class can be about that class only."""
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_text or isinstance(statement, ast.Pass) or bool(_defined_by(statement))


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
        self.paths = set[str]()
        self.texts = set[str]()
        self.imports: list[ast.AST] = []

    def visit_Import(self, node: ast.Import) -> None:
        self.imports.append(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.imports.append(node)

    def visit_Name(self, node: ast.Name) -> None:
        self.found.add(node.id)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """What is imported within a class is one of its attributes."""
        for inner in _outside_of_definitions(node.body):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                self.found |= {alias.asname or alias.name for alias in inner.names}
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """A module may be imported by its name, and an attribute asked for."""
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        texts = [text for part in given if (text := _text_of(part))]
        self.texts |= {text for text in texts if _MODULE.fullmatch(text)}
        self.texts |= {
            path
            for text in self.texts.intersection(texts)
            if text.startswith(".")
            for package in texts
            if (path := _absolute(text, package))
        }
        match node:
            case ast.Call(func=ast.Name(id="getattr"), args=[held, named, *_]) if _text_of(named):
                self.visit(ast.Attribute(held, _text_of(named) or "", ast.Load()))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        attributes, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            attributes.append(base.attr)
            base = base.value
        self.found.update({"__subclasses__"}.intersection(attributes))
        if isinstance(base, ast.Name):
            self.found.add(".".join([base.id, *reversed(attributes)]))
        else:
            self.visit(base)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Types may be named in text, as may what is looked up by its name or import path."""
        if isinstance(node.value, str):
            self.found.update(_IDENTIFIER.findall(node.value))
            self.paths |= paths_in(node.value)
            if prefix := _IMPORT_PREFIX.fullmatch(node.value):
                self.paths.add(f"{prefix[1]}{ANY}")

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # what it says of itself names nothing
            self.generic_visit(node)


def _outside_of_definitions(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """What runs when a module is imported."""
    for node in body:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _outside_of_definitions(ast.iter_child_nodes(node))


def _run_by(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a statement is come upon: of functions all but what is within them."""
    yield node
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            parts = [*node.decorator_list, node.args, *filter(None, [node.returns])]
        case ast.Lambda():
            parts = [node.args]
        case _:
            parts = list(ast.iter_child_nodes(node))
    for part in parts:
        yield from _run_by(part)


def _text_of(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
