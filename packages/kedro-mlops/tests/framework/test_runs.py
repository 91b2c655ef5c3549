"""Real sessions: one at a time in one place, and node by node."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture
def kedro(pytestconfig: pytest.Config, tmp_path: Path) -> Any:
    """Starts `kedro run` on a part that needs nothing, in a folder of its own."""

    def start(*options: str, data: Path = tmp_path) -> subprocess.Popen[str]:
        where = f"globals.data={data}"
        return subprocess.Popen(
            [sys.executable, "-m", "kedro", "run", *RUN, "--params", where, *options],
            cwd=pytestconfig.rootpath,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def test_a_run_where_another_is_at_work_is_refused_and_makes_nothing(
    kedro: Any, tmp_path: Path
) -> None:
    with alone_in(tmp_path):
        here, elsewhere = kedro(), kedro(data=tmp_path / "elsewhere")
        said, _ = here.communicate()
        elsewhere.communicate()

    assert here.returncode == 1
    assert said.count("Another run is at work") == 1
    assert "Traceback" not in said
    assert elsewhere.returncode == 0
    made = [path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.html")]
    assert made == ["elsewhere"]


def test_a_run_that_waits_is_done_after_the_other(kedro: Any, tmp_path: Path) -> None:
    page = tmp_path / "08_reporting/data_dictionary.html"
    with alone_in(tmp_path):
        waiting = kedro("--wait")
        assert "Waiting for its end." in waiting.stdout.readline()
        time.sleep(1)
        early = page.exists()

    waiting.communicate()

    assert not early
    assert waiting.returncode == 0
    assert page.exists()
    with alone_in(tmp_path):  # it has let go
        pass


def test_other_runners_are_refused_however_they_are_chosen(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARALLEL, str(tmp_path)],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    said = json.loads(done.stdout.splitlines()[-1])
    assert [one.startswith("ProjectError: These pipelines run node by node") for one in said] == [
        True
    ] * 4, said
    assert not list(tmp_path.rglob("*.html"))


def test_the_command_says_so_in_one_sentence(kedro: Any) -> None:
    running = kedro("--async")

    said, _ = running.communicate(timeout=300)

    assert running.returncode == 1
    [line] = said.strip().splitlines()
    assert line.startswith("Error: These pipelines run node by node")


def test_a_configuration_file_of_the_run_is_heard(kedro: Any, tmp_path: Path) -> None:
    file = tmp_path / "run.yml"
    file.write_text("run:\n  is_async: true\n")

    running = kedro("--config", str(file))

    assert "node by node" in running.communicate(timeout=300)[0]
    assert running.returncode == 1
