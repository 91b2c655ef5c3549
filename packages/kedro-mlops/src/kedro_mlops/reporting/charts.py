"""The project's pictures, as Plotly figures that kedro-viz previews and reports embed."""

import importlib
import sys
from collections.abc import Callable, Mapping
from html import escape
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from kedro_mlops.core.artefacts import Interval
from kedro_mlops.core.wording import measured_text, metric_name
from kedro_mlops.measures.evaluation import Evaluation

BLUE, GREY, RED, GREEN = "#2563eb", "#94a3b8", "#dc2626", "#16a34a"
COLORS = (BLUE, GREEN, RED, GREY, "#9333ea")
DOWNWARDS = {"autorange": "reversed"}
DASHES = ("solid", "longdash", "dash", "dashdot", "dot")


def _plotly_offline() -> Any:
    """Import what writes figures, but not IPython, which it would import for nothing."""
    modules: dict[str, Any] = sys.modules
    unused = "IPython.core.display"
    absent = modules.setdefault(unused, None) is None
    try:
        return importlib.import_module("plotly.offline")
    finally:
        if absent:
            del modules[unused]


# Plotly's own, for a page with figures
script: Callable[[], str] = _plotly_offline().get_plotlyjs


def figure(title: str, x: str, y: str, **layout: Any) -> go.Figure:
    """An empty figure in the project's style."""
    return go.Figure(
        layout={
            "title": {"text": title, "x": 0, "xref": "paper"},
            "template": "plotly_white",
            "xaxis_title": x,
            "yaxis_title": y,
            "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
            "legend": {"orientation": "h", "y": -0.2},
            **layout,
        }
    )


def _ends(values: pd.Series, low: pd.Series, high: pd.Series) -> dict[str, Any]:
    """The interval around each value, as Plotly draws it."""
    return {"type": "data", "array": high - values, "arrayminus": values - low}


def _plain(text: object) -> str:
    """Text as it is: what looks like a tag in it is none to Plotly."""
    return escape(str(text), quote=False)


def embed(chart: go.Figure) -> str:
    """The figure as HTML for a page that has Plotly's script already."""
    html: str = chart.to_html(
        full_html=False, include_plotlyjs=False, config={"displayModeBar": False}
    )
    return html


def evaluation(
    found: Evaluation,
    metrics: Mapping[str, Interval],
    threshold: float | None,
    loss: str,
    name: str,
) -> list[go.Figure | None]:
    """Pictures of a model's evaluation, in the order of the functions below.

    None in the place of what the evaluation does not have.
    """
    models = {name: metrics, **found.baselines}
    areas = {"model": metrics, **found.baselines}
    return [
        compare_models(models, loss),
        calibration(pd.DataFrame(found.calibration)),
        roc_curves(found.roc, areas) if found.roc else None,
        costs(found.cost, threshold, found.costs) if found.cost and threshold is not None else None,
        slices(pd.DataFrame(found.slices), loss) if found.slices else None,
        importance(pd.DataFrame(found.importance), loss),
        learning_curve(found.learning_curve, loss) if found.learning_curve else None,
    ]


def compare_models(metrics: Mapping[str, Mapping[str, Interval]], loss: str) -> go.Figure:
    """The loss of several models, with intervals; the first is the one that it is about."""
    models, said = list(metrics), metric_name(loss)
    losses = pd.DataFrame(dict(metrics[model][loss]) for model in models)
    chart = figure(f"{said.capitalize()} beside baselines", said, "", yaxis=DOWNWARDS)
    chart.add_scatter(
        x=losses["value"],
        y=[model.replace("_", " ") for model in models],
        mode="markers",
        marker={"size": 11, "color": [BLUE, *[GREY] * (len(models) - 1)]},
        error_x=_ends(losses["value"], losses["low"], losses["high"]),
    )
    return chart


