"""Names of rows that have none: what they say, in short."""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

SEPARATOR, NOTHING = "\x1f", "\x1e"


def row_ids(rows: ir.Table, names: Sequence[str], label: str) -> ir.StringColumn:
    """A digest of what each row says, wherever it stands and whatever became of it.

    Args:
        rows: The table.
        names: The columns of what rows say.
        label: What became of them. Rows that say the same are numbered, in its order.
    """
    said = [rows[name].cast("string").fill_null(NOTHING) for name in names]
    digest = ibis.literal(SEPARATOR).join(said).hexdigest("md5")
    nth = ibis.row_number().over(group_by=digest, order_by=rows[label])
    return (nth == 0).ifelse(digest, digest + "-" + nth.cast("string"))
