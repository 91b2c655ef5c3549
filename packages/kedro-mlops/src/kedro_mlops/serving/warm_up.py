"""What the first requests would wait for, done before anybody asks: imports, store and engine."""

import msgspec

from .answers import utc_now
from .bulk_answers import answer_rows, logged_table, write_arrow, write_json
from .bulk_features import complete_table
from .served import Served

N_ROWS = 10


def warm_up(served: Served) -> None:
    """Answer a table of the contract's examples, of which nothing is logged or counted. Blocks.

    Raises:
        BadRequestError: if the examples are no right row.
    """
    model, store = served.predictor.model, served.predictor.store
    row = {field.name: field.example for field in model.spec.asked}
    columns = served.table_reader.read_json(msgspec.json.encode({"rows": [row] * N_ROWS}))
    completed, missing = complete_table(columns, store)
    answers = answer_rows(model, "champion", completed, missing)
    logged_table(completed, model.spec.sent, answers, utc_now()).to_pylist()
    added = served.predictor.additions.of(answers.predicted)
    write_json(answers.told() | added)
    write_arrow(answers.told() | added)
