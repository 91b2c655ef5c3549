"""What adoption changes in a project, to the letter, or nothing."""

import itertools
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from driving.kills import killed_at

from kedro_mlops.adoption.plan import Plan, put_back
from kedro_mlops.core.errors import ProjectError

OLD, NEW = "as it came\n", "as it will be\n"
IDENTITY = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
RAW, CREDENTIALS = "data/01_raw/rows", "conf/local/credentials.yml"


@pytest.fixture
def folder(tmp_path):
    """A project under git, with an example."""
    project = tmp_path / "project"
    for path in ("src/contracts.py", "example/nodes.py", "example/test_nodes.py"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(OLD)
    for command in (["init", "-q"], ["add", "-A"], [*IDENTITY, "commit", "-qm", "It"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    return project


def plan(folder):
    files = {"src/contracts.py": NEW, "conf/base/new.yml": NEW, "example/test_nodes.py": NEW}
    return Plan(folder, files, ("example",))


def with_data(folder, removed=("example", RAW)):
    """The same, and what git does not have: rows that replace others, and credentials."""
    delivered = folder.parent / "delivered.csv"
    delivered.write_text(NEW)
    copies = {f"{RAW}/new.csv": delivered, f"{RAW}/rows.csv": delivered}
    return Plan(folder, plan(folder).files, removed, copies, {CREDENTIALS: "user: ann\n"})


def texts(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts and path.name != "run.lock"
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
    (folder / RAW).mkdir(parents=True)
    (folder / RAW / "rows.csv").write_text(OLD)
    asked, before = with_data(folder), texts(folder)

    def full(source, target):
        monkeypatch.undo()
        raise OSError("no space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="no space"):
        asked.carry_out()
    assert texts(folder) == before

    (folder.parent / "delivered.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"delivered\.csv"):
        asked.carry_out()
    assert texts(folder) == before


def test_data_and_credentials_are_written_with_the_rest_and_not_shown(folder):
    asked = with_data(folder)

    shown = "".join(asked.diff())
    asked.check()
    asked.carry_out()

    assert texts(folder)[f"{RAW}/new.csv"] == NEW
    assert texts(folder)[CREDENTIALS] == "user: ann\n"
    assert (folder / CREDENTIALS).stat().st_mode & 0o077 == 0
    assert "copied: data/01_raw/rows/new.csv, from /" in shown
    assert "changed, and not shown: conf/local/credentials.yml" in shown
    assert CREDENTIALS not in (folder / ".adopted.json").read_text()


def test_data_that_would_be_replaced_or_read_as_well_is_kept(folder):
    (folder / RAW).mkdir(parents=True)
    (folder / RAW / "old.csv").write_text(OLD)

    with pytest.raises(ProjectError, match=r"data/01_raw/rows/old\.csv"):
        with_data(folder).check()
    with_data(folder).carry_out()

    assert [file.name for file in sorted((folder / RAW).iterdir())] == ["new.csv", "rows.csv"]


def test_what_is_in_a_folder_that_goes_need_not_be_said(folder):
    (folder / "example/sub").mkdir()
    (folder / "example/sub/rows.py").write_text(OLD)
    named = ("example", "example/sub", "example/nodes.py", "example/", "example")
    asked = Plan(folder, {"example/sub/new.py": NEW}, named)

    assert "".join(asked.diff()).count("removed: example/sub/rows.py") == 1
    asked.carry_out()

    assert [path for path in texts(folder) if path.startswith("example")] == ["example/sub/new.py"]


def links(folder):
    """What leads elsewhere, and whereto."""
    return {
        path.relative_to(folder).as_posix(): path.readlink()
        for path in folder.rglob("*")
        if path.is_symlink()
    }


def test_links_are_links_again_if_it_fails(folder, monkeypatch):
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/rows.py").write_text(OLD)
    (folder / "src/contracts.py").rename(folder / "mine.py")
    for link, to in {
        "src/contracts.py": "../mine.py", "conf/base/new.yml": "nowhere",
        "example/rows.py": "../elsewhere/rows.py", "example/sub": "../elsewhere",
        "linked": "elsewhere", "lost": "nowhere",
    }.items():  # fmt: skip
        (folder / link).parent.mkdir(parents=True, exist_ok=True)
        (folder / link).symlink_to(to)
    asked = Plan(folder, plan(folder).files, ("example", "linked", "lost"))
    before, led = texts(folder), links(folder)
    left = len(asked.files)

    def full(source, target):
        nonlocal left
        left -= 1
        if left < 0:
            monkeypatch.undo()
            raise OSError("no space left on device")
        return replace(source, target)

    replace = Path.replace
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        asked.carry_out()

    assert (texts(folder), links(folder)) == (before, led)
    asked.carry_out()
    assert links(folder) == {}
    assert (folder / "mine.py").read_text() == OLD
    assert (folder / "elsewhere/rows.py").read_text() == OLD


@pytest.mark.parametrize("path", ["src/contracts.py", CREDENTIALS])
def test_no_file_takes_the_place_of_a_link_unless_it_is_asked(folder, path):
    (folder / "mine").write_text(OLD)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).unlink(missing_ok=True)
    (folder / path).symlink_to(folder / "mine")
    for command in (["add", "-A"], [*IDENTITY, "commit", "-qm", "It"]):
        subprocess.run(["git", *command], cwd=folder, check=True)

    with pytest.raises(ProjectError, match=rf"^Links, which files .* of: {path}\. .*--force"):
        with_data(folder).check()


def test_a_link_in_a_folder_that_goes_is_kept_unless_git_has_it(folder):
    (folder / "example/mine").symlink_to("nowhere")
    (folder / "example/all").symlink_to("../src")

    with pytest.raises(ProjectError, match="committed: example/all, example/mine"):
        plan(folder).check()


def test_data_that_only_adoption_wrote_is_replaced_when_its_source_changes(folder):
    (folder / RAW).mkdir(parents=True)
    with_data(folder).carry_out()
    (folder.parent / "delivered.csv").write_text("more\n")
    copies = {f"{RAW}/rows.csv": folder.parent / "delivered.csv"}
    asked = Plan(folder, plan(folder).files, (RAW,), copies)

    asked.check()
    asked.carry_out()

    assert [path for path in texts(folder) if path.startswith(RAW)] == [f"{RAW}/rows.csv"]
    assert "new.csv" not in (folder / ".adopted.json").read_text()
    (folder / RAW / "rows.csv").write_text("mine\n")
    with pytest.raises(ProjectError, match=r"data/01_raw/rows/rows\.csv"):
        asked.check()


def test_who_comes_second_undoes_nothing_of_what_the_first_one_does(folder, monkeypatch):
    asked, met = plan(folder), []
    replace = Path.replace

    def met_by(change):
        with pytest.raises(ProjectError, match=r"^Another run is at work in .*data: pro") as it:
            change()
        met.append(str(it.value))

    def replaced(source, target):
        if not met:
            monkeypatch.undo()
            with ThreadPoolExecutor() as others:
                for change in (lambda: put_back(folder), plan(folder).carry_out):
                    others.submit(met_by, change).result()
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", replaced)
    asked.carry_out()

    assert ["Wait for its end" in each for each in met] == [True, True]
    found = texts(folder)
    assert {path: found[path] for path in asked.files} == asked.files
    assert not put_back(folder)


def test_other_line_ends_are_no_edit(folder):
    (folder / "src/contracts.py").write_text("mine\n", newline="\r\n")
    asked = Plan(folder, {"src/contracts.py": "mine\r\n"})

    asked.check()

    assert "".join(asked.diff()) == ""


def test_a_file_that_stays_may_be_run_as_before(folder):
    (folder / "src/contracts.py").chmod(0o755)

    plan(folder).carry_out()

    assert (folder / "src/contracts.py").stat().st_mode & 0o777 == 0o755
    assert (folder / "src/contracts.py").read_text() == NEW


def test_who_is_killed_at_any_moment_leaves_what_can_be_put_back(folder):
    plan(folder).carry_out()
    (folder / "example").mkdir(exist_ok=True)
    (folder / "example/nodes.py").write_text(OLD)
    for path in (f"{RAW}/rows.csv", CREDENTIALS):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(OLD)
    changed = with_data(folder)
    changed.files["src/contracts.py"] = "newer\n"
    before, met = texts(folder), []
    assert not killed_at(0, lambda: None)

    for step in itertools.count():
        if not killed_at(step, changed.carry_out):
            break
        # a person reads the old or the new one, but a file that stays is never missing
        assert (folder / "src/contracts.py").read_text() in (NEW, "newer\n")
        for again in (step % 3, step % 7):
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
