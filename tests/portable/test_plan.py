import re

import pytest

from flight_delays.errors import ProjectError
from flight_delays.portable.plan import MODEL, PLAN, Plan
from tests.factories import plan_of, write_plan


@pytest.fixture
def folder(tmp_path):
    """A released model that is whole."""
    write_plan("v1", tmp_path)
    return tmp_path


def test_a_plan_that_was_read_back_is_the_same(tmp_path):
    plan = plan_of()

    sha256 = plan.write(tmp_path)

    assert Plan.read(tmp_path, sha256) == plan


def test_a_released_plan_is_read_back_with_its_rules_and_encoding(released):
    folder, plan = released

    back = Plan.read(folder)

    assert back == plan
    assert [field.name for field in back.sent + back.looked_up] == [f.name for f in plan.fields]
    assert back.encoding.width == len(back.features) + len(back.encoding.moments)


def test_every_key_and_looked_up_field_is_known():
    plan = plan_of()

    assert plan.keys == ["carrier", "flight_number", "origin", "scheduled_departure"]
    assert all(field.source is not None for field in plan.looked_up)
    assert {field.source.by for field in plan.looked_up} <= {field.name for field in plan.sent}


@pytest.mark.parametrize("name", [PLAN, MODEL])
def test_a_missing_file_is_refused_with_the_next_step(folder, name):
    (folder / name).unlink()

    with pytest.raises(ProjectError, match=rf"cannot be read: .*{name}.*pipelines=release"):
        Plan.read(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"\xff"])
def test_a_damaged_plan_is_refused(folder, content):
    (folder / PLAN).write_bytes(content)

    with pytest.raises(ProjectError, match=f"{re.escape(str(folder))} is not served"):
        Plan.read(folder)


def test_half_a_plan_is_refused(folder):
    content = (folder / PLAN).read_bytes()
    (folder / PLAN).write_bytes(content[: len(content) // 2])

    with pytest.raises(ProjectError, match="cannot be read"):
        Plan.read(folder)


def test_a_model_that_was_exchanged_is_refused(folder):
    (folder / MODEL).write_bytes(b"v2")

    with pytest.raises(ProjectError, match=rf"{MODEL} is not the file that {PLAN} describes"):
        Plan.read(folder)


def test_a_plan_that_was_tampered_with_is_refused_where_its_hash_is_known(tmp_path):
    sha256 = write_plan("v1", tmp_path)
    text = (tmp_path / PLAN).read_text()
    (tmp_path / PLAN).write_text(text.replace('"threshold": 0.4', '"threshold": 0.9'))

    with pytest.raises(ProjectError, match=f"{PLAN} is not the file that was released"):
        Plan.read(tmp_path, sha256)
