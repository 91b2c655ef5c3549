"""What was counted of a table, kept for whoever asks for the same next: several nodes do.

A dataset gives the same table as long as its files are what they were; another table is counted
anew, and the last one is forgotten, as it is when nobody has it any more.
"""

from collections.abc import Callable, Hashable
from threading import RLock
from typing import Any, TypeVar
from weakref import ReferenceType, ref

import ibis.expr.types as ir

from kedro_mlops.contract.columns import Columns

Found = TypeVar("Found")


class Kept:
    """What was found of one table."""

    def __init__(self) -> None:
        self._of: tuple[ReferenceType[ir.Table], Columns] | None = None
        self._found = dict[Hashable, Any]()
        self._lock = RLock()

    def get(
        self, contract: Columns, table: ir.Table, name: Hashable, find: Callable[[], Found]
    ) -> Found:
        """What is called so, found now if it was not before."""
        with self._lock:
            if self._of is None or self._of[0]() is not table or self._of[1] != contract:
                self._of, self._found = (ref(table, self._forget), contract), {}
            if name not in self._found:
                self._found[name] = find()
            found: Found = self._found[name]
            return found

    def _forget(self, table: ReferenceType[ir.Table]) -> None:
        with self._lock:
            if self._of is not None and self._of[0] is table:
                self._of, self._found = None, {}


KEPT = Kept()
