"""A service that takes new champions while it runs; here the parts in one process."""

import asyncio
import gc
import json
import logging
import math
import re
import shutil
import weakref
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from example.contracts import Prediction
from example.kept import BentoML

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.storage import place
from kedro_mlops.models.hashes import bento_hash
from kedro_mlops.models.kept_bentos import fetch, send
from kedro_mlops.models.released import bento_folder, spec_of
from kedro_mlops.prediction_log.datasets import read_log
from kedro_mlops.runtime.known_rows import KNOWN_ROWS
from kedro_mlops.runtime.serving_spec import TREES
from kedro_mlops.serving import following as module
from kedro_mlops.serving.app_state import STOPPED
from kedro_mlops.serving.followers import followers
from kedro_mlops.serving.following import Follower
from kedro_mlops.serving.problem_details import JSON

LOGGED = Columns.of(Prediction).without_personal()


@pytest.fixture
def first(deliveries, released):
    """The Bento that runs."""
    return deliveries.release("first", released)


@pytest.fixture
def second(deliveries, challenger):
    """The release of another model."""
    return deliveries.release("second", challenger)


@pytest.fixture
def follower(state, deliveries, first, boosted, tmp_path):
    """Makes who follows; keyword arguments are settings."""
    made = []

    def make(**changes):
        stored = deliveries.model("parcels:first-0")
        one = state(served=(stored, spec_of(stored)), **changes)
        deliveries.promote(first, boosted)
        made.append(Follower(one, deliveries.champions, first, tmp_path / "log"))
        return made[-1], one

    yield make
    for one in made:
        one.close()


def look(follower):
    """One look, as the service does every second; whether something is served instead."""
    checked = follower.look()
    if checked is None:
        return False
    follower.take(checked)
    return True


def ask(one, example, n_rows=3):
    """By whom rows are answered, in a small request."""
    rows = [example | {"parcel_number": i + 1} for i in range(n_rows)]
    read = one.served.reader.judged(json.dumps({"rows": rows}).encode())
    answers = json.loads(one.served.predictor.answer(one.store.complete_all(read)))
    return {answer["model_version"] for answer in answers["predictions"]}


def value(metric, *labels):
    return (metric.labels(*labels) if labels else metric)._value.get()


@pytest.mark.parametrize("where", ["disk", "store"])
def test_promotion_and_rollback_are_taken_and_told(
    follower, deliveries, first, second, boosted, other, example, tmp_path, where, request
):
    if where == "store":
        deliveries.champions = place(f"{request.getfixturevalue('bucket')}/champion")
    one, state = follower()
    assert not look(one)
    said = []

    for release, package in ((second, other), (first, boosted)):
        before = state.served.spec.model_version
        deliveries.promote(release, package)
        assert look(one)
        assert not look(one)
        info = json.loads(state.info)
        assert info["model_version"] == info["following"]["model_version"] == package.version
        assert info["following"]["release"] == release
        assert (
            json.loads(state.served.docs["/docs.json"].body)["info"]["version"] == package.version
        )
        assert ask(state, example) == {package.version}
        assert value(state.metrics.served, package.version) == 1
        assert value(state.metrics.served, before) == 0
        said.append([f.model_version for f in followers(tmp_path / "log")])

    assert said == [[other.version], [boosted.version]]
    assert value(state.metrics.swaps) == 2
    log = read_log(tmp_path / "log", LOGGED).to_pandas()
    assert log["model_version"].value_counts().to_dict() == {other.version: 3, boosted.version: 3}
    assert set(log["variant"]) == {"champion"}


def test_a_store_that_does_not_answer_is_asked_again_at_the_next_look(
    follower, deliveries, second, other, bucket, monkeypatch
):
    deliveries.champions = place(f"{bucket}/champion")
    one, state = follower()
    look(one)
    deliveries.promote(second, other)

    def fail(*_):
        raise TimeoutError("no answer")

    with monkeypatch.context() as while_it_does_not:
        while_it_does_not.setattr("kedro_mlops.serving.following._read", fail)
        with pytest.raises(TimeoutError):
            look(one)

    assert look(one)
    assert state.served.spec.model_version == other.version
    assert value(state.metrics.refused) == 0


