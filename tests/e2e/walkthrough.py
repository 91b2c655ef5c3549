"""How each command of README.md is run, word by word, and what must come of it."""

import contextlib
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from driving.project import Project, is_free, versions
from driving.raw_tables import YEAR, some_flights, write_package
from driving.readme import commands, example_answer
from omegaconf import OmegaConf

README = (Path(__file__).parents[2] / "README.md").read_text()
[CURL] = [command for command in commands(README) if command.startswith("curl")]
# not in the README, but a person would expect them to work
VIZ_BUILD = "kedro viz build --include-previews"
BENTOML_SERVE = "bentoml serve --host 127.0.0.1"
PORT = 3000
# a person's own settings, for an environment; these make the loop short
SHORT = """
bootstrap: { n_resamples: 50 }
data_engineering: { history_days: 62 }
modelling:
  n_trials: { logistic_regression: 1, gradient_boosting: 1 }
  importance: { n_rows: 1000, n_repeats: 1 }
  learning_curve: []
"""


def run_the_year(project: Project, command: str) -> None:
    """The champion is as good as the README says."""
    said = project.must(command, timeout=900)

    lines = dict(re.findall(r"^(\S+) {2,}(.*)$", said, re.MULTILINE))
    measured = [_roc_auc(lines[title]) for title in ("Tested", "Watched")]
    promised = re.search(r"ROC AUC ([\d.]+) .*? and\s+([\d.]+) on the July", README, re.DOTALL)
    assert promised
    assert measured == pytest.approx([float(value) for value in promised.groups()], abs=0.005)
    assert measured[1] >= 0.75
    assert (project.folder / lines["Report"]).exists()
    assert len(_champions(project)) == 1


def find_nothing_to_do(project: Project, command: str) -> None:
    """Nothing has changed since the run before."""
    assert "Nothing has changed" in project.must(command)


def serve_and_ask(project: Project, serve: str, ask: str = CURL) -> None:
    """The service answers as the README shows, and has a page for people."""
    assert is_free(PORT), f"another program uses port {PORT}, which the README's commands need"

    with project.server(serve, PORT) as (client, running):
        if serve != BENTOML_SERVE:
            running.wait_for(lambda: "Ready on" in running.stdout, "it says that it is ready")
            assert "what is in it: `bentoml get flight-delays:" in running.stdout
            assert f"curl -s http://127.0.0.1:{PORT}/predict" in running.stdout
        [answer] = json.loads(project.must(ask))["predictions"]
        page = client.get("/")

    [promised] = example_answer(README)["predictions"]
    assert answer.keys() == promised.keys()
    assert answer["probability"] == pytest.approx(promised["probability"], abs=0.02)
    assert answer["decision"] == promised["decision"]
    assert answer["missing_features"] == promised["missing_features"]
    assert answer["unseen_categories"] == promised["unseen_categories"]
    assert page.is_success
    assert "text/html" in page.headers["content-type"]


def look(project: Project, command: str) -> None:
    """kedro-viz shows the pipelines."""
    with project.started(command) as running:
        running.wait_for(lambda: "is running at" in running.stdout, "kedro-viz has started")
        [url] = re.findall(r"http://[\d.:]+/", running.stdout)
        page, graph = _get(url), _get(f"{url}api/main")

    shown = {node["name"] for node in graph.json()["nodes"]}
    assert page.is_success
    assert {"champion", "metrics", "monitoring_report"} <= shown


def build_a_site(project: Project, command: str) -> None:
    """kedro-viz makes a static site with previews of metrics, plots and tables."""
    project.must(command)

    site = project.folder / "build"
    graph = json.loads((site / "api/main").read_text())
    nodes = {
        node["name"]: json.loads((site / "api/nodes" / node["id"]).read_text())
        for node in graph["nodes"]
    }
    previews = {name: node["preview_type"] for name, node in nodes.items() if node.get("preview")}
    assert (site / "index.html").exists()
    assert previews["metrics"] == "JSONPreview"
    assert previews["calibration_plot"] == "PlotlyPreview"
    assert previews["tuning_trials"] == "TablePreview"
    assert previews["model_input"] == "TablePreview"


