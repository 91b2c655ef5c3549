"""A challenger beside the champion: through the predictor, with the log really written."""

import json
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pandas as pd
import pytest
from example.contracts import Prediction
from example.factories import spec_of

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.prediction_log.datasets import read_log
from kedro_mlops.serving.app_state import STOPPED
from kedro_mlops.serving.challenger import Challenger, ChallengerSettings
from kedro_mlops.serving.model import ServedModel
from kedro_mlops.serving.predictor import MIN_TABLE_ROWS

CHALLENGER = "20130113-challenger"
LOGGED = Columns.of(Prediction).without_personal()


@pytest.fixture
def champion(released):
    return ServedModel(*released, 1)


@pytest.fixture
def trial(champion, challenger, tmp_path):
    """Makes a trial that looks at every row; keyword arguments are settings."""

    def make(model=None, metrics=None, **changes):
        said = {
            "mode": "canary", "share": 0.3, "decision_file": tmp_path / "decision.json",
            "record_file": tmp_path / STOPPED, "window": 20, "look_seconds": 0,
        }  # fmt: skip
        model = model or ServedModel(*challenger, 1)
        return Challenger(champion, model, ChallengerSettings(**said | changes), metrics or Mock())

    return make


def values_of(**changes):
    spec = spec_of()
    sent = {field.name: field.example for field in spec.sent}
    sent |= {spec.event_time: datetime.fromisoformat("2013-07-15T17:30")} | changes
    return (*sent.values(), None, None, None, None, None)


def answers_of(one, example, n_rows):
    """What is answered to rows that differ by their keys, through the predictor."""
    rows = [example | {"parcel_number": i + 1} for i in range(n_rows)]
    read = one.served.reader.judged(json.dumps({"rows": rows}).encode())
    return json.loads(one.served.predictor.answer(one.store.complete_all(read)))["predictions"]


def recorded(tmp_path):
    return json.loads((tmp_path / STOPPED).read_text())


def test_a_shadow_never_answers_and_is_logged_beside_the_champion(
    state, challenger, example, tmp_path, released
):
    one = state(challenger, challenger_mode="shadow")

    answers = answers_of(one, example, 20)

    assert {answer["model_version"] for answer in answers} == {released[1].model_version}
    log = read_log(tmp_path / "log", LOGGED).to_pandas()
    by_variant = dict(iter(log.groupby("variant")))
    assert {name: len(rows) for name, rows in by_variant.items()} == {"champion": 20, "shadow": 20}
    assert set(by_variant["shadow"]["model_version"]) == {CHALLENGER}
    assert set(by_variant["champion"]["prediction_id"]) == {a["prediction_id"] for a in answers}
    expected = ServedModel(*challenger, 1).score
    shadow = by_variant["shadow"].sort_values("parcel_number")
    fields = [field.name for field in challenger[1].fields]
    first = [shadow.iloc[0].get(name) for name in fields]
    first = [None if pd.isna(value) else value for value in first]
    assert shadow.iloc[0]["probability"] == expected(first)[0]
    one.metrics.flush()
    assert one.metrics.compared.labels(CHALLENGER)._value.get() == 20


def test_a_canary_answers_its_share_and_says_so(state, challenger, example, tmp_path):
    one = state(challenger, challenger_mode="canary", challenger_share=0.3)

    answers = answers_of(one, example, 200) + answers_of(one, example, 200)

    theirs = [answer["model_version"] == CHALLENGER for answer in answers]
    assert theirs[:200] == theirs[200:]
    assert 0.15 < sum(theirs) / 400 < 0.45
    log = read_log(tmp_path / "log", LOGGED).to_pandas()
    assert (log["variant"] == "canary").sum() == sum(theirs)
    assert set(log.loc[log["variant"] == "canary", "model_version"]) == {CHALLENGER}


def large(one, example, n_rows, **changes):
    """What is answered to the same rows as ``answers_of`` asks, in one large request."""
    body = json.dumps(
        {"rows": [example | changes | {"parcel_number": i + 1} for i in range(n_rows)]}
    )
    return json.loads(one.served.answer_large(b"application/json", body.encode(), b"*/*").body)[
        "predictions"
    ]


def test_of_a_large_request_the_canary_answers_the_same_rows_as_of_small_ones(
    state, challenger, example, tmp_path
):
    one = state(challenger, challenger_mode="canary", challenger_share=0.3)
    made = ("prediction_id",)

    singly, together = answers_of(one, example, 200), large(one, example, 200)

    assert {answer["model_version"] for answer in together} > {CHALLENGER}
    for answer, other in zip(singly, together, strict=True):
        assert {k: v for k, v in answer.items() if k not in made} == {
            k: v for k, v in other.items() if k not in made
        }
    log = read_log(tmp_path / "log", LOGGED).to_pandas()
    by_id = log.set_index("prediction_id")
    for answer in [*singly, *together]:
        line = by_id.loc[answer["prediction_id"]]
        assert line["model_version"] == answer["model_version"]
        assert (line["variant"] == "canary") == (answer["model_version"] == CHALLENGER)
    one.metrics.flush()
    predictions = one.metrics.predictions
    n_theirs = sum(answer["model_version"] == CHALLENGER for answer in together)
    counted = [
        predictions.labels(CHALLENGER, "canary", decision)._value.get()
        for decision in ("true", "false")
    ]
    assert sum(counted) == 2 * n_theirs


