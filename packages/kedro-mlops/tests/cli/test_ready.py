import http.server
import json
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from example.contracts import Inputs
from example.factories import COLUMNS, write_bento

from kedro_mlops.cli.commands import _example_row
from kedro_mlops.cli.ready import example_request, refuse_if_taken, refuse_to_follow
from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.runtime.known_rows import KnownRows


def test_a_release_of_an_earlier_version_cannot_follow(tmp_path, monkeypatch):
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    write_bento(tmp_path, "bento:1", "model:1")
    folder = tmp_path / "models/model/1"
    folder.mkdir(parents=True)

    with pytest.raises(ProjectError, match=r"bento:1 cannot follow.*--pipelines=release"):
        refuse_to_follow("bento:1")

    KnownRows([{"x": 1.0}], [0.5], 1e-9).write(folder)
    refuse_to_follow("bento:1")


# becomes another program, as `kedro serve` becomes the service
BECOME = """
import os, sys
from kedro_mlops.cli.ready import tell_when_ready

tell_when_ready(sys.argv[1], "Ready.")
os.execv("/bin/sleep", ["sleep", sys.argv[2]])
"""


class NotReadyAtFirst(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        NotReadyAtFirst.asked += 1
        self.send_response(200 if NotReadyAtFirst.asked > 2 else 503)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[http.server.HTTPServer]:
    NotReadyAtFirst.asked = 0
    server = http.server.HTTPServer(("127.0.0.1", 0), NotReadyAtFirst)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_port_in_use_is_refused_with_the_next_step(service: http.server.HTTPServer) -> None:
    with pytest.raises(ProjectError, match=r"port \d+: Address already in use.*--port \d+"):
        refuse_if_taken("127.0.0.1", service.server_port)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_free_port_is_left_free(host: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    refuse_if_taken(host, port)
    refuse_if_taken(host, port)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ProjectError, match="cannot listen on no such host"):
        refuse_if_taken("no such host", 3000)


def test_a_person_is_told_when_the_service_is_ready_and_the_service_has_no_child(
    service: http.server.HTTPServer,
) -> None:
    url = f"http://127.0.0.1:{service.server_port}"
    command = [sys.executable, "-c", BECOME, url, "60"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline()
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        process.kill()

    assert said == "Ready.\n"
    assert NotReadyAtFirst.asked == 3
    assert not children.strip()


def test_nobody_waits_for_a_service_that_has_ended() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        command = [sys.executable, "-c", BECOME, url, "0.1"]
        start = time.monotonic()

        # its output ends only when nobody has it any more
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60)

    assert done.stdout == ""
    assert time.monotonic() - start < 50


def test_the_request_to_type_is_the_example_of_the_contract(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("API_KEYS", raising=False)
    monkeypatch.delenv("API_KEYS_FILE", raising=False)

    typed = shlex.split(example_request("http://127.0.0.1:1", _example_row(COLUMNS)))

    [row] = json.loads(typed[typed.index("-d") + 1])["rows"]
    assert typed[:3] == ["curl", "-s", "http://127.0.0.1:1/predict"]
    assert row.keys() == {column.name for column in Columns.of(Inputs).sent}
    assert "Authorization" not in " ".join(typed)


def test_the_request_to_type_has_a_key_where_keys_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("API_KEYS", "secret")

    typed = example_request("http://127.0.0.1:1", {})

    assert '-H "Authorization: Bearer $API_KEY"' in typed
    assert "secret" not in typed
