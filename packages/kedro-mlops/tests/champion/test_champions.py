import getpass
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from example.factories import (
    COLUMNS,
    decided,
    of_another_scikit_learn,
    released_as,
    spec_of,
    tiny_package,
    write_bento,
    write_labels,
    write_spec,
)
from kedro.framework.project import pipelines
from kedro.io import DataCatalog, MemoryDataset, Version
from kedro.pipeline import Node, Pipeline
from kedro_datasets.text import TextDataset

from kedro_mlops.champion import history as champions
from kedro_mlops.champion import moves
from kedro_mlops.champion.moves import promote, promote_winner, roll_back
from kedro_mlops.champion.releases import release_of
from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.core.datasets import HistoryDataset, ModelJSONDataset
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.documentation.nodes import ModelCard
from kedro_mlops.gate.nodes import record as record_verdict
from kedro_mlops.models.datasets import ModelPackageDataset
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.monitoring.decisions import ChallengerDecision, Figures
from kedro_mlops.release.nodes import promote as record_release
from kedro_mlops.release.nodes import select_model
from kedro_mlops.runtime.serving_spec import MODEL, SPEC_LABEL, hash_of
from kedro_mlops.task.metrics import NO_MORE
from kedro_mlops.task.record import DecisionRule

pytestmark = pytest.mark.filterwarnings("ignore:Save version")


WORDS = ModelCard(owner="We", intended_use="To test.", out_of_scope=["Life."], limits=["Many."])


class OpenedAnew(ModelPackageDataset):
    """Looks for the newest version whenever it is loaded, as the catalog of every run does."""

    def load(self) -> ModelPackage | None:
        self._clear_version_cache()
        return super().load()


@pytest.fixture(scope="module")
def models() -> dict[str, ModelPackage]:
    """Three models, as they were candidates."""
    return {name: tiny_package(evaluated=False, version=f"2013-{name}") for name in "abc"}


@pytest.fixture
def catalog(tmp_path: Path) -> DataCatalog:
    """Champion, incumbent and candidate as in the project, with nothing in them."""

    def entry(name: str, **options: Any) -> OpenedAnew:
        version = Version(load=None, save=None)
        return OpenedAnew(filepath=str(tmp_path / name), version=version, **options)

    guarded = {"guarded": True}
    return DataCatalog(
        {
            "champion": entry("champion", save_args=guarded),
            "incumbent": entry("champion", load_args={"missing_ok": True}),
            "candidate": entry("candidate"),
            "gate_decision": ModelJSONDataset(
                filepath=str(tmp_path / "gate_decision.json"),
                model="kedro_mlops.models.decision.Decision",
            ),
            "gate_history": HistoryDataset(
                filepath=str(tmp_path / "gate_history.jsonl"), key=["candidate"]
            ),
            "model_card": TextDataset(filepath=str(tmp_path / "card.html")),
            "contract": MemoryDataset(COLUMNS),
            "metric_functions": MemoryDataset(NO_MORE),
            "params:model_card": MemoryDataset(WORDS),
        }
    )


@pytest.fixture
def promoted(catalog: DataCatalog, models: dict[str, ModelPackage]) -> Callable[..., None]:
    """Trains models, and lets the gate promote them, one after the other."""

    def promote_each(*names: str) -> None:
        for name in names:
            incumbent = catalog.load("incumbent")
            before = incumbent.version if incumbent else None
            decision = decided("promote", f"2013-{name}", champion_before=before)
            catalog.save("candidate", models[name])
            catalog.save("gate_decision", decision)
            selected = select_model(models[name], incumbent, decision)
            catalog.save("champion", record_release(selected, released_as(f"bento:{name}")))

    return promote_each


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The models in BentoML's store: none, though every Bento says that it has one."""
    home = tmp_path / "bentoml"
    monkeypatch.setenv("BENTOML_HOME", str(home))
    for name in "abc":
        write_bento(home, f"bento:{name}", f"parcels:2013-{name}")
    return home / "models/parcels"


