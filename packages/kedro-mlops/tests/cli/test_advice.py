"""What messages advise: that following it helps."""

import re

import ibis
import pandas as pd
import pytest
from example.factories import COLUMNS, LOGGED
from example.scoring import scored
from example.trained import CODE
from example.undated import LOANS, loans
from pydantic import ValidationError

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.contract.quarantine import admit
from kedro_mlops.contract.rules import column_rules
from kedro_mlops.contract.screening_account import ScreeningAccount, TableAccount
from kedro_mlops.contract.splits import Splits
from kedro_mlops.core.errors import BadDataError, ContractError, ProjectError
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.export.fields import fields_of
from kedro_mlops.modelling import tuning
from kedro_mlops.modelling.nodes import split_windows
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.monitoring.nodes import take_predictions
from kedro_mlops.replay.driver import ticks

MIN_WORDS = 4


def said_by(wrong, *arguments):
    with pytest.raises(ProjectError) as refused:
        wrong(*arguments)
    return str(refused.value)


# that it helps: what a message names is changed as it says, and then it passes


@pytest.mark.parametrize(
    ("window", "given"),
    [
        ("validation", {"validation_days": 1}),
        ("test", {"test_days": 1}),
        ("train", {"validation_days": 60, "test_days": 28}),
    ],
)
def test_each_way_out_of_a_small_window_leads_out(history, modelling_params, as_of, window, given):
    small = modelling_params.model_copy(update=given)

    said = said_by(split_windows, COLUMNS, history.model_input, as_of, small)

    assert f"The {window} window" in said
    ways = re.findall(r"(smaller|larger) modelling\.(\w+)", said)
    assert ("smaller", "min_rows") in ways
    assert len(ways) >= 2
    for way, name in ways:
        there_are = int(re.search(r"has (\d+) labelled rows", said)[1])
        value = {"min_rows": there_are, "validation_days": 14, "test_days": 14}[name]
        assert (value < getattr(small, name)) == (way == "smaller")
        followed = small.model_copy(update={name: value})
        windows = split_windows(COLUMNS, history.model_input, as_of, followed)
        assert [len(rows) >= followed.min_rows for rows in windows] == [True] * 3


def test_an_as_of_with_more_rows_before_it_has_a_training_window(history, modelling_params, as_of):
    early = AsOf("2013-01-20")

    said = said_by(split_windows, COLUMNS, history.model_input, early, modelling_params)

    assert "The train window" in said
    assert "an as_of with more rows before it" in said
    assert split_windows(COLUMNS, history.model_input, as_of, modelling_params)


@pytest.mark.parametrize(
    ("window", "given", "followed"),
    [
        ("validation", {"validation_share": 0.05}, {"validation_share": 0.2}),
        ("test", {"test_share": 0.05}, {"test_share": 0.2}),
        (
            "train",
            {"validation_share": 0.3, "test_share": 0.3, "later_share": 0.3},
            {"validation_share": 0.2, "test_share": 0.2, "later_share": 0.2},
        ),
    ],
)
def test_each_way_out_of_a_small_share_leads_out(modelling_params, as_of, window, given, followed):
    rows = ibis.memtable(loans(200))
    small = modelling_params.model_copy(update={"min_rows": 30, "cross_validation": None} | given)

    said = said_by(split_windows, LOANS, rows, as_of, small)

    assert f"The {window} window has" in said
    assert ("smaller" if window == "train" else "larger") in said
    assert "a smaller modelling.min_rows" in said
    assert {*re.findall(r"\w+_share", said)} == {*followed}
    for name, value in (followed | {"min_rows": 10}).items():
        windows = split_windows(LOANS, rows, as_of, small.model_copy(update={name: value}))
        assert [window["defaulted"].nunique() for window in windows] == [2] * 3


def test_a_larger_share_holds_a_rare_class(modelling_params, as_of):
    rows = ibis.memtable(loans(60, positive=0.06))
    rare = modelling_params.model_copy(update={"min_rows": 5, "cross_validation": None})

    said = said_by(split_windows, LOANS, rows, as_of, rare)

    assert said.endswith("Choose a larger validation_share among the parameters of modelling.")
    followed = rare.model_copy(update={"validation_share": rare.validation_share + 0.1})
    assert split_windows(LOANS, rows, as_of, followed)


