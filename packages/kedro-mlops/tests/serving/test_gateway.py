"""The gateway behind the guarded protocol, over real sockets."""

import contextlib
import gc
import json
import re
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from example.contracts import Inputs, Prediction
from example.factories import COLUMNS
from example.http import ARROW, JSON, SECURITY, problem_of, request_of, statuses, whole

from kedro_mlops.contract.columns import Columns
from kedro_mlops.export.serving_form import export
from kedro_mlops.prediction_log.datasets import read_log
from kedro_mlops.serving import gateway
from kedro_mlops.serving.gateway import LARGE_BODY, LARGE_EXPLAINED, N_THREADS, SMALL_MEMORY
from kedro_mlops.serving.refusals import BadRequestError
from kedro_mlops.serving.settings import Settings

KEY = "a-key-of-more-than-16-characters"
BEARER = f"Bearer {KEY}"
LOGGED = Columns.of(Prediction).without_personal()


def logged(tmp_path):
    return read_log(tmp_path / "log", LOGGED).to_pylist()


GUARDED = pytest.mark.parametrize("guarded", [True, False])


@GUARDED
def test_a_row_is_answered_and_logged(state, serve, example, tmp_path, guarded):
    server = serve(state(), guarded)

    response = server.predict(example)

    [answer] = response.said["predictions"]
    assert response.status == 200
    assert response.headers["content-type"] == JSON
    assert SECURITY.items() <= response.headers.items()
    assert 0 < answer["probability"] < 1
    [line] = logged(tmp_path)
    assert line["prediction_id"] == answer["prediction_id"]
    assert line["probability"] == answer["probability"]


@GUARDED
def test_what_is_counted_is_counted_once(state, serve, example, guarded):
    one = state()
    server = serve(one, guarded)

    server.predict(example)
    server.predict(example | {"courier": "ZZ"})

    def counted():
        one.metrics.flush()
        return [one.metrics.requests.labels("/predict", s)._value.get() for s in ("200", "422")]

    # it is counted when it has been sent
    deadline = time.monotonic() + 5
    while counted() != [1, 1]:
        assert time.monotonic() < deadline, counted()
        time.sleep(0.01)
    time.sleep(0.1)
    assert counted() == [1, 1]


def test_nothing_is_served_before_the_desk_is_there(serve, example):
    server = serve(None)

    responses = [server.predict(example), server.ask("GET", "/livez")]

    for response in responses:
        problem_of(response, 503, "starting")
        assert response.headers["retry-after"] == "1"


def test_a_browser_loads_nothing_from_elsewhere_for_the_page(state, serve):
    """BentoML's own page would load a tracker."""
    policy = serve(state()).ask("GET", "/").headers["content-security-policy"]

    assert policy.startswith("default-src 'self';")
    assert "http" not in policy
    assert "script" not in policy


@pytest.mark.parametrize("path", ["/nothing", "/predict/", "/../etc/passwd", "/info.json"])
def test_an_unknown_path_is_not_found(state, serve, path):
    problem_of(serve(state()).ask("GET", path), 404, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/predict"), ("HEAD", "/predict"), ("OPTIONS", "/predict"), ("DELETE", "/info"),
        ("POST", "/livez"), ("POST", "/metrics"), ("POST", "/docs.json"), ("PUT", "/"),
    ],
)  # fmt: skip
def test_another_method_is_refused(state, serve, method, path):
    response = serve(state(open_paths="health,metrics,docs")).ask(method, path)

    assert response.status == 405
    if method != "HEAD":
        problem_of(response, 405, "Use ")


