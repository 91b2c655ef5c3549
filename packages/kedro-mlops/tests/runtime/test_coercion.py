"""What callers may say in other types than a field's, and what it may cost to look at it."""

import json
import re
import time

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from pydantic import ValidationError

from kedro_mlops.runtime.coercion import MAX_LENGTH, around, coercion, without_symbol
from kedro_mlops.runtime.field_types import request_model
from kedro_mlops.runtime.serving_spec import Field, Spelling


def field_of(kind, integer=False, **spelling):
    return Field(
        name="c", kind=kind, integer=integer, nullable=True, description="It", key=False,
        personal=False, rules={"ge": -(2**63), "le": 2**63 - 1} if integer else {},
        coerced=Spelling(**spelling),
    )  # fmt: skip


FIELDS = {
    "number": field_of("numeric"),
    "integer": field_of("numeric", integer=True),
    "price": field_of("numeric", symbol="$", thousands=",", missing=["NA"]),
    "truth": field_of("boolean"),
    "moment": field_of("datetime"),
    "day": field_of("datetime", format="%d.%m.%Y %z"),
    "seconds": field_of("datetime", format="epoch_s"),
    "microseconds": field_of("datetime", format="epoch_us"),
}


class Untouched(str):
    """A text that nobody looks through."""

    def strip(self, *_):
        raise AssertionError("it is looked at")

    casefold = translate = replace = __iter__ = strip


@pytest.mark.parametrize("text", ["1" * 20_000 + "x", "1" + " " * 20_000 + "1", "1-" * 20_000])
@pytest.mark.parametrize("name", FIELDS)
def test_a_text_that_is_too_long_for_a_value_is_refused_unread(name, text):
    text = Untouched(text)

    assert coercion(FIELDS[name])(text) is text
    with pytest.raises(ValidationError):
        request_model([FIELDS[name]]).model_validate({"c": str(text)})


@pytest.mark.parametrize("length", [MAX_LENGTH, MAX_LENGTH + 1])
def test_a_number_may_be_so_long(length):
    read = coercion(FIELDS["number"])("0." + "5" * (length - 2))

    assert isinstance(read, float) == (length <= MAX_LENGTH)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("number", ["1e999", 10**400, "9" * 400, "²", "1_000", "\u0661\u0662"]),
        ("integer", [10**400, "9" * 19, "1e99", 2**63]),
        ("moment", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", 10**400]),
        (
            "day",
            [
                "\u0660\u0661.01.2013 +0000",
                "01.01.0001 +0100",
                "10.10.0000 +0000",
                10**400,
                10**4299,
            ],
        ),
        ("seconds", [10**400, -(10**400), 1e308, "1e999", "9" * 100]),
        ("microseconds", [10**400, 10**4299, "-1e999"]),
        ("text", [10**400, -(10**4299)]),
    ],
)
def test_what_is_beyond_what_there_is_is_refused_and_no_error(name, values):
    model = request_model([FIELDS.get(name) or field_of("categorical")])

    for value in values:
        for judge in (model.model_validate, lambda row: model.model_validate_json(json.dumps(row))):
            with pytest.raises(ValidationError):
                judge({"c": value})


@pytest.mark.parametrize("name", ["text", "day"])
def test_digits_that_python_writes_no_more_stay_a_number(name):
    field = field_of("categorical") if name == "text" else FIELDS[name]

    assert coercion(field)(10**5000) == 10**5000


SAID = st.lists(st.sampled_from(["$", "EUR", "-", "+", " ", "\u00a0", "\n", "1"])).map("".join)


@given(SAID, st.sampled_from(["$", "EUR"]))
def test_a_symbol_is_taken_away_where_the_engine_finds_it(said, symbol):
    assert without_symbol(said, symbol) == re.sub(around(symbol), r"\1", said).strip(" \n")


@pytest.mark.parametrize("text", ["-" * 100, "1" * 100, "1-" * 50, "1 " * 50, "1-1-1" + " " * 95])
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S.%f %z", "%Y%m%d%H%M%S%f%z", "%a %b %d %z %Y"])
def test_a_zone_is_soon_found_or_not(form, text):
    started = time.perf_counter()

    assert coercion(field_of("datetime", format=form))(text) == text
    assert time.perf_counter() - started < 0.5


def test_the_document_says_which_texts_stand_for_no_value():
    field = structs.replace(field_of("categorical", missing=["", "NA"]), allowed=["a", "b"])

    [said] = request_model([field]).model_json_schema()["properties"].values()

    jsonschema.validate("NA", said)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate("nothing", said)
    assert "of which '', 'NA' stand for no value" in json.dumps(said)
