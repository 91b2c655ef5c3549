import asyncio
import json

import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.serving import app_state as module


def test_the_metrics_are_kept_up_to_date(state, example, monkeypatch):
    one = state()
    monkeypatch.setattr(module, "TELL_SECONDS", 0.01)
    rows = one.served.reader.judged(json.dumps({"rows": [example]}).encode())
    one.served.predictor.answer(one.store.complete_all(rows))

    async def tell_for_a_while():
        telling = asyncio.create_task(one.flush())
        await asyncio.sleep(0.1)
        telling.cancel()

    asyncio.run(tell_for_a_while())

    assert one.metrics.log_bytes._value.get() == one.prediction_log.n_bytes > 0
    version = one.served.predictor.model.spec.model_version
    histogram = one.metrics.score.labels(version, "champion")
    assert sum(bucket.get() for bucket in histogram._buckets) == 1


def test_the_document_describes_what_is_really_accepted(state, example):
    one = state(max_rows=17, api_keys="a-key-of-more-than-16-characters")

    document = json.loads(one.served.docs["/docs.json"].body)

    row = document["components"]["schemas"]["Row"]
    assert row["example"] == example
    assert list(row["properties"]) == list(example)
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["properties"]["rows"]["maxItems"] == 17
    assert document["paths"]["/livez"]["get"]["security"] == []
    assert document["paths"]["/metrics"]["get"]["security"] == [{"key": []}]


def test_an_answer_has_the_fields_that_are_documented_and_each_is_described(state, example):
    one = state()
    rows = one.served.reader.judged(json.dumps({"rows": [example]}).encode())

    reply = json.loads(one.served.predictor.answer(one.store.complete_all(rows)))

    said = json.loads(one.served.docs["/docs.json"].body)["components"]["schemas"]["Answer"]
    [answer] = reply["predictions"]
    assert list(answer) == said["required"]
    assert list(said["properties"]) == [*said["required"], "explanation"]
    assert all(field["description"] for field in said["properties"].values())


def test_what_the_document_forbids_is_a_setting_that_is_refused(state):
    with pytest.raises(ProjectError, match="OPEN_PATHS"):
        state(open_paths="predict")


def test_what_is_not_in_the_log_was_not_answered(state, example, tmp_path):
    one = state()
    (tmp_path / "log").rename(tmp_path / "gone")
    (tmp_path / "log").touch()
    rows = one.store.complete_all(
        one.served.reader.judged(json.dumps({"rows": [example]}).encode())
    )

    with pytest.raises(ProjectError, match="PREDICTION_LOG_DIR"):
        one.served.predictor.answer(rows)

    one.metrics.flush()
    version = one.served.predictor.model.spec.model_version
    counted = [one.metrics.predictions.labels(version, "champion", d) for d in ("true", "false")]
    assert [metric._value.get() for metric in counted] == [0, 0]