def calibration(curve: pd.DataFrame) -> go.Figure:
    """What was observed against what was predicted, on average in bins, with their rows."""
    title = "Calibration (beside each bin: its rows)"
    chart = figure(title, "predicted", "observed")
    ends = [curve["predicted"].min(), curve["predicted"].max()] if len(curve) else [0, 1]
    ends = [min(0, ends[0]), max(1, ends[1])]
    chart.add_scatter(
        x=ends, y=ends, mode="lines", line={"color": GREY, "dash": "dot"}, name="ideal"
    )
    if len(curve):
        chart.add_scatter(
            x=curve["predicted"],
            y=curve["observed"],
            mode="lines+markers+text",
            line={"color": BLUE},
            text=curve["n_rows"].map("{:,}".format),
            textposition="bottom right",
            name="model",
        )
    return chart


def roc_curves(
    curves: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Interval]]
) -> go.Figure:
    """ROC curves of several models, each with its area."""
    chart = figure("ROC", "false positive rate", "true positive rate")
    for color, (name, curve) in zip(cycle(COLORS), curves.items(), strict=False):
        points = pd.DataFrame(curve)
        area = measured_text(metrics.get(name, {}), "roc_auc")
        chart.add_scatter(
            x=points["false_positive_rate"],
            y=points["true_positive_rate"],
            mode="lines",
            line={"color": color},
            name=f"{_plain(name.replace('_', ' '))}{f': {area}' if area else ''}",
        )
    return chart


def costs(curve: Any, threshold: float, costs_of: Mapping[str, float]) -> go.Figure:
    """Mean cost per row over the decision threshold."""
    points = pd.DataFrame(curve)
    miss, alarm = costs_of.get("false_negative", 1), costs_of.get("false_positive", 1)
    title = f"Cost: a miss {miss:g}, a false alarm {alarm:g}"
    chart = figure(title, "decision threshold", "mean cost per row")
    chart.add_scatter(
        x=points["threshold"], y=points["cost"], mode="lines", line={"color": BLUE}, name="cost"
    )
    chart.add_vline(x=threshold, line_color=RED, annotation_text=f"chosen: {threshold:.3f}")
    return chart


def slices(table: pd.DataFrame, loss: str) -> go.Figure:
    """ROC AUC of every slice, with intervals; or the loss, where nothing is ranked."""
    shown = "roc_auc" if "roc_auc" in table else loss
    said = metric_name(shown)
    known = table.dropna(subset=[shown])
    chart = figure(f"{said[0].upper()}{said[1:]} by slice", said, "", yaxis=DOWNWARDS)
    for color, (segment, part) in zip(cycle(COLORS), known.groupby("segment"), strict=False):
        chart.add_scatter(
            x=part[shown],
            y=part["value"].map(_plain) + " (" + part["n_rows"].map("{:,}".format) + ")",
            mode="markers",
            marker={"color": color, "size": 9},
            error_x=_ends(part[shown], part[f"{shown}_low"], part[f"{shown}_high"]),
            name=_plain(segment),
        )
    return chart


def importance(table: pd.DataFrame, loss: str) -> go.Figure:
    """Permutation importance, most important first."""
    title = f"Importance: {metric_name(loss)} lost when shuffled"
    chart = figure(title, "", "", yaxis=DOWNWARDS)
    chart.add_bar(
        x=table["importance"],
        y=table["feature"].map(_plain),
        orientation="h",
        marker_color=BLUE,
        error_x={"type": "data", "array": table["spread"]},
    )
    return chart


def learning_curve(curve: Any, loss: str) -> go.Figure:
    """The loss by the rows that were learned from, and how much of it each step took away."""
    points, said = pd.DataFrame(curve), metric_name(loss)
    chart = figure("Learning curve", "rows learned from", said, xaxis={"type": "log"})
    # of a step, the loss before it is what that is measured by
    gain = points[["gain", "gain_low", "gain_high"]].astype(float)
    chart.add_scatter(
        x=points["n_rows"],
        y=points["loss"],
        mode="lines+markers",
        line={"color": BLUE},
        error_y=_ends(-gain["gain"], -gain["gain_high"], -gain["gain_low"]),
        name="what the last step won, with its interval",
    )
    return chart


