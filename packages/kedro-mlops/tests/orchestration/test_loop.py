from collections.abc import Iterable

import pytest
from kedro.pipeline import Node, Pipeline

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.framework.pipelines import named_pipeline
from kedro_mlops.orchestration.loop import Loop, check_tasks, retraining, typed, watching

# of each pipeline, what it reads and what it makes
STAGES = {
    "documentation": (["champion"], "card"),
    "gate": (["candidate", "rows"], "verdict"),
    "modelling": (["rows"], "candidate"),
    "monitoring": (["predictions", "rows"], "findings"),
    "preparing": (["raw"], "rows"),
    "release": (["verdict", "rows"], "champion"),
    "scoring": (["champion", "rows"], "predictions"),
}


def make(*inputs: object) -> None:
    pass


def registered(stages: dict[str, tuple[list[str], str]]) -> dict[str, Pipeline]:
    named = {
        name: named_pipeline(name, [Node(make, inputs, output)])
        for name, (inputs, output) in stages.items()
    }
    return {**named, "__default__": Pipeline([*named.values()])}


def loop_with(**more: tuple[list[str], str]) -> Loop:
    return Loop.of(registered(STAGES | more))


def by_name(tasks: Iterable) -> dict:
    return {task.name: task for task in tasks}


def test_a_look_ends_in_the_decision_and_a_training_in_the_release() -> None:
    loop = loop_with()

    assert loop.look == ("preparing", "scoring", "monitoring")
    assert loop.train == ("preparing", "modelling", "gate", "release", "documentation")


def test_a_task_waits_for_those_that_make_what_it_reads() -> None:
    schedule = retraining(loop_with(), "0 6 * * *", "sample", "DAY")

    tasks = by_name(schedule.tasks)

    assert {name: set(task.waits_for) for name, task in tasks.items()} == {
        "look_preparing": set(),
        "look_scoring": {"look_preparing"},
        "look_monitoring": {"look_preparing", "look_scoring"},
        "promote_winner": {"look_monitoring"},
        "decide": {"promote_winner"},
        "train_preparing": {"decide"},
        "train_modelling": {"train_preparing"},
        "train_gate": {"train_preparing", "train_modelling"},
        "train_release": {"train_preparing", "train_gate"},
        "train_documentation": {"train_release"},
    }
    # and comes after them
    names = list(tasks)
    assert all(names.index(n) < names.index(t.name) for t in tasks.values() for n in t.waits_for)


def test_a_look_is_until_the_day_and_a_training_as_of_it() -> None:
    tasks = by_name(retraining(loop_with(), "0 6 * * *", "sample", "{{ ds }}").tasks)

    assert typed(tasks["look_scoring"].command) == (
        "kedro run --pipelines=scoring --until {{ ds }} --env sample --wait"
    )
    assert typed(tasks["train_gate"].command) == (
        "kedro run --pipelines=gate --params as_of={{ ds }} --env sample --wait"
    )
    assert typed(tasks["promote_winner"].command) == (
        "kedro champion promote --winner --env sample --wait"
    )
    assert typed(tasks["decide"].command) == "kedro retrain --decision --env sample"


def test_one_machine_does_all_of_it_by_one_command() -> None:
    loop = loop_with()

    assert typed(retraining(loop, "0 6 * * *", None, "DAY").command) == (
        "kedro retrain --until today --wait"
    )
    assert typed(watching(loop, "0 * * * *", None).command) == (
        "kedro run --pipelines=preparing,scoring,monitoring --until today --changed --wait"
    )


@pytest.mark.parametrize(
    ("inputs", "phase"),
    [
        (["rows"], "look"),
        (["elsewhere"], "look"),
        (["predictions"], "look"),
        (["champion", "predictions"], "look"),
        (["candidate"], "train"),
        (["card"], "train"),
    ],
    ids=str,
)
def test_a_pipeline_of_the_owner_runs_when_what_it_reads_is_made(
    inputs: list[str], phase: str
) -> None:
    loop = loop_with(own=(inputs, "result"))

    assert {"look": "own" in loop.look, "train": "own" in loop.train} == {
        "look": phase == "look",
        "train": phase == "train",
    }


def test_a_pipeline_that_a_release_and_a_decision_need_is_in_both() -> None:
    loop = Loop.of(registered(STAGES | {"cleaning": (["raws"], "raw")}))

    assert "cleaning" in loop.look
    assert "cleaning" in loop.train


def test_nodes_that_are_in_no_pipeline_of_their_own_are_named() -> None:
    pipelines = registered(STAGES)
    loose = Pipeline([Node(make, ["rows"], "loose", name="count")])
    pipelines |= {"__default__": pipelines["__default__"] + loose}

    # what is not run task by task has no need of it
    assert "count" in Loop.of(pipelines).look
    with pytest.raises(ProjectError, match="`count` is not in one that is called 'count'"):
        check_tasks(pipelines)


def test_without_a_stage_there_is_no_loop() -> None:
    without = {name: stage for name, stage in STAGES.items() if name != "monitoring"}

    with pytest.raises(ProjectError, match="no 'monitoring'"):
        Loop.of(registered(without))
