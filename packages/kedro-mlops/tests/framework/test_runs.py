"""Real sessions: one at a time in one place, and node by node."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from driving.warm_start import run_warm

from kedro_mlops.core.run_lock import alone_in

RUN = ["--pipelines=documentation", "--to-outputs=data_dictionary"]
PARALLEL = """
import json, sys
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner

class Own(ThreadRunner):
    __str__ = lambda self: "own"

bootstrap_project(".")
runners = [ThreadRunner(), ParallelRunner(), SequentialRunner(is_async=True), Own()]
said = []
for runner in runners:
    with KedroSession.create(runtime_params={"globals": {"data": sys.argv[1]}}) as session:
        try:
            session.run(pipeline_names=["documentation"], runner=runner)
            said.append("done")
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
print(json.dumps(said))
"""


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def warm(pytestconfig: pytest.Config, tmp_path: Path) -> Run:
    """Runs a program in the project to its end: its status, and all that it said."""

    def run(*command: str) -> tuple[int, str]:
        output = tmp_path / uuid.uuid4().hex
        output.mkdir()
        status = run_warm([*command], pytestconfig.rootpath, dict(os.environ), output, 300)
        return status, "".join((output / name).read_text() for name in ("stdout", "stderr"))

    return run


@pytest.fixture
def kedro(warm: Run, tmp_path: Path) -> Run:
    """`kedro run` on a part that needs nothing, in a folder of its own."""

    def run(*options: str, data: Path = tmp_path) -> tuple[int, str]:
        return warm("kedro", "run", *RUN, "--params", f"globals.data={data}", *options)

    return run


def test_a_run_where_another_is_at_work_is_refused_and_makes_nothing(
    kedro: Run, tmp_path: Path
) -> None:
    with alone_in(tmp_path):
        here, said = kedro()
        elsewhere, _ = kedro(data=tmp_path / "elsewhere")

    assert here == 1
    assert said.count("Another run is at work") == 1
    assert "Traceback" not in said
    assert elsewhere == 0
    made = [path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.html")]
    assert made == ["elsewhere"]


def test_who_promotes_is_at_work_where_the_runs_are(warm: Run, tmp_path: Path) -> None:
    winner = ("kedro", "champion", "promote", "--winner", "--params", f"globals.data={tmp_path}")

    with alone_in(tmp_path):
        status, said = warm(*winner)

    assert (status, said.count("Another run is at work")) == (1, 1)


def test_a_run_that_waits_is_done_after_the_other(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    page = tmp_path / "08_reporting/data_dictionary.html"
    command = ["-m", "kedro", "run", *RUN, "--wait", "--params", f"globals.data={tmp_path}"]
    with alone_in(tmp_path):
        waiting = subprocess.Popen(
            [sys.executable, *command],
            cwd=pytestconfig.rootpath,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert waiting.stdout
        assert "Waiting for its end." in waiting.stdout.readline()
        time.sleep(1)
        early = page.exists()

    waiting.communicate()

    assert not early
    assert waiting.returncode == 0
    assert page.exists()
    with alone_in(tmp_path):  # it has let go
        pass


def test_other_runners_are_refused_however_they_are_chosen(warm: Run, tmp_path: Path) -> None:
    status, told = warm("-c", PARALLEL, str(tmp_path))

    assert status == 0, told
    [said] = [json.loads(line) for line in told.splitlines() if line.startswith('["')]
    assert [one.startswith("ProjectError: These pipelines run node by node") for one in said] == [
        True
    ] * 4, said
    assert not list(tmp_path.rglob("*.html"))


def test_the_command_says_so_in_one_sentence(kedro: Run) -> None:
    status, said = kedro("--async")

    assert status == 1
    [line] = said.strip().splitlines()
    assert line.startswith("Error: These pipelines run node by node")


def test_a_configuration_file_of_the_run_is_heard(kedro: Run, tmp_path: Path) -> None:
    file = tmp_path / "run.yml"
    file.write_text("run:\n  is_async: true\n")

    status, said = kedro("--config", str(file))

    assert "node by node" in said
    assert status == 1
