"""A service whose fields are called as no programmer would call them, and whose key it assigns."""

import io
import json
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pytest
from example.factories import tiny_package
from example.odd_names import KEY, LABEL, NAMES, columns_of, contracts, table
from msgspec.structs import replace as replace_in

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.json_records import json_records
from kedro_mlops.export.serving_form import export
from kedro_mlops.modelling.fitting import fit
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.monitoring.nodes import ingest
from kedro_mlops.prediction_log.datasets import ServedPredictionsDataset, read_log
from kedro_mlops.prediction_log.parts import new_parts
from kedro_mlops.serving.limits import no_deadline
from kedro_mlops.serving.problem_details import ARROW, JSON
from kedro_mlops.task.task import Costs

TASKS = ["binary", "multiclass", "regression"]
N_ROWS = 600  # more than are logged as lines


def released(task, folder):
    contract, _ = columns_of(task)
    asked, rows = contract.task, table(task, N_ROWS)
    if asked.classes:
        rows[LABEL] = pd.Categorical(rows[LABEL], categories=asked.classes).codes
    family = FAMILIES["gradient_boosting"]
    estimator = fit(contract, family, family.default | {"max_iter": 5}, 0, rows)
    scores = asked.output().ask(estimator, rows[contract.features])
    package = tiny_package(
        evaluated=False,
        features=contract.features,
        task=asked.name,
        classes=list(asked.classes),
        rule=asked.choose_rule(asked.labels(rows[LABEL]), scores, Costs()),
    )
    package = replace(package, estimator=estimator)
    spec = export(package, contract.inputs, rows, 1e-9, folder, "odd", contract[LABEL])
    spec.write(folder)
    return package, spec, rows


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    _, spec, rows = released("binary", folder)
    return folder, spec, rows


def body_of(rows):
    return json.dumps({"rows": json_records(rows)}).encode()


def arrow_of(rows):
    sink, sent = io.BytesIO(), pa.Table.from_pandas(rows, preserve_index=False)
    with pa.ipc.new_stream(sink, sent.schema) as writer:
        writer.write_table(sent)
    return sink.getvalue()


