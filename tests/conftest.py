"""Real data, thinned, and what the project's own nodes make of it; built once per session."""

import os

# what is started imports hundreds of modules: they are compiled once, not by every command
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# before any model library is loaded, as the project's settings do: models this small only wait
# for each other's threads
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pandas as pd
import pytest
import yaml
from kedro.framework.project import configure_project

from flight_delays.contracts import Inputs, Observation, RawFlights, RawPlanes, RawWeather
from flight_delays.pipelines.data_engineering import nodes as engineering
from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.core.time_params import AsOf, Horizon, Window
from kedro_mlops.export.serving_form import export
from kedro_mlops.feature_store.online_store import OnlineStoreDataset, publish
from kedro_mlops.framework.resolvers import package_file
from kedro_mlops.measures.metrics import Bootstrap, Costs
from kedro_mlops.modelling import evaluation, tuning
from kedro_mlops.modelling import nodes as modelling
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.runtime.serving_spec import ServingSpec
from tests.factories import COLUMNS, screened, tiny_package

configure_project("flight_delays")

RAW = "nycflights13"
LAST_MONTH, EVERY = 4, 12
CODE = modelling.CodeVersion(git_commit="0" * 40, lock_hash="1" * 64)
SCREENING = screened(("RawFlights", 1200, 7))


