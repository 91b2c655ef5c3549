"""The service answers whatever comes, civilly, and goes on."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pandas as pd
import psutil
import pyarrow as pa
import pytest
import schemathesis
from driving.fuzzing import Findings, fuzz, seconds_until_cut
from driving.mutations import Mutations
from driving.oddities import JSON
from driving.project import HOST, Loop, free_port
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from flight_delays.contracts import Inputs

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.json_records import json_records

KEY = "the-key-of-the-fuzz-tests"
N_REQUESTS, N_CLIENTS = 10_000, 32
N_WITHOUT_KEY = 1000
N_EXAMPLES = 60
# mutations that leave a request right
SOUND = ("valid", "chunked", "arrow")
REQUEST_SECONDS = 10
# from the first byte; a server may look only now and then
MAX_SLOW_SECONDS = 3 * REQUEST_SECONDS
HEADERS = {"Authorization": f"Bearer {KEY}"}
HEAD = (
    f"POST /predict HTTP/1.1\r\nHost: slow\r\nAuthorization: Bearer {KEY}\r\n"
    "Content-Type: application/json\r\n"
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SETTINGS = settings(
    max_examples=N_EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
SLOW = {
    "nothing at all": (b"", b""),
    "a head that does not end": (b"POST /predict HTTP/1.1\r\n", b"X: y\r\n"),
    "no body at all": (f"{HEAD}Content-Length: 5000\r\n\r\n".encode(), b""),
    "a body with a length": (f"{HEAD}Content-Length: 5000\r\n\r\n".encode(), b" "),
    "a body in chunks": (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode(), b"1\r\n \r\n"),
}


@dataclass(frozen=True)
class Service:
    """The service of the sample loop, which is up while the tests of this module run."""

    client: httpx.Client
    port: int
    rows: pd.DataFrame

    def health(self) -> "Health":
        """Whether it is ready, what it says of a few real rows, and which processes it is."""
        answer = self.client.post("/predict", json={"rows": json_records(self.rows[:3])})
        connections = psutil.net_connections("tcp")
        return Health(
            self.client.get("/readyz").is_success,
            [row["probability"] for row in answer.raise_for_status().json()["predictions"]],
            {c.pid for c in connections if c.status == "LISTEN" and c.laddr.port == self.port},
        )


@pytest.fixture(scope="module")
def service(sample_loop: Loop) -> Iterator[Service]:
    port, names = free_port(), [column.name for column in Columns.of(Inputs).sent]
    rows = pd.read_parquet(sample_loop.files["model_input"], columns=names)
    environment = {
        "API_KEYS": KEY,
        "REQUEST_SECONDS": str(REQUEST_SECONDS),
        # none of the clients is to be told to come back
        "REQUEST_MEGABYTES": "4000",
    }
    command = f"kedro serve --env sample --port {port}"
    with sample_loop.project.served(command, port, **environment) as client:
        client.headers.update(HEADERS)
        yield Service(client, port, rows.sample(500, random_state=0, ignore_index=True))


@pytest.fixture
def api(service: Service) -> schemathesis.BaseSchema:
    """The service's own OpenAPI document."""
    document = service.client.get("/docs.json").raise_for_status().json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://{HOST}:{service.port}")
    return schema


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_every_answer_is_as_the_openapi_document_says(
    api: schemathesis.BaseSchema, mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    operations = {found.ok().path: found.ok() for found in api.get_all_operations()}

    for path, operation in operations.items():
        # the other formats are made of bytes, of which its examples would all be noise
        body = {"media_type": JSON} if operation.body else {}
        if body or mode is GenerationMode.POSITIVE:
            examples = given(case=operation.as_strategy(generation_mode=mode, **body))
            with subtests.test(path):
                SETTINGS(examples(_check_answer))()

    assert "/predict" in operations


def _check_answer(case: schemathesis.Case) -> None:
    case.call_and_validate(headers=HEADERS, checks=CHECKS, timeout=REQUEST_SECONDS)


@dataclass(frozen=True)
class Health:
    """What a service that is well says, and the processes that say it."""

    is_ready: bool
    probabilities: list[float]
    listeners: set[int]


@pytest.fixture(scope="module")
def before(service: Service) -> Health:
    return service.health()


@pytest.fixture(scope="module")
def findings(service: Service, before: Health) -> Findings:
    """What came of many thousand requests, most of which are wrong in some way."""
    table = pa.Table.from_pandas(service.rows, preserve_index=False)
    mutations = Mutations(json_records(service.rows), table, KEY)
    return asyncio.run(fuzz(HOST, service.port, mutations.draw(N_REQUESTS), N_CLIENTS))


def test_whatever_is_sent_is_answered_or_refused_but_breaks_nothing(
    service: Service, findings: Findings
) -> None:
    assert not findings.wrong, str(findings)
    assert findings.n_answers == N_REQUESTS
    assert {status for kind, status in findings.statuses if kind in SOUND} == {200}
    assert {status for kind, status in findings.statuses if kind == "compressed_arrow"} == {415}


def test_the_service_is_well_after_all_that(
    service: Service, before: Health, findings: Findings
) -> None:
    after = service.health()

    assert after.is_ready
    assert after == before


@pytest.mark.parametrize("key", [None, "another-key-of-the-fuzz-tests"])
def test_without_a_right_key_whatever_is_sent_is_refused_for_that(
    service: Service, key: str | None
) -> None:
    table = pa.Table.from_pandas(service.rows, preserve_index=False)
    drawn = Mutations(json_records(service.rows), table, key).draw(N_WITHOUT_KEY)
    # what is broken as HTTP is refused before anyone looks for a key, and health needs none
    requests = [r for r in drawn if r.whole and b" /livez " not in r.wire[:20]]

    findings = asyncio.run(fuzz(HOST, service.port, requests, N_CLIENTS))

    assert findings.n_answers == len(requests)
    assert {status for _, status in findings.statuses} == {401}


def test_clients_that_send_too_slowly_are_cut(service: Service) -> None:
    async def all_at_once() -> list[float]:
        slow = (
            seconds_until_cut(HOST, service.port, *sent, MAX_SLOW_SECONDS) for sent in SLOW.values()
        )
        return await asyncio.gather(*slow)

    borne = dict(zip(SLOW, asyncio.run(all_at_once()), strict=True))

    assert not [slow for slow, seconds in borne.items() if seconds > MAX_SLOW_SECONDS], borne
    assert service.health().is_ready
