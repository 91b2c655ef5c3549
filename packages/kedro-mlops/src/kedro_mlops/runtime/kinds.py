"""The kinds of columns, and the type that the values of each have, wherever they are held."""

from datetime import datetime
from typing import Any, Literal, NamedTuple

Kind = Literal["numeric", "categorical", "datetime", "boolean"]


class Types(NamedTuple):
    """The types of a kind's values.

    Attributes:
        words: What is said of them to who sends others.
        python: Their class.
        pandas: Their dtype, with room for missing ones if there are such.
        ibis: Their type in the engine.
        arrow: Their type in Arrow, by its alias.
    """

    words: str
    python: Any
    pandas: str
    ibis: str
    arrow: str


_INTEGER = Types("an integer", int, "int64", "int64", "int64")
_TYPES: dict[Kind, Types] = {
    "numeric": Types("a number", float, "float64", "float64", "float64"),
    "categorical": Types("text", str, "str", "string", "string"),
    "datetime": Types(
        "a moment without a time zone", datetime, "datetime64[us]", "timestamp", "timestamp[us]"
    ),
    "boolean": Types("boolean", bool, "boolean", "boolean", "bool"),
}


def types_of(kind: Kind, integer: bool = False) -> Types:
    """The types of a kind's values, or of its integers."""
    return _INTEGER if integer else _TYPES[kind]
