import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kedro_mlops.adoption.python_text import call, identifier, identifiers, literal, plain


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Sale Price", "sale_price"),
        ("größe", "grosse"),
        ("class", "class_"),
        ("a.b", "a_b"),
        ("od280/od315", "od280_od315"),
        ("2nd floor", "field_2nd_floor"),
        ("id", "id_"),
        ("customerID", "customer_id"),
        ("£", "field"),
        ("", "field"),
    ],
)
def test_a_name_becomes_what_python_can_have(name, expected):
    assert identifier(name) == expected


def test_names_that_are_written_alike_stay_apart():
    found = identifiers(["a b", "a.b", "A_B", "taken"], taken=["taken"])

    assert len({*found.values()}) == 4
    assert "taken" not in found.values()


@given(st.lists(st.text(), unique=True, max_size=20))
def test_every_name_becomes_one_of_its_own(names):
    found = identifiers(names)

    assert len({*found.values()}) == len(names)
    assert all(word.isidentifier() and word.isascii() for word in found.values())


@given(st.text())
def test_a_name_in_prose_has_no_meaning_of_its_own(name):
    said = plain(name)

    assert eval(f'"""{said} and more"""') == f"{said} and more"
    assert yaml.safe_load(f"- >-\n  Of {said} and more") == [f"Of {said} and more"]
    assert "${" not in said


VALUES = st.recursive(
    st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(),
    st.lists,
)


@given(VALUES)
def test_a_literal_is_read_as_the_value_that_it_was(value):
    assert eval(literal(value)) == value


@given(st.lists(st.tuples(st.sampled_from("abcdef"), VALUES), max_size=6, unique_by=lambda a: a[0]))
def test_a_call_says_what_it_was_given_however_long_it_is(arguments):
    said = call("dict", arguments, indent="")

    assert eval(said) == dict(arguments)
