"""Which failures are of the data; with the real errors of engine and libraries."""

import duckdb
import ibis
import pandas as pd
import pytest
from kedro.framework.hooks import _create_hook_manager
from kedro.framework.hooks.manager import _register_hooks
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from kedro_mlops.contract.columns import Contract, column
from kedro_mlops.core.errors import BadDataError, ProjectError
from kedro_mlops.framework.bad_data import NAMESPACE, as_bad_data
from kedro_mlops.framework.hooks import ProjectHooks
from kedro_mlops.monitoring.decisions import RetrainDecision, Trigger

AGE = Trigger(rule="age", fired=True, value=91, limit=90, reason="It is old.")
BEFORE = RetrainDecision.weigh([AGE], [])


class Trip(Contract):
    day: int = column("Day of February")
    guest: str = column("Who", personal=True)


@pytest.fixture
def catalog(tmp_path):
    """Raw trips from outside, what is made of them, and what a failure leaves."""
    parquet = {
        "type": "ibis.FileDataset",
        "file_format": "parquet",
        "connection": {"backend": "duckdb", "database": ":memory:"},
    }
    raw = {
        "type": "kedro_mlops.contract.csv_files.CSVTextDataset",
        "filepath": str(tmp_path / "trips.csv"),
        "validator": {
            "class": "kedro_mlops.contract.validation.RawTableValidator",
            "on": ["load"],
            "options": {"contract": f"{__name__}.Trip"},
        },
    }
    made = DataCatalog.from_config(
        {
            "raw": raw,
            "landed": parquet | {"filepath": str(tmp_path / "landed.parquet")},
            "retrain_decision": {
                "type": "kedro_mlops.core.datasets.ModelJSONDataset",
                "model": "kedro_mlops.monitoring.decisions.RetrainDecision",
                "filepath": str(tmp_path / "retrain_decision.json"),
            },
        }
    )
    made["alerts"] = MemoryDataset([])
    made.save("retrain_decision", BEFORE)
    (tmp_path / "trips.csv").write_text("day,guest\n28,Ann\n30,Bob\n")
    return made


def run(catalog, func, namespace=NAMESPACE):
    """Run one node as a session does, with the project's hooks."""
    pipeline = Pipeline([Node(func, "raw", "landed", name="land")])
    if namespace:
        pipeline = Pipeline(pipeline, namespace=namespace, inputs="raw", outputs="landed")
    manager = _create_hook_manager()
    hooks = ProjectHooks()
    _register_hooks(manager, (hooks,))
    hooks._run.n_nodes = 1
    try:
        SequentialRunner().run(pipeline, catalog, hook_manager=manager)
    except Exception as error:
        manager.hook.on_pipeline_error(
            error=error, run_params={}, pipeline=pipeline, catalog=catalog
        )
        raise


def land(raw: ibis.Table) -> ibis.Table:
    """Make what there may not be, when the table is saved."""
    return raw.select(at=ibis.timestamp(2013, 2, raw.day.cast("int64"), 0, 0, 0))


def convert(raw: ibis.Table) -> ibis.Table:
    """Take a text for a number, while the node runs."""
    total = raw.guest.cast("int64").sum().to_pyarrow().as_py()
    return ibis.memtable({"total": [total]})


def in_pandas(raw: ibis.Table) -> ibis.Table:
    """The same by another library."""
    rows = raw.to_pandas()
    return ibis.memtable(rows.assign(day=rows["guest"].astype("int64")))


def too_large(raw: ibis.Table) -> ibis.Table:
    """A date beyond all dates."""
    return ibis.memtable({"at": [pd.Timestamp("2013-01-01") + pd.Timedelta(days=10**9)]})


def waits(catalog, *words):
    decision, [alert] = catalog.load("retrain_decision"), catalog.load("alerts")
    assert decision.outcome == "wait"
    assert alert.kind == "bad data"
    assert alert.message in decision.reasons[0]
    assert [word for word in words if word not in alert.message] == []
    return alert.message


@pytest.mark.parametrize("func", [land, convert, in_pandas, too_large])
def test_what_an_engine_says_of_a_value_becomes_one_message_and_the_decision_to_wait(catalog, func):
    with pytest.raises(BadDataError) as failed:
        run(catalog, func)

    message = waits(catalog, "landed cannot be made of raw: ", func.__name__, "contracts.py")
    assert str(failed.value) == message
    assert "\n" not in message
    assert "Ann" not in message
    assert failed.value.__cause__ is not None


def no_file(path):
    path.unlink()


def no_bytes(path):
    path.write_bytes(b"")


def no_rows(path):
    path.write_text("day,guest\n")


def no_column(path):
    path.write_text("guest\nAnn\n")


def no_number(path):
    path.write_text("day,guest\nlast,Ann\n")


def another_encoding(path):
    path.write_bytes(b"day,guest\n1,Zo\xeb\n")


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_file, ["raw cannot be read", "trips.csv"]),
        (a_folder, ["trips.csv is a folder without CSV files"]),
        (no_bytes, ["trips.csv is empty"]),
        (another_encoding, ["trips.csv is not utf-8", "encoding"]),
        (no_rows, ["'raw'", "the table has rows"]),
        (no_column, ["raw lacks day"]),
        (no_number, ["'raw'", "day: is numeric"]),
    ],
)
def test_a_table_that_cannot_be_read_leaves_the_decision_to_wait(catalog, tmp_path, damage, words):
    damage(tmp_path / "trips.csv")

    with pytest.raises(DatasetError):
        run(catalog, land)

    waits(catalog, *words)


def mistyped(raw):
    raise ProjectError("There is no such day.")


def wrong_code(raw):
    raise AttributeError("no such column")


def full_disk(raw):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("func", [mistyped, wrong_code, full_disk])
def test_what_is_no_failure_of_the_data_leaves_the_decision_as_it_was(catalog, func):
    with pytest.raises((ProjectError, AttributeError, OSError)):
        run(catalog, func)

    assert catalog.load("retrain_decision") == BEFORE
    assert catalog.load("alerts") == []


def test_a_table_for_which_the_engine_may_not_take_enough_memory_is_no_bad_data():
    node = Node(land, "raw", "landed", namespace=NAMESPACE)
    error = DatasetError("Failed while loading.")
    assert as_bad_data(error, node, "raw") is not None

    error.__cause__ = duckdb.OutOfMemoryException("failed to allocate")

    assert as_bad_data(error, node, "raw") is None


def test_errors_of_other_pipelines_keep_their_traceback(catalog):
    with pytest.raises(ValueError, match="int"):
        run(catalog, in_pandas, namespace=None)

    assert catalog.load("retrain_decision") == BEFORE


def test_bad_data_is_found_wherever_it_was_met():
    bad = BadDataError("Half of it is bad.")
    try:
        raise RuntimeError from bad
    except RuntimeError as error:
        assert as_bad_data(error, None, None) is bad
