"""What the endpoints of clouds ask of a container, over real sockets; and that no more opens."""

import json

import pytest
from example.http import ARROW, JSON, problem_of, request_of, statuses
from prometheus_client import REGISTRY

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.serving.clouds import refuse_other_port
from kedro_mlops.serving.gateway import LARGE_BODY
from kedro_mlops.serving.service import refuse_to_serve
from kedro_mlops.serving.settings import Settings

KEY = "a-key-of-more-than-16-characters"
HEALTH, PREDICT = "/v1/endpoints/1/health", "/v1/endpoints/1/deployedModels/2:predict"
SAGEMAKER = {"cloud_endpoint": "sagemaker"}
AZURE = {"cloud_endpoint": "azure"}
VERTEX = {
    "cloud_endpoint": "vertex",
    "aip_health_route": HEALTH,
    "aip_predict_route": PREDICT,
}
GUARDED = pytest.mark.parametrize("guarded", [True, False])
CLOUDS = pytest.mark.parametrize(
    ("settings", "health", "predict", "form"),
    [
        (SAGEMAKER, "/ping", "/invocations", "rows"),
        (VERTEX, HEALTH, PREDICT, "instances"),
        (AZURE, "/readyz", "/score", "rows"),
    ],
)


def ask(server, path, body, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.ask("POST", path, content, **{"content_type": JSON, **headers})


def without_id(response):
    return [answer | {"prediction_id": ""} for answer in response.said["predictions"]]


@GUARDED
@CLOUDS
def test_a_cloud_is_answered_on_its_own_paths_as_others_are_on_ours(
    state, serve, example, settings, health, predict, form, guarded
):
    server = serve(state(api_keys=KEY, **settings), guarded)

    asked = ask(server, predict, {form: [example, example]})
    ours = server.predict(example, example, authorization=f"Bearer {KEY}")
    alive = server.ask("GET", health)

    assert (asked.status, ours.status, alive.status) == (200, 200, 200)
    assert asked.headers["content-type"] == JSON
    assert without_id(asked) == without_id(ours)
    assert alive.body == b"inner /readyz"


@GUARDED
@CLOUDS
def test_without_a_key_a_cloud_may_ask_and_nobody_may_ask_for_more(
    state, serve, example, settings, health, predict, form, guarded
):
    server = serve(state(**settings), guarded)

    assert ask(server, predict, {form: [example]}).status == 200
    for path in ("/info", "/metrics", "/", "/docs.json"):
        problem_of(server.ask("GET", path), 401, "Send a valid key")
    problem_of(server.predict(example), 401, "Send a valid key")


@CLOUDS
def test_a_cloud_hears_that_the_service_is_not_ready(state, serve, settings, health, predict, form):
    one = state(**settings)
    one.unready = "The service is warming up; try again."

    problem_of(serve(one).ask("GET", health), 503, "warming up")


@CLOUDS
def test_what_is_wrong_is_told_in_our_form(state, serve, example, settings, health, predict, form):
    server = serve(state(max_rows=2, max_body_megabytes=0.1, **settings))

    wrong = problem_of(
        ask(server, predict, {form: [example, example | {"courier": 7}]}), 422, "Rows break the"
    )
    assert [(found["row"], found["field"]) for found in wrong["errors"]] == [(1, "courier")]
    problem_of(ask(server, predict, {form: [example] * 3}), 422, "more rows than the 2")
    problem_of(ask(server, predict, b"x" * 100_001), 413, "100,000 bytes")
    problem_of(ask(server, predict, b'{"' + form.encode() + b'": ['), 400, "not JSON")
    problem_of(ask(server, predict, b"a,b", content_type="text/csv"), 415, "Send application/json")
    assert server.ask("GET", predict).status == 405
    assert ask(server, health, b"").status == 405


@pytest.mark.parametrize("path", ["/ping", "/invocations", "/score", PREDICT, HEALTH])
def test_nobody_else_has_paths_of_a_cloud(state, serve, example, path):
    server = serve(state(aip_health_route=HEALTH, aip_predict_route=PREDICT))

    problem_of(ask(server, path, {"rows": [example]}), 404, path)


@pytest.mark.parametrize(("settings", "path"), [(SAGEMAKER, "/invocations"), (AZURE, "/score")])
def test_what_is_ours_in_all_but_its_path_is_as_quick(
    state, serve, example, monkeypatch, settings, path
):
    server = serve(state(**settings))
    body = json.dumps({"rows": [example]}).encode()
    request = request_of(body, f"content-length: {len(body)}", path=path)
    # what is looked up is at hand from then on
    server.send(request)

    async def slowly(*_):
        raise AssertionError("this is the long way")

    monkeypatch.setattr("kedro_mlops.serving.gateway.Gateway._reply", slowly)

    assert statuses(server.send(request)) == [200]


def test_a_table_may_be_sent_to_sagemaker_as_an_arrow_stream(state, serve, example):
    server = serve(state(**SAGEMAKER))

    response = ask(server, "/invocations", {"rows": [example]}, accept=ARROW)

    assert response.headers["content-type"] == ARROW


def test_what_a_cloud_asks_is_counted_as_what_others_ask(state, serve, example):
    one = state(**SAGEMAKER)

    ask(serve(one), "/invocations", {"rows": [example]})

    one.metrics.flush()
    labels = {"path": "/predict", "status": "200"}
    assert REGISTRY.get_sample_value("http_requests_total", labels) == 1


# the form of Vertex AI


@pytest.mark.parametrize("given", [{"explain": True}, {"explain": False}, {}, None])
def test_vertex_asks_for_explanations_by_a_parameter(state, serve, example, given):
    server = serve(state(**VERTEX))

    response = ask(server, PREDICT, {"instances": [example], "parameters": given})

    [answer] = response.said["predictions"]
    assert ("explanation" in answer) == (given == {"explain": True})


def test_many_instances_are_taken_out_by_another_thread(state, serve, example):
    body = json.dumps({"parameters": {}, "instances": [example] * 200}).encode()
    assert len(body) > LARGE_BODY

    response = ask(serve(state(**VERTEX)), PREDICT, body)

    assert len(response.said["predictions"]) == 200


@pytest.mark.parametrize(
    "body",
    [b'{"rows": [1]}', b'{"instances": []}', b'{"instances": [ ]}', b'{"instances": {}}', b"[]",
     b'{"instances": [1], "parameters": {"explain": 1}}', b'{"instances": [1], "more": 1}',
     b'{"instances": [1], "parameters": {"other": true}}',
     b'{"instances": [1], "instances": [2]}',
     b'{"instances": [1], "instances": [2], "parameters": {}}'],
)  # fmt: skip
def test_another_form_is_refused_and_says_which_it_is(state, serve, body):
    problem_of(ask(serve(state(**VERTEX)), PREDICT, body), 422, "an object with `instances`")


@pytest.mark.parametrize("body", [b"", b"{", b'{"instances": [1}', b"[" * 5000])
def test_what_is_no_json_is_refused(state, serve, body):
    response = ask(serve(state(**VERTEX)), PREDICT, body)

    assert response.status in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


# that nothing opens by accident


def test_a_cloud_that_is_not_known_is_refused(monkeypatch):
    monkeypatch.setenv("CLOUD_ENDPOINT", "linux")

    with pytest.raises(ProjectError, match="CLOUD_ENDPOINT is 'linux'"):
        Settings.from_environment()


@pytest.mark.parametrize("health", ["", "health"])
def test_vertex_has_to_say_its_paths(health):
    with pytest.raises(ProjectError, match=r"AIP_HEALTH_ROUTE or AIP_PREDICT_ROUTE is no path"):
        Settings(cloud_endpoint="vertex", aip_health_route=health, aip_predict_route="/predict")


def test_the_environment_of_a_cloud_alone_opens_nothing(monkeypatch):
    for name, value in {"AIP_HTTP_PORT": "8080", "AIP_HEALTH_ROUTE": HEALTH}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ProjectError, match="Without API keys the service answers only this machi"):
        refuse_to_serve("0.0.0.0", [], None)

    monkeypatch.setenv("AIP_PREDICT_ROUTE", PREDICT)
    monkeypatch.setenv("CLOUD_ENDPOINT", "vertex")
    refuse_to_serve("0.0.0.0", [], None)


@pytest.mark.parametrize(
    ("cloud", "vertex_port", "port", "called"),
    [("sagemaker", 0, 3000, 8080), ("vertex", 8080, 3000, 8080), ("vertex", 0, 3000, None),
     ("sagemaker", 0, 8080, None), ("azure", 8080, 3000, None), ("", 8080, 3000, None)],
)  # fmt: skip
def test_a_port_that_a_cloud_does_not_call_is_refused(cloud, vertex_port, port, called):
    if called is None:
        refuse_other_port(cloud, vertex_port, port)
        return
    with pytest.raises(ProjectError, match=f"set BENTOML_PORT={called}"):
        refuse_other_port(cloud, vertex_port, port)
