"""What was counted of tables, kept for whoever asks for the same next: several nodes do.

A dataset gives the same table as long as its files are what they were; another table is counted
anew. What was counted is forgotten when nobody has the table any more.
"""

from collections.abc import Callable, Hashable
from functools import partial
from threading import RLock
from typing import Any, NamedTuple, TypeVar
from weakref import ReferenceType, ref

import ibis.expr.types as ir

from kedro_mlops.contract.columns import Columns

Found = TypeVar("Found")


class _OfTable(NamedTuple):
    table: ReferenceType[ir.Table]
    contract: Columns
    found: dict[Hashable, Any]


class Kept:
    """What was found of tables that somebody has."""

    def __init__(self) -> None:
        # equal tables are not the same: files may have changed between them
        self._by_id = dict[int, _OfTable]()
        self._lock = RLock()

    def get(
        self, contract: Columns, table: ir.Table, name: Hashable, find: Callable[[], Found]
    ) -> Found:
        """What is called so, found now if it was not before."""
        with self._lock:
            of = self._by_id.get(id(table))
            if of is None or of.table() is not table or of.contract != contract:
                forget = partial(self._forget, id(table))
                of = self._by_id[id(table)] = _OfTable(ref(table, forget), contract, {})
            if name not in of.found:
                of.found[name] = find()
            found: Found = of.found[name]
            return found

    def _forget(self, number: int, table: ReferenceType[ir.Table]) -> None:
        with self._lock:
            if number in self._by_id and self._by_id[number].table is table:
                del self._by_id[number]


KEPT = Kept()
