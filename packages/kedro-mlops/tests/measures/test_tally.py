import ibis
import numpy as np
import pandas as pd
import pytest

from kedro_mlops.measures.drift_reference import MISSING
from kedro_mlops.measures.grids import EvenGrid
from kedro_mlops.measures.tally import AT_ONCE, Counts, tally_windows, total


@pytest.fixture
def rows():
    """Many columns of numbers, one of them seldom there, and of categories of every kind."""
    rng = np.random.default_rng(0)
    numbers = {f"x{i}": rng.integers(0, i + 2, 400) for i in range(2 * AT_ONCE)}
    seldom = pd.Series(rng.integers(0, 9, 400), dtype="Int32").where(rng.random(400) < 0.1)
    return pd.DataFrame(numbers).assign(
        seldom=seldom,
        yes=pd.Series(rng.random(400) < 0.5, dtype="boolean").where(rng.random(400) < 0.8),
        code=rng.integers(10, 13, 400),
        day=pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, 3, 400), unit="D"),
        **{"a name with \"quotes\" and 'more'": rng.choice(["a", "b"], 400)},
        window=rng.integers(0, 3, 400),
    )


def test_all_columns_are_counted_however_many_there_are(rows):
    table = ibis.memtable(rows)
    categories = ["yes", "code", "day", "a name with \"quotes\" and 'more'"]
    numeric = [name for name in rows if name not in (*categories, "window")]
    grids = {name: EvenGrid.covering(0, 99, whole=True) for name in numeric}

    tallies = tally_windows(table, grids, categories, table["window"])

    texts = table.select("window", **{name: table[name].cast("string") for name in categories})
    expected = pd.concat([rows[numeric], texts.to_pandas()], axis=1)
    assert sorted(tallies) == [0, 1, 2]
    for window, part in expected.groupby("window"):
        for name in [*numeric, *categories]:
            counted = part[name].value_counts().rename(index=str).to_dict()
            missing = {MISSING: n} if (n := int(part[name].isna().sum())) else {}
            assert tallies[window][name].by_key() == counted | missing
    assert {counts.n_rows for counts in total(tallies.values()).values()} == {len(rows)}


def test_what_a_profile_says_of_counts_is_read_again():
    counts = {"2": 5, "-1": 3, "10": 1, MISSING: 4}

    found = Counts.of(counts, numeric=True)

    assert found.keys.tolist() == [-1, 2, 10]
    assert found.by_key() == counts
    assert found.n_rows == 13
    named = Counts.of({"b": 1, "a": 2}, numeric=False)
    assert (named + named).by_key() == {"a": 4, "b": 2}
