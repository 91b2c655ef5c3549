"""The checks that a contract may declare: one table, from which every judge of values is made.

Pandera judges tables in memory by checks of its own. The same are asked of tables by Ibis
(``contract.rules``), of requests by msgspec and NumPy (``serving``) and, where these do not say yes
at once, by Pydantic (``field_types``). A new check is one entry here.
"""

import operator
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from .serving_spec import Field


class Check(NamedTuple):
    """A check: how each judge makes it, and how it is said.

    Attributes:
        name: Pandera's argument that declares it.
        pandera: Pandera's name of it.
        words: What a value should be, with a place for the limit.
        query: Given the values of an Ibis column and the limit, which keep it.
        value: Given the limit, what tells of a value whether it keeps it. It may say no where only
            Pydantic can tell, and never yes where Pydantic says no.
        rule: What it is called in the serving spec.
        array: Given a NumPy array and the limit, which values keep it; none if it is for text.
        schema: What OpenAPI says of it, if it is not Pydantic's own, under the name of ``rule``.
    """

    name: str
    pandera: str
    words: str
    query: Callable[[Any, Any], Any]
    value: Callable[[Any], Callable[[Any], bool]]
    rule: str
    array: Callable[[Any, Any], Any] | None = None
    schema: Callable[[Any], dict[str, Any]] | None = None


class Asked(NamedTuple):
    """A check of a field, with the limit in the type of its values, and as JSON has it."""

    check: Check
    limit: Any
    said: Any


def _bound(name: str, pandera: str, words: str, keeps: Callable[[Any, Any], Any]) -> Check:
    def value(bound: Any) -> Callable[[Any], bool]:
        return lambda value: bool(keeps(value, bound))

    return Check(name, pandera, words, query=keeps, value=value, rule=name, array=keeps)


def anchored(pattern: str) -> str:
    """The pattern at the beginning of a text, where Pandera looks for it, as ``re.match`` does."""
    return f"^(?:{pattern})"


def _matching(pattern: str) -> Callable[[str], bool]:
    search = re.compile(pattern).search
    # Python's `$` matches before a line break at the end, others' do not
    return lambda text: "\n" not in text and search(text) is not None


def _none_of(forbidden: list[Any]) -> Callable[[Any], bool]:
    values = frozenset(forbidden)
    return lambda value: value not in values


_ALL = [
    _bound("gt", "greater_than", "more than {}", operator.gt),
    _bound("ge", "greater_than_or_equal_to", "at least {}", operator.ge),
    _bound("lt", "less_than", "less than {}", operator.lt),
    _bound("le", "less_than_or_equal_to", "at most {}", operator.le),
    Check(
        name="isin",
        pandera="isin",
        words="one of {}",
        query=lambda values, allowed: values.isin(allowed),
        value=lambda allowed: frozenset(allowed).__contains__,
        rule="allowed",
        array=np.isin,
        schema=lambda allowed: {"enum": allowed},
    ),
    Check(
        name="notin",
        pandera="notin",
        words="none of {}",
        query=lambda values, forbidden: values.notin(forbidden),
        value=_none_of,
        rule="forbidden",
        array=lambda values, forbidden: np.isin(values, forbidden, invert=True),
        schema=lambda forbidden: {"not": {"enum": forbidden}},
    ),
    Check(
        name="str_matches",
        pandera="str_matches",
        words="like {}",
        query=lambda values, pattern: values.re_search(anchored(pattern)),
        value=_matching,
        rule="pattern",
    ),
    Check(
        name="str_length",
        pandera="str_length",
        words="text of at most {} characters",
        query=lambda values, most: values.length() <= most,
        value=lambda most: lambda text: len(text) <= most,
        rule="max_length",
    ),
]
CHECKS = {check.name: check for check in _ALL}


def asked_of(field: Field) -> Iterator[Asked]:
    """What is asked of the values of a field, check by check."""
    said = {"allowed": field.allowed, "forbidden": field.forbidden or None, **field.rules}
    for check in CHECKS.values():
        limit = said.get(check.rule)
        if limit is not None:
            yield Asked(check, _typed(limit) if field.kind == "datetime" else limit, limit)


def _typed(limit: Any) -> Any:
    if isinstance(limit, list):
        return [datetime.fromisoformat(each) for each in limit]
    return datetime.fromisoformat(limit)