def activate_and_list(project: Project, activate: str, registry: str) -> None:
    """The activated environment has the project's kedro, which knows its pipelines."""
    bare = project.environment["PATH"].partition(os.pathsep)[2]

    said = project.must("; ".join([activate, "command -v kedro", registry]), PATH=bare)

    kedro, *listed = said.split()
    pipelines = (project.folder / "src/flight_delays/pipelines").glob("*/pipeline.py")
    assert Path(kedro).samefile(project.folder / ".venv/bin/kedro")
    assert {file.parent.name for file in pipelines} < set(listed)


def look_and_wait(project: Project, command: str) -> None:
    """A champion that does as expected is left alone."""
    before = _champions(project)

    said = project.must(command, timeout=900)

    assert re.search(r"^Retrain\? +wait: ", said, re.MULTILINE)
    assert "Trained" not in said
    assert _champions(project) == before


def retrain_on_demand(project: Project, command: str) -> None:
    """A person's demand trains a candidate as of the end of the days that were looked at."""
    # with every flight, or what is looked at would be another table than what was learned from
    with _short(project):
        said = project.must(command, timeout=900)

    assert "retrain: It is demanded: a new season." in said
    assert "rows known as of 2013-08-01" in said
    assert re.search(r"^Gate +\w+: ", said, re.MULTILINE)


def ask_about_champions(project: Project, show: str, history: str) -> None:
    """They say which model serves, and which ones did."""
    *_, newest = _champions(project)
    metadata = json.loads((newest / "metadata.json").read_text())

    shown, listed = project.must(show), project.must(history)

    assert all(said in shown for said in (metadata["version"], metadata["release"], "ready"))
    assert f"{metadata['version']} *" in listed
    assert len(listed.splitlines()) == 1 + len(_champions(project))


def list_candidates(project: Project, command: str) -> None:
    """Every model that was trained is listed once, the newest first, and the champion marked."""
    trained = [json.loads((c / "metadata.json").read_text()) for c in _candidates(project)]
    newest_first = list(dict.fromkeys(model["version"] for model in reversed(trained)))
    *_, champion = _champions(project)
    serving = json.loads((champion / "metadata.json").read_text())["version"]

    _, *rows = project.must(command, COLUMNS="200").splitlines()

    listed = [re.split(r"  +", row)[1] for row in rows]
    assert listed == [f"{name} *" if name == serving else name for name in newest_first]


def roll_back(project: Project, command: str) -> None:
    """The champion before serves again, and the one that was left stays out."""
    champions = [json.loads((c / "metadata.json").read_text()) for c in _champions(project)]
    first, newest = champions[0], champions[-1]
    if newest["version"] == first["version"]:
        candidate = json.loads((_candidates(project)[-1] / "metadata.json").read_text())
        newest = candidate
        project.must(f"kedro champion promote {candidate['version']} --reason 'to come back from'")

    said = project.must(command)

    now = json.loads((_champions(project)[-1] / "metadata.json").read_text())
    assert re.search(rf"Rolled back +to \S+ from {newest['version']} in [\d.]+ s", said)
    assert f"{now['release']}, ready to serve" in said
    assert newest["version"] in now["withdrawn"]


def replay_and_stop(project: Project, command: str) -> None:
    """A replay can be stopped at any moment; what it has lived stays."""
    lived = project.folder / "data/replay/ticks.jsonl"
    with _short(project, "replay") as short, short.started(command) as running:
        running.wait_for(lived.exists, "the first tick is complete", timeout=600)
        running.send_to_group(signal.SIGINT)
        status = running.process.wait(60)

    assert status == 130, running.said
    assert "Stopped." in running.stderr
    assert {json.loads(line)["tick"] for line in lived.read_text().splitlines()} == {"2013-03-01"}


def run_another_day(project: Project, command: str) -> None:
    """The candidate of another day is judged against the champion on rows new to both."""
    *_, incumbent = _champions(project)
    with _short(project) as short:
        said = short.must(command, timeout=900)

    before = json.loads((incumbent / "metadata.json").read_text())["version"]
    [*_, newest] = _champions(project)
    decision = json.loads((project.folder / "data/06_models/gate_decision.json").read_text())
    champion = decision["candidate"] if decision["outcome"] == "promote" else before
    assert "rows known as of 2013-09-01" in said
    assert decision["candidate"].startswith("20130901-")
    assert decision["champion_before"] == before
    assert any(before in check["name"] for check in decision["checks"])
    assert json.loads((newest / "metadata.json").read_text())["version"] == champion


