import math
import re
from datetime import datetime
from pathlib import Path

import pytest
from example.factories import decided, tiny_package

from kedro_mlops.champion.history import Saved
from kedro_mlops.champion.texts import (
    describe,
    list_candidates,
    list_history,
    tell_move,
    tell_reproduction,
)
from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.models.decision import Decision
from kedro_mlops.prediction_log.files import Answered
from kedro_mlops.serving.followers import Following

GATE = decided("promote", "2013-b", champion_before="2013-a", reasons=["It is better."])
BACK = decided(
    "rollback",
    decided_by="ann",
    champion_before="2013-b",
    reasons=["Rolled back from 2013-b: " + "it was wrong " * 20],
    checks=[CheckResult(name="fairness", passed=True, value=math.nan, limit=1, detail="none")],
)


def saved(second: int, version: str, decision: Decision | None, **metadata) -> Saved:
    package = tiny_package(
        version=version, decision=decision, release=f"bento:{version}", **metadata
    )
    moment = f"2026-11-20T12.34.{second:02d}.000Z"
    return Saved(moment, Path(), package.metadata, read=lambda *_: package)


@pytest.fixture(scope="module")
def history() -> list[Saved]:
    """Promoted, rolled back, released anew."""
    measured = {"value": 0.7, "low": 0.6, "high": 0.8}
    return [
        saved(5, "2013-a", BACK, withdrawn=["2013-b"], metrics={"roc_auc": measured}),
        # as it was read from another file
        saved(
            4, "2013-a", Decision.model_validate_json(BACK.model_dump_json()), withdrawn=["2013-b"]
        ),
        saved(3, "2013-b", GATE),
        saved(2, "2013-a", None),
    ]


def test_the_champion_is_described_in_full(history):
    lines = describe(history[0], None, None).splitlines()

    said = {line[:11].strip(): line[11:].strip() for line in lines}
    assert said == {
        "Champion": "2013-a, gradient boosting, as of 2013-01-13",
        "Since": "2026-11-20 12:34:05 UTC",
        "Decision": f"rollback by ann: {BACK.reasons[0]}".strip(),
        "ROC AUC": "0.700 [0.600, 0.800]",
        "Commit": "c0ffee",
        "Data": "da7a",
        "Lock file": "10c4",
        "Withdrawn": "2013-b",
        "Release": "bento:2013-a, ready to serve",
        "Answers": "none in the prediction log; `curl -s http://127.0.0.1:3000/info` says what a "
        "service answers with",
    }


def test_a_release_that_cannot_serve_is_not_called_ready(history):
    said = describe(history[2], "The release is lost.", None)

    assert "Release    The release is lost." in said
    assert "ready" not in said
    assert "Withdrawn" not in said


@pytest.mark.parametrize(
    ("second", "version", "said"),
    [
        (4, "2013-b", "by 2013-b, 2026-11-20 12:34:04 UTC, from before 2013-a became champion. A"),
        (6, "2013-b", "by 2013-b, 2026-11-20 12:34:06 UTC, although 2013-a became champion. A"),
        (4, "2013-a", "by 2013-a, 2026-11-20 12:34:04 UTC"),
    ],
)
def test_who_answered_last_is_said_with_what_to_do_if_that_is_not_the_champion(
    history, second, version, said
):
    last = Answered(version, datetime(2026, 11, 20, 12, 34, second))  # noqa: DTZ001

    shown, moved = describe(history[0], None, last), tell_move(history[0], 1, last, None)

    for text in (shown, moved):
        assert f"the newest in the prediction log is {said}" in text
        assert ("start it anew" in text) == (version == "2013-b")


def test_candidates_are_listed_with_their_figures_verdicts_and_the_champion(history):
    measured = {"value": 0.7, "low": 0.6, "high": 0.8}
    figures = {"roc_auc": measured, "precision": measured}
    trained = [
        saved(8, "2013-c", None, metrics=figures),
        saved(7, "2013-a", None, metrics=figures),
        saved(1, "2013-b", None, metrics={}),
    ]

    said = list_candidates(trained, {"2013-c": "block", "2013-a": "promote"}, history[0])

    header, *rows = [re.split(r"  +", line) for line in said.splitlines()]
    assert header == [
        *("trained (UTC)", "model", "as of", "family", "ROC AUC", "log loss", "precision"),
        *("recall", "share flagged", "gate"),
    ]
    found = "0.700 [0.600, 0.800]"
    assert [row[1:2] + row[4:] for row in rows] == [
        ["2013-c", found, "-", found, "-", "-", "block"],
        ["2013-a *", found, "-", found, "-", "-", "promote"],
        ["2013-b", "-", "-", "-", "-", "-", "-"],
    ]
    assert list_candidates([], {}, None).endswith("make run`.")


