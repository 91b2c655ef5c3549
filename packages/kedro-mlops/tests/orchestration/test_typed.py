"""What is written for schedulers, typed: that each command is one, with options that it has."""

import json
import re
import shlex
from collections.abc import Callable, Iterator

import click
import pytest
from click.testing import CliRunner
from example.schedules import documents, plan

from kedro_mlops.cli.commands import cli
from kedro_mlops.cli.schedule import FOLDERS, TASK_BY_TASK
from kedro_mlops.core.declared import declared
from kedro_mlops.orchestration.loop import TODAY

Files = dict[str, str]
A_DAY = "2013-03-08"


def of_airflow(files: Files) -> list[list[str]]:
    [text] = files.values()
    [tasks] = re.findall(r"(?s)^TASKS = (\{.*?^\})$", text, re.MULTILINE)
    typed = [task["command"] for task in json.loads(tasks).values()]
    return [shlex.split(re.sub(r"^said=\$\((.*?)\) && .*", r"\1", line)) for line in typed]


def of_argo(files: Files) -> list[list[str]]:
    [workflow] = [found for found in documents(files) if found["kind"] == "CronWorkflow"]
    templates = workflow["spec"]["workflowSpec"]["templates"]
    return [each["container"]["command"] for each in templates if "container" in each]


def of_databricks(files: Files) -> list[list[str]]:
    [bundle] = documents(files)
    tasks = bundle["resources"]["jobs"]["retrain"]["tasks"]
    wheels = [task["python_wheel_task"] for task in tasks if "python_wheel_task" in task]
    return [["kedro", *wheel["parameters"][2:]] for wheel in wheels]


def of_github(files: Files) -> list[list[str]]:
    [workflow] = documents(files)
    return [shlex.split(job["steps"][-1]["run"]) for job in workflow["jobs"].values()]


def of_json(files: Files) -> list[list[str]]:
    [text] = files.values()
    return [task["command"] for task in json.loads(text)["tasks"]]


def of_kubernetes(files: Files) -> list[list[str]]:
    pods = [
        found["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        for found in documents(files)
        if found["kind"] == "CronJob"
    ]
    return [pod["containers"][0]["command"] for pod in pods]


def of_systemd(files: Files) -> list[list[str]]:
    lines = "".join(files.values()).splitlines()
    return [shlex.split(line) for line in lines if line.startswith("ExecStart=")]


READ: dict[str, Callable[[Files], list[list[str]]]] = {
    "airflow": of_airflow,
    "argo": of_argo,
    "databricks": of_databricks,
    "github": of_github,
    "json": of_json,
    "kubernetes": of_kubernetes,
    "systemd": of_systemd,
}


def commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield from commands(command) if isinstance(command, click.Group) else [command]


def mistake(words: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What click says of a command that does nothing but to take its options."""
    for command in commands(cli):
        monkeypatch.setattr(command, "callback", lambda **_: None)
    [begin] = [place for place, word in enumerate(words) if re.fullmatch(r"(.*/)?kedro", word)]
    done = CliRunner().invoke(cli, words[begin + 1 :])
    return "" if done.exit_code == 0 else f"{shlex.join(words)}: {done.output}"


@pytest.mark.parametrize("scheduler", FOLDERS)
def test_every_command_of_a_scheduler_can_be_typed(
    scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = f"kedro_mlops.orchestration.{scheduler}"
    apart = scheduler in TASK_BY_TASK
    day = declared(f"{room}.DAY") if apart else TODAY
    files = declared(f"{room}.write")(plan(day))
    # what a scheduler puts a day in the place of
    told = {name: text.replace(day, A_DAY) if apart else text for name, text in files.items()}

    typed = READ[scheduler](told)

    assert len(typed) == (8 if apart else 2)
    assert [wrong for words in typed if (wrong := mistake(words, monkeypatch))] == []


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("kedro champion promote --winner --no-such", "No such option"),
        ("kedro run --until tomorrow", "Invalid value for '--until'"),
        ("kedro run --params as_of", "Item `as_of` must contain a key"),
        ("kedro retrain today", "unexpected extra argument"),
        ("kedro champion promot", "No such command 'promot'"),
    ],
)
def test_what_cannot_be_typed_is_found_out(
    typed: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said in mistake(typed.split(), monkeypatch)
