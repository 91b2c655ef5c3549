"""What becomes of columns."""

import numpy as np
import pandas as pd
import pytest
from example.adopted import adopted, churning

from kedro_mlops.core.errors import ProjectError

N = 600


def decided(name, values, folder, **asked):
    adoption = adopted(churning(**{name: values}), folder, "churned", **asked)
    return {column.name: column for column in adoption.columns}[name]


RANDOM = np.random.default_rng(1)
WORDS = ["red", "green", "blue"]
NAMES = [f"{a}{b}" for a in ("An", "Bo", "Cy", "Di", "Ed") for b in ("na", "rt", "ll", "as")]
SENTENCES = [" ".join(RANDOM.choice(NAMES, 9)) + f" {i}." for i in range(N)]
VISA = [f"4{i:014d}" for i in range(N)]


def with_luhn(digits):
    doubled = [int(d) * 2 if i % 2 == 0 else int(d) for i, d in enumerate(digits[::-1])]
    return f"{digits}{-sum(d - 9 if d > 9 else d for d in doubled) % 10}"


@pytest.mark.parametrize(
    ("name", "values", "use", "because"),
    [
        ("colour", RANDOM.choice(WORDS, N), "feature", "3 categories, closed"),
        ("town", [f"town {i}" for i in RANDOM.integers(0, 150, N)], "feature", "new ones are acc"),
        ("always", ["x"] * N, "left out", "is always x"),
        ("nothing", [None] * N, "left out", "is empty"),
        ("customer_id", [f"C-{i:05}" for i in range(N)], "key", "identifies a row"),
        ("Unnamed: 0", range(N), "left out", "tells rows apart"),
        ("note", SENTENCES, "left out", "is free text; `--text note` takes it"),
        ("code", [f"x{i}" for i in range(N)], "left out", "600 different values in 600 rows"),
        ("mail", [f"p{i}@example.org" for i in range(N)], "personal", "e-mail addresses"),
        ("contact", [f"+49 30 {i:07}" for i in range(N)], "personal", "phone numbers"),
        ("paid_by", [with_luhn(digits) for digits in VISA], "personal", "card numbers"),
        ("iban", [f"DE{i:020}" for i in range(N)], "personal", "bank accounts"),
        ("lives", [f"{i} Long Road" for i in range(1, N + 1)], "personal", "addresses"),
        ("last_name", [f"{a}{i}" for i, a in enumerate(NAMES * 30)], "personal", "names of"),
        ("seen", pd.date_range("2024-01-01", periods=N, freq="h"), "feature", "a moment"),
        ("alive", RANDOM.choice(["true", "false"], N), "feature", "true or false"),
    ],
)
def test_what_a_column_is_for(name, values, use, because, tmp_path):
    found = decided(name, values, tmp_path)

    assert found.use == use
    assert because in found.reason


def test_what_is_not_to_be_learned_from_is_not_taken_for_the_time(tmp_path):
    seen = pd.date_range("2022-01-01", periods=N)

    taken = decided("seen_at", seen, tmp_path, take_time=True)
    dropped = decided("seen_at", seen, tmp_path, take_time=True, drop=("seen_at",))
    both = decided("seen_at", seen, tmp_path, time="seen_at", drop=("seen_at",))

    assert (taken.use, taken.options["feature"]) == ("time", True)
    assert (dropped.use, dropped.reason) == ("left out", "as asked")
    assert both.use == "time"
    assert "feature" not in both.options


def test_what_says_the_same_as_an_earlier_column_is_left_out(tmp_path):
    table = churning()
    table.insert(2, "in_feet", table["size"] * 3.28084)
    colours = RANDOM.choice(WORDS, N)
    table.insert(2, "colour", colours)
    table.insert(3, "farbe", pd.Series(colours).map({"red": "r", "green": "g", "blue": "b"}))

    reasons = {c.name: c.reason for c in adopted(table, tmp_path, "churned").columns}

    assert reasons["in_feet"] == "is 'size' on another scale"
    assert reasons["farbe"] == "says the same as 'colour'"


def test_what_gives_the_target_away_is_left_out_with_the_evidence(tmp_path):
    table = churning()
    table.insert(0, "closed", (table["churned"] == "yes").map({True: "closed", False: "open"}))

    adoption = adopted(table, tmp_path, "churned")

    [closed] = [c for c in adoption.columns if c.name == "closed"]
    assert closed.use == "left out"
    assert "alone tells 100.0% of what there is to tell of the target" in closed.reason
    assert [c.name for c in adoption.features] == ["size", "noise"]


def test_what_is_there_only_where_the_target_is_so_is_left_out(tmp_path):
    table = churning()
    reasons = pd.Series(RANDOM.choice(["price", "service", "moved"], N))
    table.insert(0, "why_they_left", reasons.where(table["churned"] == "yes"))

    [found] = [c for c in adopted(table, tmp_path, "churned").columns if c.name == "why_they_left"]

    assert found.use == "left out"
    assert "whether it is there" in found.reason or "alone tells" in found.reason