def test_the_same_release_again_changes_nothing(follower, deliveries, first, boosted):
    one, state = follower()
    look(one)
    served = state.served

    deliveries.promote(first, boosted)

    assert not look(one)
    assert state.served is served


def test_a_champion_is_taken_although_the_store_forgot_the_bento_that_runs(
    follower, deliveries, first, second, other
):
    one, state = follower()
    deliveries.promote(second, other)
    shutil.rmtree(bento_folder(first))

    assert look(one)
    assert state.served.spec.model_version == other.version


def test_what_answered_before_is_freed_with_its_library(
    follower, deliveries, first, second, boosted, other, example
):
    one, state = follower()
    look(one)
    deliveries.promote(second, other)
    look(one)
    library = str(deliveries.model("parcels:second-0") / TREES)
    assert library in Path("/proc/self/maps").read_text()
    ask(state, example)
    freed = weakref.ref(state.served.predictor)
    # what is there when a service is ready, the collector of garbage never looks at
    gc.disable()

    deliveries.promote(first, boosted)
    look(one)
    gc.enable()

    assert freed() is None
    assert library not in Path("/proc/self/maps").read_text()


def test_a_request_ends_with_the_release_that_it_began_with(
    follower, deliveries, second, other, boosted, example, serve, monkeypatch
):
    one, state = follower()
    look(one)
    deliveries.promote(second, other)
    complete = state.look_ups.complete

    async def swapped_meanwhile(rows):
        found = await complete(rows)
        if state.served.spec.model_version == boosted.version:
            look(one)
        return found

    monkeypatch.setattr(state.look_ups, "complete", swapped_meanwhile)
    server = serve(state)

    [before] = server.predict(example).said["predictions"]
    [after] = server.predict(example).said["predictions"]

    assert before["model_version"] == boosted.version
    assert after["model_version"] == other.version
    assert before["probability"] != after["probability"]


def test_a_large_request_that_has_begun_is_answered_and_logged_by_the_one_before(
    follower, deliveries, second, other, boosted, example, tmp_path
):
    one, state = follower()
    look(one)
    begun = state.served
    deliveries.promote(second, other)
    look(one)

    rows = [example | {"parcel_number": i + 1} for i in range(30)]
    body = json.dumps({"rows": rows}).encode()
    answers = json.loads(begun.answer_large(JSON, body, JSON).body)["predictions"]

    assert {answer["model_version"] for answer in answers} == {boosted.version}
    log = read_log(tmp_path / "log", LOGGED).to_pandas()
    assert set(log["model_version"]) == {boosted.version}


# what is not taken


def _changed(deliveries):
    with (deliveries.model("parcels:second-0") / TREES).open("ab") as file:
        file.write(b"\0")


def _without_bento(deliveries):
    shutil.rmtree(deliveries.bento("parcels-bento:second"))


def _without_label(deliveries):
    (deliveries.model("parcels:second-0") / "model.yaml").write_text("labels: {}")


def _without_known_rows(deliveries):
    (deliveries.model("parcels:second-0") / KNOWN_ROWS).unlink()
    deliveries.describe_anew("parcels:second-0")


def _other_answers(deliveries):
    deliveries.answer_otherwise("parcels:second-0")


def _other_code(deliveries):
    (deliveries.bento("parcels-bento:second") / "src/a.py").write_text("print(1)")


def _more_packages(deliveries):
    file = deliveries.bento("parcels-bento:second") / "env/python/requirements.txt"
    file.write_text("numpy==2\nscikit-learn==9")


def _no_library(deliveries):
    (deliveries.model("parcels:second-0") / TREES).write_bytes(b"no library")
    deliveries.describe_anew("parcels:second-0")


WRONG = {
    _changed: ("damaged", "trees.so is not the file"),
    _without_bento: ("damaged", "bento.yaml is missing"),
    _without_label: ("damaged", "label"),
    _without_known_rows: ("damaged", "kedro run --pipelines=release"),
    _no_library: ("damaged", "cannot be used here"),
    _other_answers: ("answers", "differs by"),
    _other_code: ("restart", "has other code than parcels-bento:first"),
    _more_packages: ("restart", "does without: scikit-learn==9"),
}


