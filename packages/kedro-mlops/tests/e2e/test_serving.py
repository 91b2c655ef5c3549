"""The service in bad times: no key, no store, too much to do, killed, stopped, tampered with."""

import contextlib
import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil
import pytest
from driving.asking import ARROW, JSON, as_json, logged
from driving.load import load
from driving.project import HOST, Loop, Running, free_port, is_ready
from example.factories import spec_of
from example.hostile import ARROW_BODIES, JSON_BODIES
from prometheus_client.parser import text_string_to_metric_families

from flight_delays.contracts import Inputs

from kedro_mlops.contract.columns import Columns
from kedro_mlops.runtime.serving_spec import hash_of

KEY, NEXT_KEY = "the-first-key-of-the-tests", "the-second-key-of-the-tests"
# so long what was read from the store is taken for true
CACHE_SECONDS = 0.3
MAX_WAITING = 6
N_CALLERS = 4
N_ROWS = 3
WAIT_SECONDS = 30


@dataclass(frozen=True)
class Service:
    """The release of the sample loop, which is up while the tests of this module run."""

    client: httpx.Client
    running: Running
    port: int
    folder: Path
    body: bytes

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def store(self) -> Path:
        return self.folder / "online.db"

    def ask(self, **headers: str) -> httpx.Response:
        return self.client.post(
            "/predict", content=self.body, headers={"Content-Type": JSON} | headers
        )

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have the labels."""
        text = self.client.get("/metrics").raise_for_status().text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def workers(self) -> list[psutil.Process]:
        """The processes that answer."""
        return [p for p in self.running.family() if "_bentoml_impl.worker.service" in p.cmdline()]


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _soon(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{WAIT_SECONDS} s passed before {what}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def service(sample_loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    port, folder = free_port(), tmp_path_factory.mktemp("service")
    names = [column.name for column in Columns.of(Inputs).sent]
    batch = pd.read_parquet(sample_loop.files["predictions"], columns=names)
    (folder / "keys").write_text(f"{KEY}\n")
    shutil.copy(sample_loop.data / "04_feature/online.db", folder)
    command = f"bentoml serve {sample_loop.read('release')['bento']} --host {HOST} --port {port}"
    environment = {
        "API_KEYS_FILE": str(folder / "keys"),
        "OPEN_PATHS": "health,metrics",
        "PREDICTION_LOG_DIR": str(folder / "log"),
        "FEATURE_STORE_URL": f"sqlite:///{folder / 'online.db'}",
        "FEATURE_CACHE_SECONDS": str(CACHE_SECONDS),
        "FEATURE_STORE_TIMEOUT_SECONDS": "0.2",
        "MAX_WAITING": str(MAX_WAITING),
        "OMP_NUM_THREADS": "1",
    }
    with sample_loop.project.server(command, port, **environment) as (client, running):
        client.headers.update(_bearer(KEY))
        yield Service(client, running, port, folder, as_json(batch.head(N_ROWS)))


# who may ask


def test_who_has_no_key_or_a_wrong_one_is_refused(service: Service) -> None:
    asked = {
        "right": service.ask(),
        "wrong": service.ask(**_bearer(NEXT_KEY)),
        "none": service.ask(Authorization=""),
    }

    assert {name: answer.status_code for name, answer in asked.items()} == {
        "right": 200,
        "wrong": 401,
        "none": 401,
    }
    assert asked["none"].headers["WWW-Authenticate"] == "Bearer"
    assert asked["none"].headers["Content-Type"] == "application/problem+json"


def test_keys_are_exchanged_while_the_service_runs(service: Service) -> None:
    service.keys.write_text(f"# the new one\n{NEXT_KEY}\n")

    _soon(lambda: service.ask(**_bearer(NEXT_KEY)).is_success, "the new key was known")

    old, service.client.headers = service.ask(), httpx.Headers(_bearer(NEXT_KEY))
    assert old.status_code == 401
    assert service.ask().status_code == 200


# what it depends on


def test_without_the_feature_store_it_answers_and_says_what_it_did_not_find(
    service: Service,
) -> None:
    names = {column.name for column in Columns.of(Inputs).looked_up}
    before = service.ask().json()["predictions"]

    away = service.store.rename(service.folder / "away.db")
    time.sleep(2 * CACHE_SECONDS)
    without = service.ask()
    away.rename(service.store)
    _soon(lambda: _missing(service.ask()) == _missing_of(before), "the store was read again")
    after = service.ask().json()["predictions"]

    assert without.status_code == 200
    for answer in without.json()["predictions"]:
        assert answer["missing_features"] == dict.fromkeys(names, "store_unavailable")
    for one, other in zip(before, after, strict=True):
        assert one["probability"] == other["probability"]
    _soon(
        lambda: (
            service.metric("model_missing_features_total", reason="store_unavailable")
            >= N_ROWS * len(names)
        ),
        "it was counted",
    )
    assert service.metric("feature_store_lookups_total", result="failed") > 0


def _missing(response: httpx.Response) -> list[dict[str, str]]:
    return _missing_of(response.raise_for_status().json()["predictions"])


def _missing_of(answers: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [answer["missing_features"] for answer in answers]


# too much to do


def test_more_than_it_can_bear_is_told_to_come_back_and_then_it_is_well(service: Service) -> None:
    with contextlib.ExitStack() as slow:
        for _ in range(MAX_WAITING):
            slow.enter_context(_half_sent(service))
        _soon(lambda: service.ask().status_code == 503, "it was busy")
        busy, alive = service.ask(), service.client.get("/livez")

    assert busy.headers["Retry-After"] == "1"
    assert busy.json()["status"] == 503
    assert alive.status_code == 200
    _soon(lambda: service.ask().is_success, "it was well again")
    _soon(lambda: service.metric("model_invalid_requests_total", reason="overloaded"), "counted")


@contextlib.contextmanager
def _half_sent(service: Service) -> Iterator[None]:
    """A request whose body does not come."""
    head = (
        f"POST /predict HTTP/1.1\r\nHost: slow\r\nAuthorization: Bearer {NEXT_KEY}\r\n"
        f"Content-Type: {JSON}\r\nContent-Length: 100\r\n\r\n"
    )
    with socket.create_connection((HOST, service.port)) as connection:
        connection.sendall(head.encode())
        yield


def test_what_it_is_given_to_bear_never_takes_more_memory_than_deploy_gives_it(
    service: Service,
) -> None:
    fields = spec_of().sent
    row = {field.name: field.example for field in fields}
    long = [row | {"tail_number": f"{i:0250}"} for i in range(10_000)]
    bodies = [
        *((JSON, make(15_000_000)) for make in JSON_BODIES.values()),
        *((ARROW, make(fields)) for make in ARROW_BODIES.values()),
        *[(JSON, json.dumps({"rows": long}).encode())] * N_CALLERS,
    ]

    def ask(kind: str, body: bytes) -> int:
        headers = {"Content-Type": kind}
        return service.client.post("/predict", content=body, headers=headers).status_code

    with ThreadPoolExecutor(N_CALLERS) as callers:
        statuses = set(callers.map(ask, *zip(*bodies, strict=True)))

    assert statuses <= {200, 400, 413, 415, 422, 503}
    assert sum(_peak_bytes(process) for process in service.running.family()) < 2**30
    _soon(lambda: service.ask().is_success, "it was well again")


def _peak_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    [peak] = [line for line in status if line.startswith("VmHWM")]
    return 1024 * int(peak.split()[1])


# its end


def test_what_a_killed_worker_answered_is_logged_and_another_takes_its_place(
    service: Service,
) -> None:
    before, [worker] = _ids(service), service.workers()

    with load(service.port, service.body, _bearer(NEXT_KEY), N_CALLERS, again=True) as seen:
        _soon(lambda: len(seen.answered) > 500, "there were answers")
        worker.kill()
        n_then = len(seen.answered)
        _soon(lambda: len(seen.answered) > n_then + 500, "it was back by itself")

    made = [made for made in _ids(service) if made not in set(before)]
    assert worker not in service.workers()
    assert not seen.refused
    assert len(made) == len(set(made))
    assert set(seen.answered) <= set(made)
    assert len(made) - len(seen.answered) <= N_CALLERS * N_ROWS


def test_a_service_that_is_told_to_stop_answers_what_it_was_asked_and_logs_it(
    service: Service,
) -> None:
    before = set(_ids(service))

    asked = service.port, service.body, _bearer(NEXT_KEY)
    with load(*asked, N_CALLERS) as seen, load(*asked, N_CALLERS // 2, anew=True) as new:
        _soon(lambda: len(seen.answered) > 500 < len(new.answered), "there were answers")
        service.running.process.terminate()
        status = service.running.process.wait(WAIT_SECONDS)

    made = [made for made in _ids(service) if made not in before]
    assert status == 0
    assert (seen.n_broken, seen.refused, new.n_broken) == (0, [], 0)
    assert seen.n_goodbyes == N_CALLERS
    assert sorted(made) == sorted(seen.answered + new.answered)
    assert not is_ready(service.client)


def _ids(service: Service) -> list[str]:
    return logged(service.log)["prediction_id"].tolist()


# what it refuses to be


def _spec_is_changed(model: Path) -> None:
    spec = json.loads((model / "serving_spec.json").read_text())
    spec["rule"]["threshold"] = 0.99
    (model / "serving_spec.json").write_text(json.dumps(spec))


def _trees_are_changed(model: Path) -> None:
    trees = bytearray((model / "trees.so").read_bytes())
    trees[len(trees) // 2] ^= 1
    (model / "trees.so").write_bytes(trees)


def test_it_does_not_start_with_changed_files_nor_for_everyone_without_keys(
    sample_loop: Loop, tmp_path: Path
) -> None:
    project, release = sample_loop.project, sample_loop.read("release")
    command = f"bentoml serve {release['bento']} --port {free_port()} --host"
    homes = {"public": Path(project.environment["BENTOML_HOME"])}
    for name, change in (("spec", _spec_is_changed), ("trees", _trees_are_changed)):
        homes[name] = shutil.copytree(homes["public"], tmp_path / name)
        change(homes[name] / "models" / release["model"].replace(":", "/"))

    with contextlib.ExitStack() as started:
        attempts = {
            name: started.enter_context(
                project.started(
                    f"{command} {'0.0.0.0' if name == 'public' else HOST}", BENTOML_HOME=str(home)
                )
            )
            for name, home in homes.items()
        }
        statuses = {name: run.process.wait(WAIT_SECONDS) for name, run in attempts.items()}

    said = {name: attempt.stderr for name, attempt in attempts.items()}
    assert set(statuses.values()) == {1}, said
    assert not [text for text in said.values() if "Traceback" in text or "Error: " not in text]
    assert "serving_spec.json is not the file that was released" in said["spec"]
    assert "trees.so is not the file that serving_spec.json describes" in said["trees"]
    assert "Set API_KEYS or API_KEYS_FILE, or serve with --host 127.0.0.1" in said["public"]


# what clouds ask of its container


def test_as_a_cloud_starts_its_image_it_answers_that_cloud_and_nobody_else(
    sample_loop: Loop, tmp_path: Path, service: Service
) -> None:
    project, port = sample_loop.project, free_port()
    release = sample_loop.read("release")["bento"].replace(":", "/")
    bento = Path(project.environment["BENTOML_HOME"]) / "bentos" / release
    told = {
        "CLOUD_ENDPOINT": "vertex",
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/readyz",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
        "BENTOML_PORT": str(port),
        "BENTO_PATH": str(bento),
        "PREDICTION_LOG_DIR": str(tmp_path / "log"),
    }
    rows = json.loads(service.body)["rows"]

    # the image's entry point, as SageMaker calls it: with an argument, and for all addresses
    with project.served(
        f"exec bash {bento}/env/docker/entrypoint.sh serve", port, **told
    ) as client:
        asked = client.post(told["AIP_PREDICT_ROUTE"], json={"instances": rows})
        others = [client.post("/predict", json={"rows": rows}), client.get("/metrics")]

    assert asked.status_code == 200, asked.text
    assert len(asked.json()["predictions"]) == N_ROWS
    assert [each.status_code for each in others] == [401, 401]


# whether it is what was released


def _answers_are_others(model: Path) -> None:
    """As if it had been released with other answers; all hashes are as they should be."""
    known = json.loads((model / "known_rows.json").read_text())
    known["scores"] = [score / 2 for score in known["scores"]]
    (model / "known_rows.json").write_text(json.dumps(known))
    spec = json.loads((model / "serving_spec.json").read_text())
    before = hash_of((model / "serving_spec.json").read_bytes())
    spec["files"]["known_rows.json"] = hash_of((model / "known_rows.json").read_bytes())
    (model / "serving_spec.json").write_text(json.dumps(spec))
    after = hash_of((model / "serving_spec.json").read_bytes())
    described = (model / "model.yaml").read_text()
    (model / "model.yaml").write_text(described.replace(before, after))


def test_its_smoke_test_starts_a_release_as_it_is_in_an_image_asks_it_and_ends_it(
    sample_loop: Loop, tmp_path: Path
) -> None:
    project, release = sample_loop.project, sample_loop.read("release")
    store = Path(project.environment["BENTOML_HOME"])
    bento, model = (release[name].replace(":", "/") for name in ("bento", "model"))
    told = {
        "BENTOML_HOME": str(tmp_path / "home"),
        "FEATURE_STORE_URL": f"sqlite:///{sample_loop.data}/04_feature/online.db",
    }
    for name in ("right", "wrong"):
        shutil.copytree(store / "bentos" / bento, tmp_path / name)
        shutil.copytree(store / "models" / model, tmp_path / name / "models" / model)
    _answers_are_others(tmp_path / "wrong/models" / model)

    right, wrong = (
        project.run(
            "python -m kedro_mlops.serving.smoke_test", BENTO_PATH=str(tmp_path / name), **told
        )
        for name in ("right", "wrong")
    )

    assert (right.returncode, wrong.returncode) == (0, 1), right.stderr + wrong.stderr
    assert right.stdout.endswith("answers 20 rows as it was released.\n")
    assert "Error: The release is not served" in wrong.stderr
    assert wrong.stderr.endswith("The service does not start; above it says why.\n")
