"""Continuous integration: what it runs is there, and what it borrows cannot change."""

import re
import subprocess
import sys

import pytest
import yaml

WORKFLOW = ".github/workflows/ci.yml"


@pytest.fixture(scope="module")
def jobs(pytestconfig):
    return yaml.safe_load((pytestconfig.rootpath / WORKFLOW).read_text())["jobs"]


def test_the_workflow_is_one(pytestconfig):
    schema = ["--builtin-schema", "vendor.github-workflows"]
    command = [sys.executable, "-m", "check_jsonschema", *schema, WORKFLOW]

    done = subprocess.run(
        command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_actions_are_pinned_by_commit_and_say_their_version(pytestconfig):
    text = (pytestconfig.rootpath / WORKFLOW).read_text()

    used = re.findall(r"uses: (.*)", text)

    pinned = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert used
    assert [action for action in used if not pinned.fullmatch(action)] == []
    # one commit for each action
    assert len(set(used)) == len({action.partition("@")[0] for action in used})


def test_what_it_runs_is_there(jobs, pytestconfig):
    targets = set(re.findall(r"^([a-z]+):", (pytestconfig.rootpath / "Makefile").read_text(), re.M))
    typed = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]

    assert {"make lint", "make secrets", "make audit", ".ci/run"} <= set(typed)
    assert [
        command
        for command in typed
        if command.removeprefix("make ") not in targets
        and not (pytestconfig.rootpath / command.split()[0]).is_file()
    ] == []
    assert jobs["test"]["needs"] == "lint"


def test_every_target_says_what_it_is_for(pytestconfig):
    makefile = (pytestconfig.rootpath / "Makefile").read_text()
    targets = re.findall(r"^([a-z]+):", makefile, re.M)

    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        check=True,
    )

    told = [re.split(r"  +", line, maxsplit=1) for line in done.stdout.splitlines()]
    assert [name for name, _ in told] == [f"make {name}" for name in targets]
    assert all(what for _, what in told)
