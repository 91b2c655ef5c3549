"""The champion of one environment becomes that of another, with its files, and by a record."""

import getpass
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from example.deliveries import Deliveries, Released
from example.factories import (
    COLUMNS,
    Y,
    decided,
    of_another_scikit_learn,
    released_as,
    tiny_package,
)
from kedro.io import DataCatalog, MemoryDataset, Version
from sklearn.metrics import log_loss

from kedro_mlops.champion import history as champions
from kedro_mlops.champion import moves, releases, texts
from kedro_mlops.champion.comparison import Limits
from kedro_mlops.champion.promotion import Approval, Environment, alone_in_both, promote_from
from kedro_mlops.contract.places import Places
from kedro_mlops.core import run_lock
from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.models import stand_in
from kedro_mlops.models.datasets import ModelPackageDataset
from kedro_mlops.models.hashes import bento_hash
from kedro_mlops.models.package import ModelPackage, content_hash, is_mute
from kedro_mlops.release.nodes import promote as record_release
from kedro_mlops.runtime.serving_spec import TREES

pytestmark = pytest.mark.filterwarnings("ignore:Save version")

UNDATED = replace(
    COLUMNS,
    all=tuple(
        replace(c, role=replace(c.role, event_time=False))
        for c in COLUMNS.all
        if not c.role.label_time
    ),
)
BOOTSTRAP = Bootstrap(n_resamples=20, confidence=0.95, seed=0)
FREE = Approval(is_required=False)
CHECK = CheckResult.at_least("roc_auc", 0.7, 0.6)


class OpenedAnew(ModelPackageDataset):
    """Looks for the newest version whenever it is loaded, as the catalog of every command does."""

    def load(self) -> ModelPackage | None:
        self._clear_version_cache()
        return super().load()


def environment(name: str, data: Path) -> Environment:
    entry = OpenedAnew(
        filepath=str(data / "champion"),
        version=Version(load=None, save=None),
        save_args={"guarded": True},
    )
    catalog = DataCatalog({"champion": entry, "contract": MemoryDataset(COLUMNS)})
    return Environment(name, catalog, data)


@pytest.fixture
def here(tmp_path: Path) -> Environment:
    return environment("production", tmp_path / "production")


@pytest.fixture
def deliveries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deliveries:
    """BentoML's store of this machine."""
    home = tmp_path / "bentoml"
    monkeypatch.setenv("BENTOML_HOME", str(home))
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    return Deliveries(home, tmp_path / "unused")


@pytest.fixture(scope="module")
def model(boosted: ModelPackage) -> ModelPackage:
    """The one that is released, whole."""
    hashed = content_hash(boosted.estimator)
    return boosted.with_record(content_hash=hashed)


@pytest.fixture
def there(tmp_path: Path, deliveries: Deliveries, released: Released, model) -> Environment:
    """Staging, whose champion is of the gate, and its release in the store of this machine."""
    found = environment("staging", tmp_path / "staging")
    release = deliveries.release("proven", released)
    decision = decided("promote", model.version, checks=[CHECK], reasons=["It is better."])
    proven = released_as(release, bento_sha256=bento_hash(deliveries.bento(release)))
    found.catalog.save("champion", record_release(model.with_record(decision=decision), proven))
    return found


def beside(deliveries: Deliveries, there: Environment, monkeypatch) -> Path:
    """Let the store be staging's own, and production have another; its home."""
    home = there.data / "bentoml"
    shutil.move(deliveries.home, home)
    monkeypatch.setenv("BENTOML_HOME", str(deliveries.home))
    return home


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_champion_is_carried_with_its_files_release_and_what_had_made_it_one(there, here):
    before = champions.champions(there.catalog)[0]

    promoted = promote_from(there, here, None, "a week went well", FREE)

    decision = promoted.decision
    assert (promoted.version, promoted.metadata.release) == (
        before.version,
        before.metadata.release,
    )
    assert (decision.outcome, decision.decided_by) == ("promote", "ann")
    assert decision.reasons == ["From staging: a week went well"]
    assert decision.champion_before is None
    assert decision.checks == [CHECK]
    assert (decision.source.environment, decision.source.since) == ("staging", before.moment)
    assert decision.source.decision == before.decision
    own = {"metadata.json", "SHA256SUMS"}
    carried, were = files(promoted.folder), files(before.folder)
    assert {name: carried[name] for name in {*carried} - own} == {
        name: were[name] for name in {*were} - own
    }
    fields = {"decision"}
    assert promoted.metadata.model_dump(exclude=fields) == before.metadata.model_dump(
        exclude=fields
    )
    # it can serve, and what has been decided is told
    assert releases.release_of(here.catalog) == before.metadata.release
    listed = texts.list_history(champions.champions(here.catalog), None, "production")
    assert "From staging: a week went well" in listed
    assert "In staging" in texts.describe(promoted, None, None)
    assert "promote by gate: It is better." in texts.describe(promoted, None, None)


