"""Policies that lived the same days, compared."""

from datetime import date
from typing import Any, Self

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from pydantic import Field, model_validator

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import suggestion
from kedro_mlops.core.names import own
from kedro_mlops.core.time_params import Parameters
from kedro_mlops.measures.metrics import (
    Bootstrap,
    Scored,
    flatten,
    percentile_interval,
    resampled_mean,
)
from kedro_mlops.reporting import charts
from kedro_mlops.reporting.pages import render_page
from kedro_mlops.task.outputs import Floats
from kedro_mlops.task.task import Costs

ORACLE = "oracle"
# columns of the scores, beside those of the contract
TICK, POLICY = own("tick"), own("policy")
# the groups of parameters in which policies may differ
OVERRIDDEN = ("retraining", "monitoring")
# columns of the comparison, and what each sums up over the ticks
COUNTS = {
    "n_retrained": "retrained",
    "n_promoted": "promoted",
    "n_false_alarms": "false_alarm",
    "n_windows": "n_windows",
    "n_drifted_windows": "n_drifted_windows",
    "n_drifted_columns": "n_drifted_columns",
}


class Replay(Parameters):
    """Parameters of a replay."""

    start: date = Field(description="The first champions are trained as of this day")
    end: date = Field(description="The last tick ends here")
    every: str = Field(description="Length of a tick, as a pandas frequency")
    benchmark: str = Field(description="The policy that the others are compared with")
    policies: dict[str, dict[str, dict[str, Any]]] = Field(
        description="By name, the parameters in which each differs, as groups"
    )

    @model_validator(mode="after")
    def _compared_with_one_of_them(self) -> Self:
        for policy, groups in self.policies.items():
            for group in groups:
                if group not in OVERRIDDEN:
                    raise ValueError(
                        f"Policy '{policy}' cannot change '{group}': candidates are trained and "
                        f"judged alike for all. {suggestion(group, OVERRIDDEN)}"
                    )
        if self.benchmark not in self.policies:
            names = [*self.policies]
            raise ValueError(f"No policy '{self.benchmark}'. {suggestion(self.benchmark, names)}")
        if ORACLE in self.policies:
            raise ValueError(f"The policy '{ORACLE}' is always there; choose another name.")
        return self


def compare_policies(
    contract: Columns,
    scores: ir.Table,
    ticks: pd.DataFrame,
    params: Replay,
    costs: Costs,
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """What each policy was worth, over all ticks.

    Every tick counts the same; intervals resample the days of each. The scores are, per tick,
    policy and row, the probability and the decision, with the label.

    Returns:
        One row per policy: the loss with its interval, its ``difference`` from the benchmark's
        on the same resampled days with its interval, the other main metrics, ``cost`` per row,
        ``n_rows``, ``n_ticks``, how often it retrained, promoted, and retrained for nothing; and
        in how many of the windows that it looked at columns had drifted, how many columns, and how
        far the estimated loss of a window was from the realised one.
    """
    ticks = select_ticks(ticks, params)
    loss, told = contract.task.loss, [each.name for each in contract.task.output().told]
    columns = [TICK, POLICY, contract.event_time, contract.label, *told]
    lived = scores.filter(scores[TICK].isin(ticks["tick"].tolist())).select(columns)
    rows: pd.DataFrame = lived.order_by(columns[:3]).to_pandas()
    by_policy = {
        str(policy): [Scored.of(contract, tick) for _, tick in lives.groupby(TICK)]
        for policy, lives in rows.groupby(POLICY)
    }
    means = {policy: _resampled_losses(lives, bootstrap) for policy, lives in by_policy.items()}
    table = []
    for policy, lives in by_policy.items():
        resampled = {
            loss: means[policy],
            "difference": means[policy] - means[params.benchmark],
        }
        intervals = {n: percentile_interval(found, bootstrap) for n, found in resampled.items()}
        done = _account(ticks[ticks["policy"] == policy])
        table.append({"policy": policy, **flatten(intervals), **_worth(lives, costs), **done})
    return pd.DataFrame(table).sort_values(loss, ignore_index=True)


def _worth(ticks: list[Scored], costs: Costs) -> dict[str, float]:
    """How good a policy's champions were otherwise, and what their decisions cost."""
    task = ticks[0].task
    others = {n: m for n, m in task.main_metrics.of_scores.items() if n != task.loss}
    paid = [task.costs_of_rows(tick.label, np.asarray(tick.decided), costs) for tick in ticks]
    return {
        **{
            name: float(np.nanmean([metric(t.label, t.score, np.ones((1, len(t)))) for t in ticks]))
            for name, metric in others.items()
        },
        "cost": float(np.mean([tick.mean() for tick in paid])),
        "total_cost": float(sum(tick.sum() for tick in paid)),
        "n_rows": sum(map(len, ticks)),
        "n_ticks": len(ticks),
    }


def _account(done: pd.DataFrame) -> dict[str, float]:
    """What a policy did, and what monitoring saw."""
    counts = {name: int(done[counted].sum()) for name, counted in COUNTS.items()}
    return {**counts, "estimate_error": float(done["estimate_error"].astype(float).mean())}


def select_ticks(ticks: pd.DataFrame, params: Replay) -> pd.DataFrame:
    """The ticks that lie between start and end; more may have been lived before."""
    inside = (ticks["tick"] >= str(params.start)) & (ticks["until"] <= str(params.end))
    selected: pd.DataFrame = ticks[inside]
    return selected


def _resampled_losses(ticks: list[Scored], bootstrap: Bootstrap) -> Floats:
    """Mean loss over the ticks: of the rows as they are, and of each resample of days.

    Returns:
        Shape (1 + n_resamples,). Policies that lived the same rows get the same resamples.
    """
    means = [
        resampled_mean(
            tick.row_loss,
            tick.block,
            bootstrap.model_copy(update={"seed": bootstrap.seed + number}),
        )
        for number, tick in enumerate(ticks)
    ]
    return np.asarray(np.mean(means, axis=0))


def draw_replay(table: pd.DataFrame, ticks: pd.DataFrame, params: Replay) -> list[go.Figure]:
    """The loss of each tick, and what each policy cost over the price of a retraining."""
    losses = charts.replay_losses(select_ticks(ticks, params), _loss_in(table))
    return [losses, charts.retraining_costs(table)]


def _loss_in(policies: pd.DataFrame) -> str:
    """What the loss is called in a comparison: it follows the policy's name."""
    return str(policies.columns[1])


def _others_in(policies: pd.DataFrame) -> list[str]:
    """The other main metrics in it: they stand between differences and costs."""
    names = [*policies.columns]
    return names[names.index("difference_high") + 1 : names.index("cost")]


def render_replay(
    table: pd.DataFrame,
    ticks: pd.DataFrame,
    params: Replay,
    loss_plot: go.Figure,
    cost_plot: go.Figure,
) -> str:
    """Render the comparison as HTML that needs no network."""
    by_tick = select_ticks(ticks, params).sort_values(["tick", "policy"])
    return render_page(
        "replay_report",
        policies=table.to_dict(orient="records"),
        loss=_loss_in(table),
        others=_others_in(table),
        benchmark=params.benchmark,
        retrainings=by_tick[by_tick["retrained"]].to_dict(orient="records"),
        first=by_tick["tick"].min(),
        last=by_tick["until"].max(),
        plots=[charts.embed(plot) for plot in (loss_plot, cost_plot)],
        plotly_js=charts.script(),
    )
