"""A label of two values, one of them positive, is what a boolean one is to all that reads it."""

from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pytest
from example.contracts import Inputs
from example.factories import COLUMNS, decided
from example.history import History
from example.scoring import labelled_rows
from example.trained import CODE, Trained, model

from kedro_mlops.contract.columns import Columns, column
from kedro_mlops.contract.validation import ContractValidator
from kedro_mlops.core.time_params import AsOf, Horizon, Window
from kedro_mlops.documentation.nodes import ModelCard, render_card, render_dictionary
from kedro_mlops.gate.nodes import Gate, check_candidate, judge
from kedro_mlops.measures.evaluation import Footprint
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.modelling.evaluation import evaluate_slices, measure_single_features
from kedro_mlops.modelling.nodes import split_windows
from kedro_mlops.modelling.parameters import Modelling
from kedro_mlops.models.decision import Decision
from kedro_mlops.monitoring.parameters import Monitoring
from kedro_mlops.monitoring.performance import measure_performance
from kedro_mlops.task.task import Costs

LATE = "Whether it came late; missing if it is lost"


class Spelt(Inputs):
    """A row to learn from, of which the label is a word."""

    known_at: pd.Timestamp = column("When that is known", label_time=True, nullable=True)
    late: str = column(LATE, label="binary", isin=["yes", "no"], positive="yes", nullable=True)


class Numbered(Inputs):
    """A row to learn from, of which the label is a whole number; the smaller one is positive."""

    known_at: pd.Timestamp = column("When that is known", label_time=True, nullable=True)
    late: pd.Int64Dtype = column(LATE, label="binary", isin=[1, 2], positive=1, nullable=True)


SPELT, NUMBERED = Columns.of(Spelt), Columns.of(Numbered)
SAID: list[tuple[Columns, Any, Any]] = [(SPELT, "yes", "no"), (NUMBERED, 1, 2)]


def said_as(table: ir.Table, positive: Any, negative: Any) -> ir.Table:
    """The table, with its label in other words."""
    label = table[COLUMNS.label]
    return table.mutate(late=ibis.cases((label, positive), (~label, negative)))


@pytest.fixture(scope="module")
def spelt(
    history: History,
    as_of: AsOf,
    window: Window,
    modelling_params: Modelling,
    bootstrap: Bootstrap,
    costs: Costs,
) -> Trained:
    rows = said_as(history.model_input, "yes", "no")
    windows = split_windows(SPELT, rows, as_of, modelling_params)
    return model(rows, windows, as_of, window, modelling_params, bootstrap, costs, SPELT)


@pytest.mark.parametrize(("columns", "positive", "negative"), SAID)
def test_windows_have_the_label_as_a_number(
    columns: Columns,
    positive: Any,
    negative: Any,
    history: History,
    windows: list[pd.DataFrame],
    as_of: AsOf,
    modelling_params: Modelling,
) -> None:
    rows = said_as(history.model_input, positive, negative)

    found = split_windows(columns, rows, as_of, modelling_params)

    assert rows.late.isnull().sum().execute() > 0
    ContractValidator(f"{__name__}.{columns.name}").validate(rows)
    for cut, expected in zip(found, windows, strict=True):
        pd.testing.assert_frame_equal(cut, expected)


def test_the_candidate_and_its_figures_are_those_of_a_boolean_label(
    spelt: Trained, trained: Trained
) -> None:
    assert spelt.candidate.version == trained.candidate.version
    assert spelt.candidate.metadata.metrics == trained.candidate.metadata.metrics
    assert spelt.candidate.metadata.lineage == CODE.lineage_of(
        trained.candidate.metadata.lineage.data_hash
    )
    pd.testing.assert_frame_equal(spelt.predictions, trained.predictions)


def test_the_gate_judges_it_as_one(
    spelt: Trained,
    trained: Trained,
    windows: list[pd.DataFrame],
    modelling_params: Modelling,
    bootstrap: Bootstrap,
    parameters: dict[str, Any],
) -> None:
    test, params = windows[2], Gate(**parameters["gate"])

    def judged(columns: Columns, made: Trained) -> Decision:
        footprint = Footprint(
            training_seconds=1, n_training_rows=1, model_bytes=1, engine="", one_row_milliseconds=1
        )
        slices = evaluate_slices(columns, made.predictions, bootstrap)
        alone = measure_single_features(columns, *windows, modelling_params, 0)
        behaviour = pd.DataFrame(columns=["name", "value", "limit", "passed", "detail"])
        checks = check_candidate(
            columns, made.candidate, made.predictions, made.packaged["metrics"], slices, alone,
            behaviour, footprint, params, bootstrap,
        )  # fmt: skip
        return judge(
            columns, made.candidate, None, checks, test, made.predictions, params, bootstrap
        )

    assert judged(SPELT, spelt) == judged(COLUMNS, trained)


@pytest.mark.parametrize(("columns", "positive", "negative"), SAID)
def test_monitoring_joins_and_measures_it_as_one(
    columns: Columns,
    positive: Any,
    negative: Any,
    history: History,
    trained: Trained,
    as_of: AsOf,
    horizon: Horizon,
    bootstrap: Bootstrap,
    parameters: dict[str, Any],
) -> None:
    table, champion = history.model_input, trained.candidate
    coming = table.filter(
        table[COLUMNS.event_time] >= ibis.literal(as_of.moment),
        table[COLUMNS.event_time] < ibis.literal(as_of.after(horizon.days)),
    ).to_pandas()
    scored = coming.drop(columns=["late", "known_at"]).assign(**champion.predict(coming))
    params = Monitoring(**parameters["monitoring"] | {"min_labelled_rows": 100})

    # those of a depot came in once more, and contradict each other
    twice = table.union(table.filter(table.depot == "WEST").mutate(late=~table.late)).cache()

    def watched(contract: Columns, rows: ir.Table) -> tuple[pd.DataFrame, Any, Any]:
        labelled, account = labelled_rows(contract, ibis.memtable(scored), rows, as_of, horizon)
        performance = measure_performance(
            contract, labelled, account, 0, champion, as_of, horizon, params, bootstrap,
            parameters["gate"]["fairness"],
        )  # fmt: skip
        return labelled.order_by(contract.keys).to_pandas(), account, performance

    labelled, account, performance = watched(columns, said_as(twice, positive, negative))
    expected, counted, measured = watched(COLUMNS, twice)

    assert account == counted
    assert account["contradicting"] > 0
    assert account["known"] > 100
    pd.testing.assert_frame_equal(labelled, expected)
    assert performance == measured


def test_documents_name_the_positive_value(spelt: Trained) -> None:
    people = ModelCard(owner="we", intended_use="to know", out_of_scope=["x"], limits=["y"])

    card = render_card(SPELT, spelt.candidate.with_record(decision=decided()), people)

    assert '<code>late</code>, positive where it is <code>"yes"</code>' in card
    assert "positive where it is yes" in render_dictionary([SPELT])
