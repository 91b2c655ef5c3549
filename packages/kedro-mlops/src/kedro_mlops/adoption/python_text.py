"""Python as people write it: names, values and calls, laid out as ruff does."""

import builtins
import keyword
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

WIDTH = 100
LONGEST = 48
LONGEST_IN_PROSE = 36
INDENT = "    "
AS_IT_IS = "  # fmt: skip"
TOO_LONG = "  # noqa: E501"
# as text, or its name and value
Argument = str | tuple[str, Any]
# what letters without a plain form are written as
PLAIN = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l", "đ": "d", "þ": "th"})


def identifier(name: str, otherwise: str = "field") -> str:
    """A name as Python can have it: plain letters, small, with underscores."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    decomposed = unicodedata.normalize("NFKD", spaced.lower().translate(PLAIN))
    plain = decomposed.encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if len(words) > LONGEST:
        words = words[:LONGEST].rpartition("_")[0] or words[:LONGEST]
    if not words:
        return otherwise
    if words[0].isdigit():
        words = f"{otherwise}_{words}"
    return f"{words}_" if keyword.iskeyword(words) or words in dir(builtins) else words


def identifiers(names: Sequence[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """An identifier of its own for each name, none of which is taken."""
    found: dict[str, str] = {}
    used = set(taken)
    for name in names:
        word = identifier(name)
        candidates = (word, f"{word}_", *(f"{word}_{n}" for n in range(2, len(names) + 3)))
        found[name] = next(each for each in candidates if each not in used)
        used.add(found[name])
    return found


def literal(value: Any) -> str:
    """A value as it stands in Python, with the quotes that ruff prefers."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(k)}: {literal(v)}' for k, v in value.items())}}}"
    if isinstance(value, datetime | pd.Timestamp):
        return _text(value.isoformat())
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def _text(value: str) -> str:
    quote = "'" if value.count('"') > value.count("'") else '"'
    plain = "".join(_character(each) for each in value)
    return f"{quote}{plain.replace(quote, chr(92) + quote)}{quote}"


def _character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    return character if character.isprintable() else repr(character)[1:-1]


def plain(name: str) -> str:
    """A name as part of prose, in docstrings, comments or YAML, where no letter has a meaning."""
    letters = "".join(each if each.isprintable() else " " for each in name)
    words = " ".join(letters.replace("\\", "/").replace('"', "'").replace("${", "$ {").split())
    return words if len(words) <= LONGEST_IN_PROSE else f"{words[: LONGEST_IN_PROSE - 1]}…"


def mapping(items: Iterable[tuple[Any, Any]]) -> str:
    """A dictionary, with a line for each of its items."""
    lines = [f"{INDENT}{literal(key)}: {literal(value)}," for key, value in items]
    lines = [line if len(line) <= WIDTH else f"{line}{TOO_LONG}" for line in lines]
    return "\n".join(["{", *lines, "}"]) if lines else "{}"


def call(opening: str, arguments: Sequence[Argument], indent: str = INDENT) -> str:
    """A call, in one line if it fits, else with its arguments in as few as they fill.

    Args:
        opening: What precedes the parenthesis.
        arguments: Each as text; or as its name and value.
        indent: What the lines begin with.
    """
    said = [a if isinstance(a, str) else f"{a[0]}={literal(a[1])}" for a in arguments]
    whole = f"{indent}{opening}({', '.join(said)})"
    if len(whole) <= WIDTH:
        return whole
    inner = f"{indent}{INDENT}{', '.join(said)}"
    if len(inner) <= WIDTH:
        return f"{indent}{opening}(\n{inner}\n{indent})"
    lines = _filled([part for argument in arguments for part in _parts(argument)], indent + INDENT)
    return "\n".join([f"{indent}{opening}(", *lines, f"{indent}){AS_IT_IS}"])


def _parts(argument: Argument) -> list[str]:
    """An argument, with a comma behind it; a list may be in several lines."""
    if isinstance(argument, str):
        return [f"{argument},"]
    name, value = argument
    if not isinstance(value, list) or not value:
        return [f"{name}={literal(value)},"]
    first, *others = [f"{literal(each)}," for each in value]
    parts = [f"{name}=[{first}", *others]
    return [*parts[:-1], f"{parts[-1][:-1]}],"]


def _filled(parts: Sequence[str], indent: str) -> list[str]:
    """Lines that hold as many parts as go into each."""
    lines = [indent + parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) <= WIDTH:
            lines[-1] += f" {part}"
        else:
            lines.append(indent + part)
    return [line if len(line) <= WIDTH else f"{line}{TOO_LONG}" for line in lines]
