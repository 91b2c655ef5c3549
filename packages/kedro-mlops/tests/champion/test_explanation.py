"""Predictions that a service has logged, computed again from the log and explained."""

import contextlib
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from click.testing import CliRunner
from example.contracts import Inputs, Observation, Prediction
from example.factories import decided, observations, write_bento, write_labels
from example.lookups import Heard
from example.other_tasks import FateObservation, FatePrediction, small_package
from example.tasks import DelayObservation, DelayPrediction
from kedro.io import DataCatalog, MemoryDataset, Version
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline

from kedro_mlops.champion.explanation import explain, logged
from kedro_mlops.cli import champion as commands
from kedro_mlops.cli.commands import cli
from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.datasets import HistoryDataset
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.json_records import json_records
from kedro_mlops.export.serving_form import export
from kedro_mlops.feature_store.reader import FeatureStore, StoreSettings
from kedro_mlops.gate.nodes import record
from kedro_mlops.models.datasets import ModelPackageDataset
from kedro_mlops.models.package import content_hash
from kedro_mlops.models.preprocessing import linear_preprocessing
from kedro_mlops.prediction_log.datasets import PredictionLogDataset, ServedPredictionsDataset
from kedro_mlops.prediction_log.parts import take
from kedro_mlops.prediction_log.writer import PredictionLog
from kedro_mlops.serving.additions import Additions
from kedro_mlops.serving.bulk_reading import TableReader
from kedro_mlops.serving.model import ServedModel
from kedro_mlops.serving.predictor import MIN_TABLE_ROWS, Predictor
from kedro_mlops.serving.reading import RowReader

pytestmark = pytest.mark.filterwarnings("ignore:Save version")

TOLERANCE = 1e-9
INPUTS = Columns.of(Inputs)
SENT = [column.name for column in INPUTS.all if column.role.lookup is None]
LOGGED = {
    Observation: Prediction,
    FateObservation: FatePrediction,
    DelayObservation: DelayPrediction,
}
MODELS = [
    (Observation, "gradient_boosting"),
    (Observation, "logistic_regression"),
    (FateObservation, "gradient_boosting"),
    (FateObservation, "logistic_regression"),
    (DelayObservation, "gradient_boosting"),
    (DelayObservation, "ridge"),
]


class World:
    """A champion that has been released and has answered.

    Attributes:
        answers: What was answered, explained.
    """

    def __init__(self, folder, observation, package, online_store):
        self.package = package.with_record(
            content_hash=content_hash(package.estimator),
            decision=decided("promote", package.version),
            release="parcels:one",
        )
        self.home, self.online_store = folder / "bentoml", online_store
        self.log_folder = folder / "log"
        self.contract = LOGGED[observation]
        version = Version(load=None, save=None)
        served = str(folder / "served")
        self.catalog = DataCatalog(
            {
                "champion": ModelPackageDataset(filepath=f"{folder}/champion", version=version),
                "candidate": ModelPackageDataset(filepath=f"{folder}/candidate", version=version),
                "gate_history": HistoryDataset(
                    filepath=f"{folder}/gate_history.jsonl", key=["candidate"]
                ),
                "contract": MemoryDataset(Columns.of(observation)),
                "log_contract": MemoryDataset(Columns.of(self.contract).without_personal()),
                "prediction_log": PredictionLogDataset(
                    filepath=str(self.log_folder), served=served
                ),
                "served_predictions": ServedPredictionsDataset(
                    filepath=served,
                    contract=f"{self.contract.__module__}.{self.contract.__name__}",
                ),
            }
        )
        self.catalog.save("champion", self.package)
        self.release = self.home / "models/parcels/one"
        self.release.mkdir(parents=True)
        write_bento(self.home, "parcels:one", "parcels:one")
        self.spec = export(self.package, INPUTS, observations(), TOLERANCE, self.release)
        write_labels(self.release, self.spec.write(self.release))

    def answer(self, rows, explain=True):
        """What a service answers, which starts for it and logs it."""
        model = ServedModel(self.release, self.spec, 1)
        store = FeatureStore(self.spec, StoreSettings(self.online_store, 7, 60, 1), Heard())
        log = PredictionLog(self.log_folder, 10**7, 10**8)
        additions = Additions((), self.spec.output)
        predictor = Predictor(model, store, log, Mock(), None, additions)
        body = json.dumps({"rows": json_records(rows)}).encode()
        reader = RowReader(self.spec.sent, 10_000)
        if len(rows) < MIN_TABLE_ROWS:
            completed = store.complete_all(reader.judged(body))
            answered = json.loads(predictor.answer(completed, explain))["predictions"]
        else:
            told = predictor.answer_table(TableReader(reader).read_json(body))
            answered = [{"prediction_id": name} for name in told["prediction_id"].to_pylist()]
        log.close()
        return answered

    def ingest(self):
        """As the pipeline of monitoring does."""
        columns, parts = self.catalog.load("log_contract"), self.catalog.load("prediction_log")
        read = {part.name: lambda part=part: take(part, columns) for part in parts}
        self.catalog.save("served_predictions", read)
        assert not self.catalog.load("prediction_log")

    def explain(self, *ids):
        return list(explain(ids, self.catalog, TOLERANCE))


