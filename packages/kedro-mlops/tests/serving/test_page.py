"""The page that describes the service, and the document that it shows."""

import json
import re
from pathlib import Path

import bentoml
import jsonschema
import pytest
from example.contracts import Observation

from kedro_mlops.contract.columns import Columns
from kedro_mlops.serving.fast_lane import MAX_HEADER_BYTES
from kedro_mlops.serving.page import page

ASSETS = Path(bentoml.__file__).parent / "_internal/server/static_content"
JSON = "application/json"
PROBLEM = "application/problem+json"
KEY = "a-key-of-more-than-16-characters"
OBSERVATION = Columns.of(Observation)
LABEL = OBSERVATION[OBSERVATION.label].description


@pytest.fixture
def document(state):
    return json.loads(state().served.docs["/docs.json"].body)


def test_the_title_says_what_the_service_predicts(document):
    title = document["info"]["title"]

    assert title == f"Parcels: {LABEL.partition(';')[0]}"
    assert document["info"]["description"].startswith(LABEL)
    assert "The probability is that of `late` being `true`." in document["info"]["description"]


def test_the_page_has_the_title_of_the_document_and_loads_only_what_is_there(state, serve):
    server = serve(state())

    response, document = server.ask("GET", "/"), server.ask("GET", "/docs.json").said

    text = response.body.decode()
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<title>{document['info']['title']}</title>" in text
    loaded = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(loaded) == text.count("<script") + text.count("<link") == 5
    for place in loaded:
        assert place.startswith("./static_content/")
        assert (ASSETS / Path(place).name).is_file()


def test_no_style_of_the_page_hides_the_title(state):
    text = state().served.docs["/"].body.decode()

    styles = [(ASSETS / name).read_text() for name in re.findall(r"[\w-]+\.css", text)]

    assert styles
    for style in [text, *styles]:
        assert not re.search(r"\.title\s*{[^}]*(visibility:\s*hidden|display:\s*none)", style)


def test_a_title_is_text_and_no_html():
    assert b"<title>a &lt; b</title>" in page("a < b")


def test_every_example_of_a_request_is_answered(state, serve, document):
    said = document["paths"]["/predict"]["post"]
    server = serve(state())

    examples = said["requestBody"]["content"][JSON]["examples"]
    bodies = [example["value"] for example in examples.values()]

    assert len({example["summary"] for example in examples.values()}) == 3
    assert len({json.dumps(body) for body in bodies}) == 3
    whole, needed, several = (body["rows"] for body in bodies)
    row = document["components"]["schemas"]["Row"]
    assert list(whole[0]) == list(row["properties"])
    assert sorted(needed[0]) == sorted(row["required"]) != sorted(whole[0])
    assert len(several) > 1
    for body in bodies:
        answered = server.predict(*body["rows"])
        assert answered.status == 200
        assert len(answered.said["predictions"]) == len(body["rows"])


def test_every_example_is_as_its_schema_says(document):
    n_checked = 0
    for path in document["paths"].values():
        for operation in path.values():
            said = [operation.get("requestBody", {}), *operation["responses"].values()]
            for media in (media for one in said for media in one.get("content", {}).values()):
                named = [one["value"] for one in media.get("examples", {}).values()]
                schema = media.get("schema", {}) | {"components": document["components"]}
                for example in [*named, *([media["example"]] if "example" in media else [])]:
                    jsonschema.validate(example, schema, jsonschema.Draft202012Validator)
                    n_checked += 1
    assert n_checked > 20


def test_every_error_has_an_example_of_its_own_which_is_what_is_said(state, serve, example):
    one = state(api_keys=KEY, max_body_megabytes=0.02)
    document = json.loads(one.served.docs["/docs.json"].body)
    server, key = serve(one), {"authorization": f"Bearer {KEY}"}
    first = next(iter(example))

    refused = [
        server.ask("POST", "/predict", b'{"rows": [', content_type=JSON, **key),
        server.ask("POST", "/predict", b"", content_type=JSON),
        server.ask("GET", "/predict", **key),
        server.ask("POST", "/predict", b" " * 30_000, content_type=JSON, **key),
        server.ask("POST", "/predict", b"", content_type="text/plain", **key),
        server.predict(example | {first: []}, example | {"unknown": 1}, **key),
        serve(None).ask("GET", "/predict"),
    ]

    too_large = server.send(b"GET / HTTP/1.1\r\nx: " + b"y" * MAX_HEADER_BYTES)

    really = {response.status: response.said for response in refused}
    really[431] = json.loads(too_large.partition(b"\r\n\r\n")[2])
    responses = document["paths"]["/predict"]["post"]["responses"]
    said = {
        int(status): response["content"][PROBLEM]["example"]
        for status, response in responses.items()
        if PROBLEM in response["content"]
    }
    assert sorted(really) == [400, 401, 405, 413, 415, 422, 431, 503]
    for status, error in really.items():
        assert error | {"request_id": ""} == said[status] | {"request_id": ""}
    assert len({json.dumps(error) for error in said.values()}) == len(said) == 11


@pytest.mark.parametrize("path", ["/info", "/livez", "/readyz", "/metrics"])
def test_the_method_of_an_example_is_one_that_is_answered(state, serve, document, path):
    response = serve(state()).ask("DELETE", path)

    responses = document["paths"][path]["get"]["responses"]
    assert responses["405"]["content"][PROBLEM]["example"]["detail"] == response.said["detail"]
