from collections import Counter

import ibis
import numpy as np
import pytest

from kedro_mlops.contract import repeated
from kedro_mlops.contract.repeated import repeated_keys


def expected(rows):
    counts = [n for n in Counter(rows).values() if n > 1]
    return len(counts), sum(counts) - len(counts)


def counted(rows):
    columns = dict(zip("ab", zip(*rows, strict=True), strict=True))
    schema = ibis.schema({"a": "int64", "b": "string"})
    return repeated_keys(ibis.memtable(columns, schema=schema), ["a", "b"])


@pytest.mark.parametrize(
    ("held", "looked_for"), [(10**6, 10**6), (100, 10**6), (100, 3), (10**6, 3)]
)
def test_keys_of_several_rows_are_counted_however_many_are_held_at_once(
    monkeypatch, held, looked_for
):
    monkeypatch.setattr(repeated, "HELD", held)
    monkeypatch.setattr(repeated, "A_BATCH", 64)
    monkeypatch.setattr(repeated, "LOOKED_FOR", looked_for)
    drawn = np.random.default_rng(0).integers(0, 400, size=(1000, 2))
    rows = [(int(a) if a else None, f"{b % 3}") for a, b in drawn]

    assert counted(rows) == expected(rows)
    assert counted(sorted(set(rows), key=str)) == (0, 0)


def test_what_only_looks_alike_is_no_repetition(monkeypatch):
    rows = [(1, "x"), (2, "y"), (3, "z"), (3, "z")]
    # hashes that collide
    monkeypatch.setattr(repeated, "_several", lambda batches: np.unique(np.concatenate([*batches])))

    assert counted(rows) == (1, 1)


def test_nothing_is_left_of_the_files(monkeypatch, tmp_path):
    monkeypatch.setattr(repeated, "HELD", 10)
    monkeypatch.setattr(repeated, "A_BATCH", 4)
    monkeypatch.setattr(repeated.tempfile, "tempdir", str(tmp_path))

    assert counted([(number, "x") for number in range(100)]) == (0, 0)
    assert not list(tmp_path.iterdir())


def test_without_a_key_or_rows_nothing_is_repeated():
    table = ibis.memtable({"a": [1, 1]})

    assert repeated_keys(table, []) == (0, 0)
    assert repeated_keys(table.filter(table.a > 1), ["a"]) == (0, 0)