def test_what_adds_up_to_the_target_is_left_out(tmp_path):
    table = churning(casual=RANDOM.poisson(40, N), registered=RANDOM.poisson(90, N))
    table["riders"] = table["casual"] + table["registered"]

    found = {c.name: c for c in adopted(table, tmp_path, "riders").columns}

    assert found["casual"].reason.startswith("adds up to the target, with registered")
    assert found["registered"].use == "left out"
    assert found["size"].use == "feature"


@pytest.mark.parametrize(
    ("name", "values", "bounds"),
    [
        ("age", RANDOM.integers(18, 90, N), (0, 120)),
        ("click_rate", RANDOM.random(N).round(4), (0, 1)),
        ("humidity_pct", (RANDOM.random(N) * 100).round(1), (0, 100)),
        ("year_built", RANDOM.integers(1950, 2020, N), (1900, 2200)),
        ("latitude", RANDOM.uniform(40, 41, N).round(5), (-90, 90)),
        ("price", RANDOM.lognormal(8, 1, N).round(2), (0, 1e5)),
        ("visits", RANDOM.poisson(3, N), (0, 50)),
        ("balance", RANDOM.normal(0, 100, N).round(2), (-1000, 1000)),
    ],
)
def test_bounds_have_room_by_what_a_number_is(name, values, bounds, tmp_path):
    options = decided(name, values, tmp_path).options

    low, high = bounds
    assert options["ge"] == low or (low < 0 and options["ge"] <= low)
    assert options["le"] >= high
    if high in (1, 100, 120):
        assert options["le"] == high


def test_features_may_be_missing_and_identifiers_need_not_be_sent(tmp_path):
    adoption = adopted(churning(code=[f"x{i}" for i in range(N)]), tmp_path, "churned")

    assert all(c.options["nullable"] for c in adoption.columns)


def test_rare_categories_are_not_closed(tmp_path):
    values = ["rare", *RANDOM.choice(WORDS, N - 1)]

    assert "isin" not in decided("colour", values, tmp_path).options


def test_segments_are_features_of_few_frequent_values(tmp_path):
    table = churning(
        a=RANDOM.choice(WORDS, N), b=RANDOM.choice(WORDS, N), c=RANDOM.choice(WORDS, N)
    )

    adoption = adopted(table, tmp_path, "churned")

    assert [c.name for c in adoption.columns if c.options.get("segment")] == ["a", "b"]


# what a person says


def test_a_person_says_what_columns_are(tmp_path):
    table = churning(note=SENTENCES, town=[f"town {i}" for i in RANDOM.integers(0, 50, N)])
    asked = {"text": ("note",), "personal": ("town",), "drop": ("noise",)}

    found = {c.name: c for c in adopted(table, tmp_path, "churned", **asked).columns}

    assert found["note"].options["text"] is True
    assert found["town"].use == "personal"
    assert found["noise"].reason == "as asked"


def test_nothing_to_learn_from_is_told(tmp_path):
    table = churning()[["churned"]].assign(code=[f"x{i}" for i in range(N)])

    with pytest.raises(ProjectError, match="none is left to predict 'churned' by: code"):
        adopted(table, tmp_path, "churned")


# time


def dated(**more):
    return churning(signed_up_at=pd.date_range("2023-01-01", periods=N, freq="D"), **more)


def test_a_plausible_time_is_proposed_and_only_taken_if_it_is_asked_or_safe(tmp_path):
    proposed = adopted(dated(), tmp_path, "churned")
    taken = adopted(dated(), tmp_path, "churned", take_time=True)
    asked = adopted(dated(), tmp_path, "churned", time="signed_up_at")
    two = dated(closed_at=pd.date_range("2023-02-01", periods=N, freq="D")[::-1])

    assert (proposed.time, proposed.proposed_time) == (None, "signed_up_at")
    assert taken.time == asked.time == "signed_up_at"
    assert adopted(two, tmp_path, "churned", take_time=True).time is None


def test_days_follow_from_when_rows_happened(tmp_path):
    days = adopted(dated(), tmp_path, "churned", time="signed_up_at").days

    assert (days.first, days.last) == ("2023-01-01", "2024-08-22")
    # of 600 rows the last 30 are left to be watched
    assert (days.as_of, days.horizon) == ("2024-07-24", 30)
    assert days.replayed == "2024-04-25"
    assert days.test > 100
    assert days.validation > 70


def test_a_birthday_is_no_time(tmp_path):
    table = churning(birthdate=pd.date_range("1970-01-01", periods=N, freq="10D"))

    assert adopted(table, tmp_path, "churned").proposed_time is None