def test_of_a_large_request_a_shadow_says_in_the_log_what_it_says_of_small_ones(
    state, challenger, example, tmp_path, released
):
    one = state(challenger, challenger_mode="shadow")

    singly, together = answers_of(one, example, 50), large(one, example, 50)

    assert {answer["model_version"] for answer in together} == {released[1].model_version}
    log = read_log(tmp_path / "log", LOGGED).to_pandas()
    is_large = ~log["prediction_id"].isin([answer["prediction_id"] for answer in singly])
    shadows = log[log["variant"] == "shadow"].groupby("parcel_number")["probability"]
    assert is_large.sum() >= 100
    assert (shadows.count() == 2).all()
    assert (shadows.max() == shadows.min()).all()
    assert log["prediction_id"].is_unique
    one.metrics.flush()
    assert one.metrics.compared.labels(CHALLENGER)._value.get() == 100


def test_what_a_shadow_says_of_a_table_is_logged_with_it(state, challenger, example, tmp_path):
    one = state(challenger, challenger_mode="shadow")

    answers = large(one, example, MIN_TABLE_ROWS, van=None, area="QQQ")

    assert [file.suffix for file in (tmp_path / "log").iterdir()] == [".arrow"]
    log = read_log(tmp_path / "log", LOGGED).to_pandas()
    assert log["variant"].value_counts().to_dict() == {
        "champion": MIN_TABLE_ROWS, "shadow": MIN_TABLE_ROWS,
    }  # fmt: skip
    assert log["prediction_id"].head(MIN_TABLE_ROWS).tolist() == [
        answer["prediction_id"] for answer in answers
    ]
    assert log["parcel_number"].tolist() == 2 * list(range(1, MIN_TABLE_ROWS + 1))
    assert set(log["area"]) == {"QQQ"}
    assert log["missing_features"].str.contains("van_year=no_key").all()


def test_a_challenger_that_fails_on_a_large_request_leaves_it_to_the_champion_and_is_switched_off(
    state, challenger, example, tmp_path, released, monkeypatch
):
    one = state(challenger, challenger_mode="canary", challenger_share=0.99)
    trial = one.served.predictor.challenger
    monkeypatch.setattr(trial.model, "score_table", None)

    first = large(one, example, 30)
    trial._next_look = 0
    second = large(one, example, 30)

    versions = {answer["model_version"] for answer in [*first, *second]}
    assert versions == {released[1].model_version}
    one.metrics.flush()
    assert one.metrics.challenger_failures.labels(CHALLENGER)._value.get() == 30
    assert trial.mode == "off"
    assert "failed on" in recorded(tmp_path / "log")["reason"]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_the_share_of_the_keys_is_near_what_was_asked(trial, share):
    one = trial(share=share)

    taken = [one.takes(values_of(parcel_number=i)) for i in range(3_000)]

    assert abs(sum(taken) / 3_000 - share) < 0.03


def test_who_takes_a_row_depends_on_its_key_alone(trial):
    one, other = trial(), trial()

    rows = [
        (values_of(parcel_number=i), values_of(parcel_number=i, temperature_c=0))
        for i in range(100)
    ]

    assert all(one.takes(first) == other.takes(second) for first, second in rows)


def test_more_keys_are_added_to_those_that_a_canary_has(trial):
    few, many = trial(share=0.1), trial(share=0.5)

    rows = [values_of(parcel_number=i) for i in range(500)]

    assert all(many.takes(values) for values in rows if few.takes(values))


@pytest.mark.parametrize("mode", ["off", "shadow"])
def test_only_a_canary_takes_rows(trial, mode):
    one = trial(mode=mode, share=0.99)

    assert not any(one.takes(values_of(parcel_number=i)) for i in range(100))


def failing(_):
    raise RuntimeError("broken")


@pytest.mark.parametrize("score", [failing, lambda _: (float("nan"), []), lambda _: (1.5, [])])
def test_a_challenger_that_fails_is_switched_off_and_the_champion_answers(
    state, challenger, example, tmp_path, released, score, monkeypatch
):
    one = state(challenger, challenger_mode="canary", challenger_share=0.9)
    trial = one.served.predictor.challenger
    monkeypatch.setattr(trial.model, "score", score)

    first = answers_of(one, example, 20)
    trial._next_look = 0
    answers_of(one, example, 1)

    assert {answer["model_version"] for answer in first} == {released[1].model_version}
    assert trial.mode == "off"
    record = recorded(tmp_path / "log")
    assert record["challenger"] == CHALLENGER
    assert record["mode"] == "canary"
    assert "failed on" in record["reason"]
    one.metrics.flush()
    assert one.metrics.challenger_failures.labels(CHALLENGER)._value.get() >= 10
    mode = {m: one.metrics.mode.labels(m)._value.get() for m in ("off", "canary")}
    assert mode == {"off": 1, "canary": 0}


