import json
import logging
import multiprocessing
import os
import random
import runpy
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from math import nan
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from example.factories import decided, observations, tiny_package
from filelock import FileLock
from kedro.io import DatasetError, Version

from kedro_mlops.core import project
from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.core.datasets import HistoryDataset, ModelJSONDataset, OptionalDataset
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.files import new_folder
from kedro_mlops.feature_store.online_store import OnlineStoreDataset
from kedro_mlops.models.datasets import ModelPackageDataset
from kedro_mlops.models.decision import Decision
from kedro_mlops.models.metadata import Metadata
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.monitoring.datasets import AlertsDataset
from kedro_mlops.monitoring.decisions import Alert
from kedro_mlops.task.record import DecisionRule

# Kedro finds it strange that a save may add no version; settings.py silences it
pytestmark = pytest.mark.filterwarnings("ignore:Save version")


@pytest.fixture(scope="module")
def first() -> ModelPackage:
    return tiny_package(seed=0)


@pytest.fixture(scope="module")
def second() -> ModelPackage:
    return tiny_package(seed=1)


@pytest.fixture
def champion(tmp_path):
    """Opens the champion anew, as every run does."""

    def open_anew(version: str | None = None, **load_args) -> ModelPackageDataset:
        return ModelPackageDataset(
            filepath=str(tmp_path / "champion"),
            load_args=load_args,
            version=Version(load=version, save=None),
        )

    return open_anew


def test_while_there_is_no_version_nothing_is_loaded_where_that_is_allowed(champion):
    assert champion(missing_ok=True).load() is None
    assert not champion().exists()
    with pytest.raises(DatasetError, match="Did not find any versions"):
        champion().load()


def test_what_was_saved_is_loaded(champion, first):
    rows = observations(20)

    champion().save(first)
    back = champion(missing_ok=True).load()

    assert back.metadata == first.metadata
    np.testing.assert_array_equal(back.score(rows), first.score(rows))


def test_saving_the_newest_package_again_adds_no_version(champion, first):
    champion().save(first)

    champion().save(tiny_package(seed=0))

    assert len(champion().list_versions()) == 1


def test_so_it_is_where_a_figure_of_it_is_not_defined(champion):
    none = dict.fromkeys(("value", "low", "high"), np.nan)
    check = CheckResult(name="fairness", passed=True, value=np.nan, limit=1, detail="not judged")
    # whole numbers come back as others
    rule, decision = DecisionRule(threshold=0), decided(checks=[check])
    package = tiny_package(metrics={"recall": none}, rule=rule, decision=decision)
    champion().save(package)

    champion().save(package)
    champion().save(champion().load())

    assert len(champion().list_versions()) == 1
    assert champion().load().metadata.metrics["recall"].is_finite is False


def test_another_package_is_another_version_and_the_newest_is_loaded(champion, first, second):
    champion().save(first)
    champion().save(second)

    newest, oldest = champion().list_versions(full_path=False)
    assert newest > oldest
    assert champion().load().version == second.version
    assert champion(version=oldest).load().version == first.version


def test_going_back_to_an_older_package_is_a_version_too(champion, first, second):
    for package in (first, second, first):
        champion().save(package)

    assert len(champion().list_versions()) == 3
    assert champion().load().version == first.version


@pytest.mark.parametrize("record", [{"release": "b:1"}, {"decision": decided()}])
def test_the_same_model_with_another_record_is_another_version(champion, record, first):
    champion().save(first)

    champion().save(first.with_record(**record))

    assert len(champion().list_versions()) == 2


def test_the_hooks_silence_the_warning_about_a_version_that_was_not_needed(champion, first):
    champion().save(first)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        runpy.run_module("kedro_mlops.framework.hooks")
        champion().save(first)

    assert [str(w.message) for w in seen if "Save version" in str(w.message)] == []


def test_a_version_is_not_listed_while_it_is_being_written(champion, tmp_path, first):
    champion().save(first)
    later = tmp_path / "champion" / "2999-01-01T00.00.00.000Z" / "champion"

    with new_folder(later) as half:
        (half / "model.skops").write_bytes(b"half")

        assert len(champion().list_versions()) == 1
        assert champion().load().version == first.version


def test_a_package_that_cannot_be_written_adds_no_version(champion, first, second):
    champion().save(first)
    unwritable = second.with_record(hyperparameters={"depth": object()})

    with pytest.raises(DatasetError, match="Unable to serialize"):
        champion().save(unwritable)

    assert champion().load().version == first.version
    assert len(champion().list_versions()) == 1


