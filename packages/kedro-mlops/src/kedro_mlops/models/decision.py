"""What was decided of a candidate, by the gate or by a person; it travels with a champion."""

from typing import Literal

from pydantic import Field

from kedro_mlops.core.artefacts import Artefact, CheckResult, is_none

# who decides, where no person does
GATE = "gate"
# and of challengers that surely win on live rows
MONITORING = "monitoring"

Outcome = Literal["promote", "await_approval", "keep", "block", "rollback"]


class Source(Artefact):
    """The environment in which a champion was one before.

    Attributes:
        environment: Its name.
        since: When the model became champion there, as the version of its record is called.
        decision: What had made it champion there.
    """

    environment: str
    since: str
    decision: "Decision | None"


class Decision(Artefact):
    """Whether a candidate becomes champion, and why.

    Attributes:
        outcome: ``promote``; ``await_approval``, a person is to promote it; ``keep``, the champion
            stays because the candidate is not better, or was rolled back; ``block``, the candidate
            is not fit to serve; or ``rollback``, a person returned to an earlier champion.
        decided_by: The gate, monitoring, or the login of a person.
        from_version: What a rollback left; in a file, ``from``.
        to: What it returned to.
        source: Whence it was promoted, if it is another environment's champion.
        approved_by: Who has approved that.
    """

    outcome: Outcome
    candidate: str
    champion_before: str | None
    # younger than some champions, as is the moment
    as_of: str | None = None
    decided_by: str = GATE
    decided_at: str | None = None
    reasons: list[str]
    checks: list[CheckResult] = Field(default_factory=list)
    from_version: str | None = Field(None, alias="from", exclude_if=is_none)
    to: str | None = Field(None, exclude_if=is_none)
    source: Source | None = Field(None, exclude_if=is_none)
    approved_by: str | None = Field(None, exclude_if=is_none)