def test_a_single_failure_switches_nothing_off(trial, monkeypatch):
    one = trial()
    for i in range(20):
        monkeypatch.setattr(one.model, "score", failing if i == 3 else lambda _: (0.5, []))
        one.answer_row(values_of(), {})
        one.look()

    assert one.mode == "canary"


def test_a_challenger_that_is_slow_is_switched_off(trial, monkeypatch, tmp_path):
    one = trial(window=5)
    monkeypatch.setattr(one.model, "score", lambda _: (time.sleep(0.005), (0.5, []))[1])

    for _ in range(5):
        assert one.mode == "canary"
        one._champion_seconds.append(0.0005)
        one.answer_row(values_of(), {})
    one.look()

    assert one.mode == "off"
    assert "a row, the champion 500 µs" in recorded(tmp_path)["reason"]


def test_a_challenger_that_is_not_much_slower_stays(trial):
    one = trial(window=5)

    for _ in range(5):
        one._champion_seconds.append(10)
        one.answer_row(values_of(), {})
    one.look()

    assert one.mode == "canary"


def judge(file, **changes):
    said = {"challenger": CHALLENGER, "stopped": [CHALLENGER], "reasons": ["It is", "worse."]}
    file.write_text(json.dumps(said | changes))


def test_monitoring_switches_it_off_and_its_reasons_are_kept(trial, tmp_path):
    modes = []
    one = trial(metrics=Mock(switched=modes.append))
    one.look()
    judge(tmp_path / "decision.json")
    one.look()

    assert modes == ["off"]
    assert recorded(tmp_path)["reason"] == "monitoring: It is worse."


@pytest.mark.parametrize("changes", [{"stopped": ["another"]}, {"stopped": []}])
def test_a_decision_about_something_else_changes_nothing(trial, tmp_path, changes):
    one = trial()
    judge(tmp_path / "decision.json", **changes)
    one.look()

    assert one.mode == "canary"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null"])
def test_a_decision_that_is_half_written_changes_nothing(trial, tmp_path, content):
    one = trial()
    (tmp_path / "decision.json").write_bytes(content)
    one.look()

    assert one.mode == "canary"


def test_a_decision_is_looked_for_now_and_then_only(trial, tmp_path):
    one = trial(look_seconds=60)
    one.look()
    judge(tmp_path / "decision.json")
    one.look()

    assert one.mode == "canary"


def test_it_stays_off_after_a_restart_until_the_record_is_removed(trial, tmp_path, caplog):
    judge(tmp_path / "decision.json")
    trial().look()
    (tmp_path / "decision.json").unlink()

    again = trial()
    (tmp_path / STOPPED).unlink()
    anew = trial()

    assert (again.mode, anew.mode) == ("off", "canary")
    assert f"Remove {tmp_path / STOPPED}" in caplog.text


def test_another_challenger_may_be_tried_after_one_was_switched_off(trial, challenger, tmp_path):
    judge(tmp_path / "decision.json")
    trial().look()
    folder, spec = challenger

    other = trial(ServedModel(folder, msgspec.structs.replace(spec, model_version="next"), 1))

    assert other.mode == "canary"


def test_where_the_record_cannot_be_written_it_is_off_all_the_same(trial, tmp_path, caplog):
    (tmp_path / "file").touch()
    one = trial(record_file=tmp_path / "file" / STOPPED)
    judge(tmp_path / "decision.json")

    one.look()

    assert one.mode == "off"
    assert "cannot be recorded" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields[::-1],
        lambda fields: fields[1:],
        lambda fields: [msgspec.structs.replace(fields[0], name="other"), *fields[1:]],
    ],
)
def test_a_challenger_of_another_contract_is_refused(trial, challenger, change):
    folder, spec = challenger
    other = ServedModel(folder, spec, 1)
    other.spec = msgspec.structs.replace(spec, fields=change(spec.fields))

    with pytest.raises(ProjectError, match=f"{CHALLENGER} cannot be tried.*same contract"):
        trial(other)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "full"}, "CHALLENGER_MODE is 'full'; choose one of off, shadow, canary"),
        ({"share": 0}, "CHALLENGER_SHARE is 0"),
        ({"share": 1}, "CHALLENGER_SHARE is 1"),
    ],
)
def test_a_setting_that_is_none_is_refused(changes, said):
    given = {"mode": "off", "share": 0.5, "decision_file": None, "record_file": Path("x")}

    with pytest.raises(ProjectError, match=said):
        ChallengerSettings(**given | changes)
    assert replace(ChallengerSettings(**given), mode="shadow").mode == "shadow"
