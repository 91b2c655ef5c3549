"""Columns of any names, through all that is made of a table: from screening to monitoring."""

import pytest
from example.odd_names import GROUPED, NAMES, columns_of, contracts, table
from test_without_date import walk

from kedro_mlops.contract.quarantine import screen
from kedro_mlops.documentation.nodes import render_dictionary

TASKS = ["binary", "multiclass", "regression"]


@pytest.mark.parametrize(("task", "dated"), [*((task, False) for task in TASKS), ("binary", True)])
def test_a_table_of_odd_names_goes_all_the_way(parameters, task, dated):
    contract, logged = columns_of(task, dated)
    raw = table(task)
    raw.loc[0, NAMES[0]] = -1000

    valid, quarantined, _ = screen(raw, contracts(task, dated)[0])
    walked = walk(contract, logged, valid.to_pandas(), parameters)

    [reason] = quarantined.to_pyarrow().to_pylist()
    assert (reason["column"], reason["record"][NAMES[1]]) == (NAMES[0], raw.loc[0, NAMES[1]])
    assert walked.found["checks"]["behaviour: It moves"].passed
    account = walked.found["account"]
    assert 0.9 < account["known"] / len(walked.found["predictions"]) <= 1
    assert set(walked.found["drift"]["column"]) > {*NAMES, GROUPED}
    report, card = walked.found["report"], walked.found["card"]
    dictionary = render_dictionary([contract, logged])
    for page in (card, dictionary):
        assert "<b>bold</b>" not in page
        assert "&lt;b&gt;bold&lt;/b&gt;" in page
        assert "{{ x }}" in page
    assert "<i>was</i>" not in report + card + dictionary
