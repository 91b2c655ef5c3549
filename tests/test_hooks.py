import pytest

from flight_delays.errors import ProjectError
from flight_delays.hooks import check_parameters


def test_known_parameters_pass() -> None:
    check_parameters(["as_of", "seed"], known=["seed", "as_of", "gate"])


def test_an_unknown_parameter_is_named_with_what_it_may_have_meant() -> None:
    with pytest.raises(ProjectError, match=r"no parameter 'as_off'. Did you mean 'as_of'"):
        check_parameters(["as_off"], known=["seed", "as_of"])
