"""An answer is declared once; what others say of its fields follows."""

import pytest
from example.contracts import Outcome
from example.other_tasks import Fate
from example.tasks import Delay

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.core.errors import ContractError
from kedro_mlops.prediction_log.contract import PredictionColumns
from kedro_mlops.serving.answers import answer_type, fields_of, logged_of_answers
from kedro_mlops.serving.bulk_answers import TableAnswers
from kedro_mlops.task.outputs import DecisionRule

RULE = DecisionRule(threshold=0.5, margin=1)


@pytest.mark.parametrize("outcome", [Outcome, Fate, Delay])
def test_a_table_of_answers_has_the_fields_of_an_answer_as_columns(outcome):
    output = Columns.of(outcome).task.output(RULE)

    table = TableAnswers("ids", output.of_rows(output.tried), *["coded"] * 4)

    assert list(table.told()) == fields_of(answer_type(output))
    assert list(table.logged()) == [*table.told(), "variant"]


@pytest.mark.parametrize("outcome", [Outcome, Fate, Delay])
def test_what_is_logged_is_what_the_contract_of_the_log_has(outcome):
    class Log(PredictionColumns, of=outcome):
        """Just what is told."""

    logged = logged_of_answers(Columns.of(outcome).task.output(RULE))

    assert sorted(logged) == sorted(Columns.of(Log).names)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", 'b"', "c"], "quotation marks"),
        (["a", "b\\", "c"], "backslashes"),
        (["a", "b\n", "c"], "printed"),
        (["a", "b", "A"], "capitals"),
    ],
)
def test_classes_of_which_no_answer_could_have_a_field_are_refused(names, said):
    class Wrong(Contract):
        """A label with such classes."""

        fate: str = column("What becomes of it", label="multiclass", isin=names)

    with pytest.raises(ContractError, match=said):
        Columns.of(Wrong)
