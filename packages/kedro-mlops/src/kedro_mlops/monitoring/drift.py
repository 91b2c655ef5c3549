"""How far data and scores are from training, window by window, in one pass over the rows."""

from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.time_params import AsOf, Horizon, Window
from kedro_mlops.measures.drift_profile import MEASURES, compare
from kedro_mlops.measures.drift_reference import Profile
from kedro_mlops.measures.grids import Grid
from kedro_mlops.measures.tally import Tally, tally_windows
from kedro_mlops.models.package import ModelPackage

from .parameters import DISTANCES, Drift, Monitoring

# of p-values, which may be 0
SMALLEST = 1e-300
NAMES = {
    "psi": "PSI",
    "jensen_shannon": "the Jensen-Shannon distance",
    "wasserstein": "the Wasserstein distance",
}

DRIFT_COLUMNS = [
    "window_start", "window_end", "n_rows", "n_days", "kind", "column", "drifted",
    "of_limit",
    *(name for measure in DISTANCES for name in (measure, f"{measure}_limit")),
    "p_value", "missing_share", "reference_missing_share", "missing_increase", "missing_limit",
    "unseen_share", "in_words",
]  # fmt: skip


def measure_drift(
    contract: Columns,
    predictions: ir.Table,
    champion: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    window: Window,
    params: Monitoring,
) -> pd.DataFrame:
    """Compare features and score with the reference that travels with the champion.

    Returns:
        One row per window and column, the newest window first, in it the score, then the features,
        those first that are farthest for their limit; see ``drift_profile.compare``. The measure
        that counts is ``of_limit`` as a multiple of its limit; beyond 1 a column has ``drifted``.
        ``in_words`` says so, and why a large figure may be none. No rows where nothing was
        predicted.
    """
    # windows are counted back from the end; the oldest takes what is left of the horizon
    oldest = max(horizon.days // window.days, 1) - 1
    number = _windows(predictions[timeline_of(contract).moment], as_of, horizon, window, oldest)
    profiles = {"score": champion.reference.score, "feature": champion.reference.features}
    tallies = tally_windows(predictions, *_counted(profiles), number)
    parts = []
    for back in sorted(tallies):
        end = as_of.after(horizon.days - back * window.days)
        start = as_of.moment if back == oldest else end - pd.Timedelta(days=window.days)
        rows = pd.concat([_judge(kind, p, tallies[back], params) for kind, p in profiles.items()])
        parts.append(
            rows.assign(
                window_start=start.date().isoformat(),
                window_end=end.date().isoformat(),
                n_days=(end - start).days,
            )
        )
    drift = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return drift.reindex(columns=DRIFT_COLUMNS)


def _windows(
    moment: ir.TimestampColumn, as_of: AsOf, horizon: Horizon, window: Window, oldest: int
) -> ir.IntegerValue:
    """The window of each row, 0 the newest."""
    starts = [as_of.after(horizon.days - (back + 1) * window.days) for back in range(oldest)]
    number: ir.IntegerValue = ibis.literal(oldest, "int32")
    if starts:
        later = [(moment >= ibis.literal(start), back) for back, start in enumerate(starts)]
        number = ibis.cases(*later, else_=oldest)
    return number


def _counted(profiles: dict[str, Profile]) -> tuple[dict[str, Grid], list[str]]:
    grids = {name: grid for p in profiles.values() for name, grid in p.grids.items()}
    return grids, [name for p in profiles.values() for name in p.counts if name not in p.grids]


def _judge(kind: str, reference: Profile, tally: Tally, params: Monitoring) -> pd.DataFrame:
    """Compare, and set each measure beside its limit."""
    table = compare(reference, {name: tally[name] for name in reference.counts})
    normal = pd.DataFrame.from_dict(reference.normal, orient="index", columns=list(MEASURES))
    levels = params.drift.margin * normal.reindex(table["column"]).fillna(0.0)
    for measure in DISTANCES:
        floor = params.drift.floors[measure]
        table[f"{measure}_limit"] = levels[measure].clip(lower=floor).to_numpy()
    missing = levels["missing_increase"].clip(lower=params.max_missing_share_increase)
    judged = table.assign(
        kind=kind,
        n_rows=[tally[name].n_rows for name in table["column"]],
        missing_limit=missing.to_numpy(),
    )
    of_limit = _of_limit(judged, params.drift)
    judged = judged.assign(of_limit=of_limit, drifted=of_limit > 1)
    judged["in_words"] = [_in_words(row, params.drift) for row in judged.to_dict("records")]
    return judged.sort_values("of_limit", ascending=False, kind="stable")


def _in_words(row: Mapping[Any, Any], params: Drift) -> str:
    """What the measure that counts says of a column, where it says something."""
    if params.measure == "p_value":
        return "Drifted: the test of significance says so." if row["drifted"] else ""
    value, floor = row[params.measure], params.floors[params.measure]
    limit, found = row[f"{params.measure}_limit"], f"{NAMES[params.measure]} {value:.3g} is beyond"
    if row["drifted"]:
        return f"Drifted: {found} its limit, {limit:.3g}."
    if not value > floor:  # also where this measure has no value
        return ""
    return (
        f"Not drifted, though {found} the common limit, {floor:g}: parts of the training rows were "
        f"up to {limit / params.margin:.3g} from what preceded them."
    )


def _of_limit(table: pd.DataFrame, params: Drift) -> pd.Series:
    """The measure that counts, as a multiple of its limit."""
    if params.measure == "p_value":
        return params.max_p_value / table["p_value"].clip(lower=SMALLEST)
    return table[params.measure] / table[f"{params.measure}_limit"]
