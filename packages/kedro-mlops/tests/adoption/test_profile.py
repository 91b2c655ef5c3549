"""What is found in a table."""

from pathlib import Path

import pandas as pd
import pytest

from kedro_mlops.adoption.opening import open_source
from kedro_mlops.adoption.profile import TableProfile, profile
from kedro_mlops.core.errors import ProjectError


def profile_of(folder: Path, text: str) -> TableProfile:
    file = folder / "rows.csv"
    file.write_text(text)
    return profile(open_source(str(file)))


def test_columns_have_kinds(tmp_path):
    found = profile_of(
        tmp_path, "n,x,yes,day,zip,word\n1,1.5,true,2024-01-31,00179,red\nNA,,False,NA,10115,blue\n"
    )
    kinds = {column.name: column.kind for column in found.columns}
    assert kinds == {
        "n": "integer", "x": "number", "yes": "boolean", "day": "moment", "zip": "text",
        "word": "text",
    }  # fmt: skip
    assert (found["n"].n_missing, found["n"].missing) == (1, ("NA",))
    assert found["day"].low == pd.Timestamp("2024-01-31")
    assert found.n_rows == 2


def test_a_table_without_rows_is_refused(tmp_path):
    with pytest.raises(ProjectError, match="has no rows"):
        profile_of(tmp_path, "a,b\n")


MANY = 60_000


def profile_of_many(folder: Path, *last: str) -> TableProfile:
    """Of a column of more numbers than are in the sample, the last of which are others."""
    values = [*map(str, range(1, MANY + 1 - len(last))), *last]
    return profile_of(folder, "x\n" + "\n".join(values) + "\n")


def test_values_that_only_few_rows_have_count_too(tmp_path):
    found = profile_of_many(tmp_path, "null", "#REF!", "three", "x")["x"]

    assert (found.kind, found.n_missing, found.n_odd) == ("integer", 2, 2)
    assert sorted(found.missing) == ["#REF!", "null"]


@pytest.mark.parametrize(
    ("last", "kind"),
    [("0179", "text"), ("1.5", "number"), ("9007199254740993", "text"), ("1e3", "integer")],
)
def test_one_value_may_tell_what_all_are(tmp_path, last, kind):
    assert profile_of_many(tmp_path, last)["x"].kind == kind


def test_of_many_rows_some_are_the_sample_always_the_same(tmp_path):
    found = profile_of_many(tmp_path)

    assert found.n_rows == len(range(1, MANY + 1))
    assert 48_000 < len(found.sample) <= 50_000
    assert found.sample.equals(profile_of_many(tmp_path).sample)
    assert found["x"].n_distinct == MANY
    assert (found["x"].low, found["x"].high) == (1, MANY)


def test_a_column_with_too_many_odd_values_is_text(tmp_path):
    values = ["x"] * 2 + [str(number) for number in range(98)]

    assert profile_of(tmp_path, "n\n" + "\n".join(values))["n"].kind == "text"
    assert profile_of(tmp_path, "n\n" + "\n".join([*values[1:], "98"]))["n"].n_odd == 1


def test_numbers_far_from_all_others_are_suspected(tmp_path):
    values = ["-999"] * 3 + ["12", "40", "33"] * 10

    assert profile_of(tmp_path, "n\n" + "\n".join(values))["n"].suspects == (-999,)
    assert profile_of(tmp_path, "n\n" + "\n".join(values[3:]))["n"].suspects == ()


def test_repeated_rows_are_counted(tmp_path):
    assert profile_of(tmp_path, "a,b\n1,x\n2,y\n1,x\n1,x\n").repeated_rows == 2


def test_text_has_length_and_words(tmp_path):
    found = profile_of(tmp_path, "t\none two\nthree\nthree\n")["t"]

    assert (found.max_length, found.mean_words) == (7, pytest.approx(4 / 3))
    assert found.common == (("three", 2), ("one two", 1))
    assert found.example == "three"


def test_parquet_has_kinds(tmp_path):
    pd.DataFrame(
        {
            "whole": [1.0, None, 3.0],
            "share": [0.5, 0.1, None],
            "at": pd.to_datetime(["2024-01-01 10:00"] * 3).tz_localize("Europe/Berlin"),
            "yes": pd.array([True, None, False], "boolean"),
            "category": pd.Categorical(["a", "b", "a"]),
            "nothing": [None] * 3,
            "large": [2**60, 1, 2],
        }
    ).to_parquet(tmp_path / "rows.parquet")

    found = profile(open_source(str(tmp_path / "rows.parquet")))

    assert [column.kind for column in found.columns] == [
        "integer", "number", "moment", "boolean", "text", "empty", "text",
    ]  # fmt: skip
    assert found["at"].zoned
    assert found["at"].low == pd.Timestamp("2024-01-01 09:00")


def test_many_columns_are_counted_as_few_are(tmp_path):
    header = ",".join(f"c{n}" for n in range(120))
    rows = [",".join(str(n * row) for n in range(120)) for row in range(5)]

    found = profile_of(tmp_path, "\n".join([header, *rows]))

    assert [column.high for column in found.columns] == [4 * n for n in range(120)]
    assert {column.n_distinct for column in found.columns[1:]} == {5}