@pytest.fixture
def stored(store: Path) -> Path:
    """All the releases are in BentoML's store."""
    for name in "abc":
        folder = store / f"2013-{name}"
        folder.mkdir(parents=True)
        write_labels(folder, write_spec(folder.name, folder))
    return store


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose releases were built, by a pipeline that only says so."""
    releases: list[str] = []

    def build(selected: ModelPackage) -> ModelPackage:
        releases.append(selected.version)
        return record_release(selected, released_as(f"anew:{selected.version}"))

    steps = [
        Node(select_model, ["candidate", "incumbent", "gate_decision"], "selected"),
        Node(build, "selected", "champion"),
    ]
    monkeypatch.setitem(pipelines, "release", Pipeline(steps))
    return releases


def serving(catalog: DataCatalog) -> str:
    return champions.champions(catalog)[0].version


# what there is


def test_the_history_has_every_champion_the_newest_first(catalog, promoted):
    promoted("a", "b")

    history = champions.champions(catalog)

    assert [one.version for one in history] == ["2013-b", "2013-a"]
    assert history[0].moment > history[1].moment
    assert history[0].decision.champion_before == "2013-a"
    assert history[0].package().base == history[0].moment


def test_without_champion_the_next_step_is_said(catalog):
    with pytest.raises(ProjectError, match=r"no champion yet.*make run"):
        champions.champions(catalog)


def test_a_damaged_champion_of_old_is_left_out_and_named(catalog, promoted, caplog):
    promoted("a", "b")
    old = champions.champions(catalog)[1].folder
    (old / "metadata.json").write_text("{")

    history = champions.champions(catalog)

    assert [one.version for one in history] == ["2013-b"]
    assert str(old) in caplog.text


def test_a_damaged_champion_is_an_error_not_the_one_before_it(catalog, promoted):
    promoted("a", "b")
    (champions.champions(catalog)[0].folder / "metadata.json").write_text("{")

    with pytest.raises(ProjectError, match="cannot be read"):
        champions.champions(catalog)


@pytest.mark.parametrize("typed", ["2013-b", "2013-bb"])
def test_a_model_is_found_by_its_version_even_if_another_begins_with_it(typed):
    saved = [
        champions.Saved(
            str(i), Path(), (made := tiny_package(version=version)).metadata, lambda *_: made
        )
        for i, version in enumerate(["2013-bb", "2013-b", "2013-b"])
    ]

    found = champions.find(typed, saved)

    assert found is saved[["2013-bb", "2013-b"].index(typed)]


def test_a_model_is_found_by_the_beginning_of_its_version(catalog, promoted):
    promoted("a")
    catalog.save("candidate", tiny_package(version="2014-a"))

    assert champions.find("2014", champions.models(catalog)).version == "2014-a"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("2013", "'2013' may be 2013-b or 2013-a"),
        ("2013-x", r"no model '2013-x' here. Did you mean '2013-"),
        ("zzz", "no model 'zzz' here. There are 2013-b, 2013-a"),
    ],
)
def test_a_version_that_names_no_single_model_is_refused_with_those_that_do(
    catalog, promoted, typed, said
):
    promoted("a", "b")

    with pytest.raises(ProjectError, match=said):
        champions.find(typed, champions.models(catalog))


def test_where_nothing_was_trained_the_next_step_is_said(catalog):
    with pytest.raises(ProjectError, match=r"no model yet.*make run"):
        champions.find("2013", champions.models(catalog))


def test_candidates_are_the_models_that_were_trained_each_once_with_its_last_verdict(
    catalog, promoted, models
):
    promoted("a", "b")
    for version, outcome in (("c", "block"), ("b", "keep"), ("c", "keep")):
        decision = decided(outcome, f"2013-{version}", champion_before="2013-b")
        catalog.save("candidate", models[version])
        catalog.save("gate_history", record_verdict(decision))

    trained, verdicts = champions.candidates(catalog), champions.verdicts(catalog)

    assert [one.version for one in trained] == ["2013-c", "2013-b", "2013-a"]
    assert verdicts == {"2013-a": "promote", "2013-b": "promote", "2013-c": "keep"}


# rolling back


def test_the_card_follows_a_roll_back(catalog, promoted, stored):
    promoted("a", "b")
    moves.tell_anew(catalog)
    before = catalog.load("model_card")

    roll_back(catalog, None, None)
    moves.tell_anew(catalog)

    assert "Model card: 2013-b" in before
    assert "Model card: 2013-a" in catalog.load("model_card")


def test_a_card_that_cannot_be_rendered_does_not_undo_the_move(catalog, promoted, stored, caplog):
    promoted("a", "b")
    roll_back(catalog, None, None)
    catalog["params:model_card"] = MemoryDataset({"owner": "only"})

    moves.tell_anew(catalog)

    assert serving(catalog) == "2013-a"
    assert "model_card still tells of the champion before" in caplog.text


def test_a_roll_back_returns_to_the_champion_before_and_its_release(
    catalog, promoted, stored, built, monkeypatch
):
    promoted("a", "b")
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")

    returned = roll_back(catalog, None, "it was wrong")

    assert returned.version == serving(catalog) == "2013-a"
    assert returned.metadata.release == "bento:a"
    assert returned.metadata.withdrawn == ["2013-b"]
    assert not built
    decision = returned.decision
    assert (decision.outcome, decision.decided_by) == ("rollback", "ann")
    assert (decision.from_version, decision.to) == ("2013-b", "2013-a")
    assert decision.reasons == ["Rolled back from 2013-b: it was wrong"]
    assert decision.decided_at.endswith("+00:00")


def test_rolling_back_twice_goes_further_back(catalog, promoted, stored):
    promoted("a", "b", "c")

    roll_back(catalog, None, None)
    returned = roll_back(catalog, None, None)

    assert returned.version == "2013-a"
    assert returned.metadata.withdrawn == ["2013-c", "2013-b"]
    with pytest.raises(ProjectError, match=r"no champion before 2013-a.*champion history"):
        roll_back(catalog, None, None)


def test_a_roll_back_to_a_version_skips_those_between(catalog, promoted, stored):
    promoted("a", "b", "c")

    returned = roll_back(catalog, "2013-a", None)

    assert returned.version == "2013-a"
    assert returned.metadata.withdrawn == ["2013-c"]


@pytest.mark.parametrize(
    ("version", "said"),
    [("2013-a", "2013-a is the champion"), ("2013-b", "rolled back itself.*champion promote 2013")],
)
def test_a_roll_back_to_what_is_no_way_back_is_refused(catalog, promoted, stored, version, said):
    promoted("a", "b")
    roll_back(catalog, None, None)

    with pytest.raises(ProjectError, match=said):
        roll_back(catalog, version, None)

    assert serving(catalog) == "2013-a"


def exchange(folder: Path) -> str:
    write_spec("2013-x", folder)
    return "is not the file that was released"


def halve(folder: Path) -> str:
    (folder / MODEL).write_bytes(b"half")
    return "is not the file that serving_spec.json describes"


def lose(folder: Path) -> str:
    (folder / MODEL).unlink()
    return "cannot be read"


def unlabel(folder: Path) -> str:
    (folder / "model.yaml").write_text("labels: [")
    return "model.yaml cannot be read"


def remove(folder: Path) -> str:
    shutil.rmtree(folder)
    return "model.yaml is missing"


DAMAGES = [exchange, halve, lose, unlabel, remove]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_release_that_is_not_intact_is_built_again_before_the_champion_moves(
    catalog, promoted, stored, built, damage, caplog
):
    promoted("a", "b")
    caplog.set_level("INFO")
    why = damage(stored / "2013-a")

    returned = roll_back(catalog, None, None)

    assert built == ["2013-a"]
    assert why in caplog.text
    assert returned.metadata.release == "anew:2013-a"
    assert returned.metadata.withdrawn == ["2013-b"]
    assert returned.decision.outcome == "rollback"


def test_only_a_release_that_can_serve_is_served(catalog, promoted, stored):
    promoted("a")

    assert release_of(catalog) == "bento:a"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_release_that_is_not_intact_is_not_served(catalog, promoted, stored, damage):
    promoted("a")
    why = damage(stored / "2013-a")

    with pytest.raises(ProjectError, match=rf"{why}.*kedro run --pipelines=release"):
        release_of(catalog)


def test_a_release_without_its_hash_is_not_served(catalog, promoted, stored):
    promoted("a")
    (stored / "2013-a/model.yaml").write_text("labels: {}")

    with pytest.raises(ProjectError, match=rf"{SPEC_LABEL}.*is missing"):
        release_of(catalog)


def test_a_release_with_another_threshold_than_the_champion_is_not_served(
    catalog, promoted, stored
):
    promoted("a")
    folder = stored / "2013-a"
    files = {MODEL: hash_of((folder / MODEL).read_bytes())}
    spec = spec_of(model_version="2013-a", rule=DecisionRule(threshold=0.9), files=files)
    write_labels(folder, spec.write(folder))

    with pytest.raises(ProjectError, match="holds another model"):
        release_of(catalog)


def test_a_release_with_another_model_is_built_again(catalog, promoted, stored, built):
    promoted("a", "b")
    write_labels(stored / "2013-a", write_spec("2013-c", stored / "2013-a"))

    roll_back(catalog, None, None)

    assert built == ["2013-a"]


def test_a_release_that_is_lost_is_built_again(catalog, promoted, store, built):
    promoted("a", "b")

    returned = roll_back(catalog, None, None)

    assert built == [returned.version] == ["2013-a"]


def test_a_release_that_cannot_be_built_again_leaves_the_champion(
    catalog, promoted, store, monkeypatch
):
    def fail(selected: ModelPackage) -> None:
        raise ProjectError("It answers otherwise.")

    promoted("a", "b")
    steps = [
        Node(select_model, ["candidate", "incumbent", "gate_decision"], "selected"),
        Node(fail, "selected", "champion"),
    ]
    monkeypatch.setitem(pipelines, "release", Pipeline(steps))

    with pytest.raises(ProjectError, match="answers otherwise"):
        roll_back(catalog, None, None)

    assert serving(catalog) == "2013-b"


def test_a_champion_whose_files_are_damaged_is_not_returned_to(catalog, promoted, stored):
    promoted("a", "b")
    (champions.champions(catalog)[1].folder / "model.skops").write_bytes(b"")

    with pytest.raises(ProjectError, match="cannot be read"):
        roll_back(catalog, None, None)

    assert serving(catalog) == "2013-b"


# promoting by hand


def test_a_champion_that_cannot_answer_here_is_not_returned_to(
    catalog, promoted, models, stored, monkeypatch
):
    monkeypatch.setitem(models, "a", of_another_scikit_learn(models["a"]))
    promoted("a", "b")

    with pytest.raises(ProjectError, match=r"cannot be loaded.*kedro champion promote"):
        roll_back(catalog, None, None)

    assert serving(catalog) == "2013-b"


def test_a_person_promotes_in_place_of_a_champion_that_cannot_be_loaded(
    catalog, promoted, models, stored, built, monkeypatch
):
    monkeypatch.setitem(models, "a", of_another_scikit_learn(models["a"]))
    promoted("a")
    catalog.save("candidate", models["b"])

    promote(catalog, "2013-b", "scikit-learn was upgraded")

    assert serving(catalog) == "2013-b"
    assert champions.champions(catalog)[0].decision.champion_before == "2013-a"


def test_a_person_promotes_what_the_gate_kept_out(catalog, promoted, models, built):
    promoted("a")
    catalog.save("candidate", models["b"])
    kept = decided("keep", "2013-b", checks=[CheckResult.at_least("auc", 0.7, 0.8)])
    catalog.save("gate_decision", kept)

    champion = promote(catalog, "2013-b", "it is needed")

    decision = champion.decision
    assert champion.version == serving(catalog) == "2013-b"
    assert built == ["2013-b"]
    assert decision.reasons == ["it is needed"]
    assert decision.champion_before == "2013-a"
    assert decision.checks == kept.checks
    assert catalog.load("gate_decision") == kept


@pytest.fixture
def reviewed(catalog: DataCatalog, tmp_path: Path) -> Callable[..., None]:
    """Leaves a decision of monitoring about a challenger of the champion `a`."""
    catalog["challenger_decision"] = ModelJSONDataset(
        filepath=str(tmp_path / "challenger_decision.json"),
        model="kedro_mlops.monitoring.decisions.ChallengerDecision",
    )

    def review(outcome: str, challenger: str = "2013-b", champion: str = "2013-a") -> None:
        decision = ChallengerDecision(
            outcome=outcome,
            reasons=["It is surely better."],
            challenger=challenger,
            champion=Figures(model_version=champion, n_rows=1000),
            decided_at="2013-08-01T00:00:00",
            stopped=[],
        )
        catalog.save("challenger_decision", decision)

    return review


def test_a_challenger_that_has_won_its_trial_is_promoted_once(
    catalog, promoted, models, built, reviewed
):
    promoted("a")
    catalog.save("candidate", models["b"])
    reviewed("promote")

    champion, again = promote_winner(catalog), promote_winner(catalog)

    assert champion.version == serving(catalog) == "2013-b"
    assert built == ["2013-b"]
    assert champion.decision.decided_by == "monitoring"
    assert champion.decision.champion_before == "2013-a"
    assert champion.decision.reasons == ["It is surely better."]
    assert again is None


@pytest.mark.parametrize("outcome", ["propose", "continue", "stop"])
def test_what_has_not_won_is_not_promoted(catalog, promoted, models, built, reviewed, outcome):
    promoted("a")
    catalog.save("candidate", models["b"])
    before = promote_winner(catalog)
    reviewed(outcome)

    assert before is promote_winner(catalog) is None
    assert serving(catalog) == "2013-a"


def test_what_has_won_and_is_no_model_here_is_told_and_not_promoted(
    catalog, promoted, built, reviewed, caplog
):
    promoted("a")
    reviewed("promote", challenger="2013-of-another-environment")

    assert promote_winner(catalog) is None
    assert "2013-of-another-environment has won its trial, and is no model" in caplog.text


def test_what_has_won_against_another_champion_or_was_rolled_back_is_not_promoted(
    catalog, promoted, models, stored, built, reviewed
):
    promoted("a", "c")
    catalog.save("candidate", models["b"])
    reviewed("promote", champion="2013-a")
    against_another = promote_winner(catalog)
    roll_back(catalog, None, None)
    reviewed("promote", challenger="2013-c")

    assert against_another is promote_winner(catalog) is None
    assert serving(catalog) == "2013-a"


def test_a_person_approves_the_first_champion(catalog, models, built):
    catalog.save("candidate", models["a"])
    catalog.save("gate_decision", decided("await_approval", "2013-a"))
    before = champions.awaiting(catalog)

    champion = promote(catalog, "2013-a", "approved")

    assert before == champion.version == "2013-a"
    assert champion.decision.champion_before is None
    assert champions.awaiting(catalog) is None


@pytest.mark.parametrize("outcome", [None, "keep"])
def test_only_what_awaits_approval_is_listed_as_such(catalog, outcome):
    if outcome:
        catalog.save("gate_decision", decided(outcome, "2013-a"))

    assert champions.awaiting(catalog) is None


def test_what_a_person_has_decided_since_awaits_nothing(catalog, promoted, models, stored, built):
    promoted("a")
    catalog.save("candidate", models["b"])
    catalog.save("gate_decision", decided("await_approval", "2013-b", champion_before="2013-a"))
    before = champions.awaiting(catalog)

    promote(catalog, "2013-b", "approved")
    approved = champions.awaiting(catalog)
    roll_back(catalog, None, None)

    assert (before, approved) == ("2013-b", None)
    assert champions.awaiting(catalog) is None


def test_a_withdrawn_model_that_a_person_promotes_is_no_longer_withdrawn(
    catalog, promoted, stored, built
):
    promoted("a", "b")
    roll_back(catalog, None, None)

    champion = promote(catalog, "2013-b", "the fault was elsewhere")

    assert champion.version == "2013-b"
    assert champion.metadata.withdrawn == []
    assert champion.decision.checks == []


def test_an_earlier_champion_is_promoted_even_if_its_candidate_is_gone(
    catalog, promoted, models, built, tmp_path
):
    promoted("a", "b")
    for folder in (tmp_path / "candidate").glob("*/candidate"):
        if json.loads((folder / "metadata.json").read_text())["version"] == "2013-a":
            (folder / "metadata.json").unlink()

    assert promote(catalog, "2013-a", "it was better").version == "2013-a"


def test_the_champion_is_not_promoted_again(catalog, promoted, built):
    promoted("a")

    with pytest.raises(ProjectError, match="2013-a is the champion already"):
        promote(catalog, "2013-a", "why not")

    assert not built


def test_a_person_without_a_name_is_known_by_a_number(
    catalog, promoted, built, models, monkeypatch
):
    def fail() -> str:
        raise KeyError("uid not found")

    promoted("a")
    catalog.save("candidate", models["b"])
    monkeypatch.setattr(getpass, "getuser", fail)

    champion = promote(catalog, "2013-b", "it is needed")

    assert champion.decision.decided_by.startswith("user ")
