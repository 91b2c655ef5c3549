"""Commands are typed, and started by schedulers, in any folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kedro.framework import project as kedro_project

from kedro_mlops.core import project
from kedro_mlops.core.project import open_project, project_folder
from kedro_mlops.documentation.nodes import ModelCard

ROOT = Path(__file__).parents[1]
OWNER = "flight_delays"
# without what Kedro adds to it when a test opens the project
PYTHONPATH = os.environ.get("PYTHONPATH", "")
# as Airflow's operators do
SCHEDULED = """
import json, sys
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

bootstrap_project(sys.argv[1])
with KedroSession.create(project_path=sys.argv[1]) as session:
    catalog = session.load_context().catalog
described = {name: catalog[name]._describe() for name in catalog.keys() if ":" not in name}
code = catalog.load("params:code_version")
print(json.dumps({"described": described, "code": code.model_dump()}, default=str))
"""


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": PYTHONPATH, "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_a_scheduler_starts_elsewhere_works_in_the_project(tmp_path: Path) -> None:
    done = run("-c", SCHEDULED, str(ROOT), cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    places = {
        (name, key): place.removeprefix("sqlite://")
        for name, about in said["described"].items()
        for key, place in about.items()
        if key in ("filepath", "served", "url")
    }
    assert {("online_store", "url"), ("prediction_log", "served")} <= places.keys()
    relative = [which for which, place in places.items() if not Path(place).is_absolute()]
    elsewhere = [which for which, place in places.items() if str(tmp_path) in place]
    assert not relative
    assert not elsewhere
    assert "unknown" not in said["code"].values()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["-m", OWNER], ["-m", "kedro", "run"]])
def test_an_error_is_one_message_in_a_sub_directory(command: list[str]) -> None:
    done = run(*command, "--env", "nothing", cwd=ROOT / "conf")

    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Traceback" not in said
    assert said.count(f"{ROOT}/conf/nothing") == 1
    # Kedro says first which logging configuration it has found
    assert len(said.splitlines()) <= 6


def test_the_app_finds_its_project_from_elsewhere(tmp_path: Path) -> None:
    done = run("-m", OWNER, "--env", "nothing", cwd=tmp_path)

    assert f"{ROOT}/conf/nothing" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_model_card_has_its_owners_words() -> None:
    said = yaml.safe_load((ROOT / "conf/base/parameters_documentation.yml").read_text())

    words = ModelCard(**said["model_card"])

    assert words.owner
    assert words.intended_use
    assert words.out_of_scope
    assert words.limits


def test_the_project_is_that_of_the_code_until_a_session_has_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "_opened", [])
    monkeypatch.chdir(tmp_path)

    before = project_folder()
    open_project(tmp_path)

    assert before == ROOT
    assert project_folder() == tmp_path


def test_the_project_of_an_installed_wheel_is_that_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "_opened", [])
    monkeypatch.setattr(kedro_project, "PACKAGE_NAME", "json")  # as any that is installed
    (tmp_path / "own/notebooks").mkdir(parents=True)
    (tmp_path / "own/pyproject.toml").write_text("[tool.kedro]\n")
    monkeypatch.chdir(tmp_path / "own/notebooks")

    assert project_folder() == tmp_path / "own"


def test_a_folder_may_have_a_space_in_its_name(tmp_path):
    folder = tmp_path / "my project"
    files = ("Makefile", "pyproject.toml", "uv.lock", "packages/kedro-mlops/pyproject.toml")
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text((ROOT / path).read_text())
    # as it is where the environment of the project is activated
    uv = folder / ".venv/bin/uv"
    uv.parent.mkdir(parents=True)
    uv.write_text("#!/bin/sh\n")
    uv.chmod(0o755)
    environment = os.environ | {"PATH": f"{uv.parent}{os.pathsep}{os.environ['PATH']}"}

    said = subprocess.run(
        ["make", "--dry-run", "run"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "uv sync --frozen" in said.stdout, said.stderr
    assert said.returncode == 0
