"""What this process has proved of tables, so that who reads what it has just written may trust it.

A proof is of what an expression gives, and holds for a file that is written from it as long as the
files that it reads, and then this one, are as they were. In doubt there is none.
"""

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import ibis.expr.operations as ops
import ibis.expr.types as ir

from .columns import Columns

# what gives the same rows of the same rows, however often it is computed
_PLAIN = (ops.Project, ops.Filter, ops.DropColumns)
_unchanged: "WeakKeyDictionary[ops.Node, Callable[[], bool]]" = WeakKeyDictionary()
_kept: "WeakKeyDictionary[ops.Node, Columns]" = WeakKeyDictionary()


def note_source(table: ir.Table, unchanged: Callable[[], bool]) -> None:
    """Note a table of files, and what tells whether they are as they were when it was made."""
    _unchanged[table.op()] = unchanged


def note_same(table: ir.Table, source: ir.Table) -> None:
    """Note that a table has the rows of another, and is as it was as long as that one is."""
    if source.op() in _unchanged:
        for read in table.op().find(ops.PhysicalTable):
            _unchanged[read] = _unchanged[source.op()]


def note_kept(table: ir.Table, contract: Columns) -> None:
    """Note that all rows of a table keep a contract, and that no two have the same key."""
    _kept[table.op()] = contract


def note_checked(table: ir.Table, contract: Columns) -> None:
    """Note the same of a table of files whose rows were asked; others may be changed any time."""
    if table.op() in _unchanged:
        note_kept(table, contract)


def is_kept(table: ir.Table, contract: Columns) -> bool:
    """Whether that is known."""
    return _kept.get(table.op()) == contract


def kept_now(table: ir.Table) -> Columns | None:
    """The contract that is known to be kept, if all that the table is made of is as it was."""
    contract = _kept.get(table.op())
    made_of = [node for node in table.op().find(ops.Relation) if not isinstance(node, _PLAIN)]
    if contract is None or not all(map(_is_as_it_was, made_of)):
        return None
    by_chance = table.op().find((ops.Impure, ops.WindowFunction))
    return contract if all(map(_is_of_contracts, by_chance)) else None


def is_unique(table: ir.Table, key: Sequence[str]) -> bool:
    """Whether it is known that no two rows have the same key, and nothing has changed since."""
    kept = kept_now(table)
    return kept is not None and bool(kept.unique) and {*kept.unique} <= {*key}


def _is_as_it_was(source: ops.Node) -> bool:
    if isinstance(source, ops.InMemoryTable):
        return True
    return source in _unchanged and _unchanged[source]()


def _is_of_contracts(function: ops.Node) -> bool:
    """Whether it is one of the functions that contracts are read by; others may be by chance."""
    return isinstance(function, ops.ScalarUDF) and function.__module__.startswith(f"{__package__}.")