@pytest.fixture
def world(tmp_path, monkeypatch, online_store):
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))

    def make(observation=Observation, family="gradient_boosting", package=None):
        package = package or small_package(observation, family)
        return World(tmp_path, observation, package, online_store)

    return make


@pytest.fixture
def rows(real_rows):
    rows = real_rows[SENT].reset_index(drop=True)
    rows.loc[::9, "area"] = "QQQ"
    rows.loc[::11, "van"] = None
    return rows


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model[0].__name__} {model[1]}")
@pytest.mark.parametrize("ingested", [False, True])
def test_a_logged_prediction_comes_out_again_bit_for_bit(world, rows, model, ingested):
    one = world(*model)
    answers = one.answer(rows.head(20))
    if ingested:
        one.ingest()

    found = one.explain(*(answer["prediction_id"] for answer in answers))

    for answer, again in zip(answers, found, strict=True):
        assert again.predicted == {name: answer[name] for name in again.predicted}
        assert again.differences == {}
        assert again.explained.base == answer["explanation"]["base"]
        assert again.explained.contributions == answer["explanation"]["contributions"]
        assert again.decision == one.package.metadata.decision


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model[0].__name__} {model[1]}")
def test_so_does_one_of_a_large_request(world, rows, model):
    one = world(*model)
    assert len(rows) >= MIN_TABLE_ROWS

    ids = [answer["prediction_id"] for answer in one.answer(rows)][::20]

    assert list(one.log_folder.glob("*.arrow"))
    assert [again.differences for again in one.explain(*ids)] == [{}] * len(ids)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model[0].__name__} {model[1]}")
def test_a_model_whose_release_is_gone_is_exported_again(world, rows, model):
    one = world(*model)
    answers = one.answer(rows.head(20))
    shutil.rmtree(one.home)

    found = one.explain(*(answer["prediction_id"] for answer in answers))

    for answer, again in zip(answers, found, strict=True):
        assert again.spec.engine == one.spec.engine
        assert again.differences == {}
        assert again.explained.contributions == answer["explanation"]["contributions"]


def test_inputs_that_were_looked_up_are_those_of_then(world, rows):
    one = world()
    [answer] = one.answer(rows.iloc[1:2])

    [again] = one.explain(answer["prediction_id"])

    looked_up = [field.name for field in one.spec.looked_up]
    assert None not in [again.record[name] for name in looked_up]
    assert again.record["courier"] == rows["courier"][1]


def test_what_is_not_on_record_is_named(world, rows):
    one = world()
    [answer] = one.answer(rows.head(1))

    with pytest.raises(ProjectError, match="No prediction nonsense is on record"):
        logged([answer["prediction_id"], "nonsense"], one.catalog)


def test_a_model_that_is_no_longer_at_hand_is_named(world, rows):
    one = world()
    [answer] = one.answer(rows.head(1))
    shutil.rmtree(one.home)
    shutil.rmtree(one.log_folder.parent / "champion")

    with pytest.raises(ProjectError, match=f"{one.package.version} made .* no longer at hand"):
        one.explain(answer["prediction_id"])


