"""What screening found of the raw tables."""

from kedro_mlops.core.artefacts import Artefact


class BrokenRule(Artefact):
    """A rule that rows of a table break: how many, and the values of the first of them."""

    column: str
    rule: str
    n_rows: int
    examples: list[str | None]


class TableAccount(Artefact):
    """The rows of a table that were read, go on, and are in quarantine; the worst rule first."""

    contract: str
    n_read: int
    n_valid: int
    n_quarantined: int
    share: float
    rules: list[BrokenRule]


class ScreeningAccount(Artefact):
    """Whether the raw tables are fit to go on with."""

    passed: bool
    max_quarantine_share: float
    largest_share: float
    tables: list[TableAccount]
