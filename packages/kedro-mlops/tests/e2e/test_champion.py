"""The history of the champion: promoted twice, rolled back, promoted by hand, trained again."""

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from driving.project import Loop, Project, free_port, versions
from example.factories import of_another_scikit_learn

from kedro_mlops.models.package import ModelPackage

DATA = "data/history"
# any model will do: what is tried here is what happens to them afterwards
EASY = "seed: 1\ngate: { min_loss_won: 0, at_least: { roc_auc: 0.5 }, max_loss_increase: 10 }\n"
PIPELINES = "--pipelines=data_engineering,modelling,gate,release --to-outputs=champion"


def test_champions_come_and_go_on_record(sample_loop: Loop) -> None:
    project = sample_loop.project
    sample = (project.folder / "conf/sample/parameters.yml").read_text()
    short = sample.replace("gradient_boosting: 2", "gradient_boosting: 1")
    env = f"--env {project.with_environment('history', DATA, parameters=EASY + short)}"
    train = f"kedro run {env} {PIPELINES}"

    # given two champions, of which the first is the sample's
    shutil.copytree(sample_loop.at_first, project.folder / DATA)
    project.must(f"{train} --params as_of=2013-03-08")
    earlier, later = [champion["version"] for champion in _champions(project)]
    listed = project.must(f"kedro champion history {env}").splitlines()
    assert [line.split()[2] for line in listed[1:]] == [later, earlier]

    # when the later one is rolled back while it serves
    commands = (
        f"kedro champion rollback {env} --reason 'it was wrong'",
        f"kedro champion show {env}",
    )
    served, serving, (said, shown) = _asked_around(project, env, commands)

    # then the earlier one serves, at once
    assert served == later
    for text in (said, shown):
        assert re.search(rf"^Follows +process .+ answers with {earlier} since", text, re.MULTILINE)
    newest = _champions(project)[-1]
    assert re.search(rf"^Rolled back +to {earlier} from {later} in [\d.]+ s$", said, re.MULTILINE)
    assert f"{newest['release']}, ready to serve" in said
    card = (project.folder / DATA / "08_reporting/model_card.html").read_text()
    assert f"<title>Model card: {earlier}</title>" in card
    candidates = project.must(f"kedro champion candidates {env}").splitlines()
    assert [line.split()[2:4] for line in candidates[1:]] == [[later, "2013-03-08"], [earlier, "*"]]
    assert all(line.endswith("promote") for line in candidates[1:])
    assert serving == newest["version"] == earlier
    assert newest["withdrawn"] == [later]
    assert f"Rolled back from {later}: it was wrong" in shown

    # and the later one is promoted again by a person only
    project.must(f"kedro run {env} --pipelines=gate")
    decision = json.loads((project.folder / DATA / "06_models/gate_decision.json").read_text())
    assert (decision["outcome"], decision["candidate"]) == ("keep", later)
    assert _champions(project)[-1] == newest

    project.must(f"kedro champion promote {later} --reason 'it was right' {env}")
    promoted = _champions(project)[-1]
    assert promoted["version"] == later
    assert promoted["withdrawn"] == []
    assert promoted["decision"]["reasons"] == ["it was right"]

    # and it can be trained again, to the last byte, in a folder that is then gone
    artefacts = _files(project.folder / DATA)
    assert f"{later} was reproduced" in project.must(f"kedro champion reproduce {later} {env}")
    assert _files(project.folder / DATA) == artefacts

    # when scikit-learn was upgraded since
    for entry in ("champion", "candidate"):
        for folder in versions(project.folder / DATA / "06_models" / entry):
            package = of_another_scikit_learn(ModelPackage.read(folder))
            shutil.rmtree(folder)
            folder.mkdir()
            package.write(folder)
    project.must(f"{train} --params as_of=2013-03-15")

    # then a new candidate is compared with what serves, and there is a way back to that
    newest = _champions(project)[-1]
    assert newest["decision"]["champion_before"] == later
    assert f"not worse than champion {later}" in [c["name"] for c in newest["decision"]["checks"]]
    project.must(f"kedro champion rollback {env}")
    project.must(f"kedro run {env} --pipelines=scoring --params as_of=2013-03-15")
    assert _champions(project)[-1]["version"] == later


def test_the_champion_of_one_environment_becomes_that_of_another(sample_loop: Loop) -> None:
    project, env = sample_loop.project, "--env production"
    command = f"kedro champion promote --from sample {env} --reason 'it went well'"

    refused = project.run(command)
    said = project.must(f"{command} --approved-by somebody")

    kept = project.folder.parent / "production"
    shutil.move(project.folder / "data/production", kept)
    [champion] = versions(kept / "06_models/champion")
    record = json.loads((champion / "metadata.json").read_text())
    released = sample_loop.read("release")
    assert "--approved-by NAME" in refused.stderr
    assert f"{released['bento']}, ready to serve" in said
    assert record["release"] == released["bento"]
    assert record["release_sha256"] == released["bento_sha256"]
    assert record["decision"]["approved_by"] == "somebody"
    source = record["decision"]["source"]
    assert (source["environment"], source["decision"]["decided_by"]) == ("sample", "gate")
    assert (
        f"<title>Model card: {record['version']}</title>"
        in (kept / "08_reporting/model_card.html").read_text()
    )


def _asked_around(
    project: Project, env: str, commands: Iterable[str]
) -> tuple[str, str, list[str]]:
    """Which model a service that follows serves before and after commands, and what these say."""
    port = free_port()
    with project.served(f"kedro serve --follow {env} --port {port}", port) as client:
        before = client.post("/info", json={}).json()["model_version"]
        said = [project.must(command) for command in commands]
        return before, client.post("/info", json={}).json()["model_version"], said


def _champions(project: Project) -> list[dict[str, Any]]:
    """What is on record of every champion, oldest first."""
    folders = versions(project.folder / DATA / "06_models/champion")
    return [json.loads((folder / "metadata.json").read_text()) for folder in folders]


def _files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