# end-to-end tests that have a copy of the project of their own, beside the others
SERVED = tuple(f"test_{name}.py" for name in ("challenger", "fuzz", "image", "scrape", "serving"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker for each of two groups of end-to-end tests, which share a copy of the project.

    Of the others, each file has one: what it sets up is set up once.
    """
    from xdist.scheduler import LoadScopeScheduling

    # in their order, which begins with the two that take the longest; not by the number of tests
    config.option.loadscopereorder = False

    class ByCopy(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if "/e2e/" not in file:
                return file
            return "served" if file.endswith(SERVED) else "walked"

    return ByCopy(config, log)


@dataclass(frozen=True)
class Engineered:
    """What the data engineering nodes made of raw tables."""

    screened: ir.Table
    flights: ir.Table
    features: dict[str, ir.Table]
    planes: ir.Table
    model_input: ir.Table


@dataclass(frozen=True)
class Trained:
    """What the modelling nodes made of the windows."""

    recipe: dict[str, Any]
    trials: pd.DataFrame
    validation_predictions: pd.DataFrame
    predictions: pd.DataFrame
    fitted: modelling.Fitted
    packaged: dict[str, Any]
    candidate: ModelPackage


@pytest.fixture(scope="session")
def raw_flights() -> pd.DataFrame:
    """Every 12th flight of January to April, as the source gives them."""
    year = pd.read_csv(package_file(RAW, "data/flights.csv.zip"))
    return year[year["month"] <= LAST_MONTH].iloc[::EVERY]


@pytest.fixture(scope="session")
def raw_weather() -> pd.DataFrame:
    return pd.read_csv(package_file(RAW, "data/weather.csv"))


@pytest.fixture(scope="session")
def raw_planes() -> pd.DataFrame:
    return pd.read_csv(package_file(RAW, "data/planes.csv"))


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
def configured(pytestconfig: pytest.Config) -> Callable[..., dict[str, Any]]:
    """The project's own parameters: of a file, and under a key if it is not that of the file."""

    def load(name: str, key: str | None = None) -> dict[str, Any]:
        file = pytestconfig.rootpath / "conf" / "base" / f"parameters_{name}.yml"
        return yaml.safe_load(file.read_text())[key or name]

    return load


@pytest.fixture(scope="session")
def engineering_params(
    configured: Callable[..., dict[str, Any]],
) -> engineering.DataEngineering:
    given = {"label_delay_hours": 1, "history_days": None}
    return engineering.DataEngineering(**(configured("data_engineering") | given))


@pytest.fixture(scope="session")
def modelling_params(configured: Callable[..., dict[str, Any]]) -> modelling.Modelling:
    small = {
        "validation_days": 14,
        "test_days": 14,
        "min_rows": 500,
        "n_trials": {"logistic_regression": 4},
        "importance": {"n_rows": 300, "n_repeats": 2},
    }
    return modelling.Modelling(**(configured("modelling") | small))


@pytest.fixture(scope="session")
def costs() -> Costs:
    return Costs(false_negative=3, false_positive=1)


@pytest.fixture(scope="session")
def bootstrap() -> Bootstrap:
    return Bootstrap(n_resamples=50, confidence=0.95, seed=0)


@pytest.fixture(scope="session")
def landed_weather(raw_weather: pd.DataFrame) -> ir.Table:
    valid, _, _ = screen(raw_weather, RawWeather)
    return engineering.land_weather(valid).cache()


@pytest.fixture(scope="session")
def landed_planes(raw_planes: pd.DataFrame) -> ir.Table:
    valid, _, _ = screen(raw_planes, RawPlanes)
    return engineering.land_planes(valid).cache()


@pytest.fixture(scope="session")
def engineer(
    landed_weather: ir.Table, landed_planes: ir.Table
) -> Callable[[pd.DataFrame, AsOf, Horizon, engineering.DataEngineering], Engineered]:
    """Run the data engineering nodes on raw flights; each table is computed once."""

    def run(
        raw: pd.DataFrame, as_of: AsOf, horizon: Horizon, params: engineering.DataEngineering
    ) -> Engineered:
        screened = screen(raw, RawFlights)[0].cache()
        landed = engineering.land_flights(screened, as_of, horizon, params).cache()
        flights = engineering.join_flights(landed, landed_weather, as_of, horizon, params).cache()
        tables = engineering.build_feature_tables(flights, as_of, horizon)
        features = {name: table.cache() for name, table in tables.items()}
        model_input = engineering.assemble_model_input(flights, landed_planes, **features).cache()
        return Engineered(screened, flights, features, landed_planes, model_input)

    return run


@pytest.fixture(scope="session")
def engineered(
    engineer: Callable[..., Engineered],
    raw_flights: pd.DataFrame,
    as_of: AsOf,
    horizon: Horizon,
    engineering_params: engineering.DataEngineering,
) -> Engineered:
    return engineer(raw_flights, as_of, horizon, engineering_params)


@pytest.fixture(scope="session")
def windows(
    engineered: Engineered, as_of: AsOf, modelling_params: modelling.Modelling
) -> list[pd.DataFrame]:
    """Train, validation and test."""
    return modelling.split_windows(COLUMNS, engineered.model_input, as_of, modelling_params)


@pytest.fixture(scope="session")
def trained(
    engineered: Engineered,
    windows: list[pd.DataFrame],
    as_of: AsOf,
    window: Window,
    modelling_params: modelling.Modelling,
    bootstrap: Bootstrap,
    costs: Costs,
) -> Trained:
    model_input = engineered.model_input
    return model(model_input, windows, as_of, window, modelling_params, bootstrap, costs)


def model(
    model_input: ir.Table,
    windows: list[pd.DataFrame],
    as_of: AsOf,
    window: Window,
    modelling_params: modelling.Modelling,
    bootstrap: Bootstrap,
    costs: Costs,
) -> Trained:
    """The modelling nodes, in the order of their pipeline; ``packaged`` is what they packaged."""
    seed = 0
    train, validation, test = windows
    recipe, trials, tuned, _ = tuning.tune(
        COLUMNS, FAMILIES, train, validation, pd.DataFrame(), None, modelling_params, seed, CODE
    )
    fitted = modelling.fit_winner(
        COLUMNS, FAMILIES, *windows, recipe, None, modelling_params, seed, CODE
    )
    threshold = modelling.choose_threshold(COLUMNS, tuned, costs)
    predictions = evaluation.predict_test(COLUMNS, fitted, train, validation, test, threshold, seed)
    metrics = evaluation.evaluate(COLUMNS, predictions, bootstrap)
    slices = evaluation.evaluate_slices(COLUMNS, predictions, bootstrap)
    importance = evaluation.measure_importance(COLUMNS, fitted, test, modelling_params, seed)
    packaged = {
        "fitted": fitted,
        "threshold": threshold,
        "metrics": metrics,
        "reference": modelling.profile_reference(COLUMNS, model_input, predictions, as_of, window),
        "evaluation": evaluation.collect_evaluation(
            COLUMNS, SCREENING, predictions, metrics, slices, importance, fitted, costs
        ),
        "as_of": as_of,
        "parameters": {"as_of": as_of, "modelling": modelling_params, "seed": seed},
    }
    candidate = modelling.package_candidate(COLUMNS, **packaged)
    return Trained(recipe, trials, tuned, predictions, fitted, packaged, candidate)


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
    estimator = family.build(columns, small, seed=0)
    estimator.fit(train[columns.features], train[columns.label].astype(int))
    return replace(tiny_package(evaluated=False, threshold=0.25), estimator=estimator)


@pytest.fixture(scope="session")
def released(
    boosted: ModelPackage, windows: list[pd.DataFrame], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ServingSpec]:
    """The folder of that model in the form that serves it, and its spec."""
    folder = tmp_path_factory.mktemp("released")
    observation = Columns.of(Observation)
    label = observation[observation.label].description
    spec = export(boosted, Columns.of(Inputs), windows[-1], 1e-9, folder, "flight_delays", label)
    spec.write(folder)
    return folder, spec


@pytest.fixture(scope="session")
def online_store(engineered: Engineered, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a SQLite store that holds the feature tables."""
    file = tmp_path_factory.mktemp("store") / "online.db"
    store = OnlineStoreDataset(credentials={"con": f"sqlite:///{file}"})
    store.save(publish(**engineered.features, plane_features=engineered.planes))
    return store.load()


@pytest.fixture(scope="session")
def real_rows(engineered: Engineered) -> pd.DataFrame:
    """500 real rows in no order, in the contract's input columns."""
    names = Columns.of(Inputs).names
    rows = engineered.model_input.select(names).to_pandas()
    return rows.sort_values(Columns.of(Inputs).keys, ignore_index=True).sample(500, random_state=0)