def test_a_release_in_a_store_of_its_own_is_carried_to_the_last_byte(
    there, here, deliveries, monkeypatch
):
    home = beside(deliveries, there, monkeypatch)
    # what a server may leave
    compiled = home / "bentos/parcels-bento/proven/src/__pycache__/a.pyc"
    compiled.parent.mkdir()
    compiled.touch()

    promoted = promote_from(there, here, None, "better", FREE)

    assert files(deliveries.home) == {
        name: content for name, content in files(home).items() if not name.endswith(".pyc")
    }
    assert releases.release_problem(promoted.metadata) is None


def test_what_was_promoted_is_rolled_back_and_further_on(there, here, model, deliveries, released):
    old = deliveries.release("old", released, model_version="2012-old")
    here.catalog.save("champion", replace(model.with_record(version="2012-old", release=old)))
    promote_from(there, here, None, "better", FREE)

    returned = moves.roll_back(here.catalog, None, "it was not")

    assert returned.version == "2012-old"
    assert returned.metadata.withdrawn == [model.version]
    # and a chain of environments is told as one
    last = environment("abroad", here.data.parent / "abroad")
    again = promote_from(there, here, None, "it was", FREE)
    carried = promote_from(here, last, model.version[:6], "there, too", FREE)
    assert again.metadata.withdrawn == []
    assert carried.decision.source.environment == "production"
    assert carried.decision.source.decision.source.environment == "staging"
    told = texts.describe(carried, None, None)
    assert told.index("In production") < told.index("In staging")


@pytest.mark.parametrize(
    ("approval", "said"),
    [
        (Approval(is_required=True), r"gate\.require_approval.*--approved-by"),
        (Approval(is_required=True, by="ann"), "ann is who promotes"),
    ],
)
def test_where_an_approval_is_asked_for_another_person_has_to_give_it(there, here, approval, said):
    with pytest.raises(ProjectError, match=said):
        promote_from(there, here, None, "better", approval)

    assert champions.current_champion(here.catalog) is None


def test_who_has_approved_is_on_record(there, here):
    promoted = promote_from(there, here, None, "better", Approval(is_required=True, by="bob"))

    assert promoted.decision.approved_by == "bob"
    assert "by bob" in texts.describe(promoted, None, None)


@pytest.mark.parametrize(
    ("contract", "fraction", "is_compared"),
    [(COLUMNS, 1.0, True), (COLUMNS, 0.02, False), (UNDATED, 1.0, True)],
)
def test_it_is_compared_with_the_champion_on_rows_that_are_new_to_both(
    there, here, model, history, contract, fraction, is_compared
):
    """On those of production; what is found is on record, and keeps nobody from promoting."""
    rows = history.model_input.order_by("parcel_number")
    n_rows = int(rows.count().to_pyarrow().as_py() * fraction)
    here.catalog["model_input"] = MemoryDataset(rows.limit(n_rows))
    here.catalog["contract"] = MemoryDataset(contract)
    # of rows without a date, neither has learned from any
    places = None if contract.has_time else Places(by=contract.ordered_by, last={})
    before = tiny_package(
        "logistic_regression", evaluated=False, version="2013-before", trained_places=places
    )
    here.catalog.save("champion", before)
    chosen = there.catalog.load("champion")
    there.catalog.save("champion", chosen.with_record(trained_places=places))

    promoted = promote_from(there, here, None, "better", FREE, Limits(0.01, BOOTSTRAP))

    [_, *found] = promoted.decision.checks
    assert bool(found) == is_compared
    [reason] = promoted.decision.reasons
    assert ("rows that are new to both: log loss differs by" in reason) == is_compared
    if is_compared:
        new = history.model_input.filter(history.model_input[Y].notnull())
        if contract.has_time:
            until = max(each.metadata.trained_until for each in (before, model))
            new = new.filter(new[COLUMNS.event_time] >= until)
        new = new.to_pandas()
        losses = [
            log_loss(new[Y].astype(int), each.score(new), labels=[0, 1]) for each in (model, before)
        ]
        assert found[0].value == pytest.approx(losses[0] - losses[1], abs=1e-9)
        assert f"on {len(new):,} rows" in reason


Spoil = Callable[[Environment, Environment, Deliveries, Any], None]


def _none(there, here, deliveries, monkeypatch):
    shutil.rmtree(there.data / "champion")


def _not_released(there, here, deliveries, monkeypatch):
    package = there.catalog.load("champion")
    there.catalog.save("champion", package.with_record(release=None))


def _champion_already(there, here, deliveries, monkeypatch):
    promote_from(there, here, None, "before", FREE)


def _damaged_model(there, here, deliveries, monkeypatch):
    (champions.champions(there.catalog)[0].folder / "model.skops").write_bytes(b"other")


def _damaged_release(there, here, deliveries, monkeypatch):
    (deliveries.model("parcels:proven-0") / TREES).write_bytes(b"other")


def _edited_bento(there, here, deliveries, monkeypatch):
    (deliveries.bento("parcels-bento:proven") / "src/a.py").write_text("print(2)")


