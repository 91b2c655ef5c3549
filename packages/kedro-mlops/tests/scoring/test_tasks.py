"""Whatever is asked, the log of predictions keeps its contract."""

from example.scoring import scored
from example.tasks import AS_OF, ASKED, HORIZON, Life

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.validation import ContractValidator
from kedro_mlops.core.time_params import AsOf


def test_every_row_of_the_horizon_is_scored_as_the_model_says(life: Life) -> None:
    table = scored(life.columns, life.logged, life.candidate, life.model_input, AS_OF, HORIZON)
    rows = table.to_pandas()

    [log] = [log for of, log in ASKED.values() if Columns.of(of).name == life.columns.name]
    time = life.rows[life.columns.event_time]
    due = time.between(AS_OF.moment, AS_OF.after(HORIZON.days), inclusive="left")
    assert len(ContractValidator(f"example.tasks.{log.__name__}").validate(table).columns)
    assert rows["prediction_id"].nunique() == len(rows) == due.sum()
    for name, values in life.candidate.predict(rows).items():
        assert rows[name].tolist() == values.tolist()


def test_a_log_without_rows_has_the_same_columns(life: Life) -> None:
    never = AsOf("2019-01-01")

    table = scored(life.columns, life.logged, life.candidate, life.model_input, never, HORIZON)

    assert (
        table.schema()
        == scored(
            life.columns, life.logged, life.candidate, life.model_input, AS_OF, HORIZON
        ).schema()
    )
    assert table.count().execute() == 0