@pytest.mark.parametrize("damage", WRONG)
def test_a_champion_that_is_not_right_is_refused_and_told_and_the_old_one_goes_on(
    follower, deliveries, first, second, boosted, other, example, damage, caplog, tmp_path
):
    one, state = follower()
    look(one)
    served = state.served
    damage(deliveries)
    deliveries.promote(second, other)

    with caplog.at_level(logging.ERROR):
        looks = [look(one), look(one)]

    reason, why = WRONG[damage]
    assert looks == [False, False]
    assert state.served is served
    assert ask(state, example) == {boosted.version}
    assert value(state.metrics.refusals, reason) == 1
    assert value(state.metrics.refused) == 1
    assert value(state.metrics.swaps) == 0
    told = json.loads(state.info)["following"]
    assert told["refused"] == second
    assert why in told["reason"]
    assert [f.refused for f in followers(tmp_path / "log")] == [second]
    [line] = [r.getMessage() for r in caplog.records if "is not taken" in r.getMessage()]
    assert second in line and boosted.version in line and why in line

    # who returns to the one that serves has nothing to be refused
    deliveries.promote(first, boosted)
    assert not look(one)
    assert value(state.metrics.refused) == 0
    assert json.loads(state.info)["following"]["refused"] == ""


def test_a_champion_whose_record_is_damaged_is_refused(follower, deliveries, second, other):
    one, state = follower()
    look(one)
    folder = deliveries.promote(second, other)
    (folder / "metadata.json").write_text("{}")

    assert not look(one)

    assert value(state.metrics.refusals, "damaged") == 1


def test_a_release_of_another_model_than_the_champion_is_refused(
    follower, deliveries, second, boosted
):
    one, state = follower()
    look(one)

    deliveries.promote(second, boosted)

    assert not look(one)
    assert "another model" in json.loads(state.info)["following"]["reason"]


@pytest.mark.parametrize("changes", [{"label": "else"}, {"unit": "m"}, {"event_time": ""}])
def test_a_release_of_another_contract_needs_a_restart(
    follower, deliveries, challenger, other, changes
):
    one, state = follower()
    look(one)

    deliveries.promote(deliveries.release("second", challenger, **changes), other)

    assert not look(one)
    assert value(state.metrics.refusals, "restart") == 1
    assert "start the service anew" in json.loads(state.info)["following"]["reason"]


def test_a_field_of_other_bounds_needs_a_restart_but_one_of_more_categories_does_not(
    follower, deliveries, challenger, other, example
):
    one, state = follower()
    look(one)
    fields = challenger[1].fields
    replace = msgspec.structs.replace
    place = next(i for i, f in enumerate(fields) if f.kind == "categorical" and f.source is None)
    known = [*(fields[place].allowed or []), "brand-new"]
    more = [*fields[:place], replace(fields[place], allowed=known), *fields[place + 1 :]]
    bound = [*fields[:place], replace(fields[place], rules={"max_length": 9}), *fields[place + 1 :]]

    deliveries.promote(deliveries.release("bound", challenger, fields=bound), other)
    assert not look(one)
    deliveries.promote(deliveries.release("more", challenger, fields=more), other)
    assert look(one)

    body = json.dumps({"rows": [example | {fields[place].name: "brand-new"}]}).encode()
    assert state.served.reader.judged(body)


@pytest.fixture
def clock(monkeypatch):
    """The time of followers, which a test moves on."""
    one = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: one.now))
    return one


def test_what_passes_or_is_repaired_is_tried_again_each_time_later_and_told_once(
    follower, deliveries, second, other, monkeypatch, clock, caplog
):
    one, state = follower()
    look(one)
    deliveries.promote(second, other)
    tried = []

    def fail(*_):
        tried.append(clock.now)
        raise MemoryError

    with monkeypatch.context() as while_it_lasts, caplog.at_level(logging.ERROR):
        while_it_lasts.setattr(module, "warm_up", fail)
        for clock.now in range(0, 2000, 20):
            assert not look(one)
    assert tried == [0, 60, 180, 420, 900, 1500]
    assert value(state.metrics.refusals, "bug") == 1
    assert len(caplog.records) == 1
    clock.now = 2100
    broken = deliveries.model("parcels:second-0") / TREES
    whole = broken.read_bytes()
    broken.unlink()
    assert not look(one)
    assert value(state.metrics.refusals, "damaged") == 1

    broken.write_bytes(whole)
    clock.now = 2700
    assert look(one)

    assert state.served.spec.model_version == other.version
    assert value(state.metrics.refused) == 0


