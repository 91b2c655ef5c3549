"""The environments: apart from each other, overrides only, and with what git does not have."""

import shutil
from pathlib import Path

import pytest
import yaml

from flight_delays.settings import CONFIG_LOADER_ARGS

from kedro_mlops.framework.config_loader import ProjectConfigLoader
from tests.deploy.conftest import git_ignores

CONF = Path(__file__).parents[1] / "conf"
ENVIRONMENTS = ["sample", "dev", "staging", "production"]

pytestmark = pytest.mark.filterwarnings("ignore:register_new_resolver")


def loader(env: str, conf: Path = CONF) -> ProjectConfigLoader:
    return ProjectConfigLoader(str(conf), env, **CONFIG_LOADER_ARGS)


def test_each_environment_keeps_its_artefacts_in_a_folder_of_its_own() -> None:
    folders = {env: loader(env)["globals"]["data"] for env in ENVIRONMENTS}

    assert folders == {env: f"data/{env}" for env in ENVIRONMENTS}


@pytest.mark.parametrize("env", ["dev", "staging", "production"])
def test_an_environment_only_overrides_what_the_base_has(env: str) -> None:
    base = loader("base")["parameters"]

    said = [yaml.safe_load(file.read_text()) for file in (CONF / env).glob("parameters*.yml")]

    assert all(
        name in base and values.keys() <= base[name].keys()
        for file in said
        for name, values in file.items()
    )
    assert {file.stem for file in (CONF / env).glob("*.yml")} <= {"globals", "parameters"}


def test_only_in_production_models_wait_for_an_approval() -> None:
    asked = {env: loader(env)["parameters"]["gate"]["require_approval"] for env in ENVIRONMENTS}

    assert asked == {env: env == "production" for env in ENVIRONMENTS}


def test_what_git_does_not_have_of_an_environment_counts_in_that_one_alone(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf, ignore=shutil.ignore_patterns("local"))
    (conf / "production/own").mkdir(exist_ok=True)
    (conf / "production/own/credentials.yml").write_text("feature_store: { con: sqlite:// }\n")

    told = {env: loader(env, conf)["credentials"] for env in ("production", "staging")}

    assert told["production"]["feature_store"] == {"con": "sqlite://"}
    assert told["staging"]["feature_store"] != {"con": "sqlite://"}
    assert git_ignores([CONF / "production/own/credentials.yml"])
