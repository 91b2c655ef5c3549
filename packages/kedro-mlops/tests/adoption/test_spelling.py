"""How text says values is told from some of them."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedro_mlops.adoption.spelling import Reading, read_as, shows_comma


@pytest.mark.parametrize(
    ("said", "reading"),
    [
        (["1", "-2", "+3", " 4"], Reading("integer")),
        (["0", "1"], Reading("integer")),
        (["1", "NA", "null", "-"], Reading("integer", ("NA", "null", "-"))),
        (["1", "2.5", "1e-3", ".5"], Reading("number")),
        (["1,5", "2"], Reading("number", decimal=",")),
        (["1.234,5", "2", "12.345.678"], Reading("number", decimal=",", thousands=".")),
        (["1,234.5", "2"], Reading("number", thousands=",")),
        (["1\u00a0234,5", "2"], Reading("number", decimal=",", thousands=" ")),
        (["1'234.5", "2"], Reading("number", thousands="'")),
        (["1", "x", *map(str, range(10, 99))], Reading("integer")),
        (["00179", "10115"], Reading("text")),
        (["9007199254740993", "1"], Reading("text")),
        (["9" * 5000, "1"], Reading("text")),
        (["true", "FALSE", ""], Reading("boolean")),
        (["T", "F"], Reading("boolean")),
        (["yes", "no"], Reading("text")),
        (["None", "Brick", "NA"], Reading("text", ("NA",))),
        ([" ?", " Private"], Reading("text", (" ?",))),
        (["", "NA"], Reading("empty", ("NA",))),
        ([], Reading("empty")),
        (["2024-01-31", "2024/02/01", "2024-01-01T10:00"], Reading("moment")),
        (["2024-01-31T10:00:00Z", "2024-01-31 10:00+02:00"], Reading("moment", zoned=True)),
        (["31.01.2024", "1.2.2024"], Reading("moment", format="%d.%m.%Y")),
        (["01/31/2024", "02/01/2024"], Reading("moment", format="%m/%d/%Y")),
        (["31/01/2024", "02/01/2024"], Reading("moment", format="%d/%m/%Y")),
        (["01/02/2024"], Reading("moment", format="%m/%d/%Y", or_format="%d/%m/%Y")),
        (["12.5 %", "3%"], Reading("number", symbol="%")),
        (["$1,200.50", "-$7"], Reading("number", thousands=",", symbol="$")),
        (["1\u00a0234 €", "5 €"], Reading("number", decimal=",", thousands=" ", symbol="€")),
        (["12 kg", "x", *(f"{n} kg" for n in range(30))], Reading("integer", symbol="kg")),
        (["12 kg", "12 cm"], Reading("text")),
        (["1706774400"], Reading("integer")),
        (["1/13/24 5:03 PM"], Reading("moment", format="%m/%d/%y %I:%M %p")),
        (["Jan 5, 2024", "May 12, 2023"], Reading("moment", format="%b %d, %Y")),
        (["01.02.2024 10:00 +0200"], Reading("moment", format="%d.%m.%Y %H:%M %z", zoned=True)),
        (["10:00", "11:30"], Reading("text")),
        (["192.168.0.1", "10.0.0.1"], Reading("text")),
        (["+49 30 1234", "+49 40 5678"], Reading("text")),
        (["20240131", "20231201"], Reading("integer")),
    ],
)
def test_a_column_is_read_as_its_values_are_spelt(said, reading):
    assert read_as("x", said) == reading


def test_digits_are_days_where_the_name_says_so():
    assert read_as("order_date", ["20240131", "20231201"]).format == "%Y%m%d"
    assert read_as("order_date", ["20240131", "20231301"]).kind == "integer"


@pytest.mark.parametrize(
    ("said", "form"),
    [("1706774400", "epoch_s"), ("1706774400000", "epoch_ms"), ("1706774400.5", "epoch_s")],
)
def test_digits_are_moments_where_name_and_size_say_so(said, form):
    assert read_as("created_at", [said]) == Reading("moment", format=form)
    assert read_as("created_at", [said, "17"]).kind in ("integer", "number")


def test_a_comma_is_what_it_is_in_the_other_columns():
    assert read_as("x", ["1,234", "2,500"]) == Reading("number", thousands=",")
    assert read_as("x", ["1,234", "2,500"], comma=True) == Reading("number", decimal=",")
    assert read_as("x", ["1.234", "2.500"], comma=True).thousands == "."
    assert shows_comma(["1,5"])
    assert not shows_comma(["1,234"])


FORMATS = ["%d.%m.%Y", "%m/%d/%Y %H:%M", "%d-%b-%Y", "%d/%m/%y", "%B %d, %Y", "%Y-%m-%d %H:%M:%S"]


@given(
    st.sampled_from(FORMATS),
    st.datetimes(datetime(1970, 1, 1), datetime(2060, 1, 1)),  # noqa: DTZ001
)
def test_whatever_the_format_of_days_it_is_found(form, start):
    days = [(start + timedelta(days=17 * n)).strftime(form) for n in range(40)]

    found = read_as("x", days)

    assert found.kind == "moment"
    assert found.format == (None if form.startswith("%Y") else form)