def test_a_damaged_version_is_refused_when_loaded_and_followed_by_the_next_save(champion, first):
    champion().save(first)
    [folder] = champion().list_versions()
    (Path(folder) / "metadata.json").write_text("{")

    with pytest.raises(DatasetError) as refused:
        champion().load()
    champion().save(first)

    assert isinstance(refused.value.__cause__, ProjectError)
    assert champion().load().version == first.version


@pytest.mark.parametrize("moment", ["2026-01-01T00.00.00.000Z", "2999-01-01T00.00.00.999Z"])
def test_a_new_version_comes_after_all_others_whatever_the_clock_says(
    champion, monkeypatch, moment, first, second
):
    monkeypatch.setattr("kedro_mlops.models.datasets.generate_timestamp", lambda: moment)
    champion().save(first)
    monkeypatch.setattr(
        "kedro_mlops.models.datasets.generate_timestamp", lambda: "2026-01-01T00.00.00.000Z"
    )

    for package in (second, first, second):
        champion().save(package)

    listed = champion().list_versions(full_path=False)
    assert len(set(listed)) == 4
    assert listed == sorted(listed, reverse=True)
    assert champion().load().version == second.version
    assert ModelPackage.read(Path(champion().list_versions()[-1])).version == first.version


@pytest.fixture
def guarded(tmp_path):
    """Opens the champion anew, guarded as in the catalog."""

    def open_anew() -> ModelPackageDataset:
        return ModelPackageDataset(
            filepath=str(tmp_path / "champion"),
            load_args={"missing_ok": True},
            save_args={"guarded": True},
            # Kedro's name for a version, the start of the run, is not what it is called
            version=Version(load=None, save="2026-01-01T00.00.00.000Z"),
        )

    return open_anew


def test_what_was_made_from_the_champion_that_serves_follows_it(guarded, first, second):
    guarded().save(first)
    serving = guarded().load()

    guarded().save(replace(second, base=serving.base))

    assert guarded().load().version == second.version


@pytest.mark.parametrize("base", [None, "loaded"])
def test_what_was_judged_against_a_champion_that_no_longer_serves_is_refused(
    guarded, base, first, second
):
    third = tiny_package(seed=0, version="third")
    if base:
        guarded().save(first)
    before = guarded().load()
    base = before.base if before else None
    guarded().save(replace(second, base=base))

    with pytest.raises(DatasetError) as refused:
        guarded().save(replace(third, base=base))

    message = str(refused.value.__cause__)
    against = before.version if before else "no champion"
    assert isinstance(refused.value.__cause__, ProjectError)
    assert f"third was judged against {against}, but {second.version} serves since" in message
    assert "kedro run --pipelines=gate,release" in message
    assert guarded().load().version == second.version


def test_a_champion_that_stays_is_not_refused(guarded, first):
    guarded().save(first)

    guarded().save(first)

    assert len(guarded().list_versions()) == 1


def test_who_waits_too_long_for_another_process_is_told_so(guarded, monkeypatch, first, tmp_path):
    monkeypatch.setattr("kedro_mlops.models.datasets.LOCK_TIMEOUT_SECONDS", 0.1)

    with FileLock(tmp_path / "champion.lock"), pytest.raises(DatasetError) as refused:
        guarded().save(first)

    assert "Another process has been saving" in str(refused.value.__cause__)
    assert not guarded().exists()