def test_what_only_a_restart_or_another_release_mends_is_not_tried_again(
    follower, deliveries, second, other, clock, monkeypatch
):
    one, state = follower()
    look(one)
    _other_answers(deliveries)
    deliveries.promote(second, other)
    assert not look(one)
    monkeypatch.setattr(one, "_checked", lambda *_: pytest.fail("it was looked at again"))

    clock.now = 1e9

    assert not look(one)
    assert value(state.metrics.refusals, "answers") == 1


@pytest.fixture
def kept(deliveries, second, bucket, monkeypatch):
    """A release on a store, which is not in the store of this machine."""
    BentoML(monkeypatch)
    deliveries.champions = place(f"{bucket}/champion")
    send(second, deliveries.champions.parent)
    shutil.rmtree(bento_folder(second))
    return deliveries.champions.parent / "bentos/parcels-bento-second.bento"


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x1f\x8b\x08"])
def test_what_a_store_keeps_damaged_is_refused_and_fetched_again_when_it_may_be_repaired(
    follower, deliveries, second, other, kept, content, clock, monkeypatch, caplog
):
    whole, fetched = kept.read_bytes(), []
    kept.write_bytes(content)
    one, state = follower()
    look(one)
    deliveries.promote(second, other)

    def watched(*arguments):
        fetched.append(clock.now)
        return fetch(*arguments)

    monkeypatch.setattr(module, "fetch", watched)
    with caplog.at_level(logging.ERROR):
        for clock.now in range(0, 200, 5):
            assert not look(one)
    assert fetched == [0, 60, 180]
    assert value(state.metrics.refusals, "damaged") == 1
    assert f"{kept} is damaged" in json.loads(state.info)["following"]["reason"]
    assert len(caplog.records) == 1

    kept.write_bytes(whole)
    clock.now = 420
    assert look(one)
    assert state.served.spec.model_version == other.version
    assert value(state.metrics.refused) == 0


def _half_of_the_code(deliveries):
    (deliveries.bento("parcels-bento:second") / "src/a.py").unlink()


def _half_of_the_packages(deliveries):
    (deliveries.bento("parcels-bento:second") / "env/python/requirements.txt").unlink()


@pytest.mark.parametrize(
    "damage", [_other_code, _more_packages, _half_of_the_code, _half_of_the_packages]
)
def test_other_files_than_were_proven_are_damaged_and_taken_once_they_are_repaired(
    follower, deliveries, second, other, damage, clock, tmp_path
):
    one, state = follower()
    look(one)
    bento = bento_folder(second)
    proven = bento_hash(bento)
    shutil.copytree(bento, tmp_path / "whole")
    damage(deliveries)
    deliveries.promote(second, other, release_sha256=proven)

    assert not look(one)
    assert value(state.metrics.refusals, "damaged") == 1
    assert "not those that were proven" in json.loads(state.info)["following"]["reason"]

    shutil.copytree(tmp_path / "whole", bento, dirs_exist_ok=True)
    clock.now = 60
    assert look(one)
    assert state.served.spec.model_version == other.version


def test_one_that_was_proven_and_needs_a_restart_is_final(
    follower, deliveries, challenger, other, clock
):
    one, state = follower()
    look(one)
    release = deliveries.release("second", challenger, packages="scikit-learn==9")
    deliveries.promote(release, other, release_sha256=bento_hash(bento_folder(release)))

    assert not look(one)
    assert value(state.metrics.refusals, "restart") == 1
    assert one._again_at == math.inf


def test_what_fails_on_this_machine_is_not_put_down_to_the_store(
    follower, deliveries, second, other, kept, monkeypatch
):
    one, state = follower()
    look(one)
    deliveries.promote(second, other)

    def fail(*_):
        raise PermissionError("a file of this machine")

    monkeypatch.setattr(module, "warm_up", fail)

    assert not look(one)
    assert value(state.metrics.refusals, "bug") == 1


def followed(one, monkeypatch, caplog, looks):
    """How long is waited before each look, of which some fail, and what is logged of them."""
    pauses, errors = [], iter(looks)

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) > len(looks):
            raise asyncio.CancelledError

    def looked():
        error = next(errors)
        if error is not None:
            raise error

    monkeypatch.setattr(
        module, "asyncio", SimpleNamespace(sleep=sleep, to_thread=asyncio.to_thread)
    )
    monkeypatch.setattr(one, "look", looked)
    with caplog.at_level(logging.INFO), pytest.raises(asyncio.CancelledError):
        asyncio.run(one.follow())
    return pauses, caplog.records


