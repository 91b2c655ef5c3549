"""A service that takes new champions while callers ask without a pause: by a real server."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import psutil
import pytest
from driving.asking import logged
from example.http import free_port

from kedro_mlops.core.json_records import json_records
from kedro_mlops.models.released import spec_of
from kedro_mlops.runtime.serving_spec import SPEC_LABEL, hash_of
from kedro_mlops.serving.answers import answering
from kedro_mlops.serving.model import ServedModel
from kedro_mlops.serving.reading import RowReader

SERVICE = """
from kedro_mlops.serving.service import create_service

Parcels = create_service("parcels")
"""
# into BentoML's own store, where a service looks for its model
STORE = """
import shutil, sys
import bentoml

tag, label, sha256, folder = sys.argv[1:]
with bentoml.models.create(tag, labels={label: sha256}) as model:
    shutil.copytree(folder, model.path, dirs_exist_ok=True)
"""
N_CALLERS, N_ROWS, N_MOVES = 4, 12, 6
HEADERS = {"Content-Type": "application/json"}


@dataclass
class Caller:
    """Asks for one row after the other, and remembers who answered what, and when it began."""

    port: int
    rows: list
    statuses: list = field(default_factory=list)
    answers: list = field(default_factory=list)

    def ask(self, connection, number):
        begun = time.monotonic()
        body = json.dumps({"rows": [self.rows[number]]})
        connection.request("POST", "/predict", body, HEADERS)
        response = connection.getresponse()
        content = json.loads(response.read())
        self.statuses.append(response.status)
        self.answers += [(begun, number, answer) for answer in content.get("predictions", [])]

    def ask_until(self, stopped):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        number = 0
        while not stopped.is_set():
            self.ask(connection, number % len(self.rows))
            number += 1
        connection.close()


def told(port, path="/info"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    found = response.read().decode()
    connection.close()
    return response.status, found


def soon(condition, said, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, said.read_text()[-3000:]
        time.sleep(0.05)


def has_answered_since(callers, n_before):
    """Whether everybody has asked and been answered since."""
    pairs = zip(callers, n_before, strict=True)
    return all(len(one.answers) >= n + 2 for one, n in pairs)


def following(port):
    return json.loads(told(port)[1])


def is_ready(port):
    try:
        return told(port, "/readyz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.fixture
def live(deliveries, released, boosted, tmp_path):
    """A server, and what it says."""
    first = deliveries.release("first", released)
    deliveries.promote(first, boosted)
    (tmp_path / "parcels_service.py").write_text(SERVICE)
    environment = os.environ | {
        "BENTOML_HOME": str(deliveries.home),
        "BENTOML_DO_NOT_TRACK": "True",
        "FOLLOW_CHAMPION": str(deliveries.champions),
        "FOLLOW_RELEASE": first,
        "FEATURE_STORE_URL": f"sqlite:///{tmp_path}/none.db",
        "PREDICTION_LOG_DIR": str(tmp_path / "log"),
        "OPEN_PATHS": "health,metrics",
        "OMP_NUM_THREADS": "1",
        "PWD": str(tmp_path),
    }
    folder = deliveries.model("parcels:first-0")
    sha256 = hash_of((folder / "serving_spec.json").read_bytes())
    stored = [sys.executable, "-c", STORE, "parcels:started-with", SPEC_LABEL, sha256, str(folder)]
    subprocess.run(stored, env=environment, check=True, cwd=tmp_path)
    port = free_port()
    command = [
        sys.executable, "-m", "bentoml", "serve", "parcels_service:Parcels", "--port", str(port),
        "--host", "127.0.0.1", "--arg", "model=parcels:started-with",
    ]  # fmt: skip
    said = tmp_path / "said"
    with said.open("w") as file:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        soon(lambda: server.poll() is not None or is_ready(port), said)
        assert server.poll() is None, said.read_text()
        yield port, server, said
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def expected_of(deliveries, tags, rows):
    """By version and row, what a model says of a row of which nothing was looked up."""
    found = {}
    for tag in tags:
        folder = deliveries.model(tag)
        spec = spec_of(folder)
        model = ServedModel(folder, spec, 1)
        answer = answering(model)
        n_missing = len(spec.looked_up)
        reader = RowReader(spec.asked, len(rows))
        for number, values in enumerate(reader.judged(json.dumps({"rows": rows}).encode())):
            told_of = answer((*values, *[None] * n_missing), {})
            found[spec.model_version, number] = told_of.probability, told_of.decision
    return found


def test_no_request_fails_or_is_answered_wrongly_while_champions_come_and_go(
    live, deliveries, challenger, boosted, other, real_rows, tmp_path
):
    port, server, said = live
    sent = [field.name for field in challenger[1].sent]
    rows = json_records(real_rows[sent].iloc[:: len(real_rows) // N_ROWS].head(N_ROWS))
    second = deliveries.release("second", challenger)
    wrong = deliveries.release("wrong", challenger)
    deliveries.answer_otherwise("parcels:wrong-0")
    moves = [(second, other), ("parcels-bento:first", boosted)] * (N_MOVES // 2)
    stopped = threading.Event()
    callers = [Caller(port, rows) for _ in range(N_CALLERS)]
    threads = [threading.Thread(target=one.ask_until, args=(stopped,)) for one in callers]
    taken = []
    for thread in threads:
        thread.start()

    try:
        for number, (release, package) in enumerate(moves):
            begun = time.monotonic()
            if number == 2:
                deliveries.promote(wrong, other)
                soon(lambda: following(port)["following"]["refused"] == wrong, said)
            deliveries.promote(release, package)
            soon(lambda: following(port)["following"]["release"] == release, said)  # noqa: B023
            taken.append((begun, time.monotonic(), package.version))
            n_before = [len(one.answers) for one in callers]
            soon(lambda: has_answered_since(callers, n_before), said)  # noqa: B023
    finally:
        stopped.set()
        for thread in threads:
            thread.join(60)

    assert {status for one in callers for status in one.statuses} == {200}
    answers = [answer for one in callers for answer in one.answers]
    assert len(answers) == sum(len(one.statuses) for one in callers) > 100
    expected = expected_of(deliveries, ["parcels:first-0", "parcels:second-0"], rows)
    assert len({probability for probability, _ in expected.values()}) > N_ROWS / 2
    for _, number, answer in answers:
        right = expected[answer["model_version"], number]
        assert (answer["probability"], answer["decision"]) == pytest.approx(right, abs=1e-12)
    # between moves there is one that answers
    for (_, since, version), (until, *_) in zip(
        taken, [*taken[1:], (time.monotonic(),)], strict=True
    ):
        between = {a["model_version"] for begun, _, a in answers if since < begun < until}
        assert between == {version}
    # what was logged is what was answered
    log = logged(tmp_path / "log")
    assert dict(zip(log["prediction_id"], log["model_version"], strict=True)) == {
        answer["prediction_id"]: answer["model_version"] for _, _, answer in answers
    }
    # who is killed while there is a new champion comes back with that
    deliveries.promote(second, other)
    [worker] = [
        process
        for process in psutil.Process(server.pid).children(recursive=True)
        if "_bentoml_impl.worker.service" in process.cmdline()
    ]
    worker.kill()
    psutil.wait_procs([worker])
    soon(lambda: is_ready(port), said)
    after = Caller(port, rows)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(len(rows)):
        after.ask(connection, number)
    assert {answer["model_version"] for _, _, answer in after.answers} == {other.version}
    _, metrics = told(port, "/metrics")
    [served] = [
        line
        for line in metrics.splitlines()
        if line.startswith("model_served{")
        and f'"{other.version}"' in line
        and line.endswith(" 1.0")
    ]
    assert 'pid="' in served