def in_child(work: Callable[[], None]) -> BaseProcess:
    """Start a process that does the work with what is already in memory."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    return child


def leftovers(folder: Path) -> list[Path]:
    """What a killed save leaves behind."""
    empty = [path for path in folder.iterdir() if not (path / "champion").exists()]
    return [*folder.glob("*/.partial-*"), *empty]


def move_on(open_anew: Callable[[], ModelPackageDataset], *packages: ModelPackage) -> None:
    """Make whichever of two packages is not the champion the champion."""
    newest = Path(open_anew().list_versions()[0])
    serving = Metadata.read(newest).version
    [other] = [package for package in packages if package.version != serving]
    open_anew().save(replace(other, base=newest.parent.name))


def test_whenever_a_save_is_killed_one_champion_is_there_whole(guarded, first, second, tmp_path):
    def move_on_forever():
        while True:
            move_on(guarded, first, second)

    moments = random.Random(0)
    guarded().save(first)
    n_killed = 12

    for _ in range(n_killed):
        child = in_child(move_on_forever)
        time.sleep(moments.uniform(0.05, 0.25))
        child.kill()
        child.join()

        listed = [ModelPackage.read(Path(path)) for path in guarded().list_versions()]
        assert child.exitcode == -signal.SIGKILL
        assert guarded().load().metadata == listed[0].metadata
    before = len(guarded().list_versions())
    move_on(guarded, first, second)

    assert before > n_killed / 2
    assert len(guarded().list_versions()) == before + 1
    assert not leftovers(tmp_path / "champion")


@pytest.mark.parametrize("last", ["model.skops", "metadata.json", "reference.json"])
def test_a_save_that_is_killed_half_way_is_not_listed_and_is_cleared_by_the_next(
    guarded, monkeypatch, last, first, second, tmp_path
):
    write = ModelPackage.write
    names = ["model.skops", "evaluated.skops", "metadata.json", "reference.json"]

    def write_until_last(package, folder):
        write(package, folder)
        for name in names[names.index(last) + 1 :]:
            (folder / name).unlink()
        os.kill(os.getpid(), signal.SIGKILL)

    def die_saving():
        monkeypatch.setattr(ModelPackage, "write", write_until_last)
        move_on(guarded, first, second)

    guarded().save(first)
    in_child(die_saving).join()

    assert leftovers(tmp_path / "champion")
    assert len(guarded().list_versions()) == 1
    assert guarded().load().version == first.version
    move_on(guarded, first, second)
    assert guarded().load().version == second.version
    assert not leftovers(tmp_path / "champion")


def test_of_two_that_move_the_champion_at_once_one_succeeds(guarded, first, second):
    def move(package, base, barrier):
        barrier.wait()
        try:
            guarded().save(replace(package, base=base))
        except DatasetError as error:
            sys.exit(3 if isinstance(error.__cause__, ProjectError) else 1)

    guarded().save(first)

    for i in range(4):
        rivals = [tiny_package(seed=seed, version=f"rival-{i}-{seed}") for seed in (0, 1)]
        base, barrier = guarded().load().base, multiprocessing.get_context("fork").Barrier(2)
        children = [in_child(partial(move, rival, base, barrier)) for rival in rivals]
        for child in children:
            child.join()

        codes = [child.exitcode for child in children]
        assert sorted(codes) == [0, 3]
        assert guarded().load().version == rivals[codes.index(0)].version
        assert len(guarded().list_versions()) == i + 2


def rates(*values: float, **more: list) -> pd.DataFrame:
    entities = pd.Index(["a", "b", "c"][: len(values)], name="entity")
    return pd.DataFrame({"rate": values, **more}, index=entities)


@pytest.fixture
def store(tmp_path) -> OnlineStoreDataset:
    """A store that holds two tables."""
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path}/new/store.db"})
    dataset.save({"shops": rates(0.1, 0.2), "roads": rates(0.3)})
    return dataset


def read(store: OnlineStoreDataset, table: str) -> pd.DataFrame:
    engine = sa.create_engine(store.load())
    rows = pd.read_sql_table(table, engine, index_col="entity")
    engine.dispose()
    return rows


def test_the_store_is_a_file_with_the_tables_in_it(store):
    assert store.exists()
    pd.testing.assert_frame_equal(read(store, "shops"), rates(0.1, 0.2))
    pd.testing.assert_frame_equal(read(store, "roads"), rates(0.3))


def test_a_store_without_tables_does_not_exist(tmp_path):
    assert not OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path}/store.db"}).exists()


def test_saving_replaces_the_rows(store):
    store.save({"shops": rates(0.7, 0.8, 0.9)})

    pd.testing.assert_frame_equal(read(store, "shops"), rates(0.7, 0.8, 0.9))
    pd.testing.assert_frame_equal(read(store, "roads"), rates(0.3))


def test_a_table_whose_columns_changed_is_made_anew(store):
    changed = rates(0.7, 0.8, flights=[7, 8])

    store.save({"shops": changed})

    pd.testing.assert_frame_equal(read(store, "shops"), changed)


def test_an_error_in_the_middle_leaves_the_old_rows_of_all_tables(store):
    unstorable = rates(0.9).assign(rate=[object()])

    with pytest.raises(DatasetError):
        store.save({"shops": rates(0.7, 0.8), "roads": unstorable})

    pd.testing.assert_frame_equal(read(store, "shops"), rates(0.1, 0.2))
    pd.testing.assert_frame_equal(read(store, "roads"), rates(0.3))


def test_an_error_leaves_the_old_tables_even_where_columns_changed(store):
    with_more = rates(0.7, 0.8, seats=[1, 2])

    with pytest.raises(DatasetError):
        store.save({"shops": with_more, "roads": rates(0.9).assign(rate=[object()])})

    pd.testing.assert_frame_equal(read(store, "shops"), rates(0.1, 0.2))


def test_the_url_of_a_file_is_that_of_the_project_from_wherever(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "_opened", [tmp_path])
    monkeypatch.chdir("/")

    url = OnlineStoreDataset(credentials={"con": "sqlite:///data/store.db"}).load()

    assert url == f"sqlite:///{tmp_path}/data/store.db"


def test_the_url_of_a_server_is_passed_on_and_its_password_is_not_shown():
    url = "postgresql+psycopg://reader:secret@db.example.org:5432/features"

    store = OnlineStoreDataset(credentials={"con": url})

    assert store.load() == url
    assert "secret" not in str(store)


@pytest.fixture
def history(tmp_path, request):
    """Opens the history anew, as every run does."""
    on_store = getattr(request, "param", "") == "store"
    folder = request.getfixturevalue("bucket") if on_store else tmp_path

    def open_anew() -> HistoryDataset:
        file = f"{folder}/new/history.jsonl"
        return HistoryDataset(filepath=str(file), key=["model", "week"])

    return open_anew


def seen(*weeks: str, model: str = "v1", **more) -> pd.DataFrame:
    return pd.DataFrame({"model": model, "week": list(weeks)} | more)


def test_a_history_that_has_not_begun_has_no_rows(history):
    assert not history().exists()
    assert history().load().empty


def test_a_history_grows_and_is_in_the_order_of_its_key(history):
    history().save(seen("2013-02", "2013-03"))
    history().save(seen("2013-01"))
    history().save(seen("2013-02", model="v0"))

    rows = history().load()

    assert rows.to_records(index=False).tolist() == [
        ("v0", "2013-02"),
        ("v1", "2013-01"),
        ("v1", "2013-02"),
        ("v1", "2013-03"),
    ]


def test_what_is_said_of_a_key_again_replaces_what_was_said(history):
    history().save(seen("2013-01", "2013-02", loss=[0.5, 0.6]))

    history().save(seen("2013-02", loss=0.7))

    assert history().load()["loss"].tolist() == [0.5, 0.7]


@pytest.mark.parametrize("history", ["disk", "store"], indirect=True)
def test_a_history_comes_back_as_it_was(history):
    rows = seen(
        *("2013-01", "2013-02", "2013-03"),
        drifted=[True, False, True],
        loss=[1 / 3, np.nan, 1e-12],
        never=[None] * 3,
        n=[1, 2, 3],
        names=["größe, 大きさ", "", 'a "quoted"\nline\u2028'],
    )

    history().save(rows)
    back = history().load()
    history().save(back)

    pd.testing.assert_frame_equal(back, rows, check_dtype=False, atol=1e-15)
    assert (back["drifted"].dtype, back["n"].dtype, back["loss"].dtype) == (bool, int, float)
    assert back["never"].isna().all()
    pd.testing.assert_frame_equal(history().load(), back)


def test_a_column_that_is_new_is_missing_of_what_was_before(history):
    history().save(seen("2013-01"))

    history().save(seen("2013-02", drifted=True))

    before, now = history().load()["drifted"]
    assert not before or np.isnan(before)
    assert now


def test_saving_no_rows_leaves_a_history_as_it_is(history):
    history().save(pd.DataFrame())
    not_begun = history().exists()
    history().save(seen("2013-01"))

    history().save(seen())

    assert not not_begun
    assert len(history().load()) == 1


def test_a_history_that_is_broken_is_refused_and_not_overwritten(history, tmp_path):
    history().save(seen("2013-01", "2013-02"))
    file = tmp_path / "new" / "history.jsonl"
    file.write_text(file.read_text()[:-10])
    broken = file.read_bytes()

    with pytest.raises(DatasetError, match=r"history.jsonl is not JSON lines.* Mend or remove it"):
        history().load()
    with pytest.raises(DatasetError, match="Mend or remove it"):
        history().save(seen("2013-03"))

    assert file.read_bytes() == broken


@pytest.fixture
def kept(tmp_path):
    """A catalog entry of decisions, and its file."""
    file = tmp_path / "new/decision.json"
    model = "kedro_mlops.models.decision.Decision"
    return ModelJSONDataset(filepath=str(file), model=model), file


def test_what_is_typed_comes_back_as_it_was_and_is_plain_json_in_the_file(kept):
    dataset, file = kept
    decision = decided(
        checks=[CheckResult.at_least("auc", 0.7, 0.6), CheckResult.at_most("bytes", nan, 9)]
    )

    dataset.save(decision)

    plain, back = json.loads(file.read_text()), dataset.load()
    assert isinstance(back, Decision)
    assert back.model_dump_json() == decision.model_dump_json()
    assert plain["checks"][0] == {
        "name": "auc",
        "passed": True,
        "value": 0.7,
        "limit": 0.6,
        "detail": "0.7, limit 0.6",
    }
    assert "from" not in plain
    assert plain["champion_before"] is None
    assert json.loads(dataset.preview()) == plain


def test_a_rollback_says_in_the_file_from_where_to_where(kept):
    dataset, file = kept

    dataset.save(decided("rollback", from_version="2013-b", to="2013-a"))

    plain = json.loads(file.read_text())
    assert (plain["from"], plain["to"]) == ("2013-b", "2013-a")
    assert dataset.load().from_version == "2013-b"


def test_a_file_of_another_shape_is_refused_with_what_is_wrong_and_what_to_do(kept):
    dataset, file = kept
    dataset.save({**decided().model_dump(), "more": "of another version"})
    plain = json.loads(file.read_text())
    file.write_text(json.dumps({**plain, "outcome": "maybe", "reasons": [1]}))

    with pytest.raises(
        DatasetError,
        match=r"new/decision.json is not what Decision says: outcome: .*'promote'.*; "
        r"reasons.0: .*string.*run again what makes it, or remove it",
    ):
        dataset.load()


def test_what_is_not_typed_as_the_entry_says_is_not_kept(kept):
    dataset, file = kept

    with pytest.raises(DatasetError, match="is not what Decision says: outcome: Field required"):
        dataset.save({"candidate": "2013-a", "champion_before": None, "reasons": []})

    assert not file.exists()


@pytest.fixture
def optional(tmp_path):
    """What an earlier run may have left: a table."""
    entry = {"type": "pandas.ParquetDataset", "filepath": str(tmp_path / "left.parquet")}
    return OptionalDataset(dataset=entry)


def test_what_an_earlier_run_has_left_is_loaded_if_it_is_there(optional, tmp_path):
    rows = observations(20)

    before = optional.load()
    rows.to_parquet(tmp_path / "left.parquet")
    after = optional.load()

    assert before is None
    pd.testing.assert_frame_equal(after, rows)


def test_what_cannot_be_read_is_done_without_and_named(optional, tmp_path, caplog):
    (tmp_path / "left.parquet").write_bytes(b"no table")

    assert optional.load() is None

    assert "left.parquet" in caplog.text


def test_what_is_optional_is_another_entry_to_save(optional, tmp_path):
    with pytest.raises(DatasetError, match="only read"):
        optional.save(observations(20))

    assert not optional.exists()


def test_the_newest_version_of_what_is_optional_is_loaded(champion, tmp_path, first, second):
    champion().save(first)
    champion().save(second)
    entry = {"type": ModelPackageDataset, "filepath": str(tmp_path / "champion"), "versioned": True}

    found = OptionalDataset(dataset=entry).load()

    assert found.version == second.version


ALERT = Alert(kind="drift", at="2013-05-01T00:00:00", model_version="v1", message="Far.")
BAD = ALERT.model_copy(update={"kind": "bad data"})


@pytest.fixture
def received():
    """A server that somebody runs to hear of alerts: its address, and the bodies it got."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hooks/s3cret", bodies
        server.shutdown()