def test_a_store_that_does_not_answer_is_asked_less_often_and_told_in_a_line_of_words(
    follower, deliveries, bucket, monkeypatch, caplog
):
    deliveries.champions = place(f"{bucket}/champion")
    one, _ = follower()
    silent = [TimeoutError("no answer")] * 5

    pauses, told = followed(one, monkeypatch, caplog, [*silent, None])

    assert pauses == [5, 10, 20, 40, 60, 60, 5]
    assert len(told) == len(silent)
    assert "again in 10 seconds: TimeoutError: no answer" in told[0].getMessage()
    assert not any(record.exc_info for record in told)


def test_of_a_bug_in_following_the_traceback_is_told(follower, monkeypatch, caplog):
    one, _ = follower()

    _, [told] = followed(one, monkeypatch, caplog, [ZeroDivisionError()])

    assert told.exc_info[0] is ZeroDivisionError


def test_half_a_version_is_none(follower, deliveries):
    one, state = follower()
    look(one)
    (deliveries.champions / "2013-03-01T00.00.00.000Z").mkdir()

    assert not look(one)
    assert value(state.metrics.refused) == 0


def test_where_there_are_no_champions_it_goes_on_and_says_so_once(follower, deliveries, caplog):
    one, state = follower()
    shutil.rmtree(deliveries.champions)

    with caplog.at_level(logging.ERROR):
        looks = [look(one), look(one)]

    assert looks == [False, False]
    [line] = [record.getMessage() for record in caplog.records]
    assert str(deliveries.champions) in line
    assert value(state.metrics.refused) == 0


# the trial


def test_the_trial_follows_the_release(
    follower, deliveries, first, boosted, other, released, challenger, example, tmp_path
):
    one, state = follower(challenger_mode="shadow")
    look(one)
    assert value(state.metrics.mode, "off") == 1
    both = deliveries.release("both", released, challenger)

    deliveries.promote(both, boosted)
    assert look(one)
    ask(state, example)
    trial = state.served.predictor.challenger
    shadows = value(state.metrics.mode, "shadow")
    at_hand = value(state.metrics.info, other.version, "challenger", other.metadata.family,
                    "compiled trees")  # fmt: skip
    deliveries.promote(deliveries.release("alone", challenger), other)
    assert look(one)
    ask(state, example)

    assert (shadows, at_hand) == (1, 1)
    assert trial.mode == "off"
    assert state.served.predictor.challenger is None
    assert value(state.metrics.mode, "off") == 1
    assert (
        value(
            state.metrics.info, other.version, "challenger", other.metadata.family, "compiled trees"
        )
        == 0
    )
    log = read_log(tmp_path / "log", LOGGED).to_pandas()
    counts = log.groupby(["variant", "model_version"]).size().to_dict()
    assert counts == {
        ("champion", boosted.version): 3,
        ("shadow", other.version): 3,
        ("champion", other.version): 3,
    }
    # it was not switched off for anything that it did
    assert not (tmp_path / "log" / STOPPED).exists()


def test_a_trial_that_is_not_taken_changes_no_metric(
    follower, deliveries, released, challenger, boosted
):
    one, state = follower(challenger_mode="shadow")
    look(one)
    both = deliveries.release("both", released, challenger)
    deliveries.answer_otherwise("parcels:both-0")

    deliveries.promote(both, boosted)

    assert not look(one)
    assert value(state.metrics.mode, "shadow") == 0


# who follows, for people


def test_of_who_has_ended_nothing_is_left(follower, tmp_path):
    one, _ = follower()
    there = len(followers(tmp_path / "log"))
    one.close()
    left = tmp_path / "log/followers/of-a-killed-one.json"
    left.write_text('{"process": "a", "model_version": "b", "release": "c", "since": "d"}')

    assert there == 1
    assert followers(tmp_path / "log") == []
    again, _ = follower()
    assert not left.exists()
    assert re.fullmatch(r".+:\d+", followers(tmp_path / "log")[0].process)
    again.close()
