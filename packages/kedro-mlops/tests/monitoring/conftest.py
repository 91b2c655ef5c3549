"""A champion fitted on real rows, and what it predicted in the two weeks after."""

from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pytest
from example.factories import COLUMNS, LOGGED, screened, skew_of
from example.history import History
from example.scoring import labelled_rows, scored

from kedro_mlops.core.time_params import AsOf, Horizon, Window
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.monitoring.challenger_review import ChallengerReview
from kedro_mlops.monitoring.drift import measure_drift
from kedro_mlops.monitoring.findings import Performance, Quality
from kedro_mlops.monitoring.nodes import measure_quality
from kedro_mlops.monitoring.parameters import Monitoring
from kedro_mlops.monitoring.performance import measure_performance
from kedro_mlops.monitoring.triggers import Retraining

CLEAN, NO_SKEW = screened(), skew_of()


@pytest.fixture(scope="session")
def params(parameters: dict[str, Any]) -> Monitoring:
    return Monitoring(**(parameters["monitoring"] | {"min_labelled_rows": 100}))


@pytest.fixture(scope="session")
def fairness(parameters: dict[str, Any]) -> dict[str, Any]:
    return parameters["gate"]["fairness"]


@pytest.fixture(scope="session")
def retraining(parameters: dict[str, Any]) -> Retraining:
    given = parameters["retraining"]
    return Retraining(**(given | {"drift": {"drifted": 3, "windows": 4}}))


@pytest.fixture(scope="session")
def trial(parameters: dict[str, Any]) -> ChallengerReview:
    return ChallengerReview(**(parameters["challenger_review"] | {"min_labelled_rows": 100}))


@pytest.fixture(scope="session")
def predictions(package: ModelPackage, history: History, as_of: AsOf, horizon: Horizon) -> ir.Table:
    return scored(COLUMNS, LOGGED, package, history.model_input, as_of, horizon).cache()


@pytest.fixture(scope="session")
def joined(
    predictions: ir.Table, history: History, as_of: AsOf, horizon: Horizon
) -> tuple[pd.DataFrame, dict[str, int]]:
    labelled, account = labelled_rows(COLUMNS, predictions, history.model_input, as_of, horizon)
    return labelled.order_by(COLUMNS.keys).to_pandas(), account


@pytest.fixture(scope="session")
def labelled(joined: tuple[pd.DataFrame, dict[str, int]]) -> pd.DataFrame:
    return joined[0]


@pytest.fixture(scope="session")
def account(joined: tuple[pd.DataFrame, dict[str, int]]) -> dict[str, int]:
    return joined[1]


@pytest.fixture(scope="session")
def drift(
    predictions: ir.Table,
    package: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    window: Window,
    params: Monitoring,
) -> pd.DataFrame:
    return measure_drift(COLUMNS, predictions, package, as_of, horizon, window, params)


@pytest.fixture(scope="session")
def quality(
    predictions: ir.Table,
    drift: pd.DataFrame,
    package: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    params: Monitoring,
) -> Quality:
    return measure_quality(
        COLUMNS, predictions, drift, CLEAN, NO_SKEW, package, as_of, horizon, params
    )


@pytest.fixture(scope="session")
def performance(
    labelled: pd.DataFrame,
    account: dict[str, int],
    package: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    params: Monitoring,
    bootstrap: Bootstrap,
    fairness: dict[str, Any],
) -> Performance:
    return measure_performance(
        COLUMNS,
        ibis.memtable(labelled),
        account,
        1234,
        package,
        as_of,
        horizon,
        params,
        bootstrap,
        fairness,
    )
