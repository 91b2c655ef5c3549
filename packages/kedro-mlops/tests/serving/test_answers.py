"""An answer is declared once; what others say of its fields follows."""

from kedro_mlops.contract.columns import Columns
from kedro_mlops.prediction_log.contract import PredictionColumns
from kedro_mlops.serving.answers import LOGGED, Answer
from kedro_mlops.serving.bulk_answers import TableAnswers


def test_a_table_of_answers_has_the_fields_of_an_answer_as_columns():
    assert TableAnswers._fields == (*Answer.__struct_fields__, "variant")


def test_what_is_logged_is_what_the_contract_of_the_log_has():
    assert sorted(LOGGED) == sorted(Columns.of(PredictionColumns).names)
