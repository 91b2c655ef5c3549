"""The servers that are measured, as real processes on this machine."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.machine import on_core
from kedro_mlops.models.metadata import Metadata

DATA = Path("data").resolve()
HOST = "127.0.0.1"
KEY = "the-key-of-the-benchmark"
START_SECONDS = 120
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def predict_url(self) -> str:
        return f"http://{HOST}:{self.port}/predict"

    def post(self, body: bytes, content_type: str) -> tuple[int, bytes]:
        """Status and body of the answer, which comes in the format of the request."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=TIMEOUT_SECONDS)
        headers = {
            "Content-Type": content_type,
            "Accept": f"{content_type}, application/json;q=0.9",
            "Authorization": f"Bearer {KEY}",
        }
        with contextlib.closing(connection):
            connection.request("POST", "/predict", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=TIMEOUT_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {KEY}"})
            text = connection.getresponse().read().decode()
        samples = [
            sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        ]
        return sum(sample.value for sample in samples)

    def megabytes(self) -> float:
        """Resident memory of the worker: of all processes of the server, the largest."""
        parent = psutil.Process(self.process.pid)
        family = [parent, *parent.children(recursive=True)]
        return max(process.memory_info().rss for process in family) / 1e6


def by_hand(*, pinned: bool = True) -> contextlib.AbstractContextManager[Server]:
    """The service that people write by hand."""
    return _started([sys.executable, "-m", "benchmarks.handwritten", "--port"], pinned=pinned)


def champion() -> Metadata:
    """What is known of the champion."""
    champions = sorted((DATA / "06_models/champion").glob("*/champion"))
    if not champions:
        raise SystemExit("There is no champion yet: `make run` makes one.")
    return Metadata.read(champions[-1])


def ours(*, pinned: bool = True, **told: str) -> contextlib.AbstractContextManager[Server]:
    """The champion's release, as ``kedro serve`` serves it; its log goes to a temporary folder.

    Keyword arguments are further variables of its environment.
    """
    release = str(champion().release)
    command = [sys.executable, "-m", "bentoml", "serve", release, "--host", HOST, "--port"]
    return _started(command, pinned=pinned, **told)


def echo() -> contextlib.AbstractContextManager[Server]:
    """Nothing but a socket that answers."""
    return _started([sys.executable, "-m", "benchmarks.echo"], pinned=True)


@contextlib.contextmanager
def _started(command: list[str], *, pinned: bool, **told: str) -> Iterator[Server]:
    port = _free_port()
    with tempfile.TemporaryDirectory() as scratch:
        said = Path(scratch) / "said"
        environment = os.environ | {
            "FEATURE_STORE_URL": f"sqlite:///{DATA}/04_feature/online.db",
            "PREDICTION_LOG_DIR": str(Path(scratch) / "log"),
            "OMP_NUM_THREADS": "1",
            "API_KEYS": KEY,
            **told,
        }
        with said.open("wb") as output:
            process = subprocess.Popen(
                [*(on_core(0) if pinned else []), *command, str(port)],
                env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        server = Server(process, port)
        try:
            _wait_until_ready(server, command, said)
            yield server
        finally:
            _stop(process)


def _wait_until_ready(server: Server, command: list[str], said: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        connection = http.client.HTTPConnection(HOST, server.port, timeout=1)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.1)
    raise SystemExit(f"`{' '.join(command)}` did not get ready:\n{said.read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