def test_shares_that_leave_some_rows_are_taken():
    given = {"validation_days": 1, "test_days": 1, "validation_share": 0.5, "test_share": 0.3}

    with pytest.raises(ValidationError, match="their sum must be below 1"):
        Splits(**given, later_share=0.2)

    assert Splits(**given, later_share=0.19)


def test_where_a_window_has_enough_rows_of_one_class_fewer_are_not_advised(
    history, modelling_params, as_of
):
    label = history.model_input["late"]
    punctual = history.model_input.filter(label.notnull(), ~label)

    assert "min_rows" not in said_by(split_windows, COLUMNS, punctual, as_of, modelling_params)


def test_a_larger_share_in_quarantine_lets_the_tables_pass():
    account = TableAccount(
        contract="Raw", n_read=100, n_valid=95, n_quarantined=5, share=0.05, rules=[]
    )
    said = {"passed": False, "largest_share": account.share, "tables": [account]}
    screening = ScreeningAccount(max_quarantine_share=0.01, **said)

    with pytest.raises(BadDataError, match=r"screening\.max_quarantine_share=0\.01"):
        admit(screening)

    admit(screening.model_copy(update={"max_quarantine_share": account.share}))


def test_the_family_that_may_have_been_meant_is_trained(windows, modelling_params, bootstrap):
    misspelt = modelling_params.model_copy(update={"n_trials": {"logistic_regresion": 1}})
    given = (COLUMNS, FAMILIES, *windows, pd.DataFrame(), None)

    said = said_by(tuning.tune, *given, misspelt, bootstrap, 0, CODE)

    [meant] = re.findall(r"Did you mean '(\w+)'", said)
    followed = misspelt.model_copy(update={"n_trials": {meant: 1}})
    recipe, *_ = tuning.tune(*given, followed, bootstrap, 0, CODE)
    assert recipe["family"] == meant


VALUES = {"isin": [1.0], "notin": [1.0], "str_matches": "a", "str_length": {"max_value": 9}}


def declared(name, value):
    kind = str if name.startswith("str_") else float
    members = {"__annotations__": {"x": kind}, "x": column("X", **{name: value})}
    return Columns.of(type("Own", (Contract,), members))


def enforced(columns):
    """What the engine and the service make of it."""
    dtype = "string" if columns["x"].kind == "categorical" else "float64"
    table = ibis.memtable(pd.DataFrame({"x": pd.Series(dtype=dtype)}))
    return [*column_rules(columns, {"x": table.x})], fields_of(columns)


def test_every_check_that_is_named_in_place_of_another_can_be_declared():
    said = said_by(declared, "str_length", {"min_value": 1})

    names = re.search(r"use one of (.*)\.$", said)[1].split(", ")
    assert len(names) == 8
    for name in names:
        assert enforced(declared(name, VALUES.get(name, 1)))


def test_a_key_of_one_column_is_declared_as_is_said():
    class Alone(Contract):
        code: str = column("Code", unique=True)

    class Followed(Contract):
        code: str = column("Code")

        class Config:
            unique = ("code",)

    with pytest.raises(ContractError, match="say `unique` in the Config of Alone"):
        Columns.of(Alone)
    assert Columns.of(Followed).unique == ("code",)


def test_every_frequency_that_is_named_is_one():
    start, end = pd.Timestamp("2013-03-01"), pd.Timestamp("2013-06-01")

    said = said_by(ticks, start, end, "fortnight")
    none = said_by(ticks, start, pd.Timestamp("2013-03-02"), "MS")

    named = re.findall(r"(\S+) for (?:months|weeks|days)", said)
    assert len(named) == 3
    assert all(ticks(start, end, every) for every in named)
    assert "a later --to, or a shorter --every" in none
    assert ticks(start, end, "MS")
    assert ticks(start, pd.Timestamp("2013-03-02"), "1D")


def test_predictions_scored_as_is_said_are_watched(history, package, as_of, horizon):
    other = scored(COLUMNS, LOGGED, package, history.model_input, as_of, Horizon(days=3))
    later = AsOf(as_of.after(2).date())

    said = said_by(take_predictions, COLUMNS, other, package, later, horizon)

    [(day, days)] = re.findall(r"--params=as_of=([\d-]+),horizon\.days=(\d+)`", said)
    asked = AsOf(day), Horizon(days=int(days))
    assert asked == (later, horizon)
    followed = scored(COLUMNS, LOGGED, package, history.model_input, *asked)
    assert take_predictions(COLUMNS, followed, package, *asked).count().execute() > 0
