"""The loop on the sample data: run, look at what was made, ask it, run again."""

import hashlib
import html.parser
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from driving.asking import logged, predict, row_schema
from driving.project import Loop, Project, free_port, versions
from driving.readme import request_body

from flight_delays.contracts import Observation

from kedro_mlops.contract.columns import Columns

TITLES = ["Read", "Trained", "Tested", "Gate", "Released", "Watched", "Retrain?", "Report"]
TITLES += ["Card", "Next"]
# nothing is wrong with these tables, nobody has been answered, and the sample draws no curve
EMPTY = {
    *("flights_quarantine", "planes_quarantine", "prediction_log", "served_predictions"),
    "learning_curve",
}
# SHA256SUMS has no ending
PLAIN_FILES = {".skops", ".json", ".yaml", ".so", ""}

OBSERVATION = Columns.of(Observation)
PROBLEM = "application/problem+json"
# until what happened is in the metrics
TELL_SECONDS = 0.6


# what a run leaves behind


def test_a_run_says_what_it_made_and_what_to_do_next(sample_loop: Loop) -> None:
    lines = sample_loop.said.strip().splitlines()[-len(TITLES) :]

    said = {
        title: line.removeprefix(title).strip() for title, line in zip(TITLES, lines, strict=True)
    }

    metrics = sample_loop.read("metrics")["candidate"]
    assert [line.split()[0] for line in lines] == TITLES
    assert f"ROC AUC {metrics['roc_auc']['value']:.3f} [" in said["Tested"]
    assert said["Gate"].startswith("promote: ")
    assert said["Released"].startswith(f"{sample_loop.read('release')['bento']}: ")
    assert said["Retrain?"].startswith(f"{sample_loop.read('retrain_decision')['outcome']}: ")
    folder = sample_loop.project.folder
    assert folder / said["Report"] == sample_loop.files["monitoring_report"]
    assert folder / said["Card"] == sample_loop.files["model_card"]


def test_every_artefact_of_the_catalog_is_there_and_can_be_read(sample_loop: Loop) -> None:
    files = {name: path for name, path in sample_loop.files.items() if name != "incumbent"}

    sizes = {name: _size(path) for name, path in files.items()}

    assert len(sizes) > 30
    assert all(path.is_relative_to(sample_loop.data) for path in files.values())
    assert {name for name, size in sizes.items() if size == 0} == EMPTY


def test_every_flight_is_accounted_for(sample_loop: Loop) -> None:
    counts = sample_loop.read("flight_counts")

    flights = pd.read_parquet(sample_loop.files["primary_flights"])

    total = counts.pop("flights")
    assert sum(counts.values()) == total == len(flights)
    assert counts["cancelled"] == flights["departure_delay_min"].isna().sum()


def test_every_metric_lies_in_its_interval_and_the_candidate_beats_the_baselines(
    sample_loop: Loop,
) -> None:
    metrics = sample_loop.read("metrics")

    measured = {name: metrics[name] for name in ("candidate", "base_rate", "shallow_tree")}

    intervals = [interval for model in measured.values() for interval in model.values()]
    assert all(i["low"] <= i["value"] <= i["high"] for i in intervals)
    assert all(i["low"] < i["high"] for i in measured["candidate"].values())
    losses = {name: model["log_loss"]["value"] for name, model in measured.items()}
    assert min(losses, key=losses.__getitem__) == "candidate"


def test_the_first_fit_candidate_becomes_champion(sample_loop: Loop) -> None:
    decision, release = sample_loop.read("gate_decision"), sample_loop.read("release")

    [champion] = versions(sample_loop.files["champion"])

    metadata = json.loads((champion / "metadata.json").read_text())
    assert decision["outcome"] == "promote"
    assert all(check["passed"] for check in decision["checks"])
    assert metadata["version"] == decision["candidate"]
    assert metadata["decision"] == decision
    assert metadata["release"] == release["bento"]


