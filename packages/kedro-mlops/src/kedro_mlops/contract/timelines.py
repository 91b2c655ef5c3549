"""The timeline of a contract."""

from .columns import Columns
from .dated import Dated
from .timeline import Timeline
from .undated import Undated


def timeline_of(contract: Columns) -> Timeline:
    """What comes before what in the rows of a contract."""
    return Dated(contract) if contract.has_time else Undated(contract)
