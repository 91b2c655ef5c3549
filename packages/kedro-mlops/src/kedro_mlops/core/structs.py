"""Structs of msgspec whose fields are called by the names of columns, whatever these are.

msgspec knows no field whose name needs an escape in JSON, such as one with a quotation mark. Such a
field has a stand-in for a name, by which ``Keys`` lets it be read.
"""

import json
import keyword
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
# where characters are for private use, and how they are written with an escape
_PRIVATE, _PRIVATE_ESCAPE = 0xE000, re.compile(rb"\\u[eE]0")


def struct_of(name: str, fields: Sequence[tuple[Any, ...]], **options: Any) -> Any:
    """A struct with such fields: the name that each is read and written by, its type and default.

    Its members are called by ``members_of``, and what needs an escape is read through ``Keys``.
    """
    names = [field for field, *_ in fields]
    members = members_of(names)
    declared = [(member, *said) for member, (_, *said) in zip(members, fields, strict=True)]
    written = dict(zip(members, map(_stand_in, names), strict=True))
    return msgspec.defstruct(name, declared, rename=written, **options)


def members_of(names: Iterable[str]) -> list[str]:
    """Names as Python can have them; no two names have one."""
    return [
        name
        if name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
        else f"_{''.join(f'{ord(letter):x}_' for letter in name)}"
        for name in names
    ]


def record_of(names: Sequence[str]) -> Any:
    """A maker of what is written with such names, given the values.

    That is a struct, or where a name needs an escape a dictionary, which takes longer to write.
    """
    if any(map(_ESCAPED.search, names)):
        return lambda *values: dict(zip(names, values, strict=True))
    return struct_of("Record", [(name, Any) for name in names])


def _stand_in(name: str) -> str:
    return _ESCAPED.sub(lambda found: chr(_PRIVATE + ord(found[0])), name)


class Keys:
    """Puts stand-ins in the place of the keys of JSON that need an escape.

    Args:
        names: Of fields.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._stand_ins: dict[bytes, bytes] = {}
        for name in names:
            stand_in = _stand_in(name)
            if stand_in != name:
                # as json and as others write it
                written = {json.dumps(name, ensure_ascii=plain).encode() for plain in (True, False)}
                written.add(msgspec.json.encode(name))
                self._stand_ins |= dict.fromkeys(written, msgspec.json.encode(stand_in))
        keys = b"|".join(map(re.escape, self._stand_ins))
        # a quotation mark that begins a text stands behind one of these, and one that ends it,
        # in what is JSON, before none of the letters of a key
        self._key = re.compile(rb"([{,][ \t\n\r]*)(%b)(?=[ \t\n\r]*:)" % keys)

    def known(self, data: bytes) -> bytes:
        """JSON with the stand-ins."""
        if not self._stand_ins:
            return data
        return self._key.sub(lambda found: found[1] + self._stand_ins[found[2]], data)

    def pretends(self, data: bytes) -> bool:
        """Whether what comes from outside may have a stand-in, which is the name of no field."""
        if not self._stand_ins:
            return False
        return bool(_PRIVATE_ESCAPE.search(data)) or any(
            stand_in in data for stand_in in self._stand_ins.values()
        )
