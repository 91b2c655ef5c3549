"""Of what is secret nothing that people have said gets lost, and nothing is shown."""

from pathlib import Path

import pytest
import yaml

from kedro_mlops.adoption.credentials import CREDENTIALS, credentials_with
from kedro_mlops.core.errors import ProjectError

NEW = {"sales_database": {"con": "sqlite:///shop.db"}}


def holding(project: Path, text: str) -> Path:
    (project / CREDENTIALS).parent.mkdir(parents=True, exist_ok=True)
    (project / CREDENTIALS).write_text(text)
    return project


@pytest.mark.parametrize(
    "before",
    [
        "", "# mine\n", "other: {key: 1}\n", "other:\n  key: 1", "{other: {key: 1}}",
        "other: {key: 1}\n...\n",
    ],
)  # fmt: skip
def test_what_is_new_is_said_beside_what_was_there(tmp_path: Path, before: str) -> None:
    project = holding(tmp_path, before)

    found = credentials_with(project, NEW, force=False)

    text, *kept = found.values()
    assert [*found] == [CREDENTIALS, f"{CREDENTIALS}.before"][: len(found)]
    assert kept == ([before] if before[:1] == "{" or "..." in before else [])
    assert yaml.safe_load(text) == {**(yaml.safe_load(before) or {}), **NEW}
    assert credentials_with(holding(tmp_path, text), NEW, force=False) == {}
    assert text.startswith(before) or before[:1] == "{" or "..." in before


def test_where_there_is_no_file_one_is_made_and_without_a_secret_none(tmp_path: Path) -> None:
    assert yaml.safe_load(credentials_with(tmp_path, NEW, force=False)[CREDENTIALS]) == NEW
    assert credentials_with(tmp_path, {}, force=False) == {}


def test_a_name_that_says_something_else_is_replaced_only_if_it_is_asked(tmp_path: Path) -> None:
    project = holding(tmp_path, "sales_database: {con: 'postgresql://a:hushhush@b/c'}\nother: 1\n")

    with pytest.raises(ProjectError, match=r"another sales_database already.*--force") as error:
        credentials_with(project, NEW, force=False)
    text = credentials_with(project, NEW, force=True)[CREDENTIALS]

    assert "hushhush" not in str(error.value)
    assert yaml.safe_load(text) == {**NEW, "other": 1}


@pytest.mark.parametrize("text", ["a: 'hushhush\n", "hushhush", "- hushhush\n"])
def test_what_is_no_file_of_credentials_is_not_added_to(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProjectError, match=r"conf/local/credentials\.yml") as error:
        credentials_with(holding(tmp_path, text), NEW, force=True)

    assert "hushhush" not in str(error.value)


@pytest.mark.parametrize("before", ["{sales_database: 1}  # mine\r\n", "sales_database: 1\n# mine"])
def test_what_is_written_anew_is_kept_as_it_was_whatever_was_kept_before(
    tmp_path: Path, before: str
) -> None:
    project = holding(tmp_path, "")
    (project / CREDENTIALS).write_bytes(before.encode())
    paths = [f"{CREDENTIALS}.before", f"{CREDENTIALS}.before1", f"{CREDENTIALS}.before2"]
    for path in paths[:2]:
        (project / path).write_text("older\n")

    found = credentials_with(project, NEW, force=True)
    (project / paths[2]).write_bytes(found[paths[2]].encode())

    assert found.keys() == {CREDENTIALS, paths[2]}
    assert found[paths[2]] == before
    assert credentials_with(project, NEW, force=True) == found


def test_line_ends_stay(tmp_path: Path) -> None:
    project = holding(tmp_path, "")
    (project / CREDENTIALS).write_bytes(b"# mine\r\nother: 1\r\n")

    text = credentials_with(project, NEW, force=False)[CREDENTIALS]

    assert text.startswith("# mine\r\nother: 1\r\nsales_database:")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: {b: ${oc.env:DB}}\n", r"line 1 of .* is no YAML: put quotes around \$\{…\}"),
        ("a: größe\n".encode("cp1252"), "is not in UTF-8, in which it is read: save it so"),
        ("a: 1\n".encode("utf-16"), "is not in UTF-8"),
    ],
)
def test_what_projects_cannot_read_either_is_told(
    tmp_path: Path, content: bytes, words: str
) -> None:
    project = holding(tmp_path, "")
    (project / CREDENTIALS).write_bytes(content)

    with pytest.raises(ProjectError, match=words):
        credentials_with(project, NEW, force=True)
