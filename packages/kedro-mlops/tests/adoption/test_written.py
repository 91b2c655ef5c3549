import subprocess
from pathlib import Path

import pytest

from kedro_mlops.adoption.written import RECORD, edited
from kedro_mlops.adoption.written import record as record_of

FILES = ["contracts.py", "conf/parameters.yml"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that holds two files."""
    (tmp_path / "conf").mkdir()
    for path in FILES:
        (tmp_path / path).write_text("written\n")
    return tmp_path


def record(project: Path, paths: list[str]) -> None:
    """Remember what files hold, and nothing of those that are gone."""
    files = {path: (project / path).read_text() for path in paths if (project / path).exists()}
    said = record_of(project, files, {}, [path for path in paths if path not in files])
    (project / RECORD).write_text(said)


def git(project: Path, *arguments: str) -> None:
    named = ["-c", "user.name=test", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *named, *arguments], cwd=project, check=True, capture_output=True)


def test_what_is_as_it_was_written_is_no_edit(project: Path) -> None:
    record(project, FILES)

    assert edited(project, [*FILES, "not/there.py"]) == []


def test_a_file_that_was_changed_is_an_edit_until_it_is_written_again(project: Path) -> None:
    record(project, FILES)
    (project / FILES[1]).write_text("my own\n")

    before = edited(project, FILES)
    record(project, FILES[1:])

    assert before == FILES[1:]
    assert edited(project, FILES) == []


def test_what_is_gone_is_forgotten(project: Path) -> None:
    record(project, FILES)
    (project / FILES[0]).unlink()

    record(project, FILES[:1])

    assert FILES[0] not in (project / RECORD).read_text()
    assert FILES[1] in (project / RECORD).read_text()


def test_where_nothing_is_recorded_what_git_has_is_no_edit(project: Path) -> None:
    git(project, "init", "-q")
    git(project, "add", FILES[0])
    git(project, "commit", "-qm", "Mine")

    untracked = edited(project, FILES)
    (project / FILES[0]).write_text("my own\n")

    assert untracked == FILES[1:]
    assert edited(project, FILES) == FILES


def test_what_was_written_and_then_committed_with_changes_is_an_edit(project: Path) -> None:
    record(project, FILES)
    (project / FILES[0]).write_text("my own\n")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "Mine")

    assert edited(project, FILES) == FILES[:1]


@pytest.mark.parametrize("name", ["[ab].py", "*.py", "?.py", ":(glob)a.py", "-a.py"])
def test_a_name_is_no_pattern_to_git(project: Path, name: str) -> None:
    """What git tracks by another name is not what a person has there."""
    (project / "a.py").write_text("tracked\n")
    git(project, "init", "-q")
    git(project, "add", "a.py")
    git(project, "commit", "-qm", "Mine")

    (project / name).write_text("my own\n")

    assert edited(project, ["a.py", name]) == [name]
    git(project, "--literal-pathspecs", "add", "--", name)
    git(project, "commit", "-qm", "Mine, too")
    assert edited(project, ["a.py", name]) == []


def test_a_link_is_nothing_that_was_written(project: Path) -> None:
    record(project, FILES)
    (project / FILES[0]).rename(project / "mine.py")
    (project / FILES[0]).symlink_to("mine.py")
    (project / "lost.py").symlink_to("nowhere")

    assert edited(project, [*FILES, "lost.py"]) == [FILES[0], "lost.py"]
