"""What adoption changes in a project, to the letter, or nothing."""

import itertools
import subprocess

import pytest
from driving.kills import killed_at

from kedro_mlops.adoption.plan import Plan, copy, put_back
from kedro_mlops.core.errors import ProjectError

OLD, NEW = "as it came\n", "as it will be\n"


@pytest.fixture
def folder(tmp_path):
    """A project under git, with an example."""
    project = tmp_path / "project"
    for path in ("src/contracts.py", "example/nodes.py", "example/test_nodes.py"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(OLD)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "It"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    return project


def plan(folder):
    files = {"src/contracts.py": NEW, "conf/base/new.yml": NEW, "example/test_nodes.py": NEW}
    return Plan(folder, files, ("example",))


def texts(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def test_it_is_shown_and_done(folder):
    asked = plan(folder)
    before = texts(folder)

    shown = "".join(asked.diff())
    assert texts(folder) == before
    asked.check()
    asked.carry_out()

    found = texts(folder)
    found.pop(".adopted.json")
    assert found == asked.files
    assert f"--- a/src/contracts.py\n+++ b/src/contracts.py\n@@ -1 +1 @@\n-{OLD}+{NEW}" in shown
    assert "--- /dev/null\n+++ b/conf/base/new.yml" in shown
    assert "removed: example/nodes.py" in shown


def test_done_twice_it_is_as_once_even_if_it_was_not_committed(folder):
    plan(folder).carry_out()
    before = texts(folder)

    plan(folder).check()
    plan(folder).carry_out()

    assert texts(folder) == before


@pytest.mark.parametrize("path", ["src/contracts.py", "example/nodes.py", "conf/base/new.yml"])
def test_edits_are_not_overwritten(path, folder):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text("mine\n")

    with pytest.raises(ProjectError, match=path):
        plan(folder).check()


def test_an_edit_of_what_was_written_is_one(folder):
    plan(folder).carry_out()
    (folder / "src/contracts.py").write_text("mine\n")

    with pytest.raises(ProjectError, match=r"src/contracts\.py"):
        plan(folder).check()


def test_a_failure_in_the_middle_leaves_everything_as_it_was(folder, monkeypatch):
    before = texts(folder)

    def full(self, target):
        monkeypatch.undo()
        raise OSError("no space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="no space"):
        plan(folder).carry_out()

    assert texts(folder) == before


def test_who_is_killed_at_any_moment_leaves_what_can_be_put_back(folder):
    plan(folder).carry_out()
    (folder / "example").mkdir(exist_ok=True)
    (folder / "example/nodes.py").write_text(OLD)
    changed = Plan(folder, plan(folder).files | {"src/contracts.py": "newer\n"}, ("example",))
    before, met = texts(folder), []

    for step in itertools.count():
        if not killed_at(step, changed.carry_out):
            break
        # a person reads the old or the new one, but a file that stays is never missing
        assert (folder / "src/contracts.py").read_text() in (NEW, "newer\n")
        assert not killed_at(0, lambda: None)
        for again in range(3):
            killed_at(again, lambda: put_back(folder))
        met.append(put_back(folder))
        if texts(folder) != before:
            # all was done but to forget how
            assert texts(folder)["src/contracts.py"] == "newer\n"
            assert not (folder / ".adopting").exists()
            break
        assert not (folder / ".adopting").exists()

    assert step > 10
    assert {True, False} == {*met}


def test_a_file_or_a_folder_is_copied_whole(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/a.csv").write_text("a\n")

    copy(tmp_path / "rows/a.csv", tmp_path / "data/01_raw/a.csv")
    copy(tmp_path / "rows", tmp_path / "data/01_raw/rows")

    assert (tmp_path / "data/01_raw/a.csv").read_text() == "a\n"
    assert (tmp_path / "data/01_raw/rows/a.csv").read_text() == "a\n"