def run_a_part(project: Project, command: str) -> None:
    """One part of the loop runs alone, on what the others have left."""
    report = project.folder / "data/08_reporting/monitoring_report.html"
    report.unlink()

    said = project.must(command)

    steps = re.findall(r"\[ ?\d+/\d+\] (\w+)", said)
    assert steps[0] != "screen_flights"
    assert steps[-1] == "render_report"
    assert report.exists()


def list_releases(project: Project, command: str, look: str) -> None:
    """Every champion's release is listed; what is shown of one has its lineage."""
    said, shown = project.must(command, COLUMNS="200"), project.must(look)

    champions = [json.loads((c / "metadata.json").read_text()) for c in _champions(project)]
    assert champions
    assert not [champion for champion in champions if champion["release"] not in said]
    assert any(champion["lineage"]["data_hash"] in shown for champion in champions)


def build_a_bento(project: Project, command: str) -> None:
    """The Bento holds the newest model."""
    before = _tags(project)

    project.must(command)

    [built] = _tags(project) - before
    bento = json.loads(project.must(f"bentoml get {built} -o json"))
    models = json.loads(project.must("bentoml models list -o json"))
    newest = max(models, key=lambda model: model["creation_time"])["tag"]
    assert [m["tag"] for service in bento["services"] for m in service["models"]] == [newest]


def list_targets(project: Project, command: str) -> None:
    """Every target is listed, with what it does."""
    makefile = (project.folder / "Makefile").read_text()

    told = project.must(command).splitlines()

    listed = [re.fullmatch(r"make (\w+) +\S.*", line) for line in told]
    assert [line and line[1] for line in listed] == re.findall(r"^([a-z]+):", makefile, re.M)


def dry_run(project: Project, *typed: str) -> None:
    """What continuous integration runs anyway is there to be run."""
    planned = [project.must(command.replace("make", "make -n", 1)) for command in typed]

    tools = [
        "jupyter lab",
        "containerize",
        "pytest",
        "ruff",
    ]
    assert all(tool in spec for tool, spec in zip(tools, planned, strict=True))


# in this order, in one copy of the project
WAYS: dict[tuple[str, ...], Callable[..., None]] = {
    ("make run",): run_the_year,
    ("kedro run --changed",): find_nothing_to_do,
    ("make serve", CURL): serve_and_ask,
    (BENTOML_SERVE,): serve_and_ask,
    ("make viz",): look,
    (VIZ_BUILD,): build_a_site,
    ("source .venv/bin/activate", "kedro registry list"): activate_and_list,
    ("kedro run --pipelines=monitoring",): run_a_part,
    ("kedro retrain",): look_and_wait,
    ('kedro retrain --demand "a new season"',): retrain_on_demand,
    ("kedro run --params as_of=2013-09-01",): run_another_day,
    ("kedro champion show", "kedro champion history"): ask_about_champions,
    ("kedro champion candidates",): list_candidates,
    ("kedro champion rollback",): roll_back,
    ("kedro replay",): replay_and_stop,
    ("bentoml list", "bentoml get flight-delays:latest"): list_releases,
    ("bentoml build",): build_a_bento,
    ("make help",): list_targets,
    (
        "make notebook",
        "make image",
        "make test",
        "make lint",
    ): dry_run,
}


@contextlib.contextmanager
def _short(project: Project, env: str = "local") -> Iterator[Project]:
    """With a person's own settings, that make the loop short, and fewer flights."""
    fewer = project.folder.parent / "fewer"
    if not fewer.exists():
        write_package(fewer, some_flights(YEAR, every=3))
    settings = project.folder / f"conf/{env}/parameters.yml"
    before = settings.read_text() if settings.exists() else ""
    settings.write_text(OmegaConf.to_yaml(OmegaConf.merge(*map(OmegaConf.create, (before, SHORT)))))
    path = f"{project.environment['PYTHONPATH']}:{fewer}"
    yield replace(project, environment=project.environment | {"PYTHONPATH": path})
    settings.write_text(before)


def _champions(project: Project) -> list[Path]:
    return versions(project.folder / "data/06_models/champion")


def _candidates(project: Project) -> list[Path]:
    return versions(project.folder / "data/06_models/candidate")


def _roc_auc(line: str) -> float:
    [value] = re.findall(r"ROC AUC ([\d.]+)", line)
    return float(value)


def _get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=60)


def _tags(project: Project) -> set[str]:
    return {entry["tag"] for entry in json.loads(project.must("bentoml list -o json"))}
