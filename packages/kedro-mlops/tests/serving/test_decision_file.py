"""What monitoring says of challengers, from a disk and from a store."""

import json
from types import SimpleNamespace

import pytest

from kedro_mlops.core.storage import place
from kedro_mlops.serving.decision_file import DecisionFile


@pytest.fixture(params=["disk", "store"])
def file(request, tmp_path):
    on_store = request.param == "store"
    return place(f"{request.getfixturevalue('bucket')}/d.json") if on_store else tmp_path / "d.json"


def _read(decision):
    """What is read, once a store has been asked."""
    for _ in range(2):
        found = decision.read()
        if decision._asking:
            decision._asking.join(10)
    return found


@pytest.mark.parametrize(
    ("content", "read"), [('{"stopped": ["a"]}', {"stopped": ["a"]}), ("{", {}), ("1", {})]
)
def test_what_was_said_is_read_and_what_is_no_object_says_nothing(file, content, read):
    decision = DecisionFile(file)
    assert _read(decision) == {}

    file.write_text(content)

    assert _read(decision) == read


def test_a_store_that_does_not_answer_leaves_what_was_known(file, caplog):
    decision = DecisionFile(file)
    decision._file = SimpleNamespace(read_text=lambda: json.loads)
    decision._known = {"stopped": ["a"]}

    assert _read(decision) == {"stopped": ["a"]}
    assert "cannot be read" in caplog.text


def test_where_there_is_no_file_nothing_is_said():
    assert DecisionFile(None).read() == {}
