"""Ready is who would answer a prediction, and as quickly as ever."""

import asyncio
import logging
import subprocess
import sys
import threading
import time

import pytest
from example.factories import LOGGED
from example.http import problem_of

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.prediction_log.datasets import read_log
from kedro_mlops.serving import app_state as desks
from kedro_mlops.serving import logs
from kedro_mlops.serving.warm_up import warm_up


@pytest.fixture
def watched(state, monkeypatch):
    """An app state that is watched, often, by a loop in a thread of its own."""
    monkeypatch.setattr(desks, "WATCH_SECONDS", 0.02)
    one, loop = state(), asyncio.new_event_loop()
    task = loop.create_task(one.watch())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield one
    loop.call_soon_threadsafe(task.cancel)
    time.sleep(0.1)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def ended(script):
    return subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )


def soon(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_is_ready_only_while_predictions_can_be_logged_although_nobody_asks(
    watched, serve, tmp_path
):
    server = serve(watched)
    soon(lambda: server.ask("GET", "/readyz").status == 200)
    (tmp_path / "log").rename(tmp_path / "gone")
    (tmp_path / "log").touch()

    soon(lambda: server.ask("GET", "/readyz").status == 503)
    refused, alive = server.ask("GET", "/readyz"), server.ask("GET", "/livez")
    (tmp_path / "log").unlink()

    problem_of(refused, 503, "cannot be logged at present")
    assert alive.status == 200
    soon(lambda: server.ask("GET", "/readyz").status == 200)


def test_that_it_is_not_ready_is_no_invalid_request_and_can_be_seen(state, serve):
    one = state()
    one.unready = "The service is warming up; try again."

    refused = serve(one).ask("GET", "/readyz")

    problem_of(refused, 503, "warming up")
    one._tell()
    assert one.metrics.ready._value.get() == 0
    assert one.metrics.invalid.labels("unready")._value.get() == 0


def test_who_asks_whether_it_is_ready_is_no_line_in_the_log(state, serve, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger(logs.SERVICE), "propagate", True)
    caplog.set_level(logging.INFO, logs.SERVICE)
    one = state()
    one.unready = "The service is warming up; try again."

    statuses = [serve(one).ask("GET", path).status for path in ("/readyz", "/nothing")]

    def paths():
        return [record.path for record in caplog.records if record.name == logs.__name__]

    assert statuses == [503, 404]
    # a line is written when the answer has been sent
    soon(paths)
    assert paths() == ["/nothing"]


def test_a_look_at_the_log_leaves_nothing(state, tmp_path):
    one = state()

    one.prediction_log.check()

    assert list((tmp_path / "log").iterdir()) == []


def test_a_log_that_has_no_room_for_more_is_none(state, tmp_path, monkeypatch):
    """The size of files is limited, as a full disk would."""
    script = (
        "import resource, signal; from pathlib import Path;"
        "from kedro_mlops.prediction_log.writer import PredictionLog;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        f"PredictionLog(Path({str(tmp_path)!r}), 1000, 2000).check()"
    )

    done = ended(script)

    assert ProjectError.__name__ in done.stderr
    assert "cannot be written" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_warms_it_up_is_neither_logged_nor_counted(state, tmp_path):
    one = state()

    warm_up(one.served)

    assert read_log(tmp_path / "log", LOGGED).to_pylist() == []
    one.metrics.flush()
    counts = [
        sample.value
        for metric in (one.metrics.predictions, one.metrics.missing, one.metrics.unseen)
        for sample in metric.collect()[0].samples
        if sample.name.endswith("_total")
    ]
    assert set(counts) <= {0}


def test_what_is_warm_need_not_be_imported(released, online_store, tmp_path):
    script = f"""
import sys
from pathlib import Path
from kedro_mlops.runtime.serving_spec import ServingSpec, hash_of
from kedro_mlops.serving.app_state import AppState
from kedro_mlops.serving.problem_details import JSON
from kedro_mlops.serving.settings import Settings
from kedro_mlops.serving.warm_up import warm_up
import msgspec
folder = Path({str(released[0])!r})
spec = ServingSpec.read(folder, hash_of((folder / "serving_spec.json").read_bytes()))
settings = Settings(feature_store_url={online_store!r}, prediction_log_dir={str(tmp_path)!r})
state = AppState(folder, spec, None, settings)
warm_up(state.served)
before = set(sys.modules)
row = {{field.name: field.example for field in spec.sent}}
body = msgspec.json.encode({{"rows": [row] * 600}})
state.served.answer_large(JSON, body, JSON)
state.store.complete_all(state.served.reader.judged(msgspec.json.encode({{"rows": [row]}})))
print(sorted(name for name in set(sys.modules) - before if name.count(".") < 2))
"""
    done = ended(script)

    assert done.stdout.strip() == "[]", done.stdout + done.stderr
