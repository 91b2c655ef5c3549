"""What columns may be called, and what is said of names that cannot be told apart."""

import pandas as pd
import pytest
from kedro.validation import DataValidationError

from kedro_mlops.contract.columns import Columns, Contract, Lookup, column, real_moment
from kedro_mlops.contract.names import LOGGED
from kedro_mlops.contract.validation import RawTableValidator
from kedro_mlops.core.errors import ContractError
from kedro_mlops.core.names import own
from kedro_mlops.prediction_log.contract import PredictionColumns


def contract_of(*bases, **columns):
    annotations = {name: float for name in columns if name != "moment"}
    return type("Made", bases or (Contract,), {"__annotations__": annotations, **columns})


def called(*names, **more):
    """A contract of columns of some aliases."""
    return contract_of(
        **{f"c{i}": column("It", alias=name) for i, name in enumerate(names)}, **more
    )


class Sale(Contract):
    kay: int = column("Key", alias="The Key", key=True)
    price: float = column("Price", alias="Sale Price", label="regression", nullable=True)


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        (contract_of(_private=column("It")), "'_private' begins with `_`"),
        (contract_of(to_schema=column("It")), "'to_schema' is the name of something else"),
        (contract_of(is_finite=column("It")), "'is_finite' is the name of something else"),
        (called("a", "a"), "calls the column 'c0' as another is called"),
        (called(" "), "has a column called ' '"),
        (called("Size", "size"), "has 'Size' and 'size', which differ in upper and lower case"),
        (called(own("row")), "names that begin with 'kedro_mlops: ' are the engine's own"),
        (contract_of(contract_of(a=column("It")), contract_of(a=column("It"))), "'a' is declared"),
        (contract_of(Sale, c=column("It", alias="Prediction")), "has 'Prediction', which is what"),
        (contract_of(Sale, c=column("It", alias="variant")), "has 'variant', which is what"),
        (
            contract_of(Sale, a=column("It", source_name="x"), b=column("It", source_name="X")),
            "has 'x' and 'X', by `source_name`",
        ),
        (
            called("by", c=column("It", lookup=Lookup("t", by="c0", column="x", daily=False))),
            "names 'c0', which is no column; that column is called 'by'",
        ),
        (
            called("year", "month", "day", moment=real_moment("c0", "month", "day")),
            "names 'c0', which is no column; that column is called 'year'",
        ),
    ],
)  # fmt: skip
def test_names_that_cannot_be_told_apart_are_refused_at_once(contract, said):
    with pytest.raises(ContractError, match="Made") as refused:
        Columns.of(contract)

    assert said in str(refused.value)


def test_a_key_is_unique_by_its_alias():
    class Named(Sale):
        class Config:
            unique = ["The Key"]

    class Misnamed(Sale):
        class Config:
            unique = ["kay"]

    assert Columns.of(Named).unique == ("The Key",)
    with pytest.raises(ContractError, match=r"names 'kay', which is no column; .* 'The Key'"):
        Columns.of(Misnamed)


def test_umlauts_tell_columns_apart_as_the_engine_does():
    assert Columns.of(called("GRÖSSE", "größe", "GRÖßE")).names == ["GRÖSSE", "größe", "GRÖßE"]


def test_what_the_log_adds_is_what_contracts_may_not_have():
    assert Columns.of(PredictionColumns).names == [*LOGGED]


def test_an_input_is_not_lost_to_what_is_predicted():
    inputs = contract_of(prediction=column("It", alias="theirs"))

    with pytest.raises(ContractError, match="whose Python name is 'prediction'"):

        class Log(PredictionColumns, inputs, of=Sale):
            pass


def test_a_source_whose_columns_differ_in_case_alone_says_what_to_do(monkeypatch):
    monkeypatch.setattr("kedro_mlops.contract.validation.load_obj", lambda _: called("Size"))

    with pytest.raises(DataValidationError) as refused:
        RawTableValidator("x.Y").validate(pd.DataFrame({"Size": [1.0], "size": [2.0]}))

    assert "'Size' and 'size'" in str(refused.value)
    assert "skiprows: 1" in str(refused.value)
