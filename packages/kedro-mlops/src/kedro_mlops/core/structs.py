"""Structs of msgspec whose fields are called by the names of columns, whatever these are."""

import keyword
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec


def struct_of(name: str, fields: Sequence[tuple[Any, ...]], **options: Any) -> Any:
    """A struct with such fields: the name that each is read and written by, its type and default.

    Its members are called by ``members_of``.
    """
    names = [field for field, *_ in fields]
    members = members_of(names)
    declared = [(member, *said) for member, (_, *said) in zip(members, fields, strict=True)]
    written = dict(zip(members, names, strict=True))
    return msgspec.defstruct(name, declared, rename=written, **options)


def members_of(names: Iterable[str]) -> list[str]:
    """Names as Python can have them."""
    return [
        name
        if name.isidentifier() and not keyword.iskeyword(name)
        else f"_{''.join(f'{ord(letter):x}_' for letter in name)}"
        for name in names
    ]