@pytest.mark.parametrize("task", TASKS)
def test_odd_names_are_asked_answered_logged_and_read_back(
    state, serve, task, tmp_path, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("odd")
    package, spec, rows = released(task, folder)
    _, logged = columns_of(task)
    asked = rows[[field.name for field in spec.sent]].drop(columns=KEY)
    server = serve(state(served=(folder, spec)))

    few = server.predict(*json_records(asked.head(3))).said["predictions"]
    explained = server.ask(
        "POST", "/predict?explain=true", body_of(asked.head(1)), content_type="application/json"
    ).said["predictions"]
    many = server.predict(*json_records(asked)).said["predictions"]
    arrow = server.ask(
        "POST", "/predict", arrow_of(asked), content_type=ARROW.decode(), accept="application/json"
    ).said["predictions"]

    output = package.metadata.output
    expected = package.score(rows)
    for answers in (few, explained, many, arrow):
        scores = output.scores_in(pd.DataFrame(answers))
        assert scores == pytest.approx(expected[: len(answers)], abs=1e-12)
        assert not any(answer["unseen_categories"] for answer in answers)
    assert set(explained[0]["explanation"]["contributions"]) == set(spec.features)
    found = read_log(tmp_path / "log", logged).to_pandas().set_index("prediction_id", drop=False)
    assert len(found) == 2 * N_ROWS + 4
    # the service has assigned the key
    assert (found[KEY] == found.index).all()
    of_many = found.loc[[answer["prediction_id"] for answer in many]]
    for name in NAMES:
        pd.testing.assert_series_equal(
            of_many[name].reset_index(drop=True), rows[name], check_dtype=False
        )


@pytest.mark.parametrize("way", ["one by one", "together", "Arrow"])
def test_a_key_that_is_given_is_kept(state, binary, tmp_path, way):
    folder, spec, rows = binary
    one = state(served=(folder, spec))
    asked = rows[[field.name for field in spec.sent]].head(3).copy()
    asked[KEY] = ["mine", None, "other"]
    body = body_of(asked)

    if way == "one by one":
        one.served.predictor.answer(one.store.complete_all(one.served.reader.judged(body)))
    else:
        kind, sent = (JSON, body) if way == "together" else (ARROW, arrow_of(asked))
        one.served.answer_large(kind, sent, JSON)

    found = read_log(tmp_path / "log", columns_of("binary")[1]).to_pylist()
    assigned = found[1]["prediction_id"]
    assert [row[KEY] for row in found] == ["mine", assigned, "other"]


def test_what_was_logged_is_a_table_of_the_engine(state, binary, tmp_path, monkeypatch):
    folder, spec, rows = binary
    _, logged = contracts("binary")
    one, columns = state(served=(folder, spec)), Columns.of(logged)
    given = one.served.reader.judged(body_of(rows[[field.name for field in spec.sent]].head(5)))
    one.served.predictor.answer(one.store.complete_all(given))
    monkeypatch.setattr("kedro_mlops.prediction_log.datasets.load_obj", lambda _: logged)
    served = ServedPredictionsDataset(filepath=str(tmp_path / "served"), contract="x.Log")

    served.save(ingest(columns, new_parts(tmp_path / "log", {})))

    back = served.load().to_pandas()
    assert back[KEY].tolist() == rows[KEY].head(5).tolist()
    assert back[NAMES[0]].tolist() == rows[NAMES[0]].head(5).tolist()


def test_what_is_right_is_read_at_once(state, binary):
    folder, spec, rows = binary
    one = state(served=(folder, spec))
    body = body_of(rows[[field.name for field in spec.sent if field.name != KEY]])

    assert one.served.reader.read_at_once(body) == one.served.reader.judged(body)
    assert one.served.table_reader._read_at_once(body, no_deadline) is not None


def test_the_document_names_the_fields_as_they_are(state, binary):
    folder, spec, _ = binary

    document = json.loads(state(served=(folder, spec)).served.docs["/docs.json"].body)

    row = document["components"]["schemas"]["Row"]
    assert list(row["properties"]) == [field.name for field in spec.sent]
    assert KEY not in row["required"]
    assert set(row["example"]) == set(row["properties"])


def test_callers_call_a_field_as_its_source_does(state, serve, binary, tmp_path):
    folder, spec, rows = binary
    fields = [replace_in(f, sent_as="decision") if f.name == "größe" else f for f in spec.fields]
    one = state(served=(folder, replace_in(spec, fields=fields)))
    server, logged = serve(one), columns_of("binary")[1]
    own = rows[[field.name for field in spec.sent]]
    asked = own.rename(columns={"größe": "decision"})

    few = server.predict(*json_records(asked.head(3))).said["predictions"]
    many = server.predict(*json_records(asked)).said["predictions"]
    one.served.answer_large(ARROW, arrow_of(asked), JSON)
    [unknown, missing] = server.predict(*json_records(own.head(1))).said["errors"]

    assert len(few) == 3
    assert len(many) == N_ROWS
    found = read_log(tmp_path / "log", logged).to_pandas()
    assert found["größe"].tolist() == [*rows["größe"].head(3), *rows["größe"], *rows["größe"]]
    assert {(e["field"], e["rule"]) for e in (unknown, missing)} == {
        ("größe", "extra_forbidden"), ("decision", "missing"),
    }  # fmt: skip
    row = json.loads(one.served.docs["/docs.json"].body)["components"]["schemas"]["Row"]
    assert {"größe", "decision"} & row["properties"].keys() == {"decision"}
    assert row["example"]["decision"] == 3


@pytest.mark.parametrize("name", ['x"y', "$ref", "field_0", "new\nline", "json"])
def test_odd_names_are_refused_by_name(state, serve, binary, name):
    folder, spec, rows = binary
    [good] = json_records(rows[[field.name for field in spec.sent]].head(1))
    server = serve(state(served=(folder, spec)))

    [error] = server.predict(good | {name: ["wrong"]}).said["errors"]

    assert error["field"] == name


@pytest.mark.parametrize("plain", [True, False])
def test_what_stands_in_for_a_name_is_no_name(state, serve, binary, plain):
    folder, spec, rows = binary
    [row] = json_records(rows[[field.name for field in spec.sent]].head(1))
    row["x\ue022y"] = row.pop('x"y')
    server = serve(state(served=(folder, spec)))
    body = json.dumps({"rows": [row]}, ensure_ascii=plain).encode()

    said = server.ask("POST", "/predict", body, content_type="application/json").said

    assert {error["rule"] for error in said["errors"]} == {"extra_forbidden", "missing"}
