"""What tells the functions of nodes apart, by functions and values that differ in one thing."""

import copy
import enum
import functools
import json
import operator
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from itertools import combinations
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedro_mlops.incremental import callables
from kedro_mlops.incremental.callables import contents_of
from kedro_mlops.incremental.code_index import Place, UnknownError


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.IntEnum):
    ONE = 1


@dataclass
class Point:
    x: Any
    y: Any = 0


@dataclass(slots=True)
class Slotted:
    x: int


class Text(str):
    __slots__ = ("unit",)


def made(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def other(*args: Any) -> Any:
    return args


VALUES: list[Any] = [
    1, True, 1.0, "1", b"1", 1j, 0, False, -0.0, 0.0, None, "None", "", (), [], {}, set(),
    frozenset(), [1], (1,), {1}, frozenset([1]), {1: 1}, {1: True}, {"1": 1}, [[1], [2, 3]],
    [[1, 2], [3]], [[]], [1, [2]], [[1], 2], [1, 2], {"a": "b", "c": "d"}, {"a": "c", "b": "d"},
    {"a": {"b": 1}}, {"a": 1, "b": {}},
    OrderedDict(a=1), defaultdict(int, a=1), defaultdict(list, a=1),
    deque([1]), deque([1], maxlen=3), range(3), slice(3), Decimal("1"), Decimal("1.0"),
    Point(1), Point(True), Point([1], [2, 3]), Slotted(1), Slotted(2), Text("1"), Text("2"),
    Colour.RED, Colour.BLUE, Size.ONE, Colour, Size, date(2024, 1, 2), datetime(2024, 1, 2),  # noqa: DTZ001
    datetime(2024, 1, 2, tzinfo=UTC), Path("a"), Path("b"), np.array([1, 2]), np.array([1.0, 2.0]),
    np.array([[1, 2]]), np.int64(1), np.float64(1), pd.Timestamp("2024-01-02"), pd.Series([1, 2]),
    pd.Series([1, 2], name="a"), pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [1, 2]}),
    pd.Index([1, 2]), made, other, max, min, len, "a".join, "b".join, operator.itemgetter(1),
    operator.itemgetter(2), operator, functools, np.add, np.subtract, list[int], list[str],
    lambda x: x + 1, lambda x: x + 2, lambda x, y: x, lambda y, x: y, {"f": made, "g": other},
    {"f": other, "g": made}, partial(made, other), partial(other, made), partial(made, [1], [2, 3]),
    partial(made, [1, 2], [3]), partial(made, keep=["a", "b"], drop=["c"]),
    partial(made, keep=["a"], drop=["b", "c"]), partial(made, "keep", "a"), partial(made, keep="a"),
]  # fmt: skip


def _parts(value: Any) -> str:
    return contents_of(value).hash


def test_values_that_differ_have_different_parts() -> None:
    parts = list(map(_parts, VALUES))

    pairs = combinations(zip(VALUES, parts, strict=True), 2)
    assert [(a, b) for (a, of_a), (b, of_b) in pairs if of_a == of_b] == []
    assert list(map(_parts, VALUES)) == parts


ATOMS = st.sampled_from([1, True, 1.0, "1", b"1", None, "", 0, "a"])
NESTED = st.recursive(
    ATOMS,
    lambda part: (
        st.lists(part, max_size=3)
        | st.lists(part, max_size=3).map(tuple)
        | st.dictionaries(ATOMS, part, max_size=2)
    ),
    max_leaves=5,
)


@given(NESTED, NESTED)
def test_nested_values_have_the_same_parts_only_if_they_are_written_the_same(
    one: Any, another: Any
) -> None:
    assert (_parts(one) == _parts(another)) == (repr(one) == repr(another))


def _logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def test_a_wrapper_is_where_it_is_written_and_where_it_says() -> None:
    places = contents_of(_logged(Path.home)).places

    assert {Place(__name__, "_logged"), Place("pathlib", "Path")} <= places


def test_what_a_function_was_made_with_tells_it_apart() -> None:
    def with_default(n: int) -> Callable[..., int]:
        def inner(x: int, n: int = n) -> int:
            return x + n

        return inner

    def with_keyword(n: int) -> Callable[..., int]:
        def inner(x: int, *, n: int = n) -> int:
            return x + n

        return inner

    def with_attribute(n: int) -> Callable[..., int]:
        def inner(x: int) -> int:
            return x + inner.n  # type: ignore[attr-defined, no-any-return]

        inner.n = n  # type: ignore[attr-defined]
        return inner

    for make in (with_default, with_keyword, with_attribute):
        assert _parts(make(3)) == _parts(make(3))
        assert _parts(make(3)) != _parts(make(4))


def test_of_what_has_no_plain_value_nothing_is_said() -> None:
    class Local:
        pass

    deep: list[Any] = []
    for _ in range(sys.getrecursionlimit()):
        deep = [deep]
    for unknown in (Lock(), Local, Local(), iter(map(str, [Lock()])), sys.stdout, deep):
        with pytest.raises(UnknownError, match="it was made with"):
            contents_of(unknown)


def test_what_holds_itself_is_read_to_an_end() -> None:
    loop: list[Any] = [1]
    loop.append(loop)

    assert _parts(loop) == _parts(copy.deepcopy(loop)) != _parts([1, [1]])


def _shared(depth: int) -> list[Any]:
    made: list[Any] = [1]
    for _ in range(depth):
        made = [made, made]
    return made


def _nested(depth: int) -> frozenset[Any]:
    made = frozenset[Any]()
    for _ in range(depth):
        made = frozenset([made, depth])
    return made


def _acquainted(number: int) -> list[Point]:
    points = [Point(n) for n in range(number)]
    for point in points:
        point.y = [other for other in points if other is not point]
    return points


@pytest.mark.parametrize("held", [_shared(40), _nested(40), _acquainted(7)])
def test_what_is_held_in_many_places_is_read_once(
    monkeypatch: pytest.MonkeyPatch, held: Any
) -> None:
    looks, held_by = iter(range(1_000)), callables._held_by

    def counted(value: Any) -> list[Any]:
        assert next(looks, None) is not None, "it is read again and again"
        return held_by(value)

    monkeypatch.setattr(callables, "_held_by", counted)

    assert len(_parts(held)) < 1_000


def test_what_is_held_twice_is_as_what_is_written_twice() -> None:
    shared = _shared(5)

    assert _parts(shared) == _parts(json.loads(json.dumps(shared)))


def test_of_what_holds_each_other_it_counts_which_holds_which() -> None:
    one, both, another = Point(1), Point(2), Point(3)
    one.y, another.y, both.y = both, both, one
    known = _parts([one, another])

    another.y = Point(2, another)

    assert _parts([one, another]) != known


def test_a_number_of_any_size_is_told_apart() -> None:
    assert _parts(10**5_000) != _parts(10**5_000 + 1)