@pytest.mark.parametrize(
    ("path", "open_paths", "status"),
    [
        ("/livez", "health", 200), ("/readyz", "health", 200), ("/livez", "docs", 401),
        ("/metrics", "health", 401), ("/metrics", "metrics", 200), ("/", "docs", 200),
        ("/docs.json", "docs", 200), ("/docs.json", "health,metrics", 401),
        ("/static_content/x.js", "docs", 200), ("/info", "health,metrics,docs", 401),
        ("/nothing", "health,metrics,docs", 401),
    ],
)  # fmt: skip
def test_without_key_only_what_is_open_is_answered(state, serve, path, open_paths, status):
    server = serve(state(api_keys=KEY, open_paths=open_paths))

    without, with_key = (server.ask("GET", path, **h) for h in ({}, {"authorization": BEARER}))

    assert without.status == status
    assert with_key.status == (404 if path == "/nothing" else 200)
    assert SECURITY.items() <= without.headers.items()


@pytest.mark.parametrize("given", [None, "Bearer wrong-key-of-16-characters", KEY, f"Basic {KEY}"])
def test_predictions_need_a_key_that_is_known(state, serve, example, tmp_path, given):
    server = serve(state(api_keys=f"another-key-of-16-characters,{KEY}"))
    headers = {"authorization": given} if given else {}

    refused, answered = (
        server.predict(example, **headers),
        server.predict(example, authorization=BEARER),
    )

    problem_of(refused, 401, "Authorization: Bearer <key>")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert answered.status == 200
    assert len(logged(tmp_path)) == 1


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, f"Send {JSON} or {ARROW}"),
        ({"content_type": "text/csv"}, f"Send {JSON} or {ARROW}"),
        ({"content_type": JSON, "content_encoding": "gzip"}, "without compression"),
    ],
)
def test_a_body_of_another_kind_is_refused(state, serve, headers, said):
    problem_of(serve(state()).ask("POST", "/predict", b"{}", **headers), 415, said)


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8", "Application/JSON"])
def test_the_kind_of_a_body_may_be_written_as_http_allows(state, serve, example, kind):
    body = json.dumps({"rows": [example]}).encode()

    assert serve(state()).ask("POST", "/predict", body, content_type=kind).status == 200


@pytest.mark.parametrize("n_rows", [1, 200])
def test_what_is_refused_is_not_kept_until_garbage_is_collected(state, serve, example, n_rows):
    server = serve(state())
    gc.collect()
    gc.disable()

    for _ in range(5):
        assert server.predict(*[example | {"courier": "ZZ"}] * n_rows).status == 422

    deadline = time.monotonic() + 5
    while any(isinstance(one, BadRequestError) and one.problems for one in gc.get_objects()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    gc.enable()


def test_rows_that_break_the_contract_are_named(state, serve, example, tmp_path):
    response = serve(state()).predict(example, example | {"courier": "ZZ"})

    [error] = problem_of(response, 422, "Rows break the contract")["errors"]
    assert (error["row"], error["field"], error["value"]) == (1, "courier", '"ZZ"')
    assert logged(tmp_path) == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 10_000])
def test_what_is_no_json_is_malformed(state, serve, body):
    problem_of(serve(state()).ask("POST", "/predict", body, content_type=JSON), 400, "The body is")


def test_without_length_a_body_is_empty(state, serve):
    answered = serve(state()).send(request_of(b"", "connection: close"))

    assert statuses(answered) == [400]


def test_a_body_may_come_in_chunks(state, serve, example):
    body = json.dumps({"rows": [example]}).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in (body[:7], body[7:9], body[9:]))

    answered = serve(state()).send(
        request_of(chunks + b"0\r\n\r\n", "transfer-encoding: chunked", "connection: close")
    )

    assert statuses(answered) == [200]


def test_a_body_that_says_it_is_too_large_is_not_read(state, serve):
    answered = serve(state(max_body_megabytes=0.01)).send(request_of(b"", "content-length: 10001"))

    assert statuses(answered) == [413]
    assert b"A request may have 10,000 bytes" in answered
    assert b"\r\nconnection: close\r\n" in answered


