import gc

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from kedro_mlops.core.errors import BadDataError, ProjectError
from kedro_mlops.framework.hooks import ProjectHooks, check_parameters


def test_known_parameters_pass() -> None:
    check_parameters(["as_of", "seed"], known=["seed", "as_of", "gate"])


def test_an_unknown_parameter_is_named_with_what_it_may_have_meant() -> None:
    with pytest.raises(ProjectError, match=r"no parameter 'as_off'. Did you mean 'as_of'"):
        check_parameters(["as_off"], known=["seed", "as_of"])


@pytest.fixture
def catalog() -> DataCatalog:
    return DataCatalog(
        {
            "retrain_decision": MemoryDataset("as before"),
            "alerts": MemoryDataset([]),
        }
    )


def test_bad_data_that_stops_a_run_leaves_a_decision_to_wait_and_an_alert(
    catalog: DataCatalog,
) -> None:
    ProjectHooks().on_pipeline_error(BadDataError("Half of it is bad."), catalog)

    decision = catalog.load("retrain_decision")
    assert decision.outcome == "wait"
    assert decision.reasons == ["Bad data vetoes retraining: Half of it is bad."]
    assert [guard.guard for guard in decision.guards if guard.refused] == ["bad data"]
    [alert] = catalog.load("alerts")
    assert (alert.kind, alert.message) == ("bad data", "Half of it is bad.")


def test_any_other_error_leaves_the_decision_as_it_was(catalog: DataCatalog) -> None:
    ProjectHooks().on_pipeline_error(ProjectError("A typing error."), catalog)

    assert catalog.load("retrain_decision") == "as before"
    assert catalog.load("alerts") == []


def test_what_is_there_before_the_first_run_alone_is_no_more_looked_at_for_garbage() -> None:
    hooks, params = ProjectHooks(), {"runner": "SequentialRunner"}
    counts = [gc.get_freeze_count()]
    for _ in range(2):
        kept = [[] for _ in range(1000)]
        hooks.before_pipeline_run(params, Pipeline([]), DataCatalog())
        counts.append(gc.get_freeze_count())

    before, first, second = counts
    assert len(kept) == 1000
    assert first - before >= 1000
    assert second <= first
