"""What the champion was served with, compared with what is built offline."""

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.table_diff import differences
from kedro_mlops.models.metadata import saved_at
from kedro_mlops.models.package import ModelPackage

from .findings import Answered, ColumnSkew, Skew
from .parameters import Monitoring

CHAMPION = "champion"


def measure_skew(
    contract: Columns,
    served: ir.Table,
    model_input: ir.Table,
    champion: ModelPackage,
    params: Monitoring,
) -> Skew:
    """Compare the inputs that the champion was served with to those built offline.

    Looked-up features must be equal: that is training-serving skew. Sent ones differ where callers
    know other things than the source tables do.
    """
    # before there were variants, only champions answered
    answered = served.filter(_.variant.fill_null(CHAMPION) == CHAMPION)
    logged = answered.filter(_.model_version == champion.version)
    newest = logged.order_by(ibis.desc("predicted_at")).limit(params.skew_sample_rows)
    inputs = contract.inputs.without_personal()
    rows: pd.DataFrame = newest.select(inputs.names).to_pandas()
    offline = find(model_input.select(inputs.names), inputs.keys, rows)
    looked_up = [column.name for column in inputs.looked_up]
    differ = differences(rows, offline, inputs.keys, inputs.names)
    n_compared = len(differ)
    return Skew(
        n_served=int(logged.count().to_pyarrow().as_py()),
        n_compared=n_compared,
        n_unknown=len(rows) - n_compared,
        share=int(differ[looked_up].any(axis=1).sum()) / max(n_compared, 1),
        answered=_who_answered(answered, champion),
        columns=[
            ColumnSkew(
                column=str(name),
                source="looked up" if name in looked_up else "sent",
                n_differ=n_differ,
            )
            for name, n_differ in differ.sum().items()
        ],
    )


def find(table: ir.Table, keys: list[str], rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table that have the keys of other rows."""
    asked = ibis.memtable(rows[keys], schema=table.select(keys).schema())
    found: pd.DataFrame = table.semi_join(asked, keys).to_pandas()
    return found


def _who_answered(answered: ir.Table, champion: ModelPackage) -> Answered:
    """Who gave the answers of the last hour in which there were some, since the champion is one."""
    since = saved_at(champion.base) if champion.base else None
    if since is None:
        return Answered(n_rows=0, by_another=0, models=[], in_words="")
    answers = answered.filter(_.predicted_at > ibis.literal(since))
    recent = answers.filter(_.predicted_at >= _.predicted_at.max() - ibis.interval(hours=1))
    counted = recent.group_by("model_version").aggregate(n=_.count(), last=_.predicted_at.max())
    rows = counted.order_by("model_version").to_pyarrow().to_pylist()
    n_rows = sum(row["n"] for row in rows)
    others = {row["model_version"]: row["n"] for row in rows}
    others.pop(champion.version, None)
    by_another, models, in_words = sum(others.values()), list(others), ""
    if by_another:
        last = max(row["last"] for row in rows)
        in_words = (
            f"{by_another:,} of the {n_rows:,} predictions of the hour until {last:%Y-%m-%d %H:%M} "
            f"UTC came from {', '.join(models)}, and not from {champion.version}, the champion "
            f"since {since:%Y-%m-%d %H:%M} UTC. Start anew what serves: `make serve`, or as "
            "deploy/README.md says."
        )
    return Answered(n_rows=n_rows, by_another=by_another, models=models, in_words=in_words)
