import ibis
import pytest

from kedro_mlops.contract.key_hashes import HASHES, by_hashes

SCHEMA = {"a": "string", "n": "int64", "b": "string", "t": "timestamp"}
KEY = list(SCHEMA)
KEYS = [
    ("x", 1, "yz", "2013-01-01"),
    ("xy", 1, "z", "2013-01-01"),
    ("yz", 1, "x", "2013-01-01"),
    ("", 1, "xyz", "2013-01-01"),
    ("x", -1, "yz", "2013-01-01"),
    ("x", 1, "yz", "2013-01-01 00:00:00.000001"),
    *(("x" * length, 0, "y" * (40 - length), "2013-01-01") for length in range(1, 40)),
]


def table_of(keys, schema=SCHEMA, **more):
    columns = dict(zip(KEY, map(list, zip(*keys, strict=True)), strict=True))
    return ibis.memtable({**columns, **more}, schema={**schema, **dict.fromkeys(more, "int64")})


def matched(one, other):
    one, other, by = by_hashes(one, other, KEY)
    joined = one.left_join(other, by, rname="right {name}")
    return joined.select("left", "right").to_pandas().set_index("left")["right"].to_dict(), by


def test_rows_are_joined_by_the_hashes_of_their_keys_as_by_these():
    numbers = list(range(len(KEYS)))
    ours, theirs = table_of(KEYS, left=numbers), table_of(KEYS[::-1], right=numbers[::-1])

    found, by = matched(ours, theirs)

    assert by == HASHES
    assert found == dict(zip(numbers, numbers, strict=True))


@pytest.mark.parametrize("place", range(len(KEY)))
def test_a_key_that_lacks_a_part_is_equal_to_none(place):
    lacking = tuple(None if i == place else part for i, part in enumerate(KEYS[0]))
    keys = [lacking, KEYS[0]]

    found, _ = matched(table_of(keys, left=[0, 1]), table_of(keys, right=[0, 1]))

    assert found[1] == 1
    assert found[0] != found[0]


@pytest.mark.parametrize(
    ("n", "values"),
    [
        ("DECIMAL(20, 2)", ["0.00", "-0.01"]),
        ("HUGEINT", ["0", "-1"]),
        ("ENUM('0', '-1')", ["'0'", "'-1'"]),
        (
            "UUID",
            [f"'{digit * 8}-{digit * 4}-{digit * 4}-{digit * 4}-{digit * 12}'" for digit in "0f"],
        ),
    ],
)
def test_keys_whose_hashes_may_deceive_are_joined_by_themselves(n, values):
    engine = ibis.duckdb.connect()
    one, other = (
        engine.sql(
            f"SELECT n::{n} AS n, i::BIGINT AS {side} "
            f"FROM (VALUES ({values[0]}, 0), ({values[1]}, 1)) AS rows(n, i)"
        )
        for side in ("left", "right")
    )

    one, other, by = by_hashes(one, other, ["n"])

    assert by == ["n"]


def test_keys_of_other_types_are_joined_by_themselves():
    narrow = table_of(KEYS[:1], {**SCHEMA, "n": "int16"}, right=[7])

    found, by = matched(table_of(KEYS[:1], left=[0]), narrow)

    assert by == KEY
    assert found == {0: 7}
