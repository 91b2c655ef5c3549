import pytest
from example import contracts
from kedro.io import DatasetError

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.datasets import ContractDataset, ContractsDataset
from kedro_mlops.core.datasets import CodeDataset

PREDICTION = "example.contracts.Prediction"


def test_a_contract_is_loaded_as_it_is_declared():
    assert ContractDataset(contract=PREDICTION).load() == Columns.of(contracts.Prediction)


def test_personal_columns_can_be_left_out():
    logged = ContractDataset(contract=PREDICTION, without_personal=True).load()

    assert logged == Columns.of(contracts.Prediction).without_personal()


def test_what_is_declared_in_code_is_not_saved():
    with pytest.raises(DatasetError, match=r"contracts\.Prediction is code"):
        ContractDataset(contract=PREDICTION).save(Columns(()))


@pytest.mark.parametrize("path", ["example.nowhere.FAMILIES", "example.contracts.NONE"])
def test_code_that_is_not_there_is_an_error_that_names_it(path):
    with pytest.raises(DatasetError, match=rf"`{path}` cannot be imported: .*in the catalog"):
        CodeDataset(import_path=path).load()


def test_tables_that_others_are_made_of_are_no_tables_of_their_own():
    names = [columns.name for columns in ContractsDataset(module="example.contracts").load()]

    assert "Observation" in names
    assert not {"Contract", "Parcel", "Outcome", "Inputs"} & set(names)


def test_the_inputs_of_a_contract_are_what_is_known_beforehand():
    observation = Columns.of(contracts.Observation)

    assert observation.inputs.all == Columns.of(contracts.Inputs).all
