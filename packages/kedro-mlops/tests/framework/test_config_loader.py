from pathlib import Path

from kedro_mlops.framework.config_loader import ProjectConfigLoader


def conf(folder: Path) -> str:
    (folder / "base").mkdir()
    (folder / "base/globals.yml").write_text("data: data\nother: 1\n")
    (folder / "base/parameters.yml").write_text("where: ${globals:data}/x\nseed: 0\n")
    return str(folder)


def test_globals_of_the_run_replace_those_of_the_files(tmp_path: Path) -> None:
    given = {"globals": {"data": "elsewhere"}, "seed": 1}

    loader = ProjectConfigLoader(conf(tmp_path), runtime_params=given, base_env="base")

    assert loader["globals"] == {"data": "elsewhere", "other": 1}
    assert loader["parameters"] == {"where": "elsewhere/x", "seed": 1}
    assert given == {"globals": {"data": "elsewhere"}, "seed": 1}


def test_without_them_the_files_count(tmp_path: Path) -> None:
    loader = ProjectConfigLoader(conf(tmp_path), base_env="base")

    assert loader["globals"] == {"data": "data", "other": 1}
    assert loader["parameters"]["where"] == "data/x"
