"""Tables as they are: what they call columns, and what stands in them."""

import json

import ibis
import jsonschema
import numpy as np
import pandas as pd
import pytest
from example.adopted import adopted, contracts, profiled
from pydantic import ValidationError

from kedro_mlops.adoption.reading import FEW_VALUES
from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.contract.validation import RawTableValidator
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.export.fields import fields_of
from kedro_mlops.runtime.field_types import request_model

N = 400
RANDOM = np.random.default_rng(0)
SIZE = RANDOM.normal(50, 10, N).round(2)
CHURNED = np.where(SIZE + RANDOM.normal(0, 8, N) > 50, "yes", "no")


NOON = pd.Timestamp("2024-02-01 08:00")


def rows(**columns):
    return pd.DataFrame({"size": SIZE, **columns, "churned": CHURNED})


def column(adoption, name):
    return next(each for each in adoption.columns if each.name == name)


def asked_of(adoption, folder):
    """What the service asks for."""
    return request_model(fields_of(Columns.of(contracts(adoption, folder).Inputs)))


def as_sent(adoption, folder, row):
    """What the service makes of a row of JSON."""
    model = asked_of(adoption, folder)
    # what is taken is what the page of the service says
    jsonschema.validate(row, model.model_json_schema())
    return model.model_validate_json(json.dumps(row)).model_dump(by_alias=True)


# numbers and words


def test_numbers_of_few_values_with_a_word_among_them_are_categories(tmp_path):
    cylinders = np.where(np.arange(N) == 7, "rotary", RANDOM.choice(["4", "6", "8"], N))

    found = column(adopted(rows(cylinders=cylinders), tmp_path, "churned"), "cylinders")

    assert (found.type, found.use) == ("str", "feature")


def test_a_word_in_a_column_of_many_numbers_stands_for_no_value(tmp_path):
    prices = RANDOM.uniform(1, 99, N).round(2).astype(str).astype(object)
    prices[:4] = "on request"
    table = rows(price=prices)

    adoption = adopted(table, tmp_path, "churned")
    valid, _, account = screen(table.astype(str), contracts(adoption, tmp_path).Delivered)

    assert column(adoption, "price").type == "float"
    assert "'on request' is taken for no value" in column(adoption, "price").reason
    assert account.n_quarantined == 0
    assert valid.price.isnull().sum().to_pyarrow().as_py() == 4
    assert profiled(table, tmp_path)["price"].n_distinct > FEW_VALUES


@pytest.mark.parametrize(
    ("name", "values", "sent", "taken"),
    [
        ("cylinders", RANDOM.choice([4, 6, 8], N), "6", 6.0),
        ("code", [f"{i:05}" for i in RANDOM.integers(0, 90, N)], 179, "179"),
        ("part", RANDOM.choice(["7", "8", "x9"], N), 7.0, "7"),
        ("price", [f"{i},5" for i in RANDOM.integers(1, 99, N)], "1,5", 1.5),
        ("active", RANDOM.choice(["True", "False"], N), "True", True),
        ("share", [f"{i}.5 %" for i in RANDOM.integers(1, 99, N)], "7.5%", 7.5),
        ("paid", [f"${i:,}.50" for i in RANDOM.integers(1, 9999, N)], "$1,200.5", 1200.5),
        ("paid", [f"{i} €" for i in RANDOM.integers(-9, 9, N)], 3, 3),
        ("sold_at", [*range(1_700_000_000, 1_700_000_000 + N)], 1706774400, NOON),
        ("sold_at", [f"17{i:011}" for i in range(N)], "1706774400000", NOON),
        ("amount", [*RANDOM.normal(0, 1, N - 2), "missing", "missing"], "missing", None),
    ],
)
def test_values_are_taken_as_readers_of_files_give_them(name, values, sent, taken, tmp_path):
    adoption = adopted(rows(**{name: values}), tmp_path, "churned")

    assert as_sent(adoption, tmp_path, {name: sent})[name] == taken


def test_moments_are_taken_as_the_source_says_them(tmp_path):
    days = pd.date_range("2024-01-13", periods=N).strftime("%d.%m.%Y")
    adoption = adopted(rows(born=days), tmp_path, "churned")

    taken = as_sent(adoption, tmp_path, {"born": "14.01.2024"})["born"]

    assert taken == pd.Timestamp("2024-01-14")
    assert as_sent(adoption, tmp_path, {"born": "2024-01-14T00:00:00"})["born"] == taken


@pytest.mark.parametrize("sent", ["many", True, "1e999", [1], "1" * 5000])
def test_what_can_be_no_number_is_refused(sent, tmp_path):
    adoption = adopted(rows(cylinders=RANDOM.choice([4, 6, 8], N)), tmp_path, "churned")

    with pytest.raises(ValidationError):
        asked_of(adoption, tmp_path).model_validate_json(json.dumps({"cylinders": sent}))


def test_what_is_taken_in_other_types_is_told_with_its_spelling(tmp_path):
    prices = [f"1.{i:03},5" for i in RANDOM.integers(1, 99, N)]
    days = pd.date_range("2024-01-13", periods=N).strftime("%d.%m.%Y")

    told = asked_of(
        adopted(rows(price=prices, born=days), tmp_path, "churned"), tmp_path
    ).model_json_schema()["properties"]

    number, text, _ = told["price"]["anyOf"]
    assert (number["type"], number["minimum"]) == ("number", 0)
    assert text["type"] == "string"
    assert "',' before the fraction, with '.' between thousands" in text["description"]
    assert "by %d.%m.%Y" in told["born"]["anyOf"][1]["description"]