def _lost_release(there, here, deliveries, monkeypatch):
    shutil.rmtree(deliveries.bento("parcels-bento:proven"))


def _another_of_its_name(there, here, deliveries, monkeypatch):
    home = beside(deliveries, there, monkeypatch)
    shutil.copytree(home, deliveries.home)
    (deliveries.bento("parcels-bento:proven") / "src/a.py").write_text("print(2)")
    # so that it is not taken for the one that was proven
    shutil.rmtree(deliveries.model("parcels:proven-0"))


def _another_contract(there, here, deliveries, monkeypatch):
    named = COLUMNS.features[0]
    others = (replace(c, nullable=not c.nullable) if c.name == named else c for c in COLUMNS.all)
    here.catalog["contract"] = MemoryDataset(replace(COLUMNS, all=tuple(others)))


def _another_scikit_learn(there, here, deliveries, monkeypatch):
    package = there.catalog.load("champion")
    there.catalog.save("champion", of_another_scikit_learn(package))
    # as where scikit-learn serves
    monkeypatch.setattr(stand_in, "with_stand_in", lambda package: package)


SPOILS: dict[str, tuple[Spoil, str]] = {
    "no champion": (_none, r"no champion in staging.*`kedro run --env staging`"),
    "not proven": (_not_released, "has no release that was proven in staging"),
    "already": (_champion_already, "champion of production already"),
    "damaged model": (_damaged_model, "cannot be read.*`kedro run --env staging`"),
    "damaged release": (_damaged_release, "json describes.*`kedro run --pipelines=release --env s"),
    "edited Bento": (_edited_bento, "not those that were proven.*`bentoml delete parcels-bento"),
    "lost release": (_lost_release, r"is not at hand.*bentoml export .*bentoml import"),
    "another of its name": (_another_of_its_name, "is another one than .*bentoml delete"),
    "another contract": (_another_contract, f"another contract.*{COLUMNS.features[0]}.*git check"),
    "another scikit-learn": (_another_scikit_learn, "cannot be loaded"),
}


@pytest.mark.parametrize(("spoil", "said"), SPOILS.values(), ids=SPOILS)
def test_what_cannot_be_promoted_is_refused_and_nothing_changes(
    there, here, deliveries, monkeypatch, spoil, said
):
    spoil(there, here, deliveries, monkeypatch)
    before = files(here.data)

    with pytest.raises(ProjectError, match=said):
        promote_from(there, here, None, "better", FREE)

    assert files(here.data) == before


def test_where_compiled_trees_serve_another_scikit_learn_does_not_matter(
    there, here, deliveries, monkeypatch
):
    there.catalog.save("champion", of_another_scikit_learn(there.catalog.load("champion")))
    beside(deliveries, there, monkeypatch)

    promoted = promote_from(there, here, None, "better", FREE)

    assert not is_mute(promoted.package().estimator)


def test_another_model_than_the_person_has_named_is_refused(there, here):
    with pytest.raises(ProjectError, match=r"champion of staging is .*, not 1999.*history --env"):
        promote_from(there, here, "1999", "better", FREE)


def test_two_environments_of_one_folder_are_one(there):
    with (
        pytest.raises(ProjectError, match="keep their artefacts in one folder"),
        alone_in_both(there, replace(there, name="production")),
    ):
        pass


@pytest.mark.parametrize("busy", ["staging", "production"])
def test_while_a_run_is_at_work_in_either_nothing_begins(there, here, busy):
    here.data.mkdir()
    with (
        # another process's; this one's own it may take again
        _held_by_another(there.data.parent / busy),
        pytest.raises(ProjectError, match="Another run is at work"),
        alone_in_both(there, here),
    ):
        pass
    # and neither stays locked
    with alone_in_both(there, here):
        pass


def _held_by_another(folder: Path) -> Any:
    return run_lock.FileLock(folder / run_lock.FILE, is_singleton=False)


@pytest.mark.parametrize("step", range(3))
def test_whatever_stops_it_leaves_the_champion_that_was_and_it_can_be_done_again(
    there, here, deliveries, model, monkeypatch, step
):
    beside(deliveries, there, monkeypatch)
    here.catalog.save("champion", model.with_record(version="2012-old"))
    with monkeypatch.context() as patched:
        rename, left = Path.rename, iter(range(step))

        def stop(self: Path, target: Path) -> Path:
            # beside versions, BentoML would take what is half copied for one
            assert not {"bentos", "models"} & {*self.parts}
            if next(left, None) is None:
                raise KeyboardInterrupt
            return rename(self, target)

        patched.setattr(Path, "rename", stop)
        with pytest.raises(KeyboardInterrupt):
            promote_from(there, here, None, "better", FREE)

    assert champions.champions(here.catalog)[0].version == "2012-old"
    assert promote_from(there, here, None, "better", FREE).version == model.version
    assert releases.release_of(here.catalog) == "parcels-bento:proven"
