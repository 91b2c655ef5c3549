"""What people need to know of the data and of the model, from what the code enforces."""

from typing import Any

import plotly.graph_objects as go
from pydantic import Field

from kedro_mlops.contract.columns import Column, Columns
from kedro_mlops.core.time_params import Parameters
from kedro_mlops.measures.evaluation import worth_of_more_rows
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.models.preprocessing import TREATMENT
from kedro_mlops.reporting import charts
from kedro_mlops.reporting.pages import render_page
from kedro_mlops.runtime.checks import CHECKS
from kedro_mlops.task.metrics import NO_MORE, Metrics


class ModelCard(Parameters):
    """What only people know of the model."""

    owner: str = Field(min_length=1, description="Who answers for the model")
    intended_use: str = Field(min_length=1, description="Who uses it, when, and for what")
    out_of_scope: list[str] = Field(min_length=1, description="What it must not be used for")
    limits: list[str] = Field(min_length=1, description="What it cannot know or do")


def render_dictionary(contracts: list[Columns]) -> str:
    """Render every table that the contracts declare."""
    return render_page("data_dictionary", tables=[_describe(table) for table in contracts])


def render_card(
    contract: Columns,
    champion: ModelPackage,
    people: ModelCard,
    more: Metrics = NO_MORE,
) -> str:
    """Render the champion's model card; personal columns do not appear on it.

    All that it says of the model was measured when the model was a candidate, and has travelled
    with it: artefacts of the last run may be those of another candidate.
    """
    kinds, task = {column.kind for column in contract.all if column.role.feature}, contract.task
    output = champion.metadata.output
    return render_page(
        "model_card",
        champion=champion.metadata,
        evaluation=champion.evaluation,
        people=people,
        worth=_worth_of_more_rows(task.loss, champion),
        plots=[charts.embed(plot) for plot in _draw(task.loss, champion) if plot is not None],
        decision_metrics=[*(task.metrics | more).of_decisions],
        plotly_js=charts.script(),
        label=contract[contract.label],
        task=task,
        about=output.about,
        told=output.told,
        inputs=_describe(contract.inputs.without_personal()),
        group=contract.group,
        protected=[contract[name] for name in contract.protected],
        treatment=[text for kind, text in TREATMENT.items() if kind in kinds],
    )


def _worth_of_more_rows(loss: str, champion: ModelPackage) -> str:
    return (
        worth_of_more_rows(champion.evaluation.learning_curve, loss) if champion.evaluation else ""
    )


def _draw(loss: str, champion: ModelPackage) -> list[go.Figure | None]:
    """Pictures of the evaluation, if one came with the model."""
    if champion.evaluation is None:
        return []
    metadata = champion.metadata
    threshold = metadata.rule.threshold
    return charts.evaluation(champion.evaluation, metadata.metrics, threshold, loss, "champion")


def _describe(columns: Columns) -> dict[str, Any]:
    """What a template says of a table, or of just some of its columns."""
    of_events = any(column.role.known_ahead for column in columns.all)
    return {
        "name": columns.name,
        "description": columns.description,
        "key": list(columns.unique),
        "columns": [
            vars(column) | {"allowed": _allowed(column), "uses": _uses(column, columns, of_events)}
            for column in columns.all
        ],
    }


def _allowed(column: Column) -> list[str]:
    limits = {
        name: ", ".join(map(str, limit)) if isinstance(limit, list | tuple | set) else limit
        for name, limit in column.checks.items()
    }
    return [CHECKS[name].words.format(limit) for name, limit in limits.items()]


def _uses(column: Column, shown: Columns, of_events: bool) -> list[str]:
    role, lookup = column.role, ""
    if role.lookup:
        newest = ", the newest that is not later than the event's day" if role.lookup.daily else ""
        key = role.lookup.by if role.lookup.by in shown.names else "personal data"
        lookup = f"looked up: {role.lookup.table}.{role.lookup.column} by {key}{newest}"
    uses = {
        "known before the event": of_events and role.known_ahead,
        "known only after the event": of_events and not role.known_ahead,
        "identifies the row": role.key,
        "rows with the same value belong together": role.group,
        "the moment of the event": role.event_time,
        f"label of a {role.label} task": role.label,
        f"positive where it is {role.positive}": role.positive is not None,
        "the moment from which the label is known": role.label_time,
        "feature": role.feature,
        lookup: lookup,
        "metrics are sliced by it": role.segment,
        "protected: its groups are compared": role.protected,
        "personal: never in the model, the log, a report or a message": role.personal,
    }
    return [use for use, holds in uses.items() if holds]
