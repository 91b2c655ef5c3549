"""Two runs in one place do not mix; real processes, as people and schedulers start them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kedro_mlops.core import run_lock
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.run_lock import alone_in, wait_option

HOLD = """
import sys, time
from pathlib import Path
from kedro_mlops.core.run_lock import alone_in

with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


class Holder:
    """A process that has the lock of a folder, for some time."""

    def __init__(self, data: Path, seconds: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(data), str(seconds)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def other(data: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, at work in the folder."""
    process = Holder(data, 600).process
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_told_who_is_at_work_since_when_and_what_to_do(
    data: Path, other: subprocess.Popen[str]
) -> None:
    with pytest.raises(ProjectError) as refused:
        run_lock.take(data)

    said = str(refused.value)
    assert f"process {other.pid} on {os.uname().nodename}" in said
    assert str(os.path.relpath(data)) in said
    assert "-c" in said
    assert " UTC" in said
    assert "--wait" in said


def test_a_killed_process_leaves_no_lock(data: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()

    with alone_in(data):
        pass


def test_other_folders_are_free(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    with alone_in(tmp_path / "sample"):
        pass


def test_a_command_that_waits_goes_on_when_the_other_has_ended(data: Path) -> None:
    @click.command()
    @wait_option
    def work() -> None:
        with alone_in(data):
            click.echo("at work")

    other = Holder(data, 2).process

    done = CliRunner().invoke(work, ["--wait"])

    other.wait()
    assert done.exit_code == 0
    assert f"process {other.pid}" in done.output
    assert done.output.splitlines()[-1] == "at work"


def test_a_command_keeps_its_lock_while_what_it_runs_takes_and_releases_it(data: Path) -> None:
    def refused_elsewhere() -> bool:
        command = [sys.executable, "-c", HOLD, str(data), "0"]
        return subprocess.run(command, capture_output=True, check=False).returncode != 0

    with alone_in(data):
        with alone_in(data):
            pass
        inside = refused_elsewhere()
    after = refused_elsewhere()

    assert (inside, after) == (True, False)
