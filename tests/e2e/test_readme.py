"""Every command of README.md does what the README says; see ``walkthrough`` for how it is run."""

import re
from concurrent.futures import Future

import pytest
from driving.project import Loop
from driving.readme import commands

from tests.e2e.walkthrough import BENTOML_SERVE, README, VIZ_BUILD

SAMPLE = "kedro run --env sample"
COMMANDS = [command for command in commands(README) if command != SAMPLE]
COMMANDS += [BENTOML_SERVE, VIZ_BUILD]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_does_what_the_readme_says(
    walkthrough: dict[str, Future[None]], command: str
) -> None:
    assert command in walkthrough, "nothing runs it; add it to tests/e2e/walkthrough.py"

    walkthrough[command].result()


def test_a_few_weeks_are_run_apart_from_the_rest(sample_loop: Loop) -> None:
    assert SAMPLE in commands(README)

    [report] = re.findall(r"^Report +(.*)$", sample_loop.said, re.MULTILINE)

    assert report.startswith("data/sample/")


def test_nothing_is_run_that_the_readme_no_longer_has(walkthrough: dict[str, Future[None]]) -> None:
    assert set(walkthrough) == set(COMMANDS)
