"""What is found in a table."""

from pathlib import Path

import pandas as pd
import pytest

from kedro_mlops.adoption.profile import TableProfile, profile
from kedro_mlops.adoption.source import open_source
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