@pytest.mark.parametrize("n_chunks", [1, 20])
def test_a_body_in_chunks_is_cut_where_it_is_too_large(state, serve, n_chunks):
    server = serve(state(max_body_megabytes=0.01))
    chunk = b" " * (20_000 // n_chunks)
    chunks = (b"%x\r\n%b\r\n" % (len(chunk), chunk)) * n_chunks

    answered = server.send(request_of(chunks, "transfer-encoding: chunked"))

    assert statuses(answered) == [413]


def test_a_body_of_just_the_limit_is_read(state, serve, example):
    body = json.dumps({"rows": [example]}).encode().ljust(10_000)

    response = serve(state(max_body_megabytes=0.01)).ask(
        "POST", "/predict", body, content_type=JSON
    )

    assert response.status == 200


@pytest.mark.parametrize("length", ["-1", "abc", "1, 2", "99999999999999999999999"])
def test_a_length_that_is_none_is_refused(state, serve, length):
    answered = serve(state()).send(request_of(b"", f"content-length: {length}"))

    assert statuses(answered) in ([400], [413])
    assert b"Traceback" not in answered


def test_a_body_that_is_slow_is_cut(state, serve):
    server = serve(state(request_seconds=0.3))
    start = time.perf_counter()

    answered = server.send(request_of(b"{", "content-length: 1000"))

    assert statuses(answered) == [408]
    assert b"took too long to arrive" in answered
    assert time.perf_counter() - start < 3


def test_a_caller_who_leaves_harms_nobody(state, serve, example, tmp_path):
    server = serve(state())
    with server.connect() as connection:
        connection.sendall(request_of(b"{", "content-length: 1000"))

    assert server.predict(example).status == 200
    assert len(logged(tmp_path)) == 1


def test_a_request_id_is_echoed_or_made(state, serve, example):
    server = serve(state())

    given = server.predict(example, x_request_id="ours-1.2_3")
    bad = [server.predict(example, x_request_id=i) for i in ("a b", "x" * 65, "<script>")]
    made = [one.headers["x-request-id"] for one in (server.predict(example), *bad)]

    assert given.headers["x-request-id"] == "ours-1.2_3"
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in made)
    assert len(set(made)) == 4
    refused = server.predict(example | {"courier": "ZZ"}, x_request_id="ours-2")
    assert refused.said["request_id"] == "ours-2"


def test_a_head_has_no_body(state, serve):
    server = serve(state(open_paths="health,docs"))

    heads = [server.ask("HEAD", path) for path in ("/livez", "/docs.json")]
    bodies = [server.ask("GET", path) for path in ("/livez", "/docs.json")]

    for head, body in zip(heads, bodies, strict=True):
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(body.body)) != "0"


def test_info_and_documents_say_what_serves(state, serve, released):
    server = serve(state())

    info, document = server.ask("GET", "/info").said, server.ask("GET", "/docs.json").said

    assert info["model_version"] == released[1].model_version == document["info"]["version"]
    assert info["engine"] == "compiled trees"
    assert (info["label"], info["positive"]) == ("late", True)
    assert info == server.ask("POST", "/info").said


def test_requests_on_one_connection_are_answered_in_turn(state, serve, example, tmp_path):
    server = serve(state())
    first, second = (example | {"parcel_number": number} for number in (1, 2))

    answered = server.send(
        whole(first, "x-request-id: one")
        + request_of(b"", method="GET", path="/livez")
        + whole(example | {"courier": "ZZ"}, "x-request-id: wrong")
        + whole(second, "x-request-id: two", "connection: close")
    )

    assert statuses(answered) == [200, 200, 422, 200]
    order = [answered.index(name) for name in (b": one", b"inner /livez", b": wrong", b": two")]
    assert order == sorted(order)
    assert [line["parcel_number"] for line in logged(tmp_path)] == [1, 2]


def test_a_connection_is_kept(state, serve, example):
    server = serve(state())
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(whole(example))
            connection.settimeout(5)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def test_too_many_requests_in_progress_are_told_to_come_back(state, serve, example):
    server = serve(state(max_waiting=1))
    with server.connect() as waiting:
        waiting.sendall(request_of(b"{", "content-length: 1000"))
        time.sleep(0.2)
        refused = server.predict(example)
    time.sleep(0.2)

    problem_of(refused, 503, "Too many requests")
    assert refused.headers["retry-after"] == "1"
    assert server.predict(example).status == 200


