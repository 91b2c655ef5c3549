"""Tools that check deployment files; a machine of continuous integration has them all."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Tool = Callable[..., str]


def require(name: str, package: str) -> str:
    """The path of a tool; skips the test where a person does not have it."""
    found = shutil.which(name)
    if found is None:
        missing = f"{name} is not installed: apt-get install {package}"
        assert os.environ.get("CI") != "true", f"{missing}. .ci/run does"
        pytest.skip(missing)
    return found


def git_ignores(files: list[Path]) -> bool:
    """Whether git would leave out every one of the files, there or not."""
    command = ["git", "check-ignore", "--no-index", *files]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return len(done.stdout.splitlines()) == len(files)


@pytest.fixture
def promtool(tmp_path: Path) -> Tool:
    """Runs promtool, which has to succeed, and gives what it said."""
    tool = require("promtool", "prometheus")

    def run(*arguments: str | Path) -> str:
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run