def test_the_release_is_proven_and_carries_its_lineage(sample_loop: Loop) -> None:
    release = sample_loop.read("release")

    commit = sample_loop.project.must("git rev-parse HEAD").strip()

    lock = (sample_loop.project.folder / "uv.lock").read_bytes()
    assert release["labels"]["git_commit"] == commit
    assert release["labels"]["lock_hash"] == hashlib.sha256(lock).hexdigest()
    assert release["labels"]["as_of"] == "2013-03-01"
    assert release["rows_compared"] > 0
    assert release["largest_difference"] <= release["tolerance"]


def test_bentoml_lists_the_release_with_its_lineage(sample_loop: Loop) -> None:
    release = sample_loop.read("release")

    listed = json.loads(sample_loop.project.must("bentoml list -o json"))
    bento = json.loads(sample_loop.project.must(f"bentoml get {release['bento']} -o json"))

    assert release["bento"] in [entry["tag"] for entry in listed]
    assert bento["labels"] == release["labels"]
    assert _models(bento) == [release["model"]]


def test_what_is_stored_and_released_holds_no_pickle(sample_loop: Loop) -> None:
    home = Path(sample_loop.project.environment["BENTOML_HOME"])
    models = [sample_loop.files["champion"], sample_loop.files["candidate"], home / "models"]

    files = [path for folder in models for path in folder.rglob("*") if path.is_file()]

    named = {path.suffix for path in files if path.name != "latest"}
    begun = {path.read_bytes()[:2] for path in files if path.suffix == ".skops"}
    assert ".skops" in named
    assert named <= PLAIN_FILES
    assert begun == {b"PK"}
    assert not [path for path in home.rglob("*") if path.suffix in {".pkl", ".pickle", ".joblib"}]


def test_the_report_needs_no_network(sample_loop: Loop) -> None:
    report = sample_loop.files["monitoring_report"].read_text()

    page = _Page(report)

    assert sample_loop.read("retrain_decision")["outcome"] in page.text.lower()
    assert page.n_scripts > 1
    assert not page.loaded


def test_where_nothing_has_changed_no_node_runs(sample_loop: Loop) -> None:
    made = [path for path in sample_loop.files.values() if path.exists()]
    before = [path.stat().st_mtime_ns for path in made]

    said = sample_loop.project.must("kedro run --env sample --changed")

    assert said.startswith("Nothing has changed since the run that ended at ")
    assert before == [path.stat().st_mtime_ns for path in made]


# the service


@pytest.fixture(scope="module")
def service(sample_loop: Loop) -> Iterator[httpx.Client]:
    """The release, started while the project's code is not what it was built from."""
    port, module = (
        free_port(),
        sample_loop.project.folder / "packages/kedro-mlops/src/kedro_mlops/serving/service.py",
    )
    code = module.read_text()
    module.write_text("raise RuntimeError('a release serves the code that it was built from')")
    try:
        with sample_loop.project.served(f"kedro serve --env sample --port {port}", port) as client:
            module.write_text(code)
            yield client
    finally:
        module.write_text(code)


@pytest.fixture(scope="module")
def row(readme: str) -> dict[str, Any]:
    """The row that the README asks for."""
    [row] = json.loads(request_body(readme))["rows"]
    return row


def test_the_service_answers_the_request_of_the_readme(
    service: httpx.Client, sample_loop: Loop, readme: str
) -> None:
    body = request_body(readme)

    response = service.post("/predict", content=body, headers={"Content-Type": "application/json"})

    [answer] = response.json()["predictions"]
    assert response.status_code == 200
    assert 0 < answer["probability"] < 1
    assert answer["model_version"] == sample_loop.read("gate_decision")["candidate"]
    # the sample ends before the day that is asked for
    assert set(answer["missing_features"].values()) == {"stale"}
    assert answer["unseen_categories"] == []


def test_the_service_answers_as_the_batch_predictions_say(
    service: httpx.Client, sample_loop: Loop
) -> None:
    batch = pd.read_parquet(sample_loop.files["predictions"])

    answers = pd.DataFrame(predict(service, batch))

    assert (answers["probability"] - batch["probability"]).abs().max() <= 1e-6
    assert (answers["decision"] == batch["decision"]).all()
    assert (answers["model_version"] == batch["model_version"]).all()