def large(example):
    """A request that is read by another thread."""
    rows = [example] * (LARGE_BODY // len(json.dumps(example)) + 1)
    return [row | {"parcel_number": i + 1} for i, row in enumerate(rows)]


def test_large_requests_are_as_many_as_there_is_memory_for_and_small_ones_do_not_wait(
    state, serve, example, monkeypatch
):
    one, go_on = state(request_megabytes=30, max_body_megabytes=0.5), threading.Event()
    answer = one.served.answer_large

    def slowly(*arguments):
        go_on.wait(10)
        return answer(*arguments)

    monkeypatch.setattr(one.served, "answer_large", slowly)
    server, first = serve(one), []
    thread = threading.Thread(target=lambda: first.append(server.predict(*large(example))))
    thread.start()
    time.sleep(0.2)

    second, small = server.predict(*large(example)), server.predict(example)
    go_on.set()
    thread.join()

    problem_of(second, 503, "need the memory")
    assert second.headers["retry-after"] == "1"
    assert small.status == 200
    assert len(first[0].said["predictions"]) == len(large(example))
    assert server.predict(*large(example)).status == 200
    assert one.room.n_free == one.settings.request_memory


def test_bodies_that_are_still_coming_take_of_the_memory_too(state, serve, example):
    one = state(request_megabytes=30, max_body_megabytes=0.5)
    server, body = serve(one), b" " * 400_000
    with contextlib.ExitStack() as slow:
        for _ in range(30):
            connection = slow.enter_context(server.connect())
            connection.sendall(request_of(body, "content-length: 400001"))
        time.sleep(0.3)
        busy, small = server.predict(*large(example)), server.predict(example)

    problem_of(busy, 503, "need the memory")
    assert small.status == 200
    deadline = time.monotonic() + 5
    while one.room.n_free < one.settings.request_memory:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert server.predict(*large(example)).status == 200


@pytest.mark.parametrize("body", [b"{", b'{"rows": [{}]}', b'{"rows": [{"courier": "ZZ"}]}'])
def test_what_is_not_right_at_first_sight_is_judged_by_another_thread(
    state, serve, example, monkeypatch, body
):
    one, names = state(), []
    judged = one.served.reader.judged

    def watched(*arguments):
        names.append(threading.current_thread().name)
        return judged(*arguments)

    monkeypatch.setattr(one.served.reader, "judged", watched)
    server = serve(one)

    refused = server.ask("POST", "/predict", body, content_type=JSON)
    written = json.dumps({"rows": [example]}).replace("1545", "1545.0").encode()
    answered = server.ask("POST", "/predict", written, content_type=JSON)

    assert refused.status in (400, 422)
    assert answered.status == 200
    assert [name.partition("_")[0] for name in names] == ["small", "small"]


@pytest.fixture(scope="module")
def by_scikit_learn(package, windows, tmp_path_factory):
    """A release whose model is not compiled."""
    folder = tmp_path_factory.mktemp("slow")
    label = COLUMNS[COLUMNS.label]
    spec = export(package, Columns.of(Inputs), windows[-1], 1e-9, folder, "parcels", label)
    assert spec.engine == "scikit-learn"
    return folder, spec


def answered_in(scores, decisions):
    """Which thread asks the model."""
    return np.array([threading.current_thread().name.partition("_")[0]] * len(scores))


@GUARDED
@pytest.mark.parametrize("role", ["champion", "challenger"])
def test_several_rows_of_a_slow_model_are_answered_by_another_thread_and_alike(
    state, serve, example, by_scikit_learn, role, guarded
):
    tried = {"challenger": by_scikit_learn, "challenger_mode": "canary", "challenger_share": 0.99}
    said = {"served": by_scikit_learn} if role == "champion" else tried
    one = state(also=[answered_in], **said)
    server = serve(one, guarded)
    rows = [example | {"parcel_number": i + 1} for i in range(8)]
    body = json.dumps({"rows": rows}).encode()
    assert len(body) <= LARGE_BODY

    many = server.ask("POST", "/predict", body, content_type=JSON).said["predictions"]
    singly = [server.predict(row).said["predictions"][0] for row in rows]

    for answer in [*many, *singly]:
        del answer["prediction_id"]
    assert {answer.pop("answered_in") for answer in many} == {"small"}
    assert "small" not in {answer.pop("answered_in") for answer in singly}
    assert many == singly


@pytest.fixture
def tight(state, by_scikit_learn):
    """A service of a slow model that has the memory for a large request, and just one."""
    return state(served=by_scikit_learn, request_megabytes=30, max_body_megabytes=0.5)


@pytest.mark.parametrize("work", ["answer_large", "judged"])
def test_small_requests_wait_for_their_turn_however_many_there_are(
    tight, serve, example, monkeypatch, work
):
    n_requests, go_on = 40, threading.Event()
    whose = tight.served if work == "answer_large" else tight.served.reader
    plain = getattr(whose, work)

    def once_all_are_there(*arguments):
        go_on.wait(10)
        return plain(*arguments)

    monkeypatch.setattr(whose, work, once_all_are_there)
    rows = [example] * 2 if work == "answer_large" else [example | {"parcel_number": 1.0}]
    server = serve(tight)
    with ThreadPoolExecutor(n_requests) as callers:
        asked = [callers.submit(server.predict, *rows) for _ in range(n_requests)]
        deadline = time.monotonic() + 10
        while tight.in_progress < n_requests:
            assert time.monotonic() < deadline, [one.result().said for one in asked if one.done()]
            time.sleep(0.01)
        go_on.set()
        answered = [one.result().status for one in asked]

    assert answered == [200] * n_requests
    assert tight.room.n_free == tight.settings.request_memory


def test_small_requests_do_not_wait_for_large_ones(
    state, serve, example, by_scikit_learn, monkeypatch
):
    one, go_on = state(served=by_scikit_learn), threading.Event()
    answer, begun = one.served.answer_large, threading.Semaphore(0)

    def slowly(kind, body, *arguments):
        if len(body) > LARGE_BODY:
            begun.release()
            go_on.wait(10)
        return answer(kind, body, *arguments)

    monkeypatch.setattr(one.served, "answer_large", slowly)
    server = serve(one)
    with ThreadPoolExecutor() as callers:
        waiting = [callers.submit(server.predict, *large(example)) for _ in range(3)]
        for _ in range(N_THREADS):
            begun.acquire(timeout=10)
        small = server.predict(example, example)
        are_done = [one.done() for one in waiting]
        go_on.set()

    assert small.status == 200
    assert not any(are_done)
    assert [one.result().status for one in waiting] == [200] * 3


@pytest.mark.parametrize("n_bytes", [LARGE_EXPLAINED, LARGE_BODY])
def test_what_is_small_takes_no_more_memory_than_is_said(state, example, by_scikit_learn, n_bytes):
    served = state(served=by_scikit_learn).served
    short = {name: value for name, value in example.items() if value is not None}
    n_rows = n_bytes // len(json.dumps(short))

    def peak(n):
        rows = [short | {"parcel_number": 1 + i} for i in range(n)]
        body = json.dumps({"rows": rows}).encode()
        served.answer_large(JSON.encode(), body, JSON.encode())
        tracemalloc.start()
        served.answer_large(JSON.encode(), body, JSON.encode())
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    # what columns take beside their values, each request does, and each row that is asked for
    assert peak(n_rows) - peak(1) < Settings().memory_for_rows(n_rows, len(served.spec.fields))
    assert Settings().memory_for_rows(n_rows, len(served.spec.fields)) < SMALL_MEMORY


@pytest.mark.parametrize("n_rows", [20, 200])
def test_work_ends_at_the_deadline_and_not_only_the_waiting(
    state, serve, example, monkeypatch, tmp_path, n_rows
):
    """A thread that goes on after the answer takes the time of others."""
    one, judged = state(request_seconds=0.3), []
    model = one.served.reader.model
    validate = model.model_validate_json

    def slowly(text):
        judged.append(text)
        time.sleep(0.05)
        return validate(text)

    monkeypatch.setattr(model, "model_validate_json", slowly)
    rows = [example | {"parcel_number": 1.5 if n_rows > 20 else 1.0}] * n_rows

    response = serve(one).predict(*rows)
    n_then = len(judged)
    time.sleep(0.3)

    problem_of(response, 503, "It took too long")
    assert 0 < len(judged) <= n_then + 1 < len(rows)
    assert logged(tmp_path) == []


def test_a_large_request_that_takes_too_long_is_given_up(state, serve, example, monkeypatch):
    one, go_on = state(request_seconds=0.2), threading.Event()
    monkeypatch.setattr(one.served, "answer_large", lambda *_: go_on.wait(5))

    response = serve(one).predict(*large(example))
    go_on.set()

    problem_of(response, 503, "It took too long")


def test_more_rows_than_may_be_are_refused(state, serve, example):
    server = serve(state(max_rows=2))

    assert server.predict(example, example).status == 200
    problem_of(server.predict(example, example, example), 422, "more rows than the 2")


def test_while_the_store_is_down_rows_are_answered_without_it(state, serve, example, tmp_path):
    server = serve(state(feature_store_url=f"sqlite:///{tmp_path}/nowhere.db"))

    [answer] = server.predict(example).said["predictions"]

    assert set(answer["missing_features"].values()) == {"store_unavailable"}
    assert len(answer["missing_features"]) == 5
    [line] = logged(tmp_path)
    assert "van_year=store_unavailable" in line["missing_features"]


@pytest.mark.parametrize("n_rows", [1, 100])
def test_what_cannot_be_logged_is_not_answered(state, serve, example, tmp_path, n_rows):
    server = serve(state())
    (tmp_path / "log").rename(tmp_path / "gone")
    (tmp_path / "log").touch()

    refused = server.predict(*[example] * n_rows)
    (tmp_path / "log").unlink()
    answered = server.predict(example)

    problem_of(refused, 503, "cannot be logged at present")
    assert b"probability" not in refused.body
    assert str(tmp_path) not in refused.body.decode()
    assert answered.status == 200


@pytest.mark.parametrize("n_rows", [1, 100])
def test_a_bug_is_logged_and_not_shown(
    state, serve, example, tmp_path, caplog, monkeypatch, n_rows
):
    one = state()

    def fail(*_):
        raise RuntimeError("a secret of the model")

    monkeypatch.setattr(one.served.predictor.model, "score", fail)
    monkeypatch.setattr(one.served.predictor.model, "score_table", fail)
    response = serve(one).predict(*[example] * n_rows, x_request_id="ours")

    problem_of(response, 500, "It is logged.")
    assert b"secret" not in response.body
    assert "ours: it failed" in caplog.text
    assert "a secret of the model" in caplog.text
    assert logged(tmp_path) == []


def test_other_protocols_are_not_spoken(state, serve):
    answered = serve(state(api_keys=KEY)).send(
        b"GET /predict HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
    )

    assert statuses(answered) == [401]
    assert KEY.encode() not in answered


def test_strange_values_never_are_a_bug(state, serve, example):
    server = serve(state())
    deep: object = []
    for _ in range(300):
        deep = [deep]
    strange = [
        {"courier": deep}, {"van": "\ud800"}, {"van": "\0"},
        {"leaves_at": "0001-01-01T00:00:00"}, {"parcel_number": 10**300},
        {"leaves_at": "9999-12-31T23:59:59"}, {"distance_km": 5e-324},
    ]  # fmt: skip

    for change in strange:
        for n_rows in (1, 100):
            rows = [example | change] * n_rows
            assert server.predict(*rows).status in (200, 422), (change, n_rows)


def test_every_path_that_the_front_lets_pass_has_a_switch():
    assert set(gateway.INNER.values()) == {"health", "metrics", "docs"}
