"""A release that is asked before it has callers, and after, over real sockets."""

import contextlib
from types import SimpleNamespace

import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.released import spec_of
from kedro_mlops.serving import service, smoke_test
from kedro_mlops.serving.model import BUILT_IN
from kedro_mlops.serving.smoke_test import check_before, check_running, main

KEY = "one-key-of-16-characters"


@pytest.fixture
def bento(deliveries, released):
    """A Bento of the released model."""
    return deliveries.bento(deliveries.release("first", released))


@pytest.fixture
def running(state, serve, monkeypatch):
    """Lets a service in this process stand for the one that is started; keyword arguments are its
    settings. Gives the state, and where it is."""

    def start(**settings):
        one = state(**settings)
        return one, f"http://127.0.0.1:{serve(one).port}"

    @contextlib.contextmanager
    def started(_, log):
        one, url = start(prediction_log_dir=str(log), **begin.settings)
        begin.change(one)
        yield url

    def begin(change=lambda _: None, **settings):
        begin.change, begin.settings = change, settings
        monkeypatch.setattr(smoke_test, "_served", started)

    begin.start = start
    return begin


def test_a_release_answers_all_its_known_rows_as_it_did(bento, running, boosted):
    running()

    assert check_before(bento) == f"{boosted.version} answers 20 rows as it was released"


def test_one_that_answers_otherwise_by_http_fails(bento, running):
    def change(state):
        state.served.predictor.model.score = lambda _: (0.25, [])

    running(change)

    with pytest.raises(ProjectError, match=r"/predict differs by 0\.\d+ from what .* says of the"):
        check_before(bento)


def test_one_that_does_without_the_store_says_so_and_is_no_reason_to_stay_down(bento, running):
    running(feature_store_url="sqlite:////nowhere/none.db")

    found = check_before(bento)

    assert "; does not reach the feature store, and does without" in found
    assert "depot_late_rate_7d" in found


def test_a_service_that_does_without_the_store_has_failed(bento, running):
    _, url = running.start(feature_store_url="sqlite:////nowhere/none.db")

    with pytest.raises(ProjectError, match="look at FEATURE_STORE_URL"):
        check_running(url, bento)


def test_a_running_service_is_asked_for_one_row_with_a_key_of_the_image(
    bento, running, boosted, tmp_path, monkeypatch
):
    keys = tmp_path / "keys"
    keys.write_text(f"# of callers\n{KEY}\n")
    state, url = running.start(api_keys_file=str(keys))
    monkeypatch.setenv("API_KEYS_FILE", str(keys))

    assert check_running(url, bento) == f"{boosted.version} answers at {url}"

    state.close()
    [log] = (tmp_path / "log").glob("*.jsonl")
    assert log.read_text().count("\n") == 1


def test_a_key_that_the_service_does_not_know_is_refused_soon(bento, running, monkeypatch):
    _, url = running.start(api_keys=KEY)
    monkeypatch.setattr(smoke_test, "TURN_SECONDS", 0)

    with pytest.raises(ProjectError, match=r"/info answered 401: .*valid key"):
        check_running(url, bento)


def test_it_is_waited_for_until_no_other_version_answers(
    bento, running, serve, state, challenger, monkeypatch
):
    one = state(served=challenger)
    url = f"http://127.0.0.1:{serve(one).port}"
    monkeypatch.setattr(smoke_test, "TURN_SECONDS", 0)

    with pytest.raises(ProjectError, match=r"answers with .*challenger, which is not in this rele"):
        check_running(url, bento)

    def turn(_):
        one.serve(state().served)

    monkeypatch.setattr(smoke_test, "TURN_SECONDS", 60)
    monkeypatch.setattr(smoke_test.time, "sleep", turn)
    assert "answers at" in check_running(url, bento)


def test_what_is_not_there_is_named(bento, monkeypatch, capsys):
    monkeypatch.setattr(smoke_test, "TURN_SECONDS", 0)
    monkeypatch.setenv("BENTO_PATH", str(bento))

    with pytest.raises(
        SystemExit, match=r"^Smoke test failed: http://127\.0\.0\.1:1/info was not an"
    ):
        main(["http://127.0.0.1:1"])

    monkeypatch.delenv("BENTO_PATH")
    with pytest.raises(SystemExit, match="BENTO_PATH is not set"):
        main([])


def test_a_bento_in_an_image_has_its_models_inside(deliveries, bento, released, running):
    (deliveries.home / "models").rename(bento / "models")
    running()

    assert "answers 20 rows" in check_before(bento)


def test_a_release_that_says_otherwise_of_its_known_rows_is_not_served(
    deliveries, bento, monkeypatch
):
    monkeypatch.setattr(
        service, "_verified", lambda tag: (folder := deliveries.model(tag), spec_of(folder))
    )
    monkeypatch.setattr(service, "BentoModel", lambda tag: SimpleNamespace(resolve=lambda: tag))
    service.refuse_to_serve("127.0.0.1", ["parcels:first-0"], BUILT_IN)
    deliveries.answer_otherwise("parcels:first-0")

    with pytest.raises(
        ProjectError, match=r"is not served: .* differs by 0\.\d+ from what it said"
    ):
        service.refuse_to_serve("127.0.0.1", ["parcels:first-0"], BUILT_IN)