def alerts_of(folder: Path, webhook: str | None = None) -> AlertsDataset:
    return AlertsDataset(filepath=str(folder / "new/alerts.json"), credentials={"webhook": webhook})


def wait_for_posts() -> None:
    for thread in threading.enumerate():
        if thread.name == "webhook":
            thread.join()


def test_alerts_are_written_logged_and_posted(tmp_path, received, caplog):
    url, bodies = received
    alerts = alerts_of(tmp_path, url)

    alerts.save([ALERT, BAD])
    wait_for_posts()

    assert alerts.load() == [ALERT, BAD]
    logged = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert logged == ["drift: Far.", "bad data: Far."]
    assert [json.loads(body) for body in bodies] == [
        {"alerts": [ALERT.model_dump(), BAD.model_dump()]}
    ]


def test_where_all_is_well_nobody_is_told_and_older_alerts_are_gone(tmp_path, received, caplog):
    url, bodies = received
    alerts_of(tmp_path).save([ALERT])
    caplog.clear()

    alerts_of(tmp_path, url).save([])
    wait_for_posts()

    assert alerts_of(tmp_path).load() == []
    assert bodies == []
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_without_a_webhook_nothing_is_posted(tmp_path):
    alerts = alerts_of(tmp_path)

    alerts.save([ALERT])

    assert alerts.load() == [ALERT]
    assert "webhook" not in {thread.name for thread in threading.enumerate()}


def test_the_address_of_the_webhook_is_not_shown(tmp_path):
    assert "s3cret" not in str(alerts_of(tmp_path, "https://hooks.example.org/s3cret"))
