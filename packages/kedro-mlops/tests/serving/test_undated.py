"""A service whose rows have no date: what it is told, and what it answers by every way."""

import io
import json
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pytest
from example.factories import tiny_package
from example.undated import LOANS, LOGGED_LOANS, UNEMPLOYMENT, loans

from kedro_mlops.core.json_records import json_records
from kedro_mlops.export.serving_form import export
from kedro_mlops.feature_store.online_store import OnlineStoreDataset
from kedro_mlops.modelling.fitting import fit
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.prediction_log.datasets import read_log
from kedro_mlops.serving.problem_details import ARROW, JSON

SENT = [column.name for column in LOANS.inputs.sent]


@pytest.fixture(scope="module")
def rows():
    rows = loans(400)
    return rows.assign(defaulted=rows["defaulted"].astype(int))


@pytest.fixture(scope="module")
def package(rows):
    family = FAMILIES["gradient_boosting"]
    estimator = fit(LOANS, family, family.default | {"max_iter": 10}, 0, rows)
    package = tiny_package(evaluated=False, features=LOANS.features)
    return replace(package, estimator=estimator)


@pytest.fixture(scope="module")
def released(package, rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    spec = export(package, LOANS.inputs, rows, 1e-9, folder, "loans", LOANS["defaulted"])
    spec.write(folder)
    return folder, spec


@pytest.fixture(scope="module")
def online_store(tmp_path_factory):
    store = OnlineStoreDataset(
        credentials={"con": f"sqlite:///{tmp_path_factory.mktemp('store') / 'online.db'}"}
    )
    store.save(
        {"regions": pd.Series(UNEMPLOYMENT, name="unemployment").rename_axis("entity").to_frame()}
    )
    return store.load()


@pytest.fixture(scope="module")
def asked(rows):
    return rows[SENT].tail(60).reset_index(drop=True)


def test_the_service_is_told_that_rows_are_about_no_moment(released):
    _, spec = released

    assert spec.event_time == ""
    assert [field.name for field in spec.looked_up] == ["unemployment"]


def test_rows_are_answered_alike_by_all_ways_as_in_batch(state, package, rows, asked, tmp_path):
    one = state()
    body = json.dumps({"rows": json_records(asked)}).encode()
    table, sink = pa.Table.from_pandas(asked, preserve_index=False), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    few = one.served.reader.judged(body)

    replies = [
        one.served.predictor.answer(one.store.complete_all(few)),
        one.served.answer_large(JSON, body, b"*/*").body,
        one.served.answer_large(ARROW, sink.getvalue(), JSON).body,
    ]

    expected = package.score(rows.tail(60)).tolist()
    for reply in replies:
        answers = json.loads(reply)["predictions"]
        assert [answer["probability"] for answer in answers] == pytest.approx(expected, abs=1e-12)
        assert not any(answer["missing_features"] for answer in answers)
    logged = read_log(tmp_path / "log", LOGGED_LOANS)
    assert len(logged) == 180
    assert set(logged["unemployment"].to_pylist()) == set(UNEMPLOYMENT.values())


def test_the_document_asks_for_no_moment(state):
    document = json.loads(state().served.docs["/docs.json"].body)

    row = document["components"]["schemas"]["Row"]
    assert list(row["properties"]) == SENT
    assert row["example"] == {"loan": "L1", "region": "north", "income": 30000, "age": 40}
