import math

import ibis
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.contract.extremes import that_all_are_finite, that_all_keep, that_none_is_missing
from kedro_mlops.contract.rules import column_rules, count_rows

queried = settings(deadline=None, phases=[Phase.reuse, Phase.generate], max_examples=30)


class Box(Contract):
    weight: float = column("Weight, kg", gt=0, le=9)
    pieces: int = column("Pieces", ge=1, lt=5)


BOX = Columns.of(Box)
TYPES = {"weight": "float64", "pieces": "int64"}
WEIGHTS = [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-300, 9.0, 9.000001]
ROW = st.fixed_dictionaries(
    {"weight": st.sampled_from(WEIGHTS), "pieces": st.sampled_from([None, 0, 1, 4, 5, 2**62])}
)


@queried
@given(st.lists(ROW, max_size=4))
def test_what_proofs_say_is_what_each_row_says(rows):
    table = ibis.memtable(rows, schema=ibis.schema(TYPES))
    rules = list(column_rules(BOX, {name: table[name] for name in BOX.names}))
    asked = table.aggregate({str(i): r.broken.sum().fill_null(0) for i, r in enumerate(rules)})

    counted = count_rows(table, rules)

    assert counted == (len(rows), [*asked.to_pyarrow().to_pylist()[0].values()])


def test_rows_that_keep_every_bound_are_not_asked_one_by_one():
    """Where each is asked, an expression that no engine can compute would stop it."""
    table = ibis.memtable({"weight": [1.0, math.nan, 9.0], "pieces": [1, 2, 4]})
    rules = list(column_rules(BOX, {name: table[name] for name in BOX.names}))
    unheard = ibis.memtable({"other": [1]})

    def unasked(rule):
        return type(rule)(rule.columns, rule.name, unheard["other"] > 0, rule.proof)

    kept = [rule for rule in rules if (rule.column, rule.name) != ("weight", "not_nullable")]
    assert count_rows(table, [unasked(rule) for rule in kept]) == (3, [0] * len(kept))
    assert count_rows(table, rules) == (3, [int(rule not in kept) for rule in rules])


@pytest.mark.parametrize("dtype", ["float32", "decimal(9, 2)", "string", "timestamp"])
def test_numbers_that_python_and_the_engine_may_compare_differently_prove_nothing(dtype):
    values = ibis.table({"n": dtype}, name="t")["n"]

    assert that_all_keep(values, lambda value: True) is None
    assert that_all_are_finite(values) is None
    assert that_none_is_missing(values) is not None
