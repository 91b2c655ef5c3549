from datetime import datetime

import ibis
import pyarrow as pa
import pytest

from kedro_mlops.runtime.kinds import types_of

VALUES = [
    ("numeric", True, 2**53 + 1),
    ("numeric", False, 0.5),
    ("categorical", False, "é"),
    ("datetime", False, datetime.fromisoformat("2013-07-15T12:30:00.123456")),
    ("boolean", False, True),
]


@pytest.mark.parametrize(("kind", "integer", "value"), VALUES)
def test_a_value_is_the_same_in_every_type_of_its_kind(kind, integer, value):
    types = types_of(kind, integer)

    in_arrow = pa.array([value], pa.type_for_alias(types.arrow))
    in_pandas = in_arrow.to_pandas().astype(types.pandas)
    in_engine = ibis.memtable({"x": in_pandas}).x

    assert type(value) is types.python
    assert in_engine.type() == ibis.dtype(types.ibis)
    assert pa.array(in_pandas).cast(in_arrow.type).to_pylist() == [value]
    assert in_engine.to_pyarrow().to_pylist() == [value]
