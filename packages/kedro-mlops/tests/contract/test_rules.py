import math

import ibis
import pytest

from kedro_mlops.contract.columns import LINE, Columns, Contract, column
from kedro_mlops.contract.rules import column_rules, key_rule, shown, without_nan
from kedro_mlops.core.errors import ContractError


class Box(Contract):
    size: str = column("Size", isin=["s", "m"], nullable=True)
    label: str = column("Label", str_matches="[A-Z]", notin=["X"], nullable=True)
    weight: float = column("Weight, kg", gt=0, le=9, nullable=True)
    pieces: int = column("Pieces", ge=1, lt=5)


BOX = Columns.of(Box)
MISSING = dict.fromkeys(BOX.names)
TYPES = {"size": "string", "label": "string", "weight": "float64", "pieces": "int64"}


def boxes(*rows):
    return ibis.memtable([MISSING | row for row in rows], schema=ibis.schema(TYPES))


def rules_of(table, columns=BOX):
    return list(column_rules(columns, {name: table[name] for name in columns.names}))


def test_every_rule_of_the_contract_is_there_by_its_name():
    rules = rules_of(boxes({}))

    assert {(rule.column, rule.name) for rule in rules} == {
        ("size", "isin(['s', 'm'])"),
        ("label", "str_matches([A-Z])"),
        ("label", "notin(['X'])"),
        ("weight", "greater_than(0)"),
        ("weight", "less_than_or_equal_to(9)"),
        ("weight", "is_finite"),
        ("pieces", "not_nullable"),
        ("pieces", "greater_than_or_equal_to(1)"),
        ("pieces", "less_than(5)"),
    }
    assert len(rules) == 9


@pytest.mark.parametrize("weight", [None, math.nan])
def test_a_missing_value_breaks_or_keeps_a_rule_but_is_never_unknown(weight):
    table = boxes({"weight": weight})

    [found] = (
        table.select(**{str(i): rule.broken for i, rule in enumerate(rules_of(table))})
        .to_pyarrow()
        .to_pylist()
    )

    broken = [rule.name for i, rule in enumerate(rules_of(table)) if found[str(i)]]
    assert broken == ["not_nullable"]
    assert set(found.values()) == {True, False}


@pytest.mark.parametrize("infinite", [math.inf, -math.inf])
def test_an_infinite_value_is_not_finite(infinite):
    table = boxes({"weight": 1.0}, {"weight": infinite}, {})
    [finite] = [rule for rule in rules_of(table) if rule.name == "is_finite"]

    broken = table.select(broken=finite.broken).to_pyarrow()["broken"].to_pylist()

    assert broken == [False, True, False]


def test_a_pattern_is_looked_for_at_the_beginning_of_a_text_only():
    table = boxes(
        {"label": "Aa"}, {"label": "aA"}, {"label": "a\nA"}, {"label": "A\na"}, {"label": ""}, {}
    )
    [pattern] = [rule for rule in rules_of(table) if rule.name.startswith("str_matches")]

    broken = table.select(broken=pattern.broken).to_pyarrow()["broken"].to_pylist()

    assert broken == [False, True, True, False, True, False]


def test_not_a_number_becomes_missing_and_other_values_stay():
    table = boxes({"weight": math.nan}, {"weight": math.inf}, {"weight": 0.0}, {})

    weights = table.select(weight=without_nan(table.weight)).to_pyarrow()["weight"].to_pylist()

    assert weights == [None, math.inf, 0.0, None]


@pytest.mark.parametrize(
    ("unique", "key"), [("size", ("size",)), (("size", "label"), ("size", "label")), (None, ())]
)
def test_the_key_of_a_table_is_what_its_config_says_is_unique(unique, key):
    declared = unique

    class Keyed(Box):
        class Config:
            unique = declared

    assert Columns.of(Keyed).unique == key


def test_the_rule_of_a_key_names_its_columns():
    assert key_rule(["size", "label"]) == "unique(size, label)"


def test_a_key_of_one_column_is_said_in_the_config():
    class Alone(Contract):
        code: str = column("Code", unique=True)

    with pytest.raises(ContractError, match=r"Column 'code' is unique.* Config of Alone"):
        Columns.of(Alone)


def test_values_are_shown_unless_they_are_personal():
    class Owned(Contract):
        size: str = column("Size")
        owner: str = column("Owner", personal=True)

    columns = Columns.of(Owned)

    assert shown(columns, ["size"], ["s", "m"]) == ["s", "m"]
    assert shown(columns, ["owner"], ["Jane", "Joe"]) == ["(personal)"]
    assert shown(columns, ["size", "owner"], ["s, Jane"]) == ["(personal)"]
    assert shown(columns, [LINE], ["s;Jane"]) == ["(personal)"]
    assert shown(BOX, [LINE], ["s;AB"]) == ["s;AB"]
    assert shown(columns, ["owner"], []) == []