@pytest.mark.parametrize(("n_rows", "kind"), [(5, ".jsonl"), (700, ".arrow")])
def test_every_prediction_is_logged_as_it_was_answered(
    service: httpx.Client, sample_loop: Loop, n_rows: int, kind: str
) -> None:
    batch = pd.read_parquet(sample_loop.files["predictions"]).head(n_rows)
    folder = sample_loop.data / "07_model_output/prediction_log"

    answers = pd.DataFrame(predict(service, batch))

    log = logged(folder)
    made = log[log["prediction_id"].isin(answers["prediction_id"])]
    assert max(folder.glob("*"), key=lambda file: file.stat().st_mtime_ns).suffix == kind
    assert made["prediction_id"].tolist() == answers["prediction_id"].tolist()
    assert made["probability"].tolist() == answers["probability"].tolist()
    assert set(made) == set(batch)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"carrier": "XX"}, "carrier"),
        ({"distance_mi": "far"}, "distance_mi"),
        ({"distance_mi": "1400"}, "distance_mi"),
        ({"distance_mi": -1}, "distance_mi"),
        ({"flight_number": 1.5}, "flight_number"),
        ({"flight_number": 10**30}, "flight_number"),
        ({"flight_number": True}, "flight_number"),
        ({"scheduled_departure": "tomorrow"}, "scheduled_departure"),
        ({"scheduled_departure": "2013-07-15T17:30:00Z"}, "scheduled_departure"),
        ({"origin": None}, "origin"),
        ({"colour": "blue"}, "colour"),
    ],
    ids=str,
)
def test_a_row_that_breaks_the_contract_is_refused_by_name(
    service: httpx.Client, row: dict[str, Any], changes: dict[str, Any], named: str
) -> None:
    body = {"rows": [row, {**row, **changes}]}

    response = service.post("/predict", json=body)

    assert response.status_code == 422
    assert response.headers["Content-Type"] == PROBLEM
    assert [(e["row"], e["field"]) for e in response.json()["errors"]] == [(1, named)]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ("", 400),
        ("not json", 400),
        ("[" * 10_000, 400),
        ("[1]", 422),
        ("{}", 422),
        ('{"rows": []}', 422),
        ('{"rows": 1}', 422),
        ('{"rows": [{}]}', 422),
    ],
    ids=lambda given: str(given)[:20] or "nothing",
)
def test_a_body_that_is_no_request_is_refused(
    service: httpx.Client, content: str, status: int
) -> None:
    headers = {"Content-Type": "application/json"}

    response = service.post("/predict", content=content, headers=headers)

    assert response.status_code == response.json()["status"] == status
    assert response.headers["Content-Type"] == PROBLEM
    assert response.json()["detail"]


def test_more_rows_than_one_request_may_have_are_refused(
    service: httpx.Client, row: dict[str, Any]
) -> None:
    body = {"rows": [row] * 10_001}

    response = service.post("/predict", json=body)

    assert response.status_code == 422
    assert "10,000" in response.text


def test_the_api_documents_a_row_that_works(service: httpx.Client) -> None:
    schema = row_schema(service)

    response = service.post("/predict", json={"rows": [schema["example"]]})

    assert schema["example"].keys() == schema["properties"].keys()
    assert all(about["description"] for about in schema["properties"].values())
    assert response.status_code == 200


def test_the_page_says_what_is_predicted_and_all_that_it_loads_is_there(
    service: httpx.Client,
) -> None:
    label = OBSERVATION[OBSERVATION.label].description.partition(";")[0]

    page = service.get("/").text

    loaded = re.findall(r'(?:src|href)="\.(/[^"]*)"', page)
    assert f": {label}</title>" in page
    assert len(loaded) == 5
    assert {service.get(path).status_code for path in loaded} == {200}


def test_the_service_says_that_it_is_alive_ready_and_how_busy(service: httpx.Client) -> None:
    service.post("/info", json={})
    time.sleep(TELL_SECONDS)

    answers = {path: service.get(path) for path in ("/livez", "/readyz", "/metrics")}

    assert {answer.status_code for answer in answers.values()} == {200}
    assert 'http_requests_total{path="/info",status="200"}' in answers["/metrics"].text


