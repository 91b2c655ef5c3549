import html
import re
from dataclasses import replace
from typing import Any

import pandera.pandas as pa
import pytest
from example import contracts
from example.contracts import Inputs, Observation
from example.factories import (
    COLUMNS,
    decided,
    of_another_scikit_learn,
    protected,
    tiny_package,
)
from pydantic import ValidationError

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.datasets import ContractsDataset
from kedro_mlops.documentation.nodes import ModelCard, render_card, render_dictionary
from kedro_mlops.models.package import ModelPackage

TABLES = [
    contracts.DailyFeatures,
    contracts.VanFeatures,
    contracts.Observation,
    contracts.Prediction,
]
DECLARED = ContractsDataset(module="example.contracts").load()
WORDS = {
    "owner": "The people <owners@example.org>",
    "intended_use": "To plan by.",
    "out_of_scope": ["To decide who is right."],
    "limits": ["It has seen one year.", "It knows no strikes."],
}
CHECKS = [
    {"name": "roc_auc floor", "passed": True, "value": 0.71234, "limit": 0.6, "detail": "fine"},
    {"name": "model megabytes", "passed": False, "value": 21.5, "limit": 20, "detail": "too much"},
]


@pytest.fixture(scope="module")
def dictionary() -> dict[str, str]:
    """The text of each table's section."""
    parts = re.split(r'<h2 id="(\w+)">', render_dictionary(DECLARED))
    return {name: html.unescape(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.fixture(scope="module")
def champion() -> ModelPackage:
    decision = decided(reasons=["It was the first."], checks=CHECKS)
    measured = {
        "log_loss": {"value": 0.5, "low": 0.4, "high": 0.6},
        "precision": {"value": 0.333, "low": 0.31, "high": 0.36},
    }
    package = tiny_package(metrics=measured, choice="It is surely better than a simpler one.")
    return package.with_record(decision=decision, release="name:v1")


@pytest.fixture(scope="module")
def page(champion: ModelPackage) -> str:
    return render_card(COLUMNS, champion, ModelCard(**WORDS))


@pytest.fixture(scope="module")
def card(page: str) -> str:
    """The page without its scripts."""
    return html.unescape(re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))


def test_every_table_has_a_section_and_its_bases_have_none(dictionary: dict[str, str]) -> None:
    assert list(dictionary) == [table.__name__ for table in TABLES]


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_described(
    dictionary: dict[str, str], table: type[pa.DataFrameModel]
) -> None:
    section = dictionary[table.__name__]

    rows = re.findall(r"<tr>\s*<td><code>(\w+)</code></td>(.*?)</tr>", section, re.DOTALL)

    columns = Columns.of(table)
    assert [name for name, _ in rows] == columns.names
    assert all(columns[name].description in row for name, row in rows)
    assert all(("never" in row) != columns[name].nullable for name, row in rows)


def test_bounds_choices_keys_and_look_ups_are_said(dictionary: dict[str, str]) -> None:
    observation = dictionary["Observation"]

    assert "at least -60; at most 60" in observation
    assert "one of EAST, NORTH, WEST" in observation
    assert "courier_features.late_rate_7d by courier, the newest" in observation
    assert "label of a binary task" in observation
    assert "known only after the event" not in dictionary["Observation"]


def test_a_card_says_what_where_from_how_good_and_why(card: str) -> None:
    label = Columns.of(Observation)[Columns.of(Observation).label]

    assert label.description in card
    assert re.search(
        rf"label is <code>{label.name}</code>,\s+positive where it is <code>true<", card
    )
    assert all(f"<code>{name}</code>" in card for name in Columns.of(Inputs).names)
    assert "Of 1,200 rows of Raw, 7 were set aside in quarantine" in card
    assert "0.400 to 0.600" in card
    assert "It was the first." in card
    assert "It is surely better than a simpler one." in card
    assert "da7a" in card
    assert "name:v1" in card


def test_a_card_says_what_its_owner_wants_known(card: str) -> None:
    texts = [
        text for value in WORDS.values() for text in ([value] if isinstance(value, str) else value)
    ]

    assert [text for text in texts if text not in card] == []


def test_a_card_has_the_window_the_baselines_and_every_slice(card: str) -> None:
    rows = [
        re.findall(r"<td[^>]*>(.*?)</td>", row)
        for row in re.findall(r"<tr>(.*?)</tr>", card, re.DOTALL)
    ]

    slices = {
        row[1]: row[2:] for row in rows if row and row[0] == Columns.of(Observation).segments[0]
    }

    assert (
        "On 5,678 rows of the test window, 2013-01-10 to 2013-01-12 (positive share 23.4%)" in card
    )
    assert ["log loss", "0.500", "0.400 to 0.600", "0.600"] in rows
    loss = ["0.610", "0.510 to 0.710"]
    assert slices == {
        "both": ["1,234", "positive share 25.0%", *loss, "0.810", "0.720 to 0.880"],
        "few": ["1,234", "positive share 25.0%", "too few rows, or of a class"],
    }


def test_a_card_shows_how_each_group_of_a_protected_column_is_treated(
    champion: ModelPackage,
) -> None:
    assert champion.evaluation is not None
    rates = ("selection_rate", "true_positive_rate", "false_positive_rate")
    known = {f"{rate}{end}": 0.25 for rate in rates for end in ("", "_low", "_high")}
    groups = [
        {"protected": "van", "group": "large", "n_rows": 4321, **known},
        {"protected": "van", "group": "small", "n_rows": 12, **dict.fromkeys(known)},
    ]
    measured = champion.evaluation.model_copy(update={"groups": groups})

    card = render_card(
        protected(COLUMNS, "van", "depot"),
        replace(champion, evaluation=measured),
        ModelCard(**WORDS),
    )

    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", card))
    assert "van : Which van. The model does not use it." in text
    assert "depot : Where it leaves. The model uses it." in text
    assert "van large 4,321 0.250 0.250 to 0.250 0.250" in text
    assert "van small 12 - - -" in text


def test_a_card_says_that_groups_were_not_measured(champion: ModelPackage) -> None:
    card = render_card(protected(COLUMNS, "van"), champion, ModelCard(**WORDS))

    assert "not measured when it was a candidate" in card


def test_a_card_without_a_protected_column_says_nothing_of_groups(card: str) -> None:
    assert "How it treats groups" not in card


def test_that_a_column_is_protected_is_in_the_dictionary() -> None:
    page = render_dictionary([protected(COLUMNS, "van")])

    assert page.count("protected: its groups are compared") == 1


def test_a_card_says_how_well_the_model_decides(card: str) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", card))

    assert "from a probability of 0.400 on" in text
    assert "if a miss costs 3 and a false alarm 1" in text
    assert "precision 0.333 0.310 to 0.360" in text
    assert "F1 not defined on these rows" in text
    assert "positive 801 503 missed" in text
    assert "negative 1,602 false alarms 2,772" in text


def test_a_champion_from_before_decisions_were_measured_has_a_card_too(
    champion: ModelPackage,
) -> None:
    assert champion.evaluation is not None
    before = {"confusion": {}, "roc": {}, "cost": [], "costs": {}}
    metrics = {"log_loss": champion.metadata.metrics["log_loss"]}
    old = replace(champion, evaluation=champion.evaluation.model_copy(update=before))
    old = old.with_record(metrics=metrics)

    card = render_card(COLUMNS, old, ModelCard(**WORDS))

    assert "How well it decides" not in card
    assert "ROC AUC by slice" in card


def test_a_card_has_every_check_passed_or_failed(card: str) -> None:
    rows = re.findall(r"<tr>\s*<td>([^<]*)</td>\s*<td>(.*?)</td>(.*?)</tr>", card, re.DOTALL)

    checks = {name: (result, re.findall(r">([^<]+)</td>", rest)) for name, result, rest in rows}

    assert checks["roc_auc floor"] == ("passed", ["0.7123", "0.6", "fine"])
    failed, numbers = checks["model megabytes"]
    assert "failed" in failed
    assert numbers == ["21.5", "20", "too much"]


def test_a_card_draws_what_came_with_the_model(page: str) -> None:
    titles = re.findall(r'"title":\{"text":"([^"]+)"', page)

    drawn = {"Log loss beside baselines", "ROC", "ROC AUC by slice"}
    assert drawn <= set(titles)
    assert any(title.startswith("Calibration") for title in titles)
    assert any(title.startswith("Cost: a miss 3") for title in titles)
    assert any(title.startswith("Importance") for title in titles)


def test_a_champion_that_cannot_be_loaded_has_a_card_too(champion: ModelPackage) -> None:
    card = render_card(COLUMNS, of_another_scikit_learn(champion), ModelCard(**WORDS))

    assert "It was the first." in card
    assert "0.400 to 0.600" in card


def test_a_champion_that_came_without_an_evaluation_has_a_card_too(champion: ModelPackage) -> None:
    bare = replace(champion, evaluation=None)

    card = render_card(COLUMNS, bare, ModelCard(**WORDS))

    assert "It was the first." in card
    assert "0.400 to 0.600" in card
    assert "<script" not in card


@pytest.mark.parametrize(
    "wrong",
    [{"owner": ""}, {"limits": []}, {"intended_user": "me"}],
    ids=["owner", "limits", "other"],
)
def test_a_card_is_not_made_without_its_owners_words(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ModelCard(**(WORDS | wrong))


def test_a_card_says_of_how_many_rows_those_were_drawn_and_what_more_are_worth(
    champion: ModelPackage, card: str
) -> None:
    assert champion.evaluation is not None
    window = champion.evaluation.window.model_copy(update={"drawn_from": 91_000})
    ends = {"gain_low": 0.01, "gain_high": 0.03}
    curve = [{"n_rows": 4000, "loss": 0.5}, {"n_rows": 8000, "loss": 0.48, "gain": 0.02, **ends}]
    found = champion.evaluation.model_copy(update={"window": window, "learning_curve": curve})
    drawn = replace(champion.with_record(n_known_rows=777_000), evaluation=found)

    told = render_card(COLUMNS, drawn, ModelCard(**WORDS))

    n_rows = champion.metadata.n_training_rows
    assert f"Trained on {n_rows:,} of 777,000 labelled rows, drawn by their keys" in told
    assert "On 5,678 of 91,000 rows of the test window" in told
    assert "log loss fell by 0.0200 [0.0100, 0.0300]; as many rows again" in told
    assert "Learning curve" in told
    assert f"Trained on {n_rows:,} labelled rows" in card
    assert "drawn by" not in card


def test_pages_are_complete_in_themselves(card: str) -> None:
    for page in (card, render_dictionary(DECLARED)):
        assert page.startswith("<!doctype html>")
        assert not re.findall(r'(?:src|href)="(?!#)', page)
