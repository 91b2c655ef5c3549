import pandas as pd
import pytest
from pydantic import ValidationError

from kedro_mlops.core.time_params import AsOf, Horizon, Parameters


def test_as_of_a_day_is_its_first_moment():
    as_of = AsOf.model_validate("2013-07-01")

    assert as_of.moment == pd.Timestamp("2013-07-01 00:00")
    assert str(as_of) == "2013-07-01"


def test_days_are_counted_from_the_as_of_moment_across_months():
    as_of = AsOf.model_validate("2013-03-01")

    assert as_of.before(1) == pd.Timestamp("2013-02-28")
    assert as_of.after(31) == pd.Timestamp("2013-04-01")


@pytest.mark.parametrize("text", ["2013-07-01T12:00:00", "2013-02-30", "July", ""])
def test_what_is_not_a_day_is_refused(text):
    with pytest.raises(ValidationError):
        AsOf.model_validate(text)


def test_a_misspelt_parameter_is_refused():
    with pytest.raises(ValidationError, match=r"dayz\s+Extra inputs are not permitted"):
        Horizon.model_validate({"days": 31, "dayz": 31})


@pytest.mark.parametrize("days", [0, -1, 1.5])
def test_a_horizon_is_a_positive_number_of_days(days):
    with pytest.raises(ValidationError, match="days"):
        Horizon(days=days)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [(AsOf.model_validate("2013-07-01"), "root"), (Horizon(days=1), "days")],
)
def test_parameters_do_not_change_under_way(parameters: Parameters, field: str):
    with pytest.raises(ValidationError, match="frozen"):
        setattr(parameters, field, None)
