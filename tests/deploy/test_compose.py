"""The composition: valid, and no container may do more than it has to."""

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from kedro_mlops.orchestration.pods import HOME, UID, WRITTEN
from kedro_mlops.serving.fast_lane import DRAIN_SECONDS
from kedro_mlops.serving.settings import Settings
from tests.deploy.conftest import git_ignores
from tests.deploy.metrics import DEPLOY

FILES = [*sorted(DEPLOY.glob("compose*.yaml")), *DEPLOY.glob("*/compose.yaml")]
# the pipelines use what another has, and are no whole
WHOLE = [yaml.safe_load(file.read_text()) for file in FILES if file.name == "compose.yaml"]
SECRETS = {name: secret for compose in WHOLE for name, secret in compose["secrets"].items()}
SERVICES = {name: service for compose in WHOLE for name, service in compose["services"].items()}
[PIPELINES] = yaml.safe_load((DEPLOY / "compose.pipelines.yaml").read_text())["services"].values()
CONTAINERS = {**SERVICES, "pipelines": PIPELINES}
VOLUMES = {name for compose in WHOLE for name in compose["volumes"]}
README = (DEPLOY / "README.md").read_text()


def test_all_files_are_compose_files() -> None:
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *FILES]

    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_may_do_what_it_has_to_and_no_more(name: str) -> None:
    service = CONTAINERS[name]
    limits = service["deploy"]["resources"]["limits"]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert not service.get("privileged")
    # but for one that only gives a folder away
    is_root = service["user"].startswith("0")
    assert (is_root, service.get("cap_add"), service.get("network_mode")) in [
        (False, None, None),
        (True, ["CHOWN"], "none"),
    ]


@pytest.mark.parametrize("name", CONTAINERS)
def test_images_are_of_one_version(name: str) -> None:
    image, _, tag = CONTAINERS[name]["image"].partition(":")

    assert tag
    own = image.removesuffix("-pipelines") == "flight-delays"
    assert (tag == "latest") == own


@pytest.mark.parametrize("name", [n for n in SERVICES if n != "prediction-log"])
def test_what_stays_up_is_looked_after(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_only_service_and_grafana_are_reached_and_only_from_this_machine() -> None:
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    outside = {name for name, s in SERVICES.items() if "outside" in s.get("networks", [])}

    assert published.keys() == outside
    assert {"service"} <= outside <= {"service", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert WHOLE[0]["networks"]["inside"] == {"internal": True}


def test_secrets_come_from_files_that_git_ignores_and_the_readme_makes() -> None:
    files = {name: secret["file"] for name, secret in SECRETS.items()}

    used = {name for service in SERVICES.values() for name in service.get("secrets", [])}

    assert used == files.keys()
    assert all(name in README for name in files)
    assert git_ignores([DEPLOY / file for file in files.values()])


def test_no_password_is_written_down() -> None:
    values = [
        value
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if any(word in name for word in ("PASSWORD", "KEY", "SECRET"))
    ]

    assert len(values) >= 2
    assert all(value.startswith("/run/secrets/") for value in values)


def test_every_mounted_file_is_there() -> None:
    mounted = [
        volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]
    ]

    for source in mounted:
        if source.startswith("./"):
            assert (DEPLOY / source).is_dir()
        elif source.startswith("../data/"):
            # a layer of data, or a folder in one
            assert (DEPLOY / "/".join(source.split("/")[:3])).is_dir()
        else:
            assert source in VOLUMES


def test_the_service_is_told_what_it_needs() -> None:
    environment: dict[str, Any] = SERVICES["service"]["environment"]

    assert environment["API_KEYS_FILE"] == "/run/secrets/api_keys"
    user = SERVICES["postgres"]["environment"]["POSTGRES_USER"]
    assert environment["FEATURE_STORE_URL"].startswith(f"postgresql+psycopg://{user}@postgres")
    assert f":{environment['PREDICTION_LOG_DIR']}" in SERVICES["service"]["volumes"][0]
    assert environment["BENTOML_HOME"].startswith("/tmp/")
    assert "/readyz" in SERVICES["service"]["healthcheck"]["test"][-1]


def test_the_service_knows_every_variable_it_is_given() -> None:
    known = {name.upper() for name in Settings.__struct_fields__}

    # BentoML's and NumPy's
    assert SERVICES["service"]["environment"].keys() - known == {"BENTOML_HOME", "OMP_NUM_THREADS"}


def test_it_is_given_the_time_to_answer_what_it_has_begun() -> None:
    grace = int(SERVICES["service"]["stop_grace_period"].removesuffix("s"))

    assert grace > Settings().request_seconds + DRAIN_SECONDS


def test_the_pipelines_run_as_on_a_cluster_and_write_where_they_do_there() -> None:
    scratch = [mount.partition(":")[0] for mount in PIPELINES["tmpfs"]]
    artefacts, own = (volume.split(":")[1:] for volume in PIPELINES["volumes"])

    assert scratch == ["/tmp", *(str(HOME / name) for name in WRITTEN)]
    assert PIPELINES["user"] == f"{UID}:{UID}"
    assert (artefacts, own) == ([str(HOME / "data")], [str(HOME / "conf/local"), "ro"])
    assert PIPELINES["profiles"]
    assert "ports" not in PIPELINES
    # a run may wait for another, and none is begun again by itself
    assert (PIPELINES["command"][-1], PIPELINES["restart"]) == ("--wait", "no")
    assert PIPELINES["networks"] == ["inside", "outside"]


def test_the_image_of_the_pipelines_takes_no_data_history_or_secret() -> None:
    first, *others = [
        line
        for line in (DEPLOY.parent / ".dockerignore").read_text().splitlines()
        if line[0] != "#"
    ]

    taken = {line.removeprefix("!") for line in others if line.startswith("!")}

    assert first == "*"
    assert {path.partition("/")[0] for path in taken} == {
        *("pyproject.toml", "uv.lock", ".telemetry", "bentofile.yaml"),
        *("conf", "deploy", "packages", "src"),
    }
    assert others.index("conf/local") > others.index("!conf")
    assert all((DEPLOY.parent / path).exists() for path in taken)


def test_both_images_are_of_one_base() -> None:
    build = yaml.safe_load((DEPLOY.parent / "bentofile.yaml").read_text())
    stages = re.findall(r"^FROM (\S+)", (DEPLOY / "pipelines.Dockerfile").read_text(), re.MULTILINE)

    assert {stage for stage in stages if ":" in stage} == {build["docker"]["base_image"]}