def trials(table: pd.DataFrame) -> go.Figure:
    """Validation loss of every trial, and the best so far."""
    loss = table.columns[1]
    chart = figure("Tuning", "trial", f"validation {metric_name(loss)}")
    for color, (family, part) in zip(cycle(COLORS), table.groupby("family"), strict=False):
        chart.add_scatter(
            x=part.index,
            y=part[loss],
            mode="markers",
            marker={"color": color, "size": 9},
            name=str(family).replace("_", " "),
        )
    chart.add_scatter(
        x=table.index,
        y=table[loss].mask(table["is_pruned"]).cummin().ffill(),
        mode="lines",
        line={"color": GREY, "shape": "hv"},
        name="best so far",
    )
    return chart


def performance(table: pd.DataFrame, reference: Interval, tested_on: str, loss: str) -> go.Figure:
    """The loss of each window, realised and estimated, over the interval that was measured."""
    said = metric_name(loss)
    title = f"{said.capitalize()} by window"
    chart = figure(title, "window from", said, xaxis={"type": "category"})
    chart.add_hrect(y0=reference.low, y1=reference.high, fillcolor=GREY, opacity=0.2, line_width=0)
    chart.add_hline(y=reference.value, line_color=GREY, line_dash="dot", annotation_text=tested_on)
    series = {"realised": (loss, BLUE), "estimated": (f"estimated_{loss}", GREEN)}
    for name, (column, color) in series.items():
        chart.add_scatter(
            x=table["window_start"],
            y=table[column],
            mode="lines+markers",
            line={"color": color, "dash": "solid" if name == "realised" else "dot"},
            error_y=_ends(table[column], table[f"{column}_low"], table[f"{column}_high"]),
            name=name,
        )
    return chart


def distributions(score: str, bins: list[str], shares: Mapping[str, list[float]]) -> go.Figure:
    """Shares of the rows in numbered bins of a score, side by side."""
    above = {"orientation": "h", "y": 1.1, "x": 1, "xanchor": "right"}
    chart = figure("Score", score, "share of rows", barmode="group", legend=above)
    for color, (name, share) in zip((GREY, BLUE), shares.items(), strict=True):
        chart.add_bar(x=bins, y=share, marker_color=color, name=name)
    return chart


def drift(table: pd.DataFrame) -> go.Figure:
    """How far each column is, as a share of its own limit; 1 and more has drifted."""
    chart = figure("Drift", "share of its limit", "", yaxis=DOWNWARDS)
    colors = [RED if drifted else BLUE for drifted in table["drifted"]]
    chart.add_bar(
        x=table["of_limit"], y=table["column"].map(_plain), orientation="h", marker_color=colors
    )
    chart.add_vline(x=1, line_color=GREY, line_dash="dot", annotation_text="limit")
    return chart


def replay_losses(ticks: pd.DataFrame, loss: str) -> go.Figure:
    """The loss of every policy at every tick; a large marker where it had retrained."""
    said = metric_name(loss)
    chart = figure(f"{said.capitalize()} by tick", "", said, xaxis={"type": "category"})
    lines = _lines_by_policy(ticks)
    for policy, part in ticks.sort_values("tick").groupby("policy"):
        chart.add_scatter(
            x=part["tick"],
            y=part[loss],
            mode="lines+markers",
            marker={"size": np.where(part["retrained"], 12, 4)},
            **lines[str(policy)],
        )
    return chart


def retraining_costs(policies: pd.DataFrame) -> go.Figure:
    """Cost of wrong decisions and of retrainings, over the price of one retraining."""
    chart = figure("Cost", "price of a retraining, in the costs' unit", "all decisions and prices")
    spread = policies["total_cost"].max() - policies["total_cost"].min()
    prices = np.array([0.0, spread / 4])
    lines = _lines_by_policy(policies)
    for row in policies.sort_values("policy").to_dict(orient="records"):
        chart.add_scatter(
            x=prices,
            y=row["total_cost"] + prices * row["n_retrained"],
            mode="lines",
            **lines[row["policy"]],
        )
    return chart


def _lines_by_policy(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The same name, colour and dash for a policy in every chart; equal lines stay visible."""
    styles = zip(sorted(table["policy"].unique()), cycle(COLORS), cycle(DASHES), strict=False)
    return {
        policy: {"name": policy.replace("_", " "), "line": {"color": color, "dash": dash}}
        for policy, color, dash in styles
    }
