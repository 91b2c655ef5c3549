"""What is said of a number without its label, on real tables."""

from benchmarks.estimates import COVERAGE, cover, tables_of_numbers


def test_intervals_hold_as_many_fresh_rows_as_they_say() -> None:
    tables = tables_of_numbers()

    found = {table.name: cover(table, "ridge", seed=0) for table in tables}

    assert len(found) >= 10
    assert {name: one for name, one in found.items() if not one.is_as_expected} == {}
    n_rows, n_covered = (sum(column) for column in list(zip(*found.values(), strict=True))[:2])
    assert abs(n_covered / n_rows - COVERAGE) < 0.03
