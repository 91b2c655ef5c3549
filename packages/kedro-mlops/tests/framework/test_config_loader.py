import re
from pathlib import Path

import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.framework.config_loader import ProjectConfigLoader


def conf(folder: Path) -> str:
    (folder / "base").mkdir()
    (folder / "base/globals.yml").write_text("data: data\nother: 1\n")
    (folder / "base/parameters.yml").write_text("where: ${globals:data}/x\nseed: 0\n")
    return str(folder)


def test_globals_of_the_run_replace_those_of_the_files(tmp_path: Path) -> None:
    given = {"globals": {"data": "elsewhere"}, "seed": 1}

    loader = ProjectConfigLoader(conf(tmp_path), runtime_params=given, base_env="base")

    assert loader["globals"] == {"data": "elsewhere", "artefacts": "elsewhere", "other": 1}
    assert loader["parameters"] == {"where": "elsewhere/x", "seed": 1}
    assert given == {"globals": {"data": "elsewhere"}, "seed": 1}


def test_what_lasts_is_on_the_store_by_the_name_of_the_environments_folder(tmp_path: Path) -> None:
    on_store = {"globals": {"store": "s3://bucket/prefix/", "data": "data/sample"}}

    loader = ProjectConfigLoader(conf(tmp_path), runtime_params=on_store, base_env="base")

    assert loader["globals"]["artefacts"] == "s3://bucket/prefix/data/sample"
    assert loader["parameters"]["where"] == "data/sample/x"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"data": "s3://bucket/data"}, "let `store` in globals.yml be that URL"),
        ({"store": "/mnt/shared"}, "let `data` be that folder"),
    ],
)
def test_a_store_that_is_none_and_a_folder_that_is_one_are_refused(
    tmp_path: Path, said: dict[str, str], why: str
) -> None:
    with pytest.raises(ProjectError, match=why):
        ProjectConfigLoader(conf(tmp_path), runtime_params={"globals": said}, base_env="base")


def test_without_them_the_files_count(tmp_path: Path) -> None:
    loader = ProjectConfigLoader(conf(tmp_path), base_env="base")

    assert loader["globals"] == {"data": "data", "artefacts": "data", "other": 1}
    assert loader["parameters"]["where"] == "data/x"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"seed: 0\nseed: 1\n", "parameters.yml, line 2, is no YAML: found duplicate key seed."),
        (b"seed: [0\n", "parameters.yml, line 2, is no YAML: "),
        (b"seed:\t0\n\tx: 1\n", "parameters.yml, line 2, is no YAML: found a tab"),
        ("site: Zürich\n".encode("latin-1"), "parameters.yml, is no YAML: it is no text in UTF-8"),
    ],
)
def test_a_file_that_is_no_yaml_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    folder = conf(tmp_path)
    (tmp_path / "base/parameters.yml").write_bytes(content)

    with pytest.raises(ProjectError, match=re.escape(said)):
        ProjectConfigLoader(folder, base_env="base")["parameters"]
