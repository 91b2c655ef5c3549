"""A real Prometheus that scrapes the running service, and what monitoring wrote."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import yaml
from driving.project import HOST, Loop, free_port
from driving.readme import request_body

from tests.deploy.conftest import require
from tests.deploy.metrics import DEPLOY, metrics_named

KEY = "a-key-for-this-test"
JSON = {"Content-Type": "application/json"}
# node_exporter's and what nothing is recorded of until it happens
OF_OTHERS = {"node_textfile_mtime_seconds", "node_textfile_scrape_error"}


@pytest.fixture
def figures(sample_loop: Loop) -> Iterator[int]:
    """The port on which the figures of monitoring are handed on, as node_exporter does."""
    folder = sample_loop.data / "08_reporting"

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map: ClassVar[dict[str, str]] = {".prom": "text/plain; version=0.0.4"}

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def configured(folder: Path, service: int, figures: int, own: int) -> Path:
    """The project's configuration with the ports and the key of this test."""
    (folder / "rules.yml").write_text((DEPLOY / "prometheus/rules.yml").read_text())
    (folder / "key").write_text(KEY)
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job, port in zip(config["scrape_configs"], (service, figures, own), strict=True):
        job["static_configs"] = [{"targets": [f"{HOST}:{port}"]}]
    config["scrape_configs"][0]["authorization"]["credentials_file"] = str(folder / "key")
    config["scrape_configs"][1]["metrics_path"] = "/monitoring.prom"
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return folder / "prometheus.yml"


def test_prometheus_finds_all_that_alerts_ask_for_and_wakes_nobody(
    sample_loop: Loop, readme: str, figures: int, tmp_path: Path
) -> None:
    tool, project = require("prometheus", "prometheus"), sample_loop.project
    port, own = free_port(), free_port()
    config = configured(tmp_path, port, figures, own)
    serve = f"kedro serve --env sample --port {port}"
    prometheus = (
        f"{tool} --config.file={config} --storage.tsdb.path={tmp_path / 'data'} "
        f"--web.listen-address={HOST}:{own}"
    )

    with (
        project.served(serve, port, API_KEYS=KEY) as client,
        project.started(prometheus) as running,
        httpx.Client(base_url=f"http://{HOST}:{own}/api/v1", trust_env=False) as asked,
    ):
        ask(client, readme)
        running.wait_for(lambda: _has(asked, "model_predictions_total > 0"), "it scraped", 30)
        running.wait_for(lambda: _has(asked, "model_retrain_requested"), "it has figures", 30)
        found = set(asked.get("/label/__name__/values").json()["data"])
        alerts = asked.get("/alerts").json()["data"]["alerts"]
        refused = _value(asked, 'model_invalid_requests_total{reason="invalid"}')

    assert metrics_named() - found <= OF_OTHERS
    assert refused == 1
    assert [a for a in alerts if a["labels"]["severity"] == "page" and a["state"] == "firing"] == []


def ask(client: httpx.Client, readme: str) -> None:
    """A good request, one that breaks the contract, and one without a key."""
    body = request_body(readme)
    assert client.post("/predict", content=body, headers=JSON).status_code == 401
    client.headers["Authorization"] = f"Bearer {KEY}"
    assert client.post("/predict", content=body, headers=JSON).is_success
    assert client.post("/predict", json={"rows": [{}]}).status_code == 422


def _result(client: httpx.Client, query: str) -> list[Any]:
    try:
        return client.get("/query", params={"query": query}).json()["data"]["result"]
    except (httpx.TransportError, ValueError, KeyError):
        return []


def _has(client: httpx.Client, query: str) -> bool:
    return bool(_result(client, query))


def _value(client: httpx.Client, query: str) -> float:
    [found] = _result(client, query)
    return float(found["value"][1])
