"""Spans of predictions, where BentoML is told to trace: by a real server, as a process."""

import os
import subprocess
import sys
import time

import httpx
import pytest
from example.http import free_port

SERVICE = """
import json

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer

from kedro_mlops.serving.fast_lane import install


class Answering:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"] not in ("/predict", "/spans"):
            return await self.app(scope, receive, send)
        body = json.dumps(exported() if scope["path"] == "/spans" else "answered").encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


def exported():
    provider = BentoMLContainer.tracer_provider.get()
    provider.force_flush()
    found = []
    for processor in provider._active_span_processor._span_processors:
        found += processor.span_exporter.get_finished_spans()
    return [[span.name, span.kind.name] for span in found]


@bentoml.service
class Small:
    @bentoml.api
    def predict(self) -> str:
        return "behind"


install(Answering)
Small.add_asgi_middleware(Answering)
"""
TRACING = "services: {Small: {tracing: {exporter_type: in_memory, sample_rate: 1.0}}}\n"


@pytest.fixture
def client(tmp_path, request):
    """A client of the small service, which traces or does not."""
    (tmp_path / "small.py").write_text(SERVICE)
    config = tmp_path / "bentoml.yaml"
    config.write_text(TRACING if request.param else "services: {}\n")
    port = free_port()
    environment = os.environ | {
        "BENTOML_CONFIG": str(config),
        "BENTOML_HOME": str(tmp_path / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    command = [sys.executable, "-m", "bentoml", "serve", "small:Small", "--port", str(port)]
    with (
        (tmp_path / "said").open("w") as said,
        subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=said, stderr=said
        ) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        try:
            _wait(client, server, tmp_path / "said")
            yield client
        finally:
            server.terminate()


def _wait(client, server, said):
    deadline = time.monotonic() + 60
    while True:
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        assert server.poll() is None and time.monotonic() < deadline, said.read_text()
        time.sleep(0.1)


@pytest.mark.parametrize("client", [True], indirect=True)
def test_a_prediction_has_a_span_where_bentoml_traces(client):
    answered = client.post("/predict").json()

    assert answered == "answered"
    spans = client.get("/spans").json()
    assert ["POST /predict", "SERVER"] in spans


@pytest.mark.parametrize("client", [False], indirect=True)
def test_without_tracing_nothing_stands_before_the_front(client):
    answered = client.post("/predict").json()

    assert answered == "answered"
    assert client.get("/spans").json() == []
