"""The example, and what the nodes make of it; built once per session."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest
import yaml
from driving.object_store import ObjectStore, object_store
from driving.postgres import Databases, postgres
from example.contracts import Inputs, Observation
from example.factories import COLUMNS, tiny_package
from example.history import History, make_history
from example.tasks import ASKED, Life, live
from example.trained import Trained, model

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.storage import configure
from kedro_mlops.core.time_params import AsOf, Horizon, Window
from kedro_mlops.export.serving_form import export
from kedro_mlops.feature_store.online_store import OnlineStoreDataset, publish
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.modelling import nodes as modelling
from kedro_mlops.modelling.parameters import Modelling
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.runtime.serving_spec import ServingSpec
from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.task import Costs

PARAMETERS = Path(__file__).parent / "example/parameters.yml"


@pytest.fixture(scope="session")
def as_of() -> AsOf:
    return AsOf("2013-04-01")


@pytest.fixture(scope="session")
def horizon() -> Horizon:
    return Horizon(days=14)


@pytest.fixture(scope="session")
def window() -> Window:
    return Window(days=7)


@pytest.fixture(scope="session")
def parameters() -> dict[str, Any]:
    """What the nodes are told; the part of each by its name."""
    return yaml.safe_load(PARAMETERS.read_text())


@pytest.fixture(scope="session")
def modelling_params(parameters: dict[str, Any]) -> Modelling:
    small = {
        "validation_days": 14,
        "test_days": 14,
        "min_rows": 500,
        "n_trials": {"logistic_regression": 4},
        "importance": {"n_rows": 300, "n_repeats": 2},
    }
    return Modelling(**(parameters["modelling"] | small))


@pytest.fixture(scope="session")
def costs() -> Costs:
    return Costs(false_negative=3, false_positive=1)


@pytest.fixture(scope="session")
def bootstrap() -> Bootstrap:
    return Bootstrap(n_resamples=50, confidence=0.95, seed=0)


@pytest.fixture(scope="session")
def history() -> History:
    return make_history()


@pytest.fixture(scope="session")
def windows(history: History, as_of: AsOf, modelling_params: Modelling) -> list[pd.DataFrame]:
    """Train, validation and test."""
    return modelling.split_windows(COLUMNS, history.model_input, as_of, modelling_params)


@pytest.fixture(scope="session")
def trained(
    history: History,
    windows: list[pd.DataFrame],
    as_of: AsOf,
    window: Window,
    modelling_params: Modelling,
    bootstrap: Bootstrap,
    costs: Costs,
) -> Trained:
    model_input = history.model_input
    return model(model_input, windows, as_of, window, modelling_params, bootstrap, costs)


@pytest.fixture(scope="session")
def lives(modelling_params: Modelling, bootstrap: Bootstrap) -> Callable[[str], Life]:
    """Asks the example otherwise, once each: pytest keeps only the last of a fixture's values."""
    return cache(partial(live, params=modelling_params, bootstrap=bootstrap, costs=Costs()))


@pytest.fixture(scope="session", params=ASKED)
def life(request: pytest.FixtureRequest, lives: Callable[[str], Life]) -> Life:
    """The example asked for one of several classes, for a number, and for a typical number."""
    return lives(request.param)


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Those of a real PostgreSQL."""
    lock = tmp_path_factory.getbasetemp().parent / "postgres.lock"
    with postgres(tmp_path_factory.mktemp("postgres"), lock) as found:
        yield found


@pytest.fixture(scope="session")
def package(trained: Trained) -> ModelPackage:
    """A small fitted model, packaged."""
    return trained.candidate


@pytest.fixture(scope="session")
def boosted(windows: list[pd.DataFrame]) -> ModelPackage:
    """A small model made of trees, fitted on real rows."""
    columns = Columns.of(Observation)
    family = FAMILIES["gradient_boosting"]
    small = family.default | {"max_iter": 20}
    train = windows[0]
    estimator = family.build(columns.task, columns, small, seed=0)
    estimator.fit(train[columns.features], train[columns.label].astype(int))
    return replace(
        tiny_package(evaluated=False, rule=DecisionRule(threshold=0.25)), estimator=estimator
    )


@pytest.fixture(scope="session")
def released(
    boosted: ModelPackage, windows: list[pd.DataFrame], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ServingSpec]:
    """The folder of that model in the form that serves it, and its spec."""
    folder = tmp_path_factory.mktemp("released")
    observation = Columns.of(Observation)
    label = observation[observation.label]
    spec = export(boosted, Columns.of(Inputs), windows[-1], 1e-9, folder, "parcels", label)
    spec.write(folder)
    return folder, spec


@pytest.fixture(scope="session")
def online_store(history: History, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a SQLite store that holds the feature tables."""
    file = tmp_path_factory.mktemp("store") / "online.db"
    store = OnlineStoreDataset(credentials={"con": f"sqlite:///{file}"})
    store.save(publish(**history.features, van_features=history.vans))
    return store.load()


@pytest.fixture(scope="session")
def real_rows(history: History) -> pd.DataFrame:
    """500 real rows in no order, in the contract's input columns."""
    names = Columns.of(Inputs).names
    rows = history.model_input.select(names).to_pandas()
    return rows.sort_values(Columns.of(Inputs).keys, ignore_index=True).sample(500, random_state=0)


@pytest.fixture(scope="session")
def object_stores() -> Iterator[ObjectStore]:
    """A store that speaks as S3 does; with its address and credentials, as a project says them."""
    with object_store() as there:
        configure("s3://", there.options)
        yield there


@pytest.fixture
def bucket(object_stores: ObjectStore) -> str:
    """The URL of an empty bucket."""
    url = f"s3://{uuid.uuid4().hex}"
    fsspec.filesystem("s3").mkdir(url)
    return url
