"""What is asked is known to the task's own room alone: others ask the task, not which it is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import kedro_mlops
from kedro_mlops.task.tasks import TASKS

ENGINE = Path(kedro_mlops.__file__).parent
KNOWN = {
    # metadata that are older than the other tasks
    ("models/metadata.py", "binary"),
    # a format of bytes
    ("serving/openapi.py", "binary"),
    # what scikit-learn's encoder calls a target
    ("models/contributions.py", "multiclass"),
    # where a target of which nothing is said becomes one of them
    *(("adoption/labels.py", name) for name in TASKS),
}


def names_in(source: str) -> Iterator[str]:
    """The tasks that code names; docstrings are no code, as they stand among other words."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in TASKS:
            yield node.value


def test_no_other_room_asks_which_task_it_is() -> None:
    asked = {
        (file.relative_to(ENGINE).as_posix(), name)
        for file in ENGINE.rglob("*.py")
        if ENGINE / "task" not in file.parents
        for name in names_in(file.read_text())
    }

    assert asked == KNOWN


def test_pages_do_not_ask_either() -> None:
    found = [
        (file.name, name)
        for file in ENGINE.rglob("*.j2")
        for name in TASKS
        if f'"{name}"' in file.read_text() or f"'{name}'" in file.read_text()
    ]

    assert found == []


def test_whoever_asks_is_found() -> None:
    assert [*names_in('if task.name == "regression":\n    """A binary one is not."""')] == [
        "regression"
    ]
