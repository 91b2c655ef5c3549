import signal
import subprocess
import sys

import psutil
import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.release import server as server_module
from kedro_mlops.release.server import end_with_workers, served

# as BentoML's are: in a session of its own
STARTS_A_WORKER = """
import subprocess
worker = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(worker.pid, flush=True)
worker.wait()
"""


def test_a_bento_that_does_not_start_is_an_error_that_says_what_it_said() -> None:
    said = r"(?s)no-such-bento:v1 did not get ready.*it said:\n\S"
    server = served("no-such-bento:v1", "sqlite:///nowhere.db", start_timeout_seconds=60)

    with pytest.raises(ProjectError, match=said), server:
        pass


def test_a_worker_that_outlives_its_server_is_ended_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "STOP_SECONDS", 0.2)
    server = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_WORKER], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    with server, server.stdout:
        worker = psutil.Process(int(server.stdout.readline()))

        end_with_workers(server)

    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_a_server_that_begins_as_it_is_interrupted_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[int] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(["sleep", "600"], start_new_session=True)
            begun.append(self.pid)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    server = served("a-bento:v1", "sqlite:///nowhere.db", start_timeout_seconds=60)

    with pytest.raises(KeyboardInterrupt), server:
        pass

    assert len(begun) == 1
    assert not psutil.pid_exists(begun[0])
