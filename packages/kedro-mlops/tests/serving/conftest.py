"""A service's parts, made of a really released model and a real online store."""

import gc
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import prometheus_client
import pytest
from example.contracts import Inputs
from example.deliveries import Deliveries
from example.factories import COLUMNS, spec_of, tiny_package
from example.http import Running, inner_app
from example.lookups import Heard

from kedro_mlops.contract.columns import Columns
from kedro_mlops.export.serving_form import export
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.runtime.serving_spec import ServingSpec
from kedro_mlops.serving.additions import Addition
from kedro_mlops.serving.app_state import AppState
from kedro_mlops.serving.fast_lane import GuardedProtocol
from kedro_mlops.serving.gateway import Gateway
from kedro_mlops.serving.model import BUILT_IN, Load
from kedro_mlops.serving.settings import Settings
from kedro_mlops.task.record import DecisionRule

CHALLENGER = "20130113-challenger"


@pytest.fixture
def nothing_else_to_collect() -> None:
    """What other tests have left in this process is not looked at while one measures."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def fresh_metrics() -> Iterator[Callable[[], None]]:
    """Takes metrics back from Prometheus' registry, which knows each by name and only once."""
    registry = prometheus_client.REGISTRY
    known = set(registry._collector_to_names)

    def forget() -> None:
        for collector in set(registry._collector_to_names) - known:
            registry.unregister(collector)

    yield forget
    forget()


@pytest.fixture
def state(
    released: tuple[Path, ServingSpec],
    online_store: str,
    tmp_path: Path,
    fresh_metrics: Callable[[], None],
) -> Iterator[Callable[..., AppState]]:
    """Makes an app state; keyword arguments are settings, or what else it takes. One at a time."""
    made: list[AppState] = []

    def make(
        challenger: tuple[Path, ServingSpec] | None = None,
        also: Sequence[Addition] = (),
        served: tuple[Path, ServingSpec] = released,
        load: Load = BUILT_IN,
        **changes: Any,
    ) -> AppState:
        fresh_metrics()
        said = {
            "feature_store_url": online_store,
            "prediction_log_dir": str(tmp_path / "log"),
            "threads": 2,
        }
        told = Settings(**{**said, **changes})
        made.append(AppState(*served, challenger, told, load=load, also=also))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def other() -> ModelPackage:
    """Another model of the same contract."""
    return tiny_package(version=CHALLENGER, evaluated=False, rule=DecisionRule(threshold=0.5))


@pytest.fixture(scope="session")
def challenger(
    other: ModelPackage, windows: list[pd.DataFrame], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ServingSpec]:
    """It, in the form that serves it."""
    folder = tmp_path_factory.mktemp("challenger")
    label = COLUMNS[COLUMNS.label]
    spec = export(other, Columns.of(Inputs), windows[-1], 1e-9, folder, label=label)
    spec.write(folder)
    return folder, spec


@pytest.fixture
def deliveries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deliveries:
    """A store, and a champion to be."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    (tmp_path / "champion").mkdir()
    return Deliveries(tmp_path / "bentoml", tmp_path / "champion")


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[bool, Running]]:
    """The guarded protocol before an application that has the gateway too, as BentoML's has; and
    that application alone, through uvicorn's own protocol. What they serve is ``SERVED``."""
    wrap, GuardedProtocol.wrap = GuardedProtocol.wrap, staticmethod(cache(_behind_gateway))
    app = _behind_gateway(inner_app)
    running = {True: Running(app, http=GuardedProtocol), False: Running(app, http="httptools")}
    yield running
    for server in running.values():
        server.stop()
    GuardedProtocol.wrap = wrap


SERVED: list[AppState] = []


def _behind_gateway(app: Any) -> Gateway:
    return Gateway(app, lambda: SERVED[0] if SERVED else None)


@pytest.fixture
def serve(servers: dict[bool, Running]) -> Iterator[Callable[..., Running]]:
    """Serves an app's state, or none while the service starts; guarded or not."""

    def start(state: AppState | None, guarded: bool = True) -> Running:
        SERVED[:] = [state] if state else []
        return servers[guarded]

    yield start
    SERVED.clear()


@pytest.fixture(scope="session")
def example() -> dict[str, Any]:
    """A row as a caller sends it."""
    return {field.name: field.example for field in spec_of().sent}
