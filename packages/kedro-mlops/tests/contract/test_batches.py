import ibis
import pytest

from kedro_mlops.contract.batches import batches_of
from kedro_mlops.core.errors import ProjectError


@pytest.fixture
def table(tmp_path):
    connection = ibis.duckdb.connect()
    connection.raw_sql(
        f"COPY (SELECT i FROM range(2000000) numbers(i)) TO '{tmp_path}/numbers.parquet'"
    )
    return connection.read_parquet(tmp_path / "numbers.parquet")


def test_all_rows_come_in_their_order(table):
    batches = list(batches_of(table.filter(table.i % 2 == 0), 300_000))

    assert max(len(batch) for batch in batches) <= 300_000
    assert [n for batch in batches for n in batch["i"].to_pylist()] == [*range(0, 2_000_000, 2)]


def test_a_question_in_between_is_an_error_and_no_end_of_the_rows(table):
    batches = batches_of(table, 100_000)
    next(batches)
    table.count().to_pyarrow()

    with pytest.raises(ProjectError, match=r"Of 2,000,000 rows [\d,]+ were read"):
        list(batches)


def test_literals_have_the_types_that_are_declared(table):
    told = table.limit(3).mutate(small=ibis.literal(1, "int8"), large=ibis.literal(2, "int64"))

    [batch] = batches_of(told, 10)

    assert batch.schema == told.schema().to_pyarrow()
    assert batch["large"].to_pylist() == [2, 2, 2]


def test_fewer_rows_than_are_expected_are_an_error(table):
    with pytest.raises(ProjectError, match="Of 4 rows 3 were read"):
        list(batches_of(table.limit(3), 10, expected=4))
