"""Keys that callers may leave out: the id of the prediction takes their place, in the log too."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kedro_mlops.runtime.encoding import ArrayColumn, Arrays, Coded, as_coded
from kedro_mlops.runtime.serving_spec import ServingSpec

from .answers import identifiers

if TYPE_CHECKING:
    import pyarrow as pa


class AssignedKeys:
    """Fills in what was left out of rows.

    Args:
        spec: Of which the fields say who assigns them.
    """

    def __init__(self, spec: ServingSpec) -> None:
        self._places = [i for i, field in enumerate(spec.fields) if field.assigned]
        self._names = [field.name for field in spec.fields if field.assigned]
        self._new_id = identifiers()

    def of_row(self, values: Sequence[Any]) -> tuple[Sequence[Any], str]:
        """The values of a row, and the id that its prediction then has; empty if it needs none."""
        left_out = [place for place in self._places if values[place] is None]
        if not left_out:
            return values, ""
        filled, new_id = list(values), self._new_id()
        for place in left_out:
            filled[place] = new_id
        return filled, new_id

    def of_table(self, columns: dict[str, ArrayColumn], ids: "pa.Array") -> Arrays:
        """The columns of many rows, given with the ids of their predictions."""
        return columns | {name: _filled(columns[name], ids) for name in self._names}


def _filled(column: ArrayColumn, ids: "pa.Array") -> ArrayColumn:
    import pyarrow as pa  # noqa: PLC0415 - large, and only for these requests
    import pyarrow.compute as pc  # noqa: PLC0415

    assert isinstance(column, Coded)
    if None not in column.values:
        return column
    return as_coded(pc.coalesce(pa.array(column.values, pa.string()).take(column.codes), ids))
