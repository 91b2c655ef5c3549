import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset

from kedro_mlops.core.errors import BadDataError, ProjectError
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.framework.hooks import ProjectHooks, check_parameters, wait_for_better_data
from kedro_mlops.monitoring.performance import WINDOW_COLUMNS
from kedro_mlops.monitoring.triggers import Retraining, decide
from tests.factories import tiny_package


def test_known_parameters_pass() -> None:
    check_parameters(["as_of", "seed"], known=["seed", "as_of", "gate"])


def test_an_unknown_parameter_is_named_with_what_it_may_have_meant() -> None:
    with pytest.raises(ProjectError, match=r"no parameter 'as_off'. Did you mean 'as_of'"):
        check_parameters(["as_off"], known=["seed", "as_of"])


@pytest.fixture
def catalog() -> DataCatalog:
    return DataCatalog(
        {
            "retrain_decision": MemoryDataset({"outcome": "retrain"}),
            "alerts": MemoryDataset([]),
        }
    )


def test_bad_data_that_stops_a_run_leaves_a_decision_to_wait_and_an_alert(
    catalog: DataCatalog,
) -> None:
    ProjectHooks().on_pipeline_error(BadDataError("Half of it is bad."), catalog)

    decision = catalog.load("retrain_decision")
    assert decision["outcome"] == "wait"
    assert decision["reasons"] == ["Bad data vetoes retraining: Half of it is bad."]
    assert [guard["guard"] for guard in decision["guards"] if guard["refused"]] == ["bad data"]
    [alert] = catalog.load("alerts")
    assert (alert["kind"], alert["message"]) == ("bad data", "Half of it is bad.")


def test_the_decision_that_bad_data_leaves_has_all_that_any_decision_has() -> None:
    rules = dict.fromkeys(Retraining.model_fields) | {
        "lost_performance": False,
        "cooldown_days": 0,
    }
    performance = {"unknown_because": None, "new_labels": 0}
    windows = pd.DataFrame(columns=WINDOW_COLUMNS)

    left = wait_for_better_data("Half of it is bad.")

    usual = decide(
        {"passed": True, "checks": []},
        performance,
        windows,
        windows,
        None,
        tiny_package(),
        AsOf("2013-01-13"),
        Horizon(days=7),
        Retraining(**rules),
    )
    assert left.keys() == usual.keys()
    assert left["guards"][0].keys() == usual["guards"][0].keys()


def test_any_other_error_leaves_the_decision_as_it_was(catalog: DataCatalog) -> None:
    ProjectHooks().on_pipeline_error(ProjectError("A typing error."), catalog)

    assert catalog.load("retrain_decision") == {"outcome": "retrain"}
    assert catalog.load("alerts") == []
