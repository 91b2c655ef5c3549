"""The metrics of the service: that all that can be named is there from the start."""

import re
from pathlib import Path

from kedro_mlops.serving import metrics, reading
from kedro_mlops.serving.refusals import REFUSED

SERVING = Path(metrics.__file__).parent


def test_every_reason_to_refuse_begins_at_0():
    sources = "".join(path.read_text() for path in SERVING.glob("*.py"))

    raised = re.findall(rf'{reading.BadRequestError.__name__}\(\s*(\d+),\s*"(\w+)"', sources)
    named = re.findall(r'refused\(\s*"(\w+)"', sources)

    assert len(raised) > 10
    assert set(named) == {*REFUSED}
    assert {reason for _, reason in raised} | {*REFUSED} == set(metrics.REASONS)
    # what is not asked of /predict ends otherwise
    statuses = {int(status) for status, _ in raised} | {status for status, _ in REFUSED.values()}
    assert statuses - {404} <= set(metrics.STATUSES)
