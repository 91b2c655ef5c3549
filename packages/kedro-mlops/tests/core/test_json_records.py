import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedro_mlops.core.json_records import json_records

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ROW = st.fixed_dictionaries(
    {
        "name": st.none() | st.text(),
        "count": st.integers(-(2**63), 2**63 - 1),
        "share": st.none() | FINITE,
        "late": st.none() | st.booleans(),
    }
)
TYPES = {"name": "str", "count": "int64", "share": "float64", "late": "boolean"}


@given(st.lists(ROW, max_size=8))
@settings(max_examples=50, deadline=None)
def test_rows_come_back_from_json_unchanged(records):
    rows = pd.DataFrame(records, columns=list(TYPES)).astype(TYPES)

    text = json.dumps(json_records(rows), allow_nan=False)

    assert json.loads(text) == records
    back = pd.DataFrame(json.loads(text), columns=list(TYPES)).astype(TYPES)
    pd.testing.assert_frame_equal(back, rows, check_exact=True)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_moments_become_iso_text(unit):
    rows = pd.DataFrame({"at": pd.to_datetime(["2013-07-15T17:30:00"]).as_unit(unit)})

    [record] = json_records(rows)

    assert record == {"at": "2013-07-15T17:30:00"}


def test_the_rows_given_stay_as_they_are():
    rows = pd.DataFrame({"at": pd.to_datetime(["2013-07-15"]), "x": [None]})
    before = rows.copy()

    json_records(rows)

    pd.testing.assert_frame_equal(rows, before)


def test_rows_with_equal_index_labels_are_kept_apart():
    rows = pd.DataFrame({"x": [1, 2]}, index=[7, 7])

    records = json_records(rows)

    assert records == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize("utc", [False, True])
def test_a_missing_moment_is_null(utc):
    rows = pd.DataFrame({"moment": pd.to_datetime(["2013-01-01", None], utc=utc)})

    text = json.dumps(json_records(rows), allow_nan=False)

    first, missing = json.loads(text)
    assert first["moment"].startswith("2013-01-01T00:00:00")
    assert missing["moment"] is None
