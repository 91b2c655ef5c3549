import re

import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.orchestration.plan import name_of

ENVIRONMENTS = [
    None, "prod-eu", "prod_eu", "Prod-eu", "prod.eu", "prod--eu", "prod-eu-", "e" * 30, "e" * 31,
    "e" * 60, "e" * 61, "1", "_".join("environment"),
]  # fmt: skip


@pytest.mark.parametrize("package", ["flight_delays", "Flight_Delays", "vols_retardés", "模型"])
def test_environments_have_names_of_their_own_that_all_schedulers_take(package: str) -> None:
    names = [name_of(package, env) for env in ENVIRONMENTS]

    assert len({*names}) == len(ENVIRONMENTS)
    for name in names:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
        assert len(name) <= 44


def test_no_project_has_the_name_of_another_in_an_environment() -> None:
    packages = ["shop", "shop_eu", "shop__eu", "shop_", "Shop", "shop_eu_west", "shop__eu_west"]
    environments = [None, "eu", "eu-west", "eu--west", "west", "EU", "eu-WEST", "eu--WEST", "WEST"]

    names = [name_of(package, env) for package in packages for env in environments]

    assert len({*names}) == len(names)


def test_what_is_a_name_already_is_not_changed() -> None:
    assert name_of("flight_delays", None) == "flight-delays"
    assert name_of("flight_delays", "staging") == "flight-delays--staging"


def test_a_name_that_is_changed_is_the_same_every_time_and_that_of_the_page() -> None:
    assert name_of("flight_delays", "prod_eu") == "flight-delays--prod-eu-4ddbc4"


@pytest.mark.parametrize("env", ["${{ secrets.KEY }}", "prod eu", "a/b", "--wait", "..", "x\n"])
def test_an_environment_that_schedulers_take_for_something_else_is_refused(env: str) -> None:
    with pytest.raises(ProjectError, match=re.escape(f"Rename conf/{env}.")):
        name_of("flight_delays", env)
