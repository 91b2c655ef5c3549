"""Two models of contracts that have nothing in common, trained, gated and released in one run.

Started in a copy of the project. The pipelines are the project's, once for each model, by Kedro's
namespaces; of each champion it says which Bento it is, and what it reads.
"""

import json
import sys
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

from flight_delays.pipelines import gate, modelling, release

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.contract.screening_account import ScreeningAccount
from kedro_mlops.core.project import open_project
from kedro_mlops.gate.behaviour import Behaviour
from kedro_mlops.prediction_log.contract import PredictionColumns

N_ROWS, N_DAYS = 6_000, 59
START = pd.Timestamp("2013-01-01")


class LoanInputs(Contract):
    """What is known of a loan when it is asked for."""

    loan: int = column("Number of the loan", key=True, ge=1, example=7)
    asked_at: pd.Timestamp = column(
        "When it is asked for", key=True, event_time=True, feature=True,
        example="2013-02-01T12:00:00",
    )  # fmt: skip
    amount: float = column("Euros", feature=True, ge=0, le=100_000, example=2_500)
    purpose: str = column(
        "What for", feature=True, segment=True, isin=["car", "house"], example="car"
    )


class Loan(LoanInputs):
    """One loan, and whether it was paid back."""

    defaulted: pd.BooleanDtype = column("Whether it was not paid back", label="binary")
    known_at: pd.Timestamp = column("When that is known", label_time=True)


class LoanLog(PredictionColumns, LoanInputs, of=Loan):
    """One prediction of a loan."""


class ParcelInputs(Contract):
    """What is known of a parcel when it is sent."""

    code: str = column("On its label", key=True, example="p1")
    sent_at: pd.Timestamp = column(
        "When it is sent", event_time=True, example="2013-02-01T12:00:00"
    )
    grams: float = column("Weight", feature=True, ge=1, nullable=True, example=900)
    fragile: bool = column("Whether it may break", feature=True, segment=True, example=False)


class Parcel(ParcelInputs):
    """One parcel, and whether it was lost."""

    lost: pd.BooleanDtype = column("Whether it was lost", label="binary")
    found_out: pd.Timestamp = column("When that is known", label_time=True)


class ParcelLog(PredictionColumns, ParcelInputs, of=Parcel):
    """One prediction of a parcel."""


def rows_of(contract: type[Contract]) -> pd.DataFrame:
    """Rows that keep a contract, in which a number that is no key tells most of the label."""
    rng = np.random.default_rng(0)
    columns = Columns.of(contract)
    moments = START + pd.to_timedelta(np.linspace(0, N_DAYS * 1440 - 1, N_ROWS).astype(int), "min")
    number = rng.uniform(1, 10_000, N_ROWS)
    rows: dict[str, Any] = {}
    for each in columns.all:
        values = {
            "numeric": number if each.role.feature else np.arange(1, N_ROWS + 1),
            "boolean": rng.random(N_ROWS) < 0.5,
            "datetime": moments,
            "categorical": [f"p{i}" for i in range(N_ROWS)],
        }
        choices = each.checks.get("isin")
        rows[each.name] = rng.choice(choices, N_ROWS) if choices else values[each.kind]
    rows[columns.label] = pd.array(number + rng.normal(0, 4_000, N_ROWS) > 6_000, dtype="boolean")
    rows[columns.label_time] = moments + pd.Timedelta(hours=1)
    return pd.DataFrame(rows)


def entries_of(contract: type[Contract], log: type[Contract], store: str) -> dict[str, Any]:
    """What the pipelines read."""
    return {
        "contract": Columns.of(contract),
        "log_contract": Columns.of(log),
        "model_input": ibis.memtable(rows_of(contract)),
        "online_store": store,
        "known_trials": pd.DataFrame(),
        "known_predictions": None,
        "known_candidate": None,
        "incumbent": None,
        "data_screening": ScreeningAccount(
            passed=True, max_quarantine_share=0, largest_share=0, tables=[]
        ),
        "params:behaviour": Behaviour(n_rows=100, invariance=[], direction=[]),
    }


def main() -> None:
    """Run both, and print what became champion."""
    open_project(Path.cwd())
    configure_project("flight_delays")
    with KedroSession.create(Path.cwd(), env="sample") as session:
        context = session.load_context()
        project = context.catalog
    parts = [modelling.create_pipeline(), gate.create_pipeline(), release.create_pipeline()]
    store = f"sqlite:///{Path.cwd() / 'none.db'}"
    tables = {"loans": (Loan, LoanLog), "parcels": (Parcel, ParcelLog)}
    for model, (contract, log) in tables.items():
        # both Bentos are built of the requirements in the project's folder
        whole = Pipeline(parts, namespace=model, inputs={"families"}, outputs={"requirements"})
        entries = entries_of(contract, log, store)
        given = {"requirements": project["requirements"]}
        for name in whole.inputs():
            own = name.replace(f"{model}.", "", 1)
            given[name] = MemoryDataset(entries[own] if own in entries else project.load(own))
        named = project.load("params:release").model_copy(update={"name": model})
        given[f"params:{model}.release"] = MemoryDataset(named)
        # a number tells most of the label, and a shallow tree knows that as well
        lenient = project.load("params:gate").model_copy(update={"min_loss_won": 0})
        given[f"params:{model}.gate"] = MemoryDataset(lenient)
        made = SequentialRunner().run(whole, DataCatalog(given))
        champion = made[f"{model}.champion"].load().metadata
        said = {"release": champion.release, "features": champion.features}
        sys.stdout.write(f"{json.dumps(said)}\n")


if __name__ == "__main__":
    main()