def test_the_history_is_a_table_with_the_champion_marked(history):
    header, *rows = [line.split() for line in list_history(history, None, None).splitlines()]

    assert header[:4] == ["since", "(UTC)", "model", "outcome"]
    assert [row[:2] for row in rows] == [["2026-11-20", f"12:34:0{i}"] for i in (5, 4, 3, 2)]
    assert rows[0][2:8] == ["2013-a", "*", "release", "ann", "0.700", "-"]
    assert rows[1][2:7] == ["2013-a", "rollback", "ann", "-", "0.500"]
    assert rows[2][2:5] == ["2013-b", "promote", "gate"]
    assert rows[2][-5:] == ["c0ffee", "da7a", "It", "is", "better."]
    assert rows[3][2:5] == ["2013-a", "-", "gate"]
    assert rows[0][-1] == "…"


@pytest.mark.parametrize(("env", "option"), [(None, ""), ("sample", " --env sample")])
def test_what_awaits_approval_is_listed_with_the_command_that_approves(env, option):
    said = list_history([], "2013-c", env)

    assert said.splitlines() == [
        f"2013-c awaits approval: `kedro champion promote 2013-c --reason …{option}`",
        "There is no champion yet.",
    ]


@pytest.mark.parametrize(("env", "serve"), [(None, "make serve"), ("sample", "make serve ARGS")])
def test_a_move_is_told_with_its_seconds_and_the_next_step(history, env, serve):
    moved, release, _, next_step = tell_move(history[1], 1.234, None, env).splitlines()

    assert moved.split(maxsplit=2) == ["Rolled", "back", "to 2013-a from 2013-b in 1.2 s"]
    assert release.split(maxsplit=1) == ["Release", "bento:2013-a, ready to serve"]
    assert next_step.split(maxsplit=1)[1].startswith(serve)


def test_a_move_tells_which_services_have_taken_it_and_which_have_not(history):
    release, before = history[1].metadata.release, "2026-11-19T00:00:00Z"
    answered = Answered("2013-b", datetime(2026, 11, 20, 12, 0))  # noqa: DTZ001
    services = [
        Following("a:1", "2013-a", release, "2026-11-20T12:34:57Z"),
        Following("a:2", "2013-b", "bento:2013-b", before, release, "It is damaged."),
        Following("a:3", "2013-b", "bento:2013-b", before),
    ]

    said = tell_move(history[1], 1, answered, None, services)

    assert [line.split(maxsplit=1)[1] for line in said.splitlines() if "process" in line] == [
        "process a:1 answers with 2013-a since 2026-11-20T12:34:57Z",
        "process a:2 answers with 2013-b since 2026-11-19T00:00:00Z, and refused bento:2013-a: "
        "It is damaged.",
        "process a:3 answers with 2013-b since 2026-11-19T00:00:00Z, and has not looked yet",
    ]
    assert "start it anew" not in said
    assert "make serve" not in said
    assert "process a:1" in describe(history[1], None, answered, services)


def test_the_first_champion_is_promoted_from_nothing():
    first = saved(1, "2013-a", decided())

    assert tell_move(first, 1, None, None).startswith("Promoted  to 2013-a in 1.0 s\n")


def test_a_reproduction_is_told():
    assert "the same model to the last byte" in tell_reproduction("2013-a", [], 21.4)


def test_what_was_not_reproduced_is_told_as_a_table():
    said = tell_reproduction("2013-a", [("threshold", 0.4, None)], 21.4)

    header, row, verdict = said.splitlines()
    assert header.split() == ["on", "record", "trained", "again"]
    assert row.split() == ["threshold", "0.4", "None"]
    assert verdict == "2013-a was not reproduced, in 21 s."