# names


def test_columns_called_as_those_of_the_log_get_another_name(tmp_path):
    table = rows(Variant=RANDOM.choice(["a", "b"], N)).rename(columns={"churned": "decision"})

    adoption = adopted(table, tmp_path, "decision", drop=("Variant",))
    declared = contracts(adoption, tmp_path)
    RawTableValidator(f"{declared.__name__}.Delivered").validate(table)
    valid, _, account = screen(table, declared.Delivered)

    assert [c.name for c in adoption.columns] == ["size", "Variant_", "decision_"]
    assert (
        "is 'Variant_' in the log, which has a 'Variant' of its own"
        in column(adoption, "Variant_").reason
    )
    assert account.n_valid == N
    assert {*valid.columns} == {"size", "Variant_", "decision_"}


def test_a_name_of_the_log_goes_by_the_task(tmp_path):
    adoption = adopted(rows(prediction=RANDOM.normal(0, 1, N)), tmp_path, "churned")

    assert column(adoption, "prediction").use == "feature"


def test_a_column_may_be_called_as_an_argument(tmp_path):
    adoption = adopted(rows(self=RANDOM.normal(0, 1, N), name=SIZE**2), tmp_path, "churned")

    assert column(adoption, "self").use == "feature"


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "rownames"])
def test_an_index_that_was_written_is_no_feature(name, tmp_path):
    # of two tables that were put together
    table = rows()
    table.insert(0, name, np.arange(N) % (N // 2))

    adoption = adopted(table, tmp_path, "churned")

    assert adoption.columns[0].use == "left out"
    assert not adoption.keys
    assert adoption.proposed_group is None


# notes


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (RANDOM.choice([-999, 1, 2, 3, 4], N), "if -999 stands for no value"),
        ([f"{i} {'$€'[i % 2]}" for i in RANDOM.integers(1000, 9999, N)], "several signs"),
        ([f"{i % 12 + 1}/{i % 11 + 1}/2024" for i in range(N)], "and %d/%m/%Y fits as well"),
        (1_700_000_000 + RANDOM.integers(0, 10**6, N), "counted since 1970"),
        (
            [RANDOM.choice(["2024-03-%02d", "3/%d/2024"]) % (i % 28 + 1) for i in range(N)],
            "moments in several formats",
        ),
    ],
)
def test_what_a_person_should_know_of_a_column_is_said(values, note, tmp_path):
    assert note in column(adopted(rows(sold_at=values), tmp_path, "churned"), "sold_at").reason


# rare classes


def test_rows_of_rare_classes_are_left_without_a_label_if_that_is_asked(tmp_path):
    kinds = RANDOM.choice(["a", "b", "c"], N).astype(object)
    kinds[:2] = "odd"
    table = rows(kind=kinds)

    with pytest.raises(ProjectError, match="--drop-rare"):
        adopted(table, tmp_path, "kind")
    adoption = adopted(table, tmp_path, "kind", drop_rare=True)
    valid, _, account = screen(table, contracts(adoption, tmp_path).Delivered)

    assert adoption.label.classes == ("a", "b", "c")
    assert "without 2 rows of the rare odd" in column(adoption, "kind").reason
    assert account.n_quarantined == 0
    assert valid.filter(ibis._.kind.isnull()).count().to_pyarrow().as_py() == 2


# what gives the target away


def irises(**columns):
    """Two sorts of flowers that the length of a petal tells apart by far."""
    random = np.random.default_rng(0)
    sort = np.repeat(["setosa", "virginica"], 75)
    length = np.where(sort == "setosa", random.normal(1.5, 0.2, 150), random.normal(5.5, 0.5, 150))
    table = pd.DataFrame({"length": length, "noise": random.normal(0, 1, 150)}).assign(**columns)
    return table.assign(sort=sort).sample(frac=1, random_state=0)


def test_a_measurement_that_tells_classes_apart_is_no_giveaway(tmp_path):
    assert column(adopted(irises(), tmp_path, "sort"), "length").use == "feature"


ONE = np.repeat([0, 1], 75)
SORTED = np.sort(np.random.default_rng(1).normal(0, 1, 150))


@pytest.mark.parametrize(
    "values",
    [ONE, ONE + RANDOM.normal(0, 1e-6, 150), ONE * RANDOM.uniform(1, 9, 150), SORTED],
    ids=["code", "copy", "nothing or more", "cut by a limit"],
)
def test_what_classes_were_made_of_is_a_giveaway(values, tmp_path):
    assert column(adopted(irises(made=values), tmp_path, "sort"), "made").use == "left out"


@pytest.mark.parametrize(
    "made",
    [np.log, np.sqrt, lambda y: -1 / y, lambda y: y + RANDOM.normal(0, 1e-6, len(y))],
)
def test_what_follows_from_a_number_is_a_giveaway(made, tmp_path):
    random = np.random.default_rng(0)
    price = np.exp(random.normal(3, 2, 90))
    table = pd.DataFrame({"noise": random.normal(0, 1, 90), "made": made(price), "price": price})

    assert column(adopted(table, tmp_path, "price"), "made").use == "left out"


def test_a_sum_that_was_rounded_is_found_out(tmp_path):
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.uniform(0, 100, (200, 6)), columns=[*"abcdef"]).round(1)
    table["mean"] = ((table["a"] + table["b"]) / 2).round(2)

    adoption = adopted(table, tmp_path, "mean")

    assert {c.name for c in adoption.of_use("left out")} == {"a", "b"}
