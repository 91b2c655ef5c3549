import html
import re

import pandera.pandas as pa
import pytest

from flight_delays import contracts
from flight_delays.columns import Columns
from flight_delays.contracts import Inputs, Observation
from flight_delays.pipelines.documentation.nodes import render_card, render_dictionary
from tests.factories import tiny_package

TABLES = [
    contracts.RawFlights,
    contracts.RawWeather,
    contracts.RawPlanes,
    contracts.PrimaryFlights,
    contracts.DailyFeatures,
    contracts.PlaneFeatures,
    contracts.Observation,
    contracts.Prediction,
]
SCREENING = {"tables": [{"contract": "RawFlights", "n_read": 1200, "n_quarantined": 7}]}


@pytest.fixture(scope="module")
def dictionary() -> dict[str, str]:
    """The text of each table's section."""
    parts = re.split(r'<h2 id="(\w+)">', render_dictionary())
    return {name: html.unescape(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.fixture(scope="module")
def card() -> str:
    champion = tiny_package().with_record(
        decision={"reasons": ["It was the first."]}, release="name:v1"
    )
    return html.unescape(render_card(champion, SCREENING))


def test_every_table_has_a_section_and_its_bases_have_none(dictionary: dict[str, str]) -> None:
    assert list(dictionary) == [table.__name__ for table in TABLES]


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_described(
    dictionary: dict[str, str], table: type[pa.DataFrameModel]
) -> None:
    section = dictionary[table.__name__]

    rows = re.findall(r"<tr>\s*<td><code>(\w+)</code></td>(.*?)</tr>", section, re.DOTALL)

    columns = Columns.of(table)
    assert [name for name, _ in rows] == columns.names
    assert all(columns[name].description in row for name, row in rows)
    assert all(("never" in row) != columns[name].nullable for name, row in rows)


def test_bounds_choices_keys_and_look_ups_are_said(dictionary: dict[str, str]) -> None:
    observation = dictionary["Observation"]

    assert "at least -60; at most 140" in observation
    assert "one of EWR, JFK, LGA" in observation
    assert "carrier_features.late_rate_7d by carrier, the newest" in observation
    assert "label of a binary task" in observation
    assert "known only after the event" in dictionary["RawFlights"]
    assert "known only after the event" not in dictionary["RawWeather"]


def test_a_card_says_what_where_from_how_good_and_why(card: str) -> None:
    label = Columns.of(Observation)[Columns.of(Observation).label]

    assert label.description in card
    assert all(f"<code>{name}</code>" in card for name in Columns.of(Inputs).names)
    assert "Of 1,200 rows of RawFlights, 7 were in quarantine" in card
    assert "0.400 to 0.600" in card
    assert "It was the first." in card
    assert "da7a" in card
    assert "name:v1" in card


def test_pages_are_complete_in_themselves(card: str) -> None:
    for page in (card, render_dictionary()):
        assert page.startswith("<!doctype html>")
        assert not re.findall(r'(?:src|href)="(?!#)', page)
