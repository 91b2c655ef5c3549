"""The metrics of the service: that all that can be named is there from the start."""

import re
from pathlib import Path

from kedro_mlops.serving import metrics
from kedro_mlops.serving.refusals import OF_ROWS, REFUSED

SERVING = Path(metrics.__file__).parent


def test_every_reason_to_refuse_begins_at_0():
    sources = "".join(path.read_text() for path in SERVING.glob("*.py"))

    named = re.findall(r'refused(?:_rows)?\(\s*"(\w+)"', sources)

    assert len(named) > 15
    assert set(named) == set(metrics.REASONS)
    # what is not asked of /predict ends otherwise
    statuses = {status for status, _ in REFUSED.values()} | {*OF_ROWS.values()}
    assert statuses - {404} <= set(metrics.STATUSES)
