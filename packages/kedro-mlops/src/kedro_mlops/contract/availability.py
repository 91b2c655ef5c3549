"""Proof that inputs are known when a prediction is made."""

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from kedro_mlops.core.errors import ProjectError

from .columns import Columns
from .table_diff import differences


def prove_availability(
    raw: ir.Table,
    hidden: list[str],
    later: ir.BooleanValue,
    inputs: Columns,
    build: Callable[[ir.Table], pd.DataFrame],
) -> dict[str, Any]:
    """Build inputs twice, the second time with what is known only after the event hidden.

    Args:
        raw: The table of events.
        hidden: Its columns that are known only after the event.
        later: The events of which they are hidden.
        inputs: The contract of the inputs.
        build: Makes the inputs of those events out of such a table.

    Returns:
        The number of rows, the columns that were hidden and those that were compared.

    Raises:
        ProjectError: naming the inputs that differ.
    """
    blind = raw.mutate(
        {name: later.ifelse(ibis.null(raw[name].type()), raw[name]) for name in hidden}
    )
    seen, unseen = build(raw), build(blind)
    differ = differences(seen, unseen, inputs.keys, inputs.names)
    leaking = differ.columns[differ.any()].tolist()
    if not len(seen) == len(unseen) == len(differ):
        leaking.append("which rows there are")
    if leaking:
        when = ""
        if inputs.has_time:
            first, last = (getattr(seen[inputs.event_time], end)() for end in ("min", "max"))
            when = f"from {first} to {last} "
        raise ProjectError(
            f"Known only after the event: {', '.join(leaking)}. Their values for the rows "
            f"{when}change when {', '.join(hidden)} of these are hidden, so nobody "
            "could know them when a prediction is made. Take them out of the inputs in "
            "contracts.py, or compute them from earlier days; a raw column that is really known "
            "before says so: `known_ahead=True`."
        )
    return {"n_rows": len(seen), "hidden": hidden, "compared": inputs.names}