def test_of_a_challenger_the_decision_is_the_gates(world, rows):
    one = world()
    [answer] = one.answer(rows.head(1))
    shutil.move(one.log_folder.parent / "champion", one.log_folder.parent / "was")
    one.catalog.save("candidate", one.package)
    verdict = decided("keep", one.package.version, reasons=["It is", "not better."])
    one.catalog.save("gate_history", record(verdict))

    [again] = one.explain(answer["prediction_id"])

    assert again.decision.outcome == "keep"
    assert again.decision.reasons == ["It is not better."]


@pytest.fixture
def command(monkeypatch):
    """Runs the command in a world."""

    def run(one, *ids):
        @contextlib.contextmanager
        def opened(env, params, told):
            assert {"prediction_log", "served_predictions"} <= set(told)
            parameters = {"parameters": {"release": {"tolerance": TOLERANCE}}}
            yield SimpleNamespace(config_loader=parameters), one.catalog

        monkeypatch.setattr(commands, "_opened", opened)
        return CliRunner().invoke(cli, ["champion", "explain", *ids])

    return run


def test_the_command_tells_all_of_a_prediction(world, rows, command):
    one = world()
    [answer] = one.answer(rows.iloc[1:2])

    done = command(one, answer["prediction_id"])

    assert done.exit_code == 0, done.output
    said, table = done.output.split("\n\n")[:2]
    told = {line[:11].strip(): line[11:].strip() for line in said.splitlines()}
    assert told["Prediction"].startswith(answer["prediction_id"])
    assert told["Model"] == "20130113-gradient_boosting-0, gradient boosting, as champion"
    assert told["Decision"] == "promote by gate: It had to be so."
    assert told["Answer"] == f"probability {answer['probability']}, decision {answer['decision']}"
    assert told["Again"] == "the same to the last bit, by compiled trees"
    [_, *lines] = [line.split("  ") for line in table.splitlines()]
    cells = [[cell.strip() for cell in line if cell] for line in lines]
    told_of = {name: (value, whence, float(added)) for name, value, whence, added in cells
               if added != "-"}  # fmt: skip
    contributions = answer["explanation"]["contributions"]
    assert {name: added for name, (_, _, added) in told_of.items()} == pytest.approx(
        contributions, rel=1e-5
    )
    sizes = [abs(added) for _, _, added in told_of.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0
    assert told_of["courier"][:2] == (rows["courier"][1], "sent")
    assert told_of["van_year"][1] == "from van_features"


def test_what_comes_out_otherwise_is_told_and_fails(world, rows, command):
    one = world()
    [answer] = one.answer(rows.head(1))
    [file] = one.log_folder.glob("*.jsonl")
    other = answer["probability"] + 1e-15
    file.write_text(file.read_text().replace(str(answer["probability"]), repr(other)))

    done = command(one, answer["prediction_id"])

    assert done.exit_code == 1
    assert f"probability {answer['probability']}, not {other}" in done.output


def test_what_cannot_be_explained_is_told_all_the_same_and_fails(world, rows, command):
    columns, learned = Columns.of(Observation), observations()
    estimator = Pipeline(
        [("preprocessing", linear_preprocessing(columns)), ("model", GaussianNB())]
    )
    estimator.fit(learned[columns.features], learned[columns.label].astype(int))
    package = small_package(Observation, "gradient_boosting")
    one = world(package=replace(package, estimator=estimator))
    answers = one.answer(rows.head(2), explain=False)

    done = command(one, *(answer["prediction_id"] for answer in answers))

    assert done.exit_code == 1
    assert done.output.count("GaussianNB has no coefficients") == 2
    assert done.output.count("the same to the last bit, by scikit-learn") == 2


def test_errors_are_told_without_a_traceback(world, rows, command):
    one = world()
    one.answer(rows.head(1))

    done = command(one, "nonsense")

    assert done.exit_code == 1
    assert "Error: No prediction nonsense is on record" in done.output
