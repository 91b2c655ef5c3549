"""Three tables, one for each task, become projects of their own that walk the whole loop."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from driving.adopted import CONTRACTS, TABLES, Adopted, adopt
from driving.asking import logged, predict
from driving.notebooks import PICTURE, run_notebook
from driving.project import free_port, versions

LOOK = "kedro run --pipelines=data_engineering,scoring,monitoring"


@dataclass(frozen=True)
class Expected:
    """What is expected of one of the tables.

    Attributes:
        about: What the service says of what it is asked.
        told: The columns of a prediction.
        card: What the model card speaks of.
        report: What the report speaks of once there are labels.
        tested_on: The rows that the champion was measured on.
        main: The metric that is named first.
        shifted: What newcomers have more of, and how many times as much.
        spoilt: A column that a delivery breaks: another value, or none if it is missing.
        refused: What is said then.
    """

    about: dict[str, Any]
    told: list[str]
    card: list[str]
    report: str
    tested_on: str
    main: str
    shifted: tuple[str, float]
    spoilt: tuple[str, Any]
    refused: list[str]


EXPECTED = {
    "tumours": Expected(
        about={
            "task": "binary", "label": "diagnosis", "positive": "malignant",
            "classes": ["benign", "malignant"],
        },
        told=["probability", "decision"],
        card=[
            'positive where it is <code>"malignant"</code>',
            "A row is flagged from",
            # the only one that is not cut into windows
            "cross-validation with 3 folds",
        ],
        report="missed",
        tested_on="out-of-fold rows",
        main="roc_auc",
        shifted=("mean texture", 1.6),
        spoilt=("mean area", -1),
        refused=["569 of 569 rows (100.0%) break Delivered", "mean area: greater", "'-1"],
    ),
    "wines": Expected(
        about={"task": "multiclass", "label": "class", "classes": ["middle", "north", "south"]},
        told=["probability_middle", "probability_north", "probability_south", "prediction"],
        card=["middle, north, south", "The class that is expected to cost least is taken"],
        report="taken for",
        tested_on="test window",
        main="roc_auc",
        shifted=("alcohol", 1.3),
        spoilt=("proline", None),
        refused=["raw_wines lacks proline", "It has alcohol, malic_acid"],
    ),
    "patients": Expected(
        about={"task": "regression", "label": "target", "unit": "points"},
        told=["prediction", "prediction_low", "prediction_high"],
        card=["points to both sides", "How it treats groups", "Where it is good, and where not"],
        report="interval coverage",
        tested_on="test window",
        main="root_mean_squared_error",
        shifted=("s6", 1.8),
        spoilt=("bmi", "high"),
        refused=["bmi", "is numeric", "high"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=TABLES)
def adopted(
    request: pytest.FixtureRequest,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Adopted:
    return adopt(pytestconfig.rootpath, tmp_path_factory.mktemp(request.param), request.param)


# what adoption writes


def test_what_was_decided_is_told_column_by_column(adopted: Adopted) -> None:
    lines = adopted.said.splitlines()

    for name in adopted.table.rows:
        assert any(line.startswith(f"{name} ") for line in lines), name
    assert "Next: `make run`" in lines[-1]


def test_nothing_is_left_of_the_example(adopted: Adopted) -> None:
    found = adopted.project.must("git ls-files src conf tests | xargs grep -il carrier || true")

    assert not found


def test_what_is_written_is_as_clean_as_what_was_there(adopted: Adopted) -> None:
    adopted.project.must("ruff format --check src tests && ruff check src tests")


@pytest.mark.parametrize("adopted", ["patients"], indirect=True)
def test_the_same_again_changes_nothing_and_edits_are_kept(adopted: Adopted) -> None:
    project, target = adopted.project, adopted.table.target
    contracts = project.folder / CONTRACTS
    before = contracts.read_text()

    same = project.must(f"kedro adopt {adopted.file} --target {target} --dry-run --yes")
    contracts.write_text(before.replace(" …", ""))
    edited = project.run(f"kedro adopt {adopted.file} --target {target} --yes")
    kept = contracts.read_text()
    contracts.write_text(before)

    assert "+++" not in same
    assert edited.returncode == 1
    assert CONTRACTS in edited.stderr
    assert kept == before.replace(" …", "")


@pytest.mark.parametrize("adopted", ["patients"], indirect=True)
def test_the_project_has_tests_of_its_own_which_pass(adopted: Adopted) -> None:
    adopted.project.must("mypy src")
    # what is deployed is not the table's
    few = "--ignore tests/deploy --numprocesses 0"
    said = adopted.project.must(f'make test ARGS="{few}"', timeout=600)

    assert "skipped" not in said
    assert (adopted.project.folder / "data/sample/06_models/release.json").exists()


@dataclass(frozen=True)
class Walk:
    """A project, what is expected of its table, and what its first run said."""

    adopted: Adopted
    said: str

    @property
    def expected(self) -> Expected:
        return EXPECTED[self.adopted.name]

    @property
    def rows(self) -> pd.DataFrame:
        return self.adopted.table.rows

    @property
    def key(self) -> str:
        return self.adopted.table.key

    @property
    def target(self) -> str:
        return self.adopted.table.target

    def must(self, command: str) -> str:
        return self.adopted.project.must(command)

    def path(self, name: str) -> Path:
        return self.adopted.project.folder / "data" / name

    def read(self, name: str) -> Any:
        return json.loads(self.path(name).read_text())

    def champions(self) -> list[str]:
        """Those there have been, oldest first."""
        folders = versions(self.path("06_models/champion"))
        return [json.loads((each / "metadata.json").read_text())["version"] for each in folders]

    def newcomers(self) -> pd.DataFrame:
        return self.adopted.newcomers(*self.expected.shifted)

    def look(self, rows: pd.DataFrame) -> None:
        """Score and watch what is delivered."""
        self.adopted.deliver(rows)
        self.must(LOOK)


@pytest.fixture(scope="module")
def walk(adopted: Adopted) -> Walk:
    adopted.say_more()
    adopted.deliver(adopted.without_late_labels())
    return Walk(adopted, adopted.project.must("kedro run"))


# the champion


def test_a_champion_is_promoted_proven_and_told_of(walk: Walk) -> None:
    decision, release = (
        walk.read("06_models/gate_decision.json"),
        walk.read("06_models/release.json"),
    )
    shown, listed = walk.must("kedro champion show"), walk.must("kedro champion candidates")
    card = walk.path("08_reporting/model_card.html").read_text()

    [version] = walk.champions()
    metrics = walk.read("06_models/metrics.json")["candidate"]
    assert (decision["outcome"], decision["candidate"]) == ("promote", version)
    assert [c for c in decision["checks"] if c["name"].startswith("behaviour")]
    assert release["rows_compared"] >= 20
    assert release["largest_difference"] < 1e-9
    for said in (walk.said, shown):
        assert f"{metrics[walk.expected.main]['value']:.3f} [" in said
    assert re.match(rf"Champion +{version}, ", shown)
    assert len(listed.splitlines()) == 2
    assert not [words for words in (version, *walk.expected.card) if words not in card]


# the service


@dataclass(frozen=True)
class Asked:
    """What the service has said."""

    info: dict[str, Any]
    example: dict[str, Any]
    rows: pd.DataFrame
    answers: pd.DataFrame
    refusal: str
    log: pd.DataFrame


@pytest.fixture(scope="module")
def asked(walk: Walk) -> Asked:
    """The service, asked as it shows, for rows that were scored in batch, and for a bad one."""
    port = free_port()
    rows = pd.read_parquet(walk.path("07_model_output/predictions.parquet")).head(40)
    with walk.adopted.project.server(f"kedro serve --port {port}", port) as (client, running):
        info = client.get("/info").json()
        running.wait_for(lambda: "curl" in running.stdout, "it says how to ask")
        [shown] = [line for line in running.stdout.splitlines() if line.startswith("curl")]
        [example] = json.loads(subprocess.check_output(["bash", "-c", shown]))["predictions"]
        # what the file calls as the log calls something else
        taken = {name: rows[f"{name}_"] for name in walk.rows if f"{name}_" in rows}
        answers = pd.DataFrame(predict(client, rows.assign(**taken)))
        bad = walk.rows.head(1).assign(**{walk.expected.shifted[0]: -1.0})
        sent = bad.drop(columns=walk.target).to_dict("records")
        refused = client.post("/predict", json={"rows": sent})
    assert refused.status_code == 422
    log = logged(walk.path("07_model_output/prediction_log"))
    return Asked(info, example, rows, answers, refused.text, log)


def test_the_service_answers_as_batch_scoring_did_and_says_what_it_is_asked(
    walk: Walk, asked: Asked
) -> None:
    assert asked.info | walk.expected.about == asked.info
    assert {*walk.expected.told} <= {*asked.example}
    for name in walk.expected.told:
        expected = asked.rows[name].tolist()
        if pd.api.types.is_float_dtype(asked.rows[name]):
            assert asked.answers[name].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-9)
        else:
            assert asked.answers[name].tolist() == expected
    assert walk.expected.shifted[0] in asked.refusal


def test_answers_are_logged_with_what_they_were_given(walk: Walk, asked: Asked) -> None:
    shifted, _ = walk.expected.shifted

    log = asked.log.set_index("prediction_id").loc[asked.answers["prediction_id"]]

    assert len(log) == len(asked.log) - 1 == len(asked.rows)
    assert asked.example["prediction_id"] in asked.log["prediction_id"].tolist()
    for name in (*walk.expected.told, walk.key, shifted):
        assert log[name].tolist() == pytest.approx(asked.rows[name].tolist())
    assert walk.target not in log


# monitoring


@dataclass(frozen=True)
class Seen:
    """What monitoring has found."""

    account: dict[str, int]
    performance: dict[str, Any]
    decision: dict[str, Any]
    drifted: set[str]
    report: str


def seen(walk: Walk) -> Seen:
    drift = pd.read_csv(walk.path("08_reporting/drift.csv"))
    return Seen(
        walk.read("08_reporting/label_account.json"),
        walk.read("08_reporting/performance.json"),
        walk.read("08_reporting/retrain_decision.json"),
        set(drift.loc[drift["drifted"] & (drift["kind"] == "feature"), "column"]),
        walk.path("08_reporting/monitoring_report.html").read_text(),
    )


@pytest.fixture(scope="module")
def labelled(walk: Walk, asked: Asked) -> tuple[Seen, Seen]:
    """Before the late labels came, and then."""
    before = seen(walk)
    walk.look(walk.rows)
    return before, seen(walk)


def test_late_labels_make_performance_known(
    walk: Walk, asked: Asked, labelled: tuple[Seen, Seen]
) -> None:
    before, after = labelled

    served = pd.read_parquet(walk.path("07_model_output/served_predictions"))

    assert before.account["pending"] == walk.adopted.late.sum()
    assert (before.performance["metrics"], after.account["pending"]) == ({}, 0)
    # of those that came late, the ones that no later training moves to the other side
    assert after.performance["n_labelled"] == after.account["known"] > before.account["known"]
    measured = after.performance["metrics"][walk.expected.main]
    assert measured["low"] < measured["value"] < measured["high"] or measured["value"] == 1
    assert after.decision["outcome"] == "wait"
    assert after.drifted == set()
    assert walk.expected.report in after.report
    assert f"On the {walk.expected.tested_on}" in after.report
    assert set(asked.rows[walk.key]) < set(served[walk.key])


@pytest.fixture(scope="module")
def drifted(walk: Walk, labelled: tuple[Seen, Seen]) -> Seen:
    """What is found where as many newcomers are there, one of whose numbers is another."""
    newcomers = walk.newcomers().assign(**{walk.target: None})
    walk.look(pd.concat([walk.rows, newcomers], ignore_index=True))
    return seen(walk)


def test_newcomers_that_are_others_are_found_and_ask_for_a_retraining(
    walk: Walk, drifted: Seen
) -> None:
    shifted, _ = walk.expected.shifted

    [rule] = [rule for rule in drifted.decision["rules"] if rule["rule"] == "drift"]

    assert drifted.drifted == {shifted}
    assert drifted.account["pending"] == len(walk.rows)
    assert rule["fired"]
    assert drifted.decision["outcome"] == "retrain"
    assert shifted in drifted.report


@pytest.fixture(scope="module")
def refused(walk: Walk, drifted: Seen) -> str:
    """What is said of a delivery that breaks the contract."""
    column, value = walk.expected.spoilt
    rows = walk.rows
    rows = rows.drop(columns=column) if value is None else rows.assign(**{column: value})
    walk.adopted.deliver(rows)
    done = walk.adopted.project.run(LOOK)
    assert done.returncode == 1
    return done.stderr


def test_a_broken_delivery_is_refused_and_retrains_nothing(walk: Walk, refused: str) -> None:
    decision = walk.read("08_reporting/retrain_decision.json")

    assert not [word for word in walk.expected.refused if word not in refused], refused
    assert "Traceback" not in refused
    assert decision["outcome"] == "wait"
    assert "Bad data vetoes retraining" in decision["reasons"][0]
    assert len(walk.champions()) == 1


# from champion to champion


@pytest.mark.parametrize("adopted", ["tumours"], indirect=True)
def test_a_champion_of_folds_is_reproduced_to_the_last_byte(walk: Walk, refused: str) -> None:
    [version] = walk.champions()
    walk.adopted.deliver(walk.adopted.without_late_labels())

    said = walk.must(f"kedro champion reproduce {version}")

    assert "the same model to the last byte, from the same data" in said


@pytest.fixture(scope="module")
def retrained(walk: Walk, refused: str) -> str:
    """What is said of a retraining, now that what became of the newcomers is known."""
    walk.adopted.deliver(pd.concat([walk.rows, walk.newcomers()], ignore_index=True))
    return walk.must("kedro retrain")


def test_a_retraining_makes_a_champion_that_was_compared_with_the_first(
    walk: Walk, retrained: str
) -> None:
    decision = walk.read("06_models/gate_decision.json")

    first, *later = walk.champions()

    assert "Retraining as of 2024-05-08." in retrained
    assert decision["outcome"] == "promote"
    assert decision["champion_before"] == first
    assert any(check["name"] == f"not worse than champion {first}" for check in decision["checks"])
    assert later == [decision["candidate"]]


@pytest.mark.parametrize("adopted", ["wines"], indirect=True)
def test_a_rollback_returns_to_the_first_champion(walk: Walk, retrained: str) -> None:
    first, second = walk.champions()

    said = walk.must("kedro champion rollback --reason 'it was wrong'")

    assert re.search(rf"^Rolled back +to {first} from {second}", said, re.MULTILINE)
    assert walk.champions()[-1] == first
    card = walk.path("08_reporting/model_card.html").read_text()
    assert f"<title>Model card: {first}</title>" in card
    history = walk.must("kedro champion history").splitlines()[1:]
    assert [line.split()[2] for line in history] == [first, second, first]
    assert "it was wrong" in history[0]


# for people


def test_the_notebook_of_data_and_champion_needs_no_edit(walk: Walk, retrained: str) -> None:
    path = walk.adopted.project.folder / "notebooks/explore.ipynb"

    shown = run_notebook(walk.adopted.project, path, "local")

    assert sum(PICTURE in output for output in shown) >= 4


@pytest.mark.parametrize("adopted", ["wines"], indirect=True)
def test_the_notebook_of_candidates_compares_those_of_several_runs(
    walk: Walk, retrained: str
) -> None:
    path = walk.adopted.project.folder / "notebooks/model.ipynb"
    moments = [each.name for each in walk.path("06_models/candidate").iterdir()]

    shown = run_notebook(walk.adopted.project, path, "local")

    tables = [output["text/html"] for output in shown if "text/html" in output]
    assert len(moments) == 2
    assert any(all(moment in table for moment in moments) for table in tables)
    assert sum(PICTURE in output for output in shown) >= 4


@pytest.mark.parametrize("adopted", ["tumours"], indirect=True)
def test_a_replay_says_that_it_needs_days(walk: Walk) -> None:
    done = walk.adopted.project.run("kedro replay")

    assert done.returncode == 1
    assert "the rows have no date" in done.stderr
    assert "Traceback" not in done.stderr
