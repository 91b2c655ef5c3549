"""The numbers of a raw table's rows, from 1: the same on every engine, in the order of its files.

Most engines count rows as they read them. Spark would move all of them to one task for that; there
each row is known by its file and its place in it, and the rows of the files before are added.
"""

from itertools import accumulate

import ibis
import ibis.expr.types as ir

from kedro_mlops.core.engine import is_spark
from kedro_mlops.core.names import own

from . import proved
from .columns import ROW

FILE, PLACE = own("file"), own("place")
_BEFORE = own("before")
# columns that only say where a row stands
WHERE = (ROW, FILE, PLACE)


def located(raw: ir.Table) -> ir.Table:
    """A raw table as it is; or, of Spark, with what says where its rows stand."""
    if ROW in raw.columns or not is_spark(raw):
        return raw
    table: ir.Table = raw.get_backend().located(raw, FILE, PLACE)
    proved.note_same(table, raw)
    return table


def where(source: ir.Table) -> dict[str, ir.Value]:
    """What says where the rows of a ``located`` table stand, by name; of others, their number."""
    known = {name: source[name] for name in WHERE if name in source.columns}
    return known or {ROW: ibis.row_number() + 1}


def numbered(rows: ir.Table, source: ir.Table) -> ir.Table:
    """Rows of a table, which have what ``where`` says of them, with their numbers."""
    if ROW in rows.columns:
        return rows
    engine = source.get_backend()
    counted = source.group_by(FILE).aggregate(n=source[PLACE].max() + 1).to_pyarrow().to_pydict()
    n_rows = dict(zip(*counted.values(), strict=True))
    uris = engine.in_order(n_rows, source)
    before = accumulate((n_rows[uri] for uri in uris[:-1]), initial=0)
    schema = ibis.schema({FILE: "string", _BEFORE: "int64"})
    files = engine.shared([*zip(uris, before, strict=False)], schema)
    joined = rows.join(files, FILE)
    return joined.mutate((joined[_BEFORE] + joined[PLACE] + 1).name(ROW)).drop(FILE, PLACE, _BEFORE)
