"""What a node's function is: where its code is, and what it was given when it was made."""

import copyreg
import hashlib
import json
from collections.abc import Callable, Iterator
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any, NamedTuple

from .code_index import Place, UnknownError

LEAVES = (bool, bytes, complex, float, int, str, type(None))


class Contents(NamedTuple):
    """What a value is made of.

    Attributes:
        places: Of its code.
        texts: That it holds, at whatever depth.
        hash: Of all of it.
    """

    places: set[Place]
    texts: set[str]
    hash: str


def contents_of(value: Any) -> Contents:
    """What a value, such as a function, is made of.

    Raises:
        UnknownError: if it was given what has no plain value.
    """
    reading = _Reading()
    try:
        found = reading.said_of(value)
    except RecursionError as error:
        raise UnknownError("it was made with what is too deep to be read") from error
    return Contents(reading.places, reading.texts, found)


class _Reading:
    """A value that is being read: each thing that it holds once, in however many places."""

    def __init__(self) -> None:
        self.places = set[Place]()
        self.texts = set[str]()
        self._said: dict[int, str] = {}
        self._read: list[Any] = []  # whose ids nothing else can have meanwhile

    def said_of(self, value: Any) -> str:
        """A value as it is written, or a hash of what it holds."""
        if isinstance(value, Place):
            self.places.add(value)
            return str(value)
        if type(value) in LEAVES:
            self.texts |= {value} if type(value) is str else set()
            return hex(value) if type(value) is int else repr(value)  # in decimal, not of any size
        if id(value) not in self._said:
            # what it holds may hold it
            self._said[id(value)] = f"what holds it, {len(self._said)}"
            self._read.append(value)
            said = list(map(self.said_of, _held_by(value)))
            if type(value) in (set, frozenset):
                said.sort()
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            self._said[id(value)] = hashlib.sha256(json.dumps([kind, *said]).encode()).hexdigest()
        return self._said[id(value)]


def _held_by(value: Any) -> list[Any]:
    match value:
        case FunctionType():
            given = [value.__defaults__, value.__kwdefaults__, value.__closure__, vars(value)]
            return [*_places_of(value), value.__qualname__, value.__code__, *given]
        case MethodType():
            return [value.__func__, value.__self__]
        case type():
            return _of_class(value)
        case ModuleType():
            return [Place(value.__name__)]
        case BuiltinFunctionType() if isinstance(value.__self__, ModuleType | None):
            return [value.__module__, value.__qualname__]
    opened = OPENED.get(type(value), _pickled)
    return opened(value)


def _places_of(function: FunctionType) -> list[Place]:
    """Where it says that it is defined, which a wrapper copies, and where it really is."""
    at, written = function.__globals__.get("__name__"), function.__code__.co_qualname
    return [
        Place(str(module), name.partition(".")[0])
        for module, name in ((function.__module__, function.__qualname__), (at, written))
    ]


def _written_in(code: CodeType) -> list[Any]:
    """What tells apart functions of one name; where it stands in its file does not."""
    return [code.co_code, code.co_consts, code.co_names, code.co_varnames]


def _content_of(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:
        return []


def _of_class(made: type) -> list[Any]:
    if "<locals>" in made.__qualname__:
        raise UnknownError(f"it was made with {made.__qualname__}, a class that a function makes")
    return [Place(made.__module__, made.__qualname__.partition(".")[0]), made.__qualname__]


def _pickled(value: Any) -> list[Any]:
    """What another process would make it of."""
    try:
        registered = copyreg.dispatch_table.get(type(value))
        reduced = registered(value) if registered else value.__reduce_ex__(4)
    except Exception as error:  # whatever it says itself of what cannot be copied
        raise UnknownError(f"it was made with a {type(value).__name__}") from error
    if isinstance(reduced, str):
        named = [getattr(value, "__module__", None), reduced]
        return [type(value), *named, getattr(value, "__dict__", None)]
    return [type(value), *(list(part) if isinstance(part, Iterator) else part for part in reduced)]


OPENED: dict[type, Callable[[Any], list[Any]]] = {
    CodeType: _written_in,
    CellType: _content_of,
    MappingProxyType: lambda held: [dict(held)],
    dict: lambda held: [each for pair in held.items() for each in pair],
    list: list,
    tuple: list,
    set: list,
    frozenset: list,
}
