import json

import pandas as pd
import pytest
from example.contracts import Inputs

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.core.errors import ContractError
from kedro_mlops.export.fields import fields_of

NOON = pd.Timestamp("2013-07-15T12:00:00")


def field_of(annotation, seen=None, **checks):
    """The field of a contract's only column."""
    members = {"__annotations__": {"one": annotation}, "one": column("One", **checks)}
    contract = type("Single", (Contract,), members)
    [field] = fields_of(Columns.of(contract), {"one": seen} if seen else None)
    return field


def test_every_column_has_its_field_with_role_and_source():
    columns = Columns.of(Inputs)

    fields = {field.name: field for field in fields_of(columns)}

    assert list(fields) == columns.names
    for column_ in columns.all:
        field = fields[column_.name]
        assert (field.kind, field.nullable, field.key) == (
            column_.kind, column_.nullable, column_.role.key,
        )  # fmt: skip
        assert (field.source is None) == (column_.role.lookup is None)
        assert field.description == column_.description


@pytest.mark.parametrize(
    ("check", "rule"),
    [
        ({"ge": 1}, {"ge": 1}),
        ({"gt": 0.5}, {"gt": 0.5}),
        ({"lt": 3}, {"lt": 3}),
        ({"le": 2}, {"le": 2}),
    ],
)
def test_bounds_are_rules(check, rule):
    assert field_of(float, **check).rules == rule


def test_a_value_that_is_looked_up_has_rules_too():
    fields = {field.name: field for field in fields_of(Columns.of(Inputs))}

    assert fields["courier_late_rate_7d"].rules == {"ge": 0, "le": 1}


def test_integers_are_bounded_by_what_a_table_can_hold():
    assert field_of(int).rules == {"ge": -(2**63), "le": 2**63 - 1}
    assert field_of(int, ge=1).rules == {"ge": 1, "le": 2**63 - 1}


def test_a_pattern_is_looked_for_at_the_beginning():
    assert field_of(str, str_matches="AB|CD").rules == {"pattern": "^(?:AB|CD)"}


def test_all_that_is_said_can_be_said_in_json():
    fields = [
        field_of(pd.Timestamp, isin=[NOON]),
        field_of(pd.Timestamp, ge=NOON, notin=[NOON]),
        field_of(int, isin=[1, 2]),
    ]

    assert json.dumps([[f.rules, f.allowed, f.forbidden] for f in fields])
    assert fields[0].allowed == [NOON.isoformat()]


@pytest.mark.parametrize(
    ("checks", "allowed", "accepts"),
    [
        ({}, None, True),
        ({"isin": ["a", "b"]}, ["a", "b"], False),
        ({"isin": ["a", "b"], "unseen": "accept"}, None, True),
        ({"unseen": "reject"}, ["seen"], False),
    ],
)
def test_categories_that_the_model_has_not_seen_are_refused_or_accepted(checks, allowed, accepts):
    field = field_of(str, seen=["seen"], **checks)

    assert (field.allowed, field.accept_unseen) == (allowed, accepts)


def test_a_moment_with_a_time_zone_cannot_be_sent():
    zoned = pd.DatetimeTZDtype("us", "UTC")

    with pytest.raises(ContractError, match=r"'one' has a time zone.*pd\.Timestamp"):
        field_of(zoned)