def test_the_service_says_which_model_it_serves(service: httpx.Client, sample_loop: Loop) -> None:
    release = sample_loop.read("release")

    info = service.post("/info", json={}).json()

    assert info["model_version"] == release["labels"]["champion_version"]
    assert info["git_commit"] == release["labels"]["git_commit"]
    measured = sample_loop.read("metrics")
    assert info["metrics"] == measured["candidate"]
    assert {"precision", "recall", "flagged_share"} <= info["metrics"].keys()
    assert info["confusion"] == measured["confusion"]


# the second run


@pytest.fixture(scope="module")
def before(sample_loop: Loop) -> dict[str, Any]:
    """What was there before the second run."""
    return _state(sample_loop)


def test_of_a_changed_run_only_what_was_answered_since_is_looked_at(sample_loop: Loop) -> None:
    """The service has answered, and its log is the only thing that is new."""
    said = sample_loop.project.must("kedro run --env sample --changed")

    ran = {line.split()[-1] for line in said.splitlines() if re.search(r"\[ *\d+/\d+\]", line)}
    skipped = {name for name in ("modelling", "release", "scoring") if f" of {name}" in said}
    assert {"ingest", "measure_skew"} <= ran
    assert skipped == {"modelling", "release", "scoring"}


@pytest.fixture(scope="module")
def second_run(sample_loop: Loop, before: dict[str, Any]) -> str:
    return sample_loop.project.must("kedro run --env sample")


def test_a_second_run_keeps_the_champion(sample_loop: Loop, second_run: str) -> None:
    decision = sample_loop.read("gate_decision")

    [said] = [line for line in second_run.splitlines() if line.startswith("Gate")]

    assert decision["outcome"] == "keep"
    assert decision["candidate"] == decision["champion_before"]
    assert "keep: " in said


def test_a_second_run_makes_the_same_model_and_the_same_metrics_and_no_new_release(
    sample_loop: Loop, before: dict[str, Any], second_run: str
) -> None:
    after = _state(sample_loop)

    changed = [name for name in before if before[name] != after[name]]

    assert not changed


def _size(path: Path) -> int:
    """Number of entries, rows, files or characters, read in the way the suffix asks for."""
    readers = {
        ".json": lambda: len(str(json.loads(path.read_text()))),
        ".jsonl": lambda: len(path.read_text().splitlines()),
        ".csv": lambda: len(pd.read_csv(path)),
        ".parquet": lambda: len(pd.read_parquet(path)),
        ".html": lambda: len(path.read_text()),
        ".prom": lambda: len(path.read_text()),
        "": lambda: len(versions(path)),
    }
    return readers[path.suffix]()


def _state(loop: Loop) -> dict[str, Any]:
    """What a run that changes nothing leaves as it is."""
    return {
        "metrics": loop.files["metrics"].read_bytes(),
        "predictions": pd.read_parquet(loop.files["predictions"]).to_csv(),
        "models": [
            json.loads((version / "metadata.json").read_text())["content_hash"]
            for name in ("candidate", "champion")
            for version in versions(loop.files[name])
        ],
        "champions": versions(loop.files["champion"]),
        "release": loop.files["release"].read_bytes(),
        "bentos": _tags(loop.project),
    }


def _tags(project: Project) -> set[str]:
    return {entry["tag"] for entry in json.loads(project.must("bentoml list -o json"))}


def _models(bento: dict[str, Any]) -> list[str]:
    return [model["tag"] for service in bento["services"] for model in service["models"]]


class _Page(html.parser.HTMLParser):
    """A page's text, and the addresses that a browser would load to show it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.n_scripts, self.loaded = "", 0, list[str]()
        self._tag = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.n_scripts += tag == "script"
        names = {"src", "srcset", "data"} | ({"href"} if tag == "link" else set())
        self.loaded += [value for name, value in attrs if name in names and value]

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag == "style":
            self.loaded += re.findall(r"(?:url\(|@import).*", data)
        elif self._tag != "script":
            self.text += data
